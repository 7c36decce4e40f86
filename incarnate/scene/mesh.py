"""A triangle mesh in the world: y up, metres, counter-clockwise seen from outside."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with one colour (or any feature) per vertex."""

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    colors: Float[Tensor, "v c"]
