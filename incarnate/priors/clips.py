"""Clips from UNets that know time: Stable Video Diffusion and AnimateDiff.

Latents are b 4 f y x, clips b f h w 3. Longer clips than a network knows: `Windowed`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.coding import decoded, encoded
from incarnate.priors.conditions import Condition, Reference, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, check_size, each_row, in_chunks
from incarnate.priors.inner import captured
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder
from incarnate.priors.vision import side_of, stretched

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
        AutoencoderKLTemporalDecoder,
    )
    from diffusers.models.unets.unet_motion_model import UNetMotionModel
    from diffusers.models.unets.unet_spatio_temporal_condition import (
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPVisionModelWithProjection


@final
@dataclass(frozen=True)
class Footage:
    """What Stable Video is told about the clip besides its picture."""

    fps: int = 7
    motion: int = 127
    """How much moves: 1 little, 255 much ('motion bucket')."""
    noise_augmentation: float = 0.02
    """Noise on the picture, of its range of 2: the more, the freer the clip."""
    seed: int = 0
    """Of that noise."""


@final
class StableVideo(Denoiser):
    """Stable Video Diffusion (Blattmann et al. 2023): the clip that begins with a picture.

    Without a reference in the condition it predicts unconditionally. A guidance scale that rises
    over the frames, as its makers use (1 to 3), is a tensor 1 1 f 1 1.
    """

    def __init__(
        self,
        vae: "AutoencoderKLTemporalDecoder",
        image_encoder: "CLIPVisionModelWithProjection",
        unet: "UNetSpatioTemporalConditionModel",
        schedule: Schedule,
        footage: Footage | None = None,
        chunk: int = 14,
    ) -> None:
        """`chunk` frames are coded at once; decoded ones see their neighbours within it only."""
        self.vae, self.image_encoder, self.unet = vae, image_encoder, unet
        self.schedule, self.footage, self.chunk = schedule, footage or Footage(), chunk
        self.factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        self._once = Once()

    @property
    def reads(self) -> tuple[str, ...]:
        """The picture the clip begins with; it may be left out."""
        return ("reference",)

    def encode(self, images: Images) -> Latents:
        """b f h w 3 to b 4 f y x. ValueError for sides that the VAE cannot halve."""
        check_size(images.shape[-3], images.shape[-2], self.factor)
        means = in_chunks(self._means, images.flatten(0, 1) * 2 - 1, self.chunk)
        return _clip(means * self._scale, len(images))

    def decode(self, latents: Latents) -> Images:
        """b 4 f y x to b f h w 3, each clip for itself."""
        dtype = self.vae.dtype

        def work(part: Tensor) -> Tensor:
            pixels = self.vae.decode(part.to(dtype), num_frames=len(part), return_dict=False)[0]
            return pixels.to(latents.dtype)

        clips = [in_chunks(work, clip, self.chunk) for clip in latents.movedim(2, 1) / self._scale]
        return (torch.stack(clips).movedim(2, -1) + 1) / 2

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output. ValueError for a reference that is not of the clip's size."""
        check_condition(condition, self.reads, ())
        x = x_t.to(self.unet.dtype)
        pictures, seen = self._reference(condition.reference, x)
        stacked = torch.cat([x, pictures[:, :, None].expand(-1, -1, x.shape[2], -1, -1)], 1)
        output = self.unet(
            stacked.movedim(2, 1),
            self.schedule.told(t).float(),
            encoder_hidden_states=seen,
            added_time_ids=self._told(x),
        ).sample
        return output.movedim(1, 2).to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The condition without its reference: zeros for the latents and the embedding."""
        return replace(condition, reference=None)

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        return _inner(self.unet, len(x_t), lambda: self.predict(x_t, t, condition))

    @property
    def _scale(self) -> float:
        return float(self.vae.config["scaling_factor"])

    def _means(self, pixels: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n 4 y x"]:
        pictures = pixels.movedim(-1, 1).to(self.vae.dtype)
        return self.vae.encode(pictures, return_dict=False)[0].mode().to(pixels.dtype)

    def _told(self, x: Latents) -> Float[Tensor, "b 3"]:
        footage = self.footage
        # One frame a second less than meant is what it was trained with.
        told = [footage.fps - 1, footage.motion, footage.noise_augmentation]
        return x.new_tensor(told).expand(len(x), -1)

    def _reference(self, reference: Reference | None, x: Latents) -> tuple[Tensor, Tensor]:
        """What the picture is as latents (not scaled) and to CLIP; zeros if there is none."""
        if reference is None:
            seen = x.new_zeros(len(x), 1, self.unet.config["cross_attention_dim"])
            return torch.zeros_like(x[:, :, 0]), seen
        check_like(reference.image, "reference", *(side * self.factor for side in x.shape[-2:]))

        @torch.no_grad()
        def work() -> tuple[Tensor, Tensor]:
            squares = stretched(reference.image, side_of(self.image_encoder.config))
            seen = self.image_encoder(squares.to(self.image_encoder.dtype)).image_embeds
            return self._means(self._augmented(reference.image)), seen[:, None]

        pictures, seen = self._once(reference, work)
        return each_row(pictures.to(x), len(x)), each_row(seen.to(x), len(x))

    def _augmented(self, image: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w 3"]:
        """In [-1, 1], with noise: the same on every device."""
        rng = torch.Generator().manual_seed(self.footage.seed)
        noise = torch.randn(image.movedim(-1, 1).shape, generator=rng).movedim(1, -1).to(image)
        return image * 2 - 1 + self.footage.noise_augmentation * noise


@final
class AnimateDiff(Denoiser):
    """Stable Diffusion 1.5 with motion modules (Guo et al. 2023): clips from text."""

    def __init__(
        self,
        unet: "UNetMotionModel",
        vae: Autoencoder,
        text: TextEncoder,
        schedule: Schedule,
        chunk: int = 16,
    ) -> None:
        """`unet` has its motion modules (`UNetMotionModel.from_unet2d`); `chunk` as above."""
        self.unet, self.vae, self.text = unet, vae, text
        self.schedule, self.chunk = schedule, chunk

    @property
    def reads(self) -> tuple[str, ...]:
        """Words alone."""
        return ("text", "view")

    def encode(self, images: Images) -> Latents:
        """b f h w 3 to b 4 f y x. ValueError for sides that the VAE cannot halve."""
        return encoded(self.vae, images, self.chunk)

    def decode(self, latents: Latents) -> Images:
        """b 4 f y x to b f h w 3, each frame for itself."""
        return decoded(self.vae, latents, self.chunk)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output. ValueError for more frames than the motion modules know."""
        check_condition(condition, self.reads, ())
        frames, known = x_t.shape[2], int(self.unet.config["motion_max_seq_length"])
        if frames > known:
            raise ValueError(
                f"{frames} frames came, these motion modules know {known}; wrap the prior in "
                f"Windowed(prior, Windows(length={min(known, 16)}))"
            )
        context = self.text(condition.prompts(len(x_t))).context.to(self.unet.dtype)
        return self.unet(
            x_t.to(self.unet.dtype),
            self.schedule.told(t).float(),
            encoder_hidden_states=context.repeat_interleave(frames, 0),
        ).sample.to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        return _inner(self.unet, len(x_t), lambda: self.predict(x_t, t, condition))


def _clip(frames: Float[Tensor, "n c y x"], count: int) -> Float[Tensor, "b c f y x"]:
    """Frames of `count` clips, one clip after the other, as latents."""
    return frames.unflatten(0, (count, -1)).movedim(2, 1)


def _inner(
    unet: "UNetSpatioTemporalConditionModel | UNetMotionModel",
    count: int,
    run: Callable[[], Latents],
) -> tuple[Tensor, ...]:
    blocks = [unet.mid_block, *list(unet.up_blocks)[:-1]]
    return tuple(_clip(output, count) for output in captured(blocks, run))
