"""The outline, once clothes and hair have their shape: what sticks out of the matte is drawn in."""

from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.scene.mesh import averaging

ROUNDS, SPREAD = 6, 3  # How often the outline is looked at; sweeps by which neighbours follow.
FARTHEST = 0.05  # Metres: what sticks out farther is no matter of clothes.
INSET = 1.0  # Pixels within the matte's edge: discs are broader than their middles.


def drawn_in(
    posed: Float[Tensor, "v 3"],
    turns: Float[Tensor, "v 3 3"],
    movable: Bool[Tensor, " v"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
    alpha: Float[Tensor, "h w"],
) -> Float[Tensor, "v 3"]:
    """How far each vertex moves at rest for the posed mesh to stay within the matte.

    `turns` are the linear parts of the vertices' blended bones. Vertices move across the line of
    sight to the nearest place within the matte, and what is beside them follows.
    """
    inside = (alpha > 0.5).numpy()
    if not inside.any() or inside.all():
        return torch.zeros_like(posed)
    away, nearest = cast(
        tuple[np.ndarray, np.ndarray], distance_transform_edt(~inside, return_indices=True)
    )
    mean, moved = averaging(faces, len(posed)), torch.zeros_like(posed)
    across = camera.world_to_camera[:2, :3]
    focal = camera.intrinsics[[0, 1], [0, 1]]
    for _ in range(ROUNDS):
        now = posed + moved
        pixels, depth = camera.project(now), camera.local(now)[:, 2]
        gap = torch.from_numpy(_gaps(pixels.numpy(), away, nearest)).float()
        step = gap / focal * depth[:, None]
        far = step.norm(dim=1) > FARTHEST
        step = torch.where((far | ~movable)[:, None], 0, step) @ across
        follow = step.numpy()
        for _ in range(SPREAD):
            follow = np.where(step.numpy() != 0, step.numpy(), 0.9 * (mean @ follow))
        moved = moved + torch.from_numpy(follow).float() * movable[:, None]
    return torch.linalg.solve(turns, moved)


def _gaps(
    pixels: Float[np.ndarray, "v 2"], away: Float[np.ndarray, "h w"], nearest: np.ndarray
) -> Float[np.ndarray, "v 2"]:
    """From each point outside the matte to a little within it; none for points off the picture."""
    height, width = away.shape
    known = np.isfinite(pixels).all(1) & (pixels >= 0).all(1)
    known &= (pixels[:, 0] < width) & (pixels[:, 1] < height)
    column, row = np.where(known[:, None], pixels, 0).astype(int).T
    there = np.stack([nearest[1, row, column], nearest[0, row, column]], 1) + 0.5
    gap = there - pixels
    length = np.linalg.norm(gap, axis=1, keepdims=True).clip(1e-6)
    gap = gap * (1 + INSET / length)
    return np.where((known & (away[row, column] > 0))[:, None], gap, 0)
