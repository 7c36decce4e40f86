"""Colors that depend on the direction of view, as real spherical harmonics of degree 0 to 3.

Order and signs are those of 3DGS (Kerbl et al. 2023) and of the splats it writes: orders -l to l
within a degree l, z the axis, signs with (-1)^m. A direction leads from the camera to the Gaussian.
"""

from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera

SIZES = {1: 0, 4: 1, 9: 2, 16: 3}  # Coefficients of all degrees up to the one named.


def colors_of(sh: Float[Tensor, "n k c"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
    """Colors seen along directions of any length: 0.5 and the series, not below 0.

    ValueError unless k is 1, 4, 9 or 16.
    """
    if sh.shape[1] not in SIZES:
        raise ValueError(
            f"spherical harmonics of degree 0 to 3 have 1, 4, 9 or 16 coefficients, "
            f"not {sh.shape[1]}; cut the second axis"
        )
    weights = harmonics(directions, SIZES[sh.shape[1]])
    return (torch.einsum("nk,nkc->nc", weights, sh) + 0.5).clamp_min(0)


def directions(means: Float[Tensor, "n 3"], camera: Camera) -> Float[Tensor, "n 3"]:
    """From the camera's centre to points (under an orthographic camera too, as gsplat does)."""
    return means - camera.center


def harmonics(directions: Float[Tensor, "n 3"], degree: int) -> Float[Tensor, "n k"]:
    """The (degree + 1)^2 functions, orthonormal over the sphere."""
    x, y, z = torch.nn.functional.normalize(directions, dim=-1).unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    terms = [torch.full_like(x, sqrt(1 / (4 * pi)))]
    if degree > 0:
        scale = sqrt(3 / (4 * pi))
        terms += [-scale * y, scale * z, -scale * x]
    if degree > 1:
        scale = sqrt(15 / (4 * pi))
        terms += [scale * x * y, -scale * y * z, sqrt(5 / (16 * pi)) * (2 * zz - xx - yy)]
        terms += [-scale * x * z, scale / 2 * (xx - yy)]
    if degree > 2:
        ends, inner = sqrt(35 / (32 * pi)), sqrt(21 / (32 * pi))
        terms += [-ends * y * (3 * xx - yy), sqrt(105 / (4 * pi)) * x * y * z]
        terms += [-inner * y * (4 * zz - xx - yy)]
        terms += [sqrt(7 / (16 * pi)) * z * (2 * zz - 3 * xx - 3 * yy)]
        terms += [-inner * x * (4 * zz - xx - yy), sqrt(105 / (16 * pi)) * z * (xx - yy)]
        terms += [-ends * x * (xx - 3 * yy)]
    return torch.stack(terms, -1)
