"""Gaussians in the world: y up, metres, quaternions wxyz of any length."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A cloud of anisotropic Gaussians, as 3DGS has them (Kerbl et al. 2023, Sec. 4)."""

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    log_scales: Float[Tensor, "n 3"]
    logit_opacities: Float[Tensor, " n"]
    colors: Float[Tensor, "n c"]
    """Channels as drawn: rgb in [0, 1], or any features."""

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """Standard deviations along the local axes, metres."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Float[Tensor, " n"]:
        """Peak opacities in (0, 1)."""
        return torch.sigmoid(self.logit_opacities)
