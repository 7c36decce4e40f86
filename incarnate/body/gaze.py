"""Eyeballs turned by the eight eyeLook weights of ARKit."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.arkit import ARKIT_NAMES

YAW = math.radians(30)  # At weight 1, to either side.
PITCH = math.radians(
    25
)  # At weight 1, up or down; lids of the sculpted shapes follow about so far.


def gaze_rotations(expression: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 2 3 3"]:
    """Rotations of the left and the right eye: yaw after pitch, in rest axes.

    `In` is towards the nose: the left eye, at +x, looks to -x.
    """

    def weight(name: str) -> Tensor:
        return expression[..., ARKIT_NAMES.index(name)]

    both = []
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        outward = weight(f"eyeLookOut{side}") - weight(f"eyeLookIn{side}")
        down = weight(f"eyeLookDown{side}") - weight(f"eyeLookUp{side}")
        both.append(_yaw_after_pitch(sign * YAW * outward, PITCH * down))
    return torch.stack(both, -3)


def turned(
    points: Float[Tensor, "*b n 3"],
    centers: Float[Tensor, "*b 3"],
    rotations: Float[Tensor, "*b 3 3"],
) -> Float[Tensor, "*b n 3"]:
    """Points turned about a center."""
    change = rotations - torch.eye(3).to(rotations)  # No turn moves nothing, to the last bit.
    return points + (points - centers[..., None, :]) @ change.mT


def _yaw_after_pitch(yaw: Tensor, pitch: Tensor) -> Tensor:
    sy, cy, sp, cp = yaw.sin(), yaw.cos(), pitch.sin(), pitch.cos()
    rows = [cy, sy * sp, sy * cp, torch.zeros_like(cy), cp, -sp, -sy, cy * sp, cy * cp]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
