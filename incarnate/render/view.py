"""What a splatter takes, and what a renderer returns. Images are channels last."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.scene import Gaussians


@dataclass(frozen=True, eq=False)
class Cloud:
    """Gaussians as drawn: scales and opacities, not their logarithms and logits."""

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    scales: Float[Tensor, "n 3"]
    opacities: Float[Tensor, " n"]
    colors: Float[Tensor, "n c"]

    @staticmethod
    def of(gaussians: Gaussians) -> "Cloud":
        """What a scene draws."""
        return Cloud(
            gaussians.means,
            gaussians.quats,
            gaussians.scales,
            gaussians.opacities,
            gaussians.colors,
        )


def check_finite(cloud: Cloud, camera: Camera, background: Tensor | None) -> None:
    """ValueError that names the first tensor with a NaN or an infinity in it."""
    named = {
        "means": cloud.means,
        "quats": cloud.quats,
        "scales": cloud.scales,
        "opacities": cloud.opacities,
        "colors": cloud.colors,
        "world_to_camera": camera.world_to_camera,
        "intrinsics": camera.intrinsics,
    }
    if background is not None:
        named["background"] = background
    for name, tensor in named.items():
        # A sum costs less than a look at each, and is finite only if all are. It may overflow.
        if not math.isfinite(tensor.detach().sum().item()) and not tensor.isfinite().all():
            raise ValueError(f"{name} hold NaN or infinity; a splatter wants finite numbers")


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a scene."""

    rgb: Float[Tensor, "h w c"]
    """Colours premultiplied by alpha, over the background if one was given."""
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    """Metres along z, blended with the same weights as colour (not divided by alpha)."""
    median: Float[Tensor, "h w"] | None = None
    """If asked for: metres along z where transmittance falls to a half, 0 where it does not."""
