"""Gaussians as viser's browser side takes them.

32 bytes each: the mean as three float32, a word for the renderer, the covariance's upper triangle
as six float16, rgba as four bytes. Float16 is coarse for square metres of millimetres (a deviation
of 0.3 mm would be off by 15 %): everything is sent SCALE times as large, and cameras too.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt32
from torch import Tensor

from incarnate.scene import Gaussians

SCALE = 10.0
UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def packed(
    gaussians: Gaussians, colors: Float[Tensor, "n 3"], scale: float = SCALE
) -> UInt32[np.ndarray, "n 8"]:
    """Gaussians in other colours, on the wire."""
    out = torch.zeros(len(gaussians.means), 8, dtype=torch.int32)
    with torch.no_grad():
        out[:, :3] = (scale * gaussians.means).view(torch.int32)
        moments = _covariances(gaussians, scale)
        for k, row in enumerate(moments):
            out.view(torch.float16)[:, 8 + k] = row
        rgba = out.view(torch.uint8)[:, 28:]
        rgba[:, :3] = (colors.clamp(0, 1) * 255).round()
        rgba[:, 3] = (gaussians.opacities * 255).round()
    return out.numpy().view(np.uint32)


def _covariances(gaussians: Gaussians, scale: float) -> list[Float[Tensor, " n"]]:
    """R S S R^T, its entries in the order of UPPER; each a row, which is what makes it quick."""
    quats = gaussians.quats.T.contiguous()
    w, x, y, z = quats / quats.norm(dim=0)
    squares = (scale * gaussians.log_scales.T.contiguous().exp()).square()
    rows = (
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]),
    )
    stretched = [row * squares for row in rows]
    return [(stretched[i] * rows[j]).sum(0) for i, j in UPPER]
