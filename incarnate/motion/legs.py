"""Legs that reach: hip, knee and ankle turned so that an ankle comes to lie where it should.

Two bones, in closed form: the knee opens or closes about its own hinge until hip and ankle are as
far apart as they should be, then the leg turns about the hip by the least rotation. The sole keeps
its turn, or takes a given one. Lengths are metres of the idealised adult. Letters: f frames.
"""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.skeleton import INDEX, T_POSE, positions, turns
from incarnate.rotations import between

STRAIGHT = 0.9995  # Of a leg's length: knees lock beyond.
HINGE = (1.0, 0.0, 0.0)  # The axis about which knees close, in the T-pose.


def reached(
    pose: Float[Tensor, "f 55 3 3"],
    transl: Float[Tensor, "f 3"],
    side: str,
    ankles: Float[Tensor, "f 3"],
    soles: Float[Tensor, "f 3 3"] | None = None,
) -> Float[Tensor, "f 55 3 3"]:
    """The pose whose ankle on that side ("left" or "right") lies at `ankles`, or as near as can be.

    `soles` are the foot's turns in the world, those it has unless given.
    """
    hip, knee, ankle = (INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    at, turned = positions(pose, transl), turns(pose)
    soles = turned[:, ankle] if soles is None else soles
    thigh, shin = at[:, knee] - at[:, hip], at[:, ankle] - at[:, knee]
    axis = turned[:, knee] @ torch.tensor(HINGE).to(pose)
    more = _closing(thigh, shin, axis, (ankles - at[:, hip]).norm(dim=1))
    closed = roma.rotvec_to_rotmat(more[:, None] * axis)
    shin = (closed @ shin[..., None])[..., 0]
    whole = between(thigh + shin, ankles - at[:, hip])
    above = whole @ turned[:, hip]
    below = whole @ closed @ turned[:, knee]
    out = pose.clone()
    out[:, hip] = turned[:, 0].mT @ above
    out[:, knee] = above.mT @ below
    out[:, ankle] = below.mT @ soles
    return out


def longest(side: str = "left") -> float:
    """Metres from hip to ankle that a leg reaches."""
    hip, knee, ankle = (T_POSE[None, INDEX[f"{side}_{n}"]] for n in ("hip", "knee", "ankle"))
    bones = knee - hip, ankle - knee
    return STRAIGHT * float(_stretched(*bones, torch.tensor(HINGE)[None])[0])


def _closing(thigh: Tensor, shin: Tensor, axis: Tensor, away: Tensor) -> Float[Tensor, " f"]:
    """By how much a knee closes until the ends of its bones are `away` from each other."""
    angle, swing = _hinged(thigh, shin, axis)
    most = _stretched(thigh, shin, axis)
    nearer = most.square() - torch.minimum(away, STRAIGHT * most).square()
    return angle + torch.arccos((1 - nearer / (2 * swing)).clamp(-1, 1))


def _stretched(thigh: Tensor, shin: Tensor, axis: Tensor) -> Float[Tensor, " f"]:
    """The largest distance of the ends: the hinge need not stand square to the bones."""
    angle, _ = _hinged(thigh, shin, axis)
    open_ = roma.rotvec_to_rotmat(angle[:, None] * axis) @ shin[..., None]
    return (thigh + open_[..., 0]).norm(dim=1)


def _hinged(thigh: Tensor, shin: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """The turn of the shin that brings it nearest the thigh's direction, and how much the turn
    counts: after a turn by t, thigh . shin is a constant + swing * cos(t - angle)."""
    flat = shin - (shin * axis).sum(1, keepdim=True) * axis
    along = (thigh * flat).sum(1)
    across = (thigh * torch.linalg.cross(axis, shin)).sum(1)
    return torch.atan2(across, along), torch.hypot(across, along).clamp_min(1e-6)
