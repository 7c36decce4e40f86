"""Depth and normals measured by diffusion: Marigold (Ke et al. 2024).

The latents are those of the depth or normal map, the picture it is measured in is the condition's
reference. There is no unconditional prediction. Depth is 0 at the nearest point of the picture and
1 at the farthest, evenly between; normals are camera-space ones, (n + 1) / 2, x to the right, y
up, z to the viewer.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.conditions import Condition, Reference, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, each_row
from incarnate.priors.inner import captured
from incarnate.priors.schedule import Latents, Levels, Schedule

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, PreTrainedTokenizerBase


class Maps(ABC):
    """How a map is shown to the VAE, which knows pictures of three colors."""

    channels: Literal[1, 3]

    @abstractmethod
    def shown(self, maps: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w 3"]:
        """The picture of a map."""

    @abstractmethod
    def read(self, pictures: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w c"]:
        """The map in a picture."""


@final
class DepthMaps(Maps):
    """Grey pictures."""

    channels = 1

    def shown(self, maps: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w 3"]:
        """Three times the same."""
        return maps.expand(-1, -1, -1, 3)

    def read(self, pictures: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w c"]:
        """The mean of the colors."""
        return pictures.mean(-1, keepdim=True)


@final
class NormalMaps(Maps):
    """Colors are coordinates."""

    channels = 3

    def __init__(self, facing: bool = False) -> None:
        """`facing` models know normals that face the viewer only, and spread z over it all."""
        self.facing = facing

    def shown(self, maps: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w 3"]:
        """Themselves, or with their z spread."""
        if not self.facing:
            return maps
        return torch.cat([maps[..., :2], 2 * maps[..., 2:] - 1], -1)

    def read(self, pictures: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w c"]:
        """Normals of length one."""
        normals = (2 * pictures - 1).clamp(-1, 1)
        if self.facing:
            normals = torch.cat([normals[..., :2], (normals[..., 2:] + 1) / 2], -1)
        return (normalize(normals, dim=-1, eps=1e-6) + 1) / 2


@final
class Marigold(Denoiser):
    """Maps of the condition's reference."""

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        vae: Autoencoder,
        nothing: Float[Tensor, "1 n c"],
        schedule: Schedule,
        maps: Maps,
    ) -> None:
        """`nothing` is the empty prompt, encoded: `said_nothing`."""
        self.unet, self.vae, self.nothing = unet, vae, nothing
        self.schedule, self.maps = schedule, maps
        self._once = Once()

    @property
    def reads(self) -> tuple[str, ...]:
        """The picture to measure."""
        return ("reference",)

    def encode(self, images: Images) -> Latents:
        """Maps b h w c to b 4 y x. ValueError for maps of another kind."""
        if images.shape[-1] != self.maps.channels:
            raise ValueError(
                f"maps of {images.shape[-1]} channels came, this prior knows {self.maps.channels}"
            )
        return self.vae.encode(self.maps.shown(images))

    def decode(self, latents: Latents) -> Images:
        """b 4 y x to maps b h w c."""
        return self.maps.read(self.vae.decode(latents))

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output. ValueError without a reference of the map's size."""
        check_condition(condition, self.reads, self.reads)
        assert condition.reference is not None  # `check_condition` has seen to it.
        x = x_t.to(self.unet.dtype)
        return self.unet(
            torch.cat([self._picture(condition.reference, x), x], 1),
            self.schedule.told(t).float(),
            encoder_hidden_states=self.nothing.to(x).expand(len(x), -1, -1),
            return_dict=False,
        )[0].to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """ValueError: there is none."""
        raise ValueError("Marigold does not predict without its picture; guide it by a scale of 1")

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        blocks = [self.unet.mid_block, *list(self.unet.up_blocks)[:-1]]
        return captured(blocks, lambda: self.predict(x_t, t, condition))

    def _picture(self, reference: Reference, x: Latents) -> Latents:
        """The latents of the picture."""
        check_like(reference.image, "reference", *(side * self.vae.factor for side in x.shape[-2:]))

        @torch.no_grad()
        def work() -> Latents:
            return self.vae.encode(reference.image)

        return each_row(self._once(reference, work).to(x), len(x))


@torch.no_grad()
def said_nothing(
    text_encoder: "CLIPTextModel", tokenizer: "PreTrainedTokenizerBase"
) -> Float[Tensor, "1 n c"]:
    """The empty prompt, not padded, encoded: all that Marigold reads of its text encoder."""
    tokens = tokenizer("", padding="do_not_pad", truncation=True, return_tensors="pt").input_ids
    return text_encoder(tokens.to(text_encoder.device)).last_hidden_state
