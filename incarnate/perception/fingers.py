"""Wrists and fingers from the hand network's 21 points in metres.

Letters: f frames. Hands are given in the body's axes (x to the person's left for one who faces +z,
y up, z ahead). A finger's outer joints are hinges; a knuckle also spreads; the thumb turns freely
within limits.
"""

import math

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.skeleton import INDEX, T_POSE
from incarnate.rotations import between

FINGERS = {"thumb": 1, "index": 5, "middle": 9, "ring": 13, "pinky": 17}
"""The first of a finger's four points."""
CLOSED = (math.radians(95), math.radians(110), math.radians(80))
OPEN, SPREAD, THUMB = math.radians(-12), math.radians(22), math.radians(60)


def finger_names(side: str) -> list[str]:
    """The 15 joints in the order of SMPL-X."""
    order = ("index", "middle", "pinky", "ring", "thumb")
    return [f"{side}_{finger}{k}" for finger in order for k in (1, 2, 3)]


def hand_turns(points: Float[Tensor, "f 21 3"], side: str) -> Float[Tensor, "f 3 3"]:
    """The hand's turn from the T-pose to the world."""
    aim, across = points[:, 9] - points[:, 0], points[:, 17] - points[:, 5]
    wrist, middle, index, pinky = (
        T_POSE[INDEX[f"{side}_{n}"]] for n in ("wrist", "middle1", "index1", "pinky1")
    )
    return _frame(aim, across) @ _frame(middle - wrist, pinky - index).mT


def finger_turns(
    points: Float[Tensor, "f 21 3"], turns: Float[Tensor, "f 3 3"], side: str
) -> Float[Tensor, "f 15 3 3"]:
    """Local rotations of the finger joints of a hand that is turned so."""
    local = points @ turns  # Rows: the inverse turn of each point.
    sign = 1.0 if side == "left" else -1.0
    out = {}
    for finger, first in FINGERS.items():
        bones = local[:, first + 1 : first + 4] - local[:, first : first + 3]
        names = [f"{side}_{finger}{k}" for k in (1, 2, 3)]
        rest = [T_POSE[INDEX[names[k + 1]]] - T_POSE[INDEX[names[k]]] for k in (0, 1)]
        if finger == "thumb":
            out |= dict(zip(names, _thumb(bones, rest), strict=True))
        else:
            out |= dict(zip(names, _finger(bones, rest[0], sign), strict=True))
    return torch.stack([out[name] for name in finger_names(side)], 1)


def _finger(bones: Tensor, rest: Tensor, sign: float) -> list[Tensor]:
    """Knuckle (bend and spread) and two hinges. Bending turns about -z on the left (palm down)."""
    first = torch.nn.functional.normalize(bones[:, 0], dim=-1)
    usual = math.atan2(-float(rest[2]), sign * float(rest[0]))
    aside = torch.atan2(-first[:, 2], sign * first[:, 0].clamp(*_beyond(sign))) - usual
    flat = torch.linalg.vector_norm(first[:, [0, 2]], dim=1)
    bend = torch.atan2(-first[:, 1], flat * torch.sign(sign * first[:, 0] + 1e-9))
    bend = torch.remainder(bend + math.pi / 2, 2 * math.pi) - math.pi / 2
    open_hand = (1 - bend.clamp(0, 1.2) / 1.2) * aside.clamp(-SPREAD, SPREAD)
    spread = roma.rotvec_to_rotmat(sign * open_hand[:, None] * torch.tensor([0.0, 1.0, 0.0]))
    out = [spread @ _bend(bend.clamp(OPEN, CLOSED[0]), sign)]
    hinge = spread @ torch.tensor([0.0, 0.0, -sign])
    for k in (1, 2):
        a, b = bones[:, k - 1], bones[:, k]
        angle = torch.atan2((torch.linalg.cross(a, b) * hinge).sum(-1), (a * b).sum(-1))
        out.append(_bend(angle.clamp(OPEN, CLOSED[k]), sign))
    return out


def _beyond(sign: float) -> tuple[float, float]:
    return (1e-3, 1.0) if sign > 0 else (-1.0, -1e-3)


def _bend(angle: Tensor, sign: float) -> Tensor:
    return roma.rotvec_to_rotmat(angle[:, None] * torch.tensor([0.0, 0.0, -sign]))


def _thumb(bones: Tensor, rest: list[Tensor]) -> list[Tensor]:
    out, above = [], torch.eye(3).expand(len(bones), 3, 3)
    for k in range(3):
        straight = rest[min(k, 1)]
        wanted = (above.mT @ bones[:, k, :, None])[..., 0]
        turn = roma.rotmat_to_rotvec(between(straight.expand_as(wanted), wanted))
        angle = turn.norm(dim=-1, keepdim=True)
        turn = turn * (angle.clamp(max=THUMB) / angle.clamp_min(1e-6))
        out.append(roma.rotvec_to_rotmat(turn))
        above = above @ out[-1]
    return out


def _frame(first: Tensor, second: Tensor) -> Tensor:
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (second * x).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)
