"""A round stool for those who sit: it is drawn, but it is no part of the person."""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

TURNS = 20
RADIUS = 0.175
THICK = 0.05
LEG = 0.017


def _stool() -> tuple[Float[NDArray, "n 3"], Int[NDArray, "m 3"]]:
    """Vertices with the top at height 0 and feet at -1, and faces; edges are sharp."""
    turn = np.arange(TURNS) / TURNS * 2 * np.pi
    ring = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], 1)
    down = np.array([0.0, 1.0, 0.0])
    rings = [0 * ring, ring, ring, ring - down, ring - down, -down + 0 * ring]
    vertices, faces = [np.concatenate(rings) * [RADIUS, THICK, RADIUS]], []
    k = np.arange(TURNS)
    for row in (0, 2, 4):
        a, b = row * TURNS + k, row * TURNS + (k + 1) % TURNS
        faces += [np.stack([a, a + TURNS, b + TURNS], 1), np.stack([a, b + TURNS, b], 1)]
    square = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    start = len(rings) * TURNS
    for corner in square:
        for side in range(4):  # Four walls a leg, each with corners of its own.
            for end, out in ((-THICK, 0.62), (-1.0, 0.85)):
                for at in (square[side], square[(side + 1) % 4]):
                    x, z = RADIUS * out * corner + LEG * at
                    vertices.append(np.array([[x, end, z]]))
            faces.append(start + np.array([[0, 2, 1], [1, 2, 3]]))
            start += 4
    return np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int64)


SEAT_VERTICES, SEAT_FACES = _stool()


def under(
    vertices: Float[NDArray, "v 3"], pelvis: Float[NDArray, "3"], floor: float
) -> Float[NDArray, "n 3"]:
    """The stool under the pelvis of somebody whose vertices these are, in the world."""
    flat = np.hypot(vertices[:, 0] - pelvis[0], vertices[:, 2] - pelvis[2])
    drop = pelvis[1] - vertices[:, 1]
    sunk = drop[(flat < 0.11) & (drop > 0) & (drop < 0.3)]
    top = pelvis[1] - (np.quantile(sunk, 0.97) if len(sunk) else 0.12)
    out = SEAT_VERTICES.copy()
    legs = out[:, 1] < -THICK - 1e-6
    out[legs, 1] = floor - top
    return out + np.array([pelvis[0], top, pelvis[2]], np.float32)
