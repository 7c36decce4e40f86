"""Attitudes by name, built from where limbs point rather than from joint angles.

Directions are in the axes of the chest (arms) or of the pelvis (legs), told for the left side as
(out, up, front) and mirrored for the right.
"""

import math
from dataclasses import dataclass, field
from difflib import get_close_matches

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.motion import Motion, grounded
from incarnate.motion.skeleton import INDEX, SMPLX_JOINTS

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class Hand:
    """Degrees by which a hand closes."""

    index: float = 18.0
    middle: float = 22.0
    ring: float = 26.0
    pinky: float = 28.0
    """Bend of the knuckle; the next joint bends by 1.2, the last by 0.7 of it."""
    thumb: float = 8.0
    """Bend of the thumb's two outer joints."""
    across: float = 10.0
    """How far the thumb comes before the palm."""
    close: float = 22.0
    """How far the thumb lies along the hand."""
    spread: float = 0.0
    """Angle between neighbouring fingers."""


FLAT = Hand(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
OPEN = Hand(4.0, 4.0, 4.0, 6.0, 0.0, 0.0, 5.0, 5.0)
RELAXED = Hand()
FIST = Hand(76.0, 78.0, 80.0, 82.0, 30.0, 62.0, 0.0)
POINT = Hand(2.0, 78.0, 80.0, 82.0, 30.0, 62.0, 0.0)
PEACE = Hand(2.0, 2.0, 80.0, 82.0, 34.0, 66.0, 0.0, 11.0)
CUPPED = Hand(14.0, 16.0, 18.0, 20.0, 5.0, 5.0, 15.0)


@dataclass(frozen=True)
class Arm:
    """Where an arm points."""

    upper: Direction = (0.16, -1.0, -0.06)
    fore: Direction = (0.10, -1.0, 0.22)
    palm: Direction = (-1.0, 0.0, 0.0)
    """Out of the palm."""
    reach: Direction | None = None
    """Along the hand; the forearm's if None."""
    collar: tuple[float, float] = (-4.0, 0.0)
    """Degrees by which the shoulder is lifted and brought forward."""
    hand: Hand = RELAXED


@dataclass(frozen=True)
class Leg:
    """Degrees: thigh raised to the front, opened sideways, turned out; knee bent; toes up."""

    flex: float = 0.0
    open: float = 1.0
    out: float = 6.0
    knee: float = 3.0
    toes: float | None = None
    """Lift of the foot against the floor; None keeps the sole level."""


@dataclass(frozen=True)
class Attitude:
    """A whole body; `spine` and `head` are (forward, to the left, turned left) in degrees."""

    left_arm: Arm = field(default_factory=Arm)
    right_arm: Arm = field(default_factory=Arm)
    left_leg: Leg = field(default_factory=Leg)
    right_leg: Leg = field(default_factory=Leg)
    pelvis: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spine: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)


T_ARM = Arm((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), collar=(0.0, 0.0), hand=FLAT)
REST_ARM = Arm((0.635, -0.771, -0.01), (0.520, -0.460, 0.720), (-0.62, -0.70, -0.35),
               collar=(-5.0, 0.0), hand=Hand(12.0, 15.0, 17.0, 18.0, 0.0, 0.0, 0.0))  # fmt: skip
UP = Arm((0.30, 1.0, 0.05), (0.12, 1.0, 0.12), (0.0, 0.0, 1.0), collar=(22.0, 0.0), hand=OPEN)
FISTED = Arm((0.35, -1.0, 0.0), (0.05, 0.25, 1.0), (-1.0, 0.0, 0.0), hand=FIST)
HIP = Arm((0.72, -0.66, -0.30), (-0.74, -0.52, 0.36), (-0.55, -0.65, -0.35),
          (-0.45, -0.45, 0.75), collar=(0.0, -3.0),
          hand=Hand(14.0, 18.0, 22.0, 26.0, 0.0, 0.0, -15.0))  # fmt: skip
LAP = Arm((0.20, -1.0, 0.20), (-0.10, -0.62, 1.0), (-0.1, -1.0, -0.25), (-0.1, -0.2, 1.0))
SIT = Leg(88.0, 0.0, 7.0, 90.0)

ATTITUDES: dict[str, Attitude] = {
    "rest": Attitude(REST_ARM, REST_ARM, Leg(0.0, 6.0, 0.0, 0.0), Leg(0.0, 6.0, 0.0, 0.0)),
    "t-pose": Attitude(T_ARM, T_ARM, Leg(0.0, 0.0, 0.0, 0.0), Leg(0.0, 0.0, 0.0, 0.0)),
    "stand": Attitude(),
    "arms-up": Attitude(UP, UP),
    "crossed": Attitude(
        Arm((0.10, -0.90, 0.44), (-0.90, 0.24, 0.20), (0.0, -0.2, -1.0), (-0.86, 0.26, -0.42),
            (0.0, 10.0), CUPPED),
        Arm((0.12, -0.93, 0.28), (-0.93, 0.16, 0.24), (0.05, -0.1, -1.0), (-0.96, 0.2, -0.1),
            (0.0, 6.0), CUPPED),
    ),
    "sitting": Attitude(LAP, LAP, SIT, SIT, (0.0, 0.0, 0.0), (4.0, 0.0, 0.0)),
    "walking": Attitude(
        Arm((0.14, -1.0, -0.36), (0.08, -1.0, 0.02)),
        Arm((0.14, -1.0, 0.30), (0.02, -0.85, 0.75)),
        Leg(26.0, 1.0, 5.0, 5.0, 14.0),
        Leg(-14.0, 1.0, 5.0, 12.0, -24.0),
        (2.0, 0.0, -5.0),
        (2.0, 0.0, 9.0),
    ),
    "waving": Attitude(
        right_arm=Arm((0.72, -0.62, 0.22), (0.36, 1.0, 0.20), (0.0, 0.1, 1.0), (0.2, 1.0, 0.1),
                      (2.0, 2.0), OPEN),
    ),
    "hands-on-hips": Attitude(HIP, HIP, Leg(0.0, 5.0, 10.0, 2.0), Leg(0.0, 5.0, 10.0, 2.0)),
    "pointing": Attitude(
        right_arm=Arm((0.22, -0.18, 1.0), (0.10, 0.0, 1.0), (-0.35, -1.0, 0.0), None, (4.0, 10.0),
                      POINT)
    ),
    "fists": Attitude(FISTED, FISTED),
    "peace": Attitude(
        right_arm=Arm((0.42, -0.85, 0.32), (0.24, 1.0, 0.34), (0.0, 0.05, 1.0), (0.1, 1.0, 0.05),
                      hand=PEACE),
    ),
}  # fmt: skip

POSES: tuple[str, ...] = tuple(ATTITUDES)
"""Names `pose_preset` knows."""


def pose_preset(name: str) -> Motion:
    """One frame of a named attitude, its feet on the floor; ValueError names the nearest."""
    if name not in ATTITUDES:
        near = get_close_matches(name.lower(), POSES, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"no pose is called {name!r}; the nearest is {near!r} (poses: {', '.join(POSES)})"
        )
    return grounded(Motion.still(attitude_pose(ATTITUDES[name])))


def attitude_pose(attitude: Attitude) -> Float[Tensor, "55 3 3"]:
    """Local joint rotations of an attitude."""
    pose = torch.eye(3).repeat(len(SMPLX_JOINTS), 1, 1)
    pose[INDEX["pelvis"]] = _tilt(attitude.pelvis, 1.0)
    for name in ("spine1", "spine2", "spine3"):
        pose[INDEX[name]] = _tilt(attitude.spine, 1 / 3)
    for name, share in (("neck", 0.45), ("head", 0.55)):
        pose[INDEX[name]] = _tilt(attitude.head, share)
    _place_arm(pose, attitude.left_arm, "left")
    _place_arm(pose, attitude.right_arm, "right")
    _place_leg(pose, attitude.left_leg, "left")
    _place_leg(pose, attitude.right_leg, "right")
    return pose


def _place_arm(pose: Tensor, arm: Arm, side: str) -> None:
    sign = 1.0 if side == "left" else -1.0
    upper, fore, palm = (_unit(d, sign) for d in (arm.upper, arm.fore, arm.palm))
    reach = fore if arm.reach is None else _unit(arm.reach, sign)
    lift, forward = arm.collar
    collar = _turn("y", -sign * forward) @ _turn("z", sign * lift)
    hinge = torch.linalg.cross(upper, fore)
    if hinge.norm() < 0.02:  # A straight arm would bend to the front.
        hinge = torch.linalg.cross(upper, torch.tensor([0.0, 0.0, 1.0]))
    limb = torch.tensor([sign, 0.0, 0.0])
    # In T-pose the limb runs along x, the elbow's hinge is -y (left) or +y, the palm faces -y.
    at_rest = _basis(limb, torch.tensor([0.0, -sign, 0.0]))
    shoulder = _basis(upper, hinge) @ at_rest.T
    elbow = _basis(fore, hinge) @ at_rest.T
    wrist = _basis(reach, palm) @ _basis(limb, torch.tensor([0.0, -1.0, 0.0])).T
    quat = roma.rotmat_to_unitquat(elbow.T @ wrist)
    twist = 2 * torch.atan2((quat[:3] * limb).sum(), quat[3])
    twist = torch.remainder(twist + math.pi, 2 * math.pi) - math.pi
    elbow = elbow @ roma.rotvec_to_rotmat(0.5 * twist * limb)
    pose[INDEX[f"{side}_collar"]] = collar
    pose[INDEX[f"{side}_shoulder"]] = collar.T @ shoulder
    pose[INDEX[f"{side}_elbow"]] = shoulder.T @ elbow
    pose[INDEX[f"{side}_wrist"]] = elbow.T @ wrist
    _place_hand(pose, arm.hand, side)


def _place_hand(pose: Tensor, hand: Hand, side: str) -> None:
    sign = 1.0 if side == "left" else -1.0
    bends = {"index": hand.index, "middle": hand.middle, "ring": hand.ring, "pinky": hand.pinky}
    for row, (finger, bend) in enumerate(bends.items()):
        fan = _turn("y", sign * hand.spread * (row - 1) * -1)
        for k, share in ((1, 1.0), (2, 1.2), (3, 0.7)):
            turn = _turn("z", -sign * bend * share)
            pose[INDEX[f"{side}_{finger}{k}"]] = fan @ turn if k == 1 else turn
    # The thumb lies between front and out: it bends about the axis square to it and to the palm.
    pose[INDEX[f"{side}_thumb1"]] = _turn("x", hand.across) @ _turn("y", sign * hand.close)
    bend = roma.rotvec_to_rotmat(
        math.radians(hand.thumb) * torch.tensor([0.35, sign * 0.9, -sign * 0.25])
    )
    pose[INDEX[f"{side}_thumb2"]] = bend
    pose[INDEX[f"{side}_thumb3"]] = bend


def _place_leg(pose: Tensor, leg: Leg, side: str) -> None:
    sign = 1.0 if side == "left" else -1.0
    yaw, spread = _turn("y", sign * leg.out), _turn("z", sign * leg.open)
    thigh = spread @ yaw @ _turn("x", -leg.flex)
    shin = thigh @ _turn("x", leg.knee)
    lift = 0.0 if leg.toes is None else leg.toes
    foot = pose[INDEX["pelvis"]].T @ yaw @ _turn("x", -lift)
    pose[INDEX[f"{side}_hip"]] = thigh
    pose[INDEX[f"{side}_knee"]] = thigh.T @ shin
    pose[INDEX[f"{side}_ankle"]] = shin.T @ foot
    if lift < 0:  # Toes stay on the floor under a raised heel.
        pose[INDEX[f"{side}_foot"]] = _turn("x", 0.8 * lift)


def _tilt(angles: tuple[float, float, float], share: float) -> Tensor:
    forward, aside, turned = (share * a for a in angles)
    return _turn("y", turned) @ _turn("z", -aside) @ _turn("x", forward)


def _turn(axis: str, degrees: float) -> Tensor:
    """About an axis; written out, since motions of many frames are made of thousands."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    match axis:
        case "x":
            return torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]])
        case "y":
            return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        case _:
            return torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _unit(direction: Direction, sign: float) -> Tensor:
    out, up, front = direction
    vector = torch.tensor([sign * out, up, front])
    return vector / vector.norm()


def _basis(first: Tensor, second: Tensor) -> Tensor:
    y = second - (second * first).sum() * first
    y = y / y.norm()
    return torch.stack([first, y, torch.linalg.cross(first, y)], -1)
