"""Stable Diffusion 1.5, 2.1 and XL, with ControlNets or a UNet for inpainting.

The text-to-normal and text-to-depth fine-tunes of these (HumanNorm's among them) are the same
networks with other weights: their latents are of normal or depth maps.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.conditions import Condition, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, each_row
from incarnate.priors.inner import captured
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder, Words

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

ControlKind = Literal["normal", "depth", "pose"]
INPAINTING = 9  # Channels: noisy latents 4, hole 1, latents of what is known 4.


@final
@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet, and which part of the condition it reads."""

    kind: ControlKind
    net: "ControlNetModel"


@final
class StableDiffusion(Denoiser):
    """A latent UNet that reads text, and the pictures that its controls read."""

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        vae: Autoencoder,
        text: TextEncoder,
        schedule: Schedule,
        controls: tuple[Control, ...] = (),
    ) -> None:
        self.unet, self.vae, self.text = unet, vae, text
        self.schedule, self.controls = schedule, controls
        self._once = Once()

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts of a condition it knows."""
        known = ("projection",) if self._inpaints else ()
        return ("text", "view", *(control.kind for control in self.controls), *known)

    def encode(self, images: Images) -> Latents:
        """b h w 3 to b 4 y x. ValueError for sides that the VAE cannot halve."""
        return self.vae.encode(images)

    def decode(self, latents: Latents) -> Images:
        """b 4 y x to b h w 3."""
        return self.vae.decode(latents)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output."""
        check_condition(condition, self.reads, tuple(set(self.reads) - {"text", "view"}))
        words = self.text(condition.prompts(len(x_t)))
        dtype = self.unet.dtype
        x, told = x_t.to(dtype), self.schedule.told(t).float()
        context, added = words.context.to(dtype), self._added(words, x_t)
        down, middle = self._controlled(x, told, context, added, condition)
        if self._inpaints:
            x = torch.cat([x, self._known(condition, x)], 1)
        return self.unet(
            x,
            told,
            encoder_hidden_states=context,
            added_cond_kwargs=added,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample.to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt; pictures stay, as in ControlNet's and inpainting's pipelines."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        blocks = [self.unet.mid_block, *self.unet.up_blocks[:-1]]
        return captured(blocks, lambda: self.predict(x_t, t, condition))

    @property
    def _inpaints(self) -> bool:
        return self.unet.config["in_channels"] == INPAINTING

    def _added(self, words: Words, x: Latents) -> dict[str, Tensor] | None:
        """SDXL's other inputs: the pooled vector, and sizes (original, crop, target), uncropped."""
        if words.pooled is None:
            return None
        height, width = (side * self.vae.factor for side in x.shape[-2:])
        sizes = [height, width, 0, 0, height, width]
        told = torch.tensor([sizes], dtype=self.unet.dtype, device=x.device)
        return {
            "text_embeds": words.pooled.to(self.unet.dtype),
            "time_ids": told.expand(len(x), -1),
        }

    def _controlled(
        self,
        x: Latents,
        told: Levels,
        context: Tensor,
        added: dict[str, Tensor] | None,
        condition: Condition,
    ) -> tuple[list[Tensor] | None, Tensor | None]:
        """What the ControlNets add to the UNet's skips and middle, summed."""
        downs: list[Tensor] | None = None
        middle: Tensor | None = None
        for control in self.controls:
            image, scale = _picture(condition, control.kind)
            check_like(image.movedim(1, -1), control.kind, *self._size(x))
            down, mid = control.net(
                x,
                told,
                encoder_hidden_states=context,
                controlnet_cond=each_row(image, len(x)).to(x),
                conditioning_scale=scale,
                added_cond_kwargs=added,
                return_dict=False,
            )
            downs = down if downs is None else [a + b for a, b in zip(downs, down, strict=True)]
            middle = mid if middle is None else middle + mid
        return downs, middle

    def _size(self, x: Latents) -> tuple[int, int]:
        """Height and width of the pictures behind latents."""
        return x.shape[-2] * self.vae.factor, x.shape[-1] * self.vae.factor

    def _known(self, condition: Condition, x: Latents) -> Tensor:
        """Mask (1 = hole) and latents of the known part: the inpainting UNet's other channels."""
        known = condition.projection
        assert known is not None  # `check_condition` has seen to it.
        check_like(known.image, "projection", *self._size(x))

        def work() -> Tensor:
            hole = (known.hole.movedim(-1, 1) >= 0.5).to(x)
            picture = torch.where(known.hole >= 0.5, 0.5, known.image)  # 0 where [-1, 1] is meant.
            with torch.no_grad():
                latents = self.vae.encode(picture).to(x)
            return torch.cat([interpolate(hole, latents.shape[-2:]), latents], 1)

        return each_row(self._once(known, work), len(x))


def _picture(condition: Condition, kind: ControlKind) -> tuple[Tensor, float]:
    """A control's picture, b 3 h w, and its scale."""
    match kind:
        case "normal":
            part = condition.normal
        case "depth":
            part = condition.depth
        case "pose":
            part = condition.pose
        case _:
            assert_never(kind)
    assert part is not None  # `check_condition` has seen to it.
    image = part.image.movedim(-1, 1)
    return (image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image), part.scale
