"""Own eyeballs: a sphere of rings about the gaze, with rings on the rims of pupil and iris."""

import numpy as np

SEGMENTS = 24
# Sines of the angle from the gaze. The package's ball is 15 to 17 mm wide in radius, a person's 12:
# these give the pupil 3.5, the iris 11.7 and the limbus 13 mm across.
PUPIL, IRIS, LIMBUS = 0.106, 0.354, 0.4
SINES = (PUPIL / 2, PUPIL, 0.19, 0.272, IRIS, LIMBUS)
BACK = np.radians([36, 52, 70, 90, 112, 134])
BULGE = 0.03  # Cornea's apex above the sphere, in radii; more would pierce closed lids.
BOXES = {1: (0.760085, 0.931566, 0.785432, 0.956999), -1: (0.787978, 0.931566, 0.813324, 0.956999)}


def eyeball(ball: np.ndarray) -> dict[str, np.ndarray]:
    """Vertices as a linear map (e, 72) of the package's ball (72, 3), y up and looking along +z.

    `rings` is 0 in the pupil (rim included), 1 in the iris, 2 at the limbus, 3 on the white.
    """
    center = ball.mean(0)
    radius = np.linalg.norm(ball - center, axis=1).mean()
    side = 1 if center[0] > 0 else -1
    angles = np.concatenate([np.arcsin(SINES), BACK])
    turn = np.arange(SEGMENTS) / SEGMENTS * 2 * np.pi
    theta = np.concatenate([[0], np.repeat(angles, SEGMENTS)])
    phi = np.concatenate([[0], np.tile(turn, len(angles))])
    sine = np.sin(theta)
    length = 1 + BULGE * np.where(theta < np.pi / 2, 1 - (sine / LIMBUS) ** 2, 0).clip(0)
    unit = np.stack([side * sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)], 1)
    points = center + radius * length[:, None] * unit
    affine = np.concatenate([ball, np.ones((len(ball), 1))], 1)
    through = np.concatenate([points, np.ones((len(points), 1))], 1) @ np.linalg.pinv(affine)
    faces = ring_faces(len(angles))
    rings = np.array([0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3])
    x0, y0, x1, y1 = BOXES[side]
    disc = np.stack([side * np.cos(phi), np.sin(phi)], 1) * (theta / BACK[-1] * 0.48)[:, None]
    return {
        "map": through,
        "faces": faces if side == 1 else faces[:, ::-1],
        "rings": np.concatenate([[0], np.repeat(rings[1:], SEGMENTS)]),
        "uvs": np.array([x0, y0]) + (disc + 0.5) * [x1 - x0, y1 - y0],
    }


def ring_faces(num_rings: int) -> np.ndarray:
    """A fan about vertex 0, then strips between rings, counter-clockwise seen from outside."""
    faces = [(0, 1 + j, 1 + (j + 1) % SEGMENTS) for j in range(SEGMENTS)]
    for ring in range(num_rings - 1):
        a = 1 + ring * SEGMENTS
        b = a + SEGMENTS
        for j in range(SEGMENTS):
            k = (j + 1) % SEGMENTS
            faces += [(a + j, b + j, b + k), (a + j, b + k, a + k)]
    return np.array(faces)
