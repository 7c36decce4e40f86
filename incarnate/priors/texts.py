"""From prompts to what a UNet's cross-attention reads."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, PreTrainedTokenizerBase

REMEMBERED = 64  # Prompts; 77 x 768 numbers each are a quarter of a megabyte.


@final
@dataclass(frozen=True, eq=False)
class Words:
    """Prompts, encoded."""

    context: Float[Tensor, "b n c"]
    pooled: Float[Tensor, "b p"] | None = None
    """One vector a prompt, where the UNet wants it (SDXL)."""


class TextEncoder(ABC):
    """Prompts to `Words`."""

    @abstractmethod
    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """The words of each prompt. Each distinct prompt is encoded once and remembered."""


@final
class ClipText(TextEncoder):
    """Stable Diffusion 1 and 2: the last hidden states of one CLIP."""

    def __init__(self, encoder: "CLIPTextModel", tokenizer: "PreTrainedTokenizerBase") -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._remembered: OrderedDict[str, Words] = OrderedDict()

    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """77 vectors a prompt; longer prompts are cut, as everywhere."""
        return _remembered(self._remembered, prompts, self._encoded)

    def _encoded(self, prompt: str) -> Words:
        tokens = _tokens(self._tokenizer, prompt, self._encoder)
        return Words(self._encoder(tokens).last_hidden_state)


@final
class XlText(TextEncoder):
    """SDXL: the last but one hidden states of two CLIPs side by side, and the second's vector."""

    def __init__(
        self,
        encoders: "tuple[CLIPTextModel, CLIPTextModelWithProjection]",
        tokenizers: "tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]",
        zeros_for_empty: bool,
    ) -> None:
        """With `zeros_for_empty` (force_zeros_for_empty_prompt), '' is encoded as zeros."""
        self._encoders, self._tokenizers = encoders, tokenizers
        self._zeros_for_empty = zeros_for_empty
        self._remembered: OrderedDict[str, Words] = OrderedDict()

    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """77 vectors and a pooled one a prompt."""
        return _remembered(self._remembered, prompts, self._encoded)

    def _encoded(self, prompt: str) -> Words:
        small, large = self._encoders
        first = small(_tokens(self._tokenizers[0], prompt, small), output_hidden_states=True)
        second = large(_tokens(self._tokenizers[1], prompt, large), output_hidden_states=True)
        context = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        pooled = second.text_embeds
        if prompt == "" and self._zeros_for_empty:
            return Words(torch.zeros_like(context), torch.zeros_like(pooled))
        return Words(context, pooled)


@final
class Worded(TextEncoder):
    """Every prompt with words at its end, such as those for what a picture shows.

    Of the empty prompt only the words are left, or nothing (`empty`), as the model was trained.
    """

    def __init__(self, text: TextEncoder, words: str, empty: bool = False) -> None:
        self._text, self._words, self._empty = text, words, empty

    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """The words of each prompt."""
        return self._text(tuple(self._told(prompt) for prompt in prompts))

    def _told(self, prompt: str) -> str:
        if self._empty and not prompt:
            return ""
        return ", ".join(filter(None, (prompt, self._words)))


def _tokens(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: str,
    encoder: "CLIPTextModel | CLIPTextModelWithProjection",
) -> Int[Tensor, "1 n"]:
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    told = tokenizer(
        prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return told.input_ids.to(encoder.device)


@torch.no_grad()
def _remembered(
    kept: OrderedDict[str, Words], prompts: Sequence[str], encoded: Callable[[str], Words]
) -> Words:
    for prompt in prompts:
        if prompt not in kept:
            kept[prompt] = encoded(prompt)
        kept.move_to_end(prompt)
    found = [kept[prompt] for prompt in prompts]
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
    pooled = [words.pooled for words in found if words.pooled is not None]
    return Words(torch.cat([w.context for w in found]), torch.cat(pooled) if pooled else None)
