"""Pictures to latents and back, through a VAE of diffusers."""

from typing import TYPE_CHECKING, Any, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors.frames import check_size

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

Module = TypeVar("Module", bound=torch.nn.Module)


@final
class Autoencoder:
    """A VAE for still pictures in [0, 1], channels last."""

    def __init__(self, vae: "AutoencoderKL") -> None:
        self.vae: Any = vae
        self.factor = 2 ** (len(vae.config["block_out_channels"]) - 1)

    def encode(self, images: Float[Tensor, "b h w c"]) -> Float[Tensor, "b z y x"]:
        """The posterior's mean, scaled to unit variance. ValueError for odd sides."""
        check_size(images.shape[1], images.shape[2], self.factor)
        pixels = (images.movedim(-1, 1) * 2 - 1).to(self.vae.dtype)
        mean = self.vae.encode(pixels).latent_dist.mode()
        return ((mean - self._shift) * self._scale).to(images.dtype)

    def decode(self, latents: Float[Tensor, "b z y x"]) -> Float[Tensor, "b h w c"]:
        """Near [0, 1], not clamped."""
        unscaled = (latents / self._scale + self._shift).to(self.vae.dtype)
        pixels = self.vae.decode(unscaled).sample
        return ((pixels + 1) / 2).movedim(1, -1).to(latents.dtype)

    @property
    def _scale(self) -> float:
        return float(self.vae.config["scaling_factor"])

    @property
    def _shift(self) -> float:
        return float(self.vae.config.get("shift_factor") or 0.0)


def frozen(module: Module) -> Module:
    """The module in evaluation, none of its parameters wanting gradients."""
    return module.eval().requires_grad_(False)
