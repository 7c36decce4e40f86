"""The short way into diffusers and CLIP, for a program that samples and does nothing else.

diffusers' packages import every model they have, and with them transformers', torch's compiler and
SciPy: several seconds before anything was done. `short_way` imports the few modules that priors are
made of, as if the rest were not installed. It changes what diffusers believes for the rest of the
process (pipelines are gone, LoRAs too), so it is for the command line: never for the library.

`LeanClip` and `LeanWords` are CLIP's text encoder and tokenizer without transformers, whose own are
the definition (tests/priors/test_lean.py holds these to them).
"""

import ctypes
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from incarnate.priors.files import read_json

_HIDDEN = ("transformers", "peft", "accelerate", "scipy", "bitsandbytes", "torchao", "gguf")
_CROWDED = ("models.unets", "models.transformers", "models.autoencoders")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": F.gelu,
}


def short_way() -> bool:
    """Imports what priors are made of; False, and nothing is done, if diffusers is there."""
    if "diffusers" in sys.modules:
        return False
    with _unseen(), _without_compiler():
        import diffusers

        crowded = [f"{diffusers.__name__}.{name}" for name in _CROWDED]
        for name in crowded:
            sys.modules[name] = _empty(name)
        try:
            import diffusers.models.autoencoders.autoencoder_kl
            import diffusers.models.unets.unet_2d_condition
            import diffusers.models.unets.unet_motion_model  # noqa: F401
        finally:
            for name in crowded:  # Whoever asks for them later gets them whole.
                del sys.modules[name]
    return True


_TRIM, _MMAP, _LARGE = -1, -3, 2**30  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD; bytes.


def keep_memory() -> bool:
    """Freed blocks, large ones too, stay with the process; False where the C library cannot.

    Glibc gives a step's memory back to the system, which clears it for the next step: a sample
    spent a fifth of its time there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP, _LARGE) and mallopt(_TRIM, _LARGE))


def _empty(name: str) -> ModuleType:
    """A package that knows where its modules are, and imports none of them."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.submodule_search_locations is not None
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    return package


@contextmanager
def _unseen() -> Iterator[None]:
    """Packages that diffusers looks for are as if not installed."""
    found = importlib.util.find_spec

    def some(name: str, package: str | None = None) -> Any:
        return None if name.split(".")[0] in _HIDDEN else found(name, package)

    packages = importlib.metadata.packages_distributions
    importlib.util.find_spec = some
    importlib.metadata.packages_distributions = dict  # It reads what is known of every package.
    try:
        with _absent("transformers"):
            yield
    finally:
        importlib.util.find_spec = found
        importlib.metadata.packages_distributions = packages


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Nothing is marked as not to be compiled, since nothing will be."""
    marks = torch.compiler.disable
    torch.compiler.disable = _unmarked  # type: ignore[assignment]
    try:
        with _absent("torch._dynamo"):
            yield
    finally:
        torch.compiler.disable = marks


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """A module that cannot be imported, unless it was before."""
    if name in sys.modules:
        yield
        return
    nothing: Any = None
    sys.modules[name] = nothing
    try:
        yield
    finally:
        del sys.modules[name]


def _unmarked(function: Any = None, *_: object, **__: object) -> Any:
    return (lambda inner: inner) if function is None else function


@final
@dataclass(frozen=True, eq=False)
class Hidden:
    """What transformers' encoders give, as far as it is asked for."""

    last_hidden_state: Float[Tensor, "b n c"]


@final
@dataclass(frozen=True)
class Limits:
    """Of its configuration what is asked for."""

    max_position_embeddings: int


@final
class LeanClip:
    """CLIP's text encoder (Radford et al. 2021): layers that look back, norms first."""

    def __init__(self, folder: Path, weights: Path, device: str, dtype: torch.dtype) -> None:
        """ValueError for a configuration that it does not know."""
        from safetensors.torch import load_file

        told = read_json(folder / "config.json")
        act = str(told.get("hidden_act", "quick_gelu"))
        if act not in ACTIVATIONS:
            raise ValueError(f"{folder}: hidden_act is {act}; known are {', '.join(ACTIVATIONS)}")
        self._act, self._eps = ACTIVATIONS[act], float(str(told.get("layer_norm_eps", 1e-5)))
        self._heads = int(str(told["num_attention_heads"]))
        self._layers = int(str(told["num_hidden_layers"]))
        self.config = Limits(int(str(told["max_position_embeddings"])))
        self.device = torch.device(device)
        self._kept = {
            name.removeprefix("text_model."): weight.to(self.device, dtype)
            for name, weight in load_file(weights).items()
        }

    def __call__(self, tokens: Int[Tensor, "b n"]) -> Hidden:
        """The last hidden states."""
        kept = self._kept
        x = kept["embeddings.token_embedding.weight"][tokens]
        x = x + kept["embeddings.position_embedding.weight"][: tokens.shape[1]]
        for i in range(self._layers):
            name = f"encoder.layers.{i}"
            x = x + self._attended(f"{name}.self_attn", self._even(f"{name}.layer_norm1", x))
            inner = self._act(self._line(f"{name}.mlp.fc1", self._even(f"{name}.layer_norm2", x)))
            x = x + self._line(f"{name}.mlp.fc2", inner)
        return Hidden(self._even("final_layer_norm", x))

    def _attended(self, name: str, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        query, key, value = (
            self._line(f"{name}.{part}_proj", x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for part in "qkv"
        )
        read = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self._line(f"{name}.out_proj", read.transpose(1, 2).flatten(2))

    def _line(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self._kept[f"{name}.weight"], self._kept[f"{name}.bias"])

    def _even(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self._kept[f"{name}.weight"], self._kept[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self._eps)


@final
@dataclass(frozen=True, eq=False)
class Tokens:
    """What transformers' tokenizers give, as far as it is asked for."""

    input_ids: Int[Tensor, "1 n"]


@final
class LeanWords:
    """CLIP's tokenizer from its tokenizer.json."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        told = read_json(folder / "tokenizer_config.json")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._pad = str(told["pad_token"])
        self.model_max_length = int(str(told["model_max_length"]))

    def __call__(self, prompt: str, max_length: int, **_: object) -> Tokens:
        """As many tokens as `max_length`: cut, or filled up."""
        tokenizer = self._tokenizer
        tokenizer.enable_truncation(max_length)
        pad = tokenizer.token_to_id(self._pad)
        tokenizer.enable_padding(length=max_length, pad_id=pad, pad_token=self._pad)
        return Tokens(torch.tensor([tokenizer.encode(prompt).ids]))
