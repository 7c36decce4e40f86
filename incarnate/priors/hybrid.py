"""Portrait Diffusion's additions to the projection branch (Sec. 3): nothing of them is heard yet.

The explicit branch sees a view that was warped here, and knows where everything is; the implicit
one, its copy, sees the other view as it is, and knows how everything looks. Layer by layer the
implicit features are warped and joined to the explicit ones (Eq. 10). The latents of the warped
view are corrected by those of the current normals and colors (Eq. 11).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float, Int
from torch import Tensor, nn

from incarnate.priors.branches import Additions, Features
from incarnate.priors.projection import feature_widths

VOID = -1


@final
@dataclass(frozen=True, eq=False)
class Warp:
    """Where each place of the target view comes from, at every resolution that features have."""

    maps: tuple[Int[Tensor, "b _ _"], ...]
    """The source's place, row by row from the top (y width + x), or VOID where none landed."""

    def __call__(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The features at their new places, 0 in the void; ValueError for other resolutions."""
        sizes = [tuple(places.shape[-2:]) for places in self.maps]
        size = tuple(features.shape[-2:])
        if size not in sizes:
            raise ValueError(f"features of {size} came, places were told for {sizes}")
        places = self.maps[sizes.index(size)].flatten(1)[:, None]
        found = features.flatten(2).gather(2, places.clamp(min=0).expand(-1, features.shape[1], -1))
        return torch.where(places == VOID, 0, found).view_as(features)


@final
class Residue(nn.Module):
    """Two convolutions, the last of zeros: what is added to features after a look at others."""

    def __init__(self, seen: int, out: int, groups: int) -> None:
        """From `seen` channels to `out`."""
        super().__init__()
        last = nn.Conv2d(out, out, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.layers = nn.Sequential(
            nn.GroupNorm(math.gcd(groups, seen), seen),
            nn.SiLU(),
            nn.Conv2d(seen, out, 3, padding=1),
            nn.GroupNorm(math.gcd(groups, out), out),
            nn.SiLU(),
            last,
        )

    def forward(self, x: Features) -> Features:
        """The addition."""
        return self.layers(x)


@final
class Fusion(ModelMixin, ConfigMixin):
    """Joins the features of both branches, before their ways out (Eq. 10)."""

    @register_to_config
    def __init__(
        self,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
    ) -> None:
        """As in the configuration of the branches."""
        super().__init__()
        down, mid, up = feature_widths(block_out_channels, layers_per_block)
        self.down = nn.ModuleList(Residue(2 * width, width, norm_num_groups) for width in down)
        self.mid = Residue(2 * mid, mid, norm_num_groups)
        self.up = nn.ModuleList(Residue(2 * width, width, norm_num_groups) for width in up)

    def forward(self, explicit: Additions, implicit: Additions, warp: Warp) -> Additions:
        """The explicit features, with what the warped implicit ones say."""

        def joined(residue: nn.Module, own: Features, other: Features) -> Features:
            return own + residue(torch.cat([own, warp(other)], 1))

        down, up = (
            tuple(joined(*layer) for layer in zip(residues, own, other, strict=True))
            for residues, own, other in (
                (self.down, explicit.down, implicit.down),
                (self.up, explicit.up, implicit.up),
            )
        )
        return Additions(down, joined(self.mid, explicit.mid, implicit.mid), up)


@final
class GeometricCondition(ModelMixin, ConfigMixin):
    """Corrects the latents of the projected view by those of normals and colors (Eq. 11)."""

    @register_to_config
    def __init__(self, latent_channels: int = 4) -> None:
        super().__init__()
        self.residue = Residue(2 * latent_channels, latent_channels, 2)

    def forward(
        self,
        projected: Float[Tensor, "r c h w"],
        normals: Float[Tensor, "r c h w"],
        colors: Float[Tensor, "r c h w"],
    ) -> Float[Tensor, "r c h w"]:
        """The corrected latents; all three from one VAE."""
        return projected + self.residue(torch.cat([normals, colors], 1))
