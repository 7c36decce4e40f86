"""How much light reaches what lies in a mouth: teeth far back and to the sides stand in the dark.

Ambient occlusion (Zhukov, Iones and Kronrod, 1998) of the open mouth, from pictures of the mesh.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from incarnate.body.body import PARTS
from incarnate.cameras import orbit
from incarnate.render import rasterize
from incarnate.scene import Mesh

INSIDE = [PARTS.index(name) for name in ("teeth", "tongue", "mouth")]
OPEN: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.6},
    {"jawOpen": 0.4, "mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
)
"""ARKit weights under which light falls in; where it falls more counts."""
RINGS = ((0.0, 1), (0.35, 6), (0.7, 12), (1.05, 12))
"""Angles to straight ahead that light comes from, and from how many directions each."""
EXTENT, SIDE = 0.24, 384
SLACK = 0.0015  # Metres.
FULL = 0.45
"""The share of its light that teeth behind parted lips get: from there on they are not darkened."""
ANYWAY = 0.03
"""Light that comes from wall to wall, added to both shares: what faces no light stays as it is."""


def inner(parts: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which of these parts lie in the mouth."""
    return torch.isin(parts, torch.tensor(INSIDE))


def lit(
    places: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], mesh: Mesh
) -> Float[Tensor, " n"]:
    """The share of light, up to 1, at places of a face that looks along +z.

    Of the directions before it, the part from which a place is seen, each as it slants there.
    """
    middle = places.mean(0)
    due = got = places.new_full((len(places),), ANYWAY)
    for angle, count in RINGS:
        for k in range(count):
            turn = 2 * math.pi * (k + 0.5) / count
            azimuth = math.atan2(math.sin(angle) * math.cos(turn), math.cos(angle))
            elevation = math.asin(math.sin(angle) * math.sin(turn))
            camera = orbit(middle, EXTENT, azimuth, elevation, SIDE, SIDE)
            cosines = (normals * normalize(camera.center - places, dim=1)).sum(1).clamp_min(0)
            share = cosines * math.sin(max(angle, 0.1)) / count
            at = camera.project(places) / SIDE * 2 - 1
            front = grid_sample(
                rasterize(mesh, camera).depth[None, None],
                at[None, None],
                mode="nearest",
                align_corners=False,
            )[0, 0, 0]
            due = due + share
            got = got + share * (camera.local(places)[:, 2] < front + SLACK)
    return (got / due / FULL).clamp(max=1)
