"""What Wan's video models share, and the one that is told by pictures: VACE (Jiang et al. 2025).

Clips are b f h w 3 with 4 k + 1 frames; their latents b 16 (k + 1) y x: the first stands for one
frame, every other for four. Its schedule is `Schedule.flow`.
"""

import html
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from incarnate.priors.conditions import Condition, Reference, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, check_size, each_frame, each_row
from incarnate.priors.inner import captured
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder, Words
from incarnate.priors.vision import fitted

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan_animate import WanAnimateTransformer3DModel
    from diffusers.models.transformers.transformer_wan_vace import WanVACETransformer3DModel
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

LENGTH = 512  # Tokens a prompt; the transformers count on it.
REMEMBERED = 16  # Prompts; 512 x 4096 numbers each are four megabytes at half precision.
GREY = 0.5  # What is not known is shown so: 0 in the VAE's range of -1 to 1.


@final
class WanText(TextEncoder):
    """UMT5's last hidden states, zeros behind a prompt's end."""

    def __init__(self, encoder: "UMT5EncoderModel", tokenizer: "PreTrainedTokenizerBase") -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._remembered = lru_cache(REMEMBERED)(self._encoded)

    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """512 vectors a prompt; longer prompts are cut."""
        return Words(torch.cat([self._remembered(prompt) for prompt in prompts]))

    @torch.no_grad()
    def _encoded(self, prompt: str) -> Float[Tensor, "1 n c"]:
        # Web captions, which it was trained with, are escaped twice now and then.
        plain = " ".join(html.unescape(html.unescape(prompt)).split())
        tokens = self._tokenizer(
            plain, truncation=True, max_length=LENGTH, return_tensors="pt"
        ).input_ids.to(self._encoder.device)
        # Without padding: what a mask would hide is not worked out at all.
        vectors = self._encoder(tokens).last_hidden_state
        return pad(vectors, (0, 0, 0, LENGTH - vectors.shape[1]))


@final
class WanAutoencoder:
    """Wan's causal VAE of clips. It works on four frames at a time by itself."""

    def __init__(self, vae: "AutoencoderKLWan") -> None:
        self.vae = vae
        self.factor = int(vae.config["scale_factor_spatial"])
        self.pace = int(vae.config["scale_factor_temporal"])

    def encode(self, images: Float[Tensor, "b f h w 3"]) -> Float[Tensor, "b z k y x"]:
        """The posterior's mean, of unit variance. ValueError for a clip that does not fit."""
        check_size(images.shape[2], images.shape[3], self.factor)
        if images.shape[1] % self.pace != 1:
            raise ValueError(
                f"a clip of {images.shape[1]} frames came; this VAE wants one more than a "
                f"multiple of {self.pace}"
            )
        pixels = (images.movedim(-1, 1) * 2 - 1).to(self.vae.dtype)
        mean = self.vae.encode(pixels, return_dict=False)[0].mode().to(images.dtype)
        return (mean - self._table("latents_mean", mean)) / self._table("latents_std", mean)

    def decode(self, latents: Float[Tensor, "b z k y x"]) -> Float[Tensor, "b f h w 3"]:
        """In [0, 1]: this VAE clamps."""
        std, mean = self._table("latents_std", latents), self._table("latents_mean", latents)
        unscaled = (latents * std + mean).to(self.vae.dtype)
        pixels = self.vae.decode(unscaled, return_dict=False)[0].to(latents.dtype)
        return (pixels.movedim(1, -1) + 1) / 2

    def size(self, latents: Latents) -> tuple[int, int, int]:
        """Frames, height and width of the clip that latents stand for."""
        frames, height, width = latents.shape[2:]
        return (frames - 1) * self.pace + 1, height * self.factor, width * self.factor

    def _table(self, name: str, like: Tensor) -> Float[Tensor, "1 z 1 1 1"]:
        return like.new_tensor(self.vae.config[name]).view(1, -1, 1, 1, 1)


@final
class OnceTogether:
    """`Once`, for what is worked out of several parts; kept for as long as all of them live."""

    def __init__(self) -> None:
        self._once = Once()

    def __call__(
        self, parts: Sequence[object], size: tuple[int, ...], work: Callable[[], Tensor]
    ) -> Tensor:
        """What `work` gives, worked out once for these parts and this size of clip."""
        once = self._once
        for part in parts:
            once = once(part, Once)
        # Under a key of its own: more parts may have been given before, or may come later.
        kept: dict[tuple[int, ...], Tensor] = once(OnceTogether, dict)
        if size not in kept:
            kept[size] = work()
        return kept[size]


@final
class WanVace(Denoiser):
    """Clips from text that keep what is known of them and follow a control drawn into the rest.

    The projection's holes are painted, all else is kept; without a projection all is a hole. In
    holes a pose or a depth map may be drawn, which the clip follows.
    """

    def __init__(
        self,
        transformer: "WanVACETransformer3DModel",
        vae: WanAutoencoder,
        text: TextEncoder,
        schedule: Schedule,
        references: Literal[0, 1] = 0,
    ) -> None:
        """With 1 of `references` the condition has a reference: who or what is to be seen.

        Latents have then one more frame in front, where the network paints the reference anew.
        `decode` leaves it out, `encode` puts the clip's first frame there.
        """
        self.transformer, self.vae, self.text = transformer, vae, text
        self.schedule, self.references = schedule, references
        self._once = OnceTogether()

    def referring(self) -> "WanVace":
        """The same networks, for conditions with a reference."""
        return WanVace(self.transformer, self.vae, self.text, self.schedule, 1)

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts of a condition it knows."""
        return ("text", "view", "projection", "pose", "depth", *self._wants)

    def encode(self, images: Images) -> Latents:
        """b f h w 3 to b 16 k y x. ValueError for sides or frames that do not fit."""
        latents = self.vae.encode(images)
        first = [self.vae.encode(images[:, :1])] * self.references
        return torch.cat([*first, latents], 2)

    def decode(self, latents: Latents) -> Images:
        """b 16 k y x to b f h w 3."""
        return self.vae.decode(latents[:, :, self.references :])

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The transformer's output."""
        check_condition(condition, self.reads, self._wants)
        x = x_t.to(self.transformer.dtype)
        control, scale = self._control(condition, x), _scale(condition)
        blocks = len(self.transformer.config["vace_layers"])
        return self.transformer(
            hidden_states=x,
            timestep=self.schedule.told(t).float(),
            encoder_hidden_states=self.text(condition.prompts(len(x))).context.to(x),
            control_hidden_states=each_row(control.to(x), len(x)),
            control_hidden_states_scale=x.new_full((blocks,), scale),
            return_dict=False,
        )[0].to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt; pictures stay, as in its makers' pipeline."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the blocks three quarters, half and a quarter down the transformer."""
        return inner(self.transformer, x_t, lambda: self.predict(x_t, t, condition))

    @property
    def _wants(self) -> tuple[str, ...]:
        return ("reference",) * self.references

    def _control(self, condition: Condition, x: Latents) -> Float[Tensor, "r c k y x"]:
        """What VACE's own blocks read: what is kept, what is painted over, and where."""
        size = self.vae.size(x[:, :, self.references :])
        given = condition.projection, condition.pose, condition.depth, condition.reference
        parts = [self.vae, *(part for part in given if part is not None)]

        @torch.no_grad()
        def work() -> Tensor:
            kept, drawn, hole = _shown(condition, size, x)
            latents = [self.vae.encode(kept), self.vae.encode(drawn), self._mask(hole)]
            clip = torch.cat([each_row(part, len(hole)) for part in latents], 1)
            if condition.reference is None:
                return clip
            return _with_first(self._reference(condition.reference, clip, size), clip)

        return self._once(parts, size, work)

    def _mask(self, hole: Bool[Tensor, "b f h w 1"]) -> Float[Tensor, "b c k y x"]:
        """A channel for each pixel behind a latent one; of four frames one in the middle counts."""
        factor = self.vae.factor
        rows, frames, height, width = hole.shape[:4]
        tiles = hole.view(rows, frames, height // factor, factor, width // factor, factor)
        channels = tiles.permute(0, 3, 5, 1, 2, 4).flatten(1, 2).float()
        count = (frames + self.vae.pace - 1) // self.vae.pace
        return interpolate(channels, (count, *channels.shape[-2:]), mode="nearest-exact")

    def _reference(
        self, reference: Reference, clip: Float[Tensor, "b c k y x"], size: tuple[int, int, int]
    ) -> Float[Tensor, "r c 1 y x"]:
        """The reference as a frame of it: kept, nothing painted over."""
        image = fitted(reference.image, size[1], size[2], fill=1.0)
        latents = self.vae.encode(image[:, None])
        nothing = latents.new_zeros(
            len(latents), clip.shape[1] - latents.shape[1], *latents.shape[2:]
        )
        return torch.cat([latents, nothing], 1)


def _with_first(first: Tensor, clip: Tensor) -> Tensor:
    """A frame before the clip, each row with its own or all with one."""
    rows = max(len(first), len(clip))
    return torch.cat([each_row(first, rows), each_row(clip, rows)], 2)


def _shown(
    condition: Condition, size: tuple[int, int, int], like: Tensor
) -> tuple[Images, Images, Bool[Tensor, "b f h w 1"]]:
    """What is kept, what is drawn, and the holes; grey where there is neither."""
    frames, height, width = size
    drawn = like.new_full((1, frames, height, width, 3), GREY, dtype=torch.float32)
    hole = torch.ones_like(drawn[..., :1], dtype=torch.bool)
    kept = drawn
    control = condition.pose or condition.depth
    if control is not None:
        check_like(control.image, "control", height, width)
        drawn = each_frame(control.image, frames).expand(-1, -1, -1, -1, 3).float()
    known = condition.projection
    if known is not None:
        check_like(known.image, "projection", height, width)
        hole = each_frame(known.hole, frames) > 0.5
        kept = torch.where(hole, GREY, each_frame(known.image, frames).float())
    rows = max(len(drawn), len(hole))
    hole = each_row(hole, rows)
    return kept, torch.where(hole, each_row(drawn, rows), GREY), hole


def _scale(condition: Condition) -> float:
    """How strongly VACE's blocks speak. ValueError for controls that do not agree."""
    if condition.pose is not None and condition.depth is not None:
        raise ValueError("a pose and a depth map came; this prior follows one of them, give one")
    given = condition.pose, condition.depth, condition.projection
    scales = {part.scale for part in given if part is not None}
    if len(scales) > 1:
        raise ValueError(f"controls of scales {sorted(scales)} came; this prior has one for all")
    return scales.pop() if scales else 1.0


def inner(
    transformer: "WanVACETransformer3DModel | WanAnimateTransformer3DModel",
    x: Latents,
    run: Callable[[], Latents],
) -> tuple[Float[Tensor, "b c k y x"], ...]:
    """Three blocks' outputs, deepest first, tokens put back in their places."""
    blocks = list(transformer.blocks)
    chosen = [blocks[len(blocks) * quarters // 4] for quarters in (3, 2, 1)]
    patch = transformer.config["patch_size"]
    places = [side // step for side, step in zip(x.shape[2:], patch, strict=True)]
    return tuple(tokens.unflatten(1, places).movedim(-1, 1) for tokens in captured(chosen, run))
