"""What a renderer returns. Images are channels last; y of normals and depth follow the camera."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a scene."""

    rgb: Float[Tensor, "h w c"]
    """Colours premultiplied by alpha, over the background if one was given."""
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    """Metres along z, blended with the same weights as colour (not divided by alpha)."""
