"""What the sliders of pose and face mean.

A pose slider turns SMPL-X's joints in the T-pose's axes (x to the person's left, y up, z to the
front), on top of whatever pose there is. A left joint and its right twin move as mirror images.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.gaze import PITCH, YAW
from incarnate.motion import Motion
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.skeleton import INDEX
from incarnate.rotations import axis_angle_to_matrix

Axis = tuple[float, float, float]


@dataclass(frozen=True)
class Slider:
    """One way to bend, from `low` to `high` degrees."""

    name: str
    low: float
    high: float
    turns: tuple[tuple[str, Axis], ...]
    """Joints, and about which axis each turns by how much of the slider's degrees."""


def _spread(joints: Mapping[str, float], axis: Axis) -> tuple[tuple[str, Axis], ...]:
    x, y, z = axis
    return tuple((joint, (share * x, share * y, share * z)) for joint, share in joints.items())


_HEAD = {"neck": 0.45, "head": 0.55}  # As poses by name have it.
_SPINE = {"spine1": 1 / 3, "spine2": 1 / 3, "spine3": 1 / 3}
_FINGERS = {"thumb": (0.0, 1.0, 1.0), "index": (1.0, 1.2, 0.7), "middle": (1.0, 1.2, 0.7),
            "ring": (1.0, 1.2, 0.7), "pinky": (1.0, 1.2, 0.7)}  # fmt: skip


def _finger(side: str, sign: float, finger: str) -> Slider:
    axis = (0.35, 0.9 * sign, -0.25 * sign) if finger == "thumb" else (0.0, 0.0, -sign)
    turns = [
        (f"{side}_{finger}{k}", (share * axis[0], share * axis[1], share * axis[2]))
        for k, share in enumerate(_FINGERS[finger], 1)
        if share
    ]
    return Slider(f"curl {finger}", -20.0, 90.0, tuple(turns))


def _limbs(side: str) -> dict[str, tuple[Slider, ...]]:
    sign = 1.0 if side == "left" else -1.0

    def one(name: str, low: float, high: float, joint: str, axis: Axis) -> Slider:
        return Slider(name, low, high, ((f"{side}_{joint}", axis),))

    arm = (
        one("raise", -90.0, 120.0, "shoulder", (0.0, 0.0, sign)),
        one("swing forward", -90.0, 120.0, "shoulder", (0.0, -sign, 0.0)),
        one("twist", -90.0, 90.0, "shoulder", (1.0, 0.0, 0.0)),
        one("bend elbow", -150.0, 150.0, "elbow", (0.0, -sign, 0.0)),
        one("twist forearm", -90.0, 90.0, "elbow", (1.0, 0.0, 0.0)),
        one("bend wrist", -80.0, 80.0, "wrist", (0.0, 0.0, -sign)),
        one("wrist aside", -40.0, 40.0, "wrist", (0.0, -sign, 0.0)),
    )
    leg = (
        one("raise thigh", -40.0, 120.0, "hip", (-1.0, 0.0, 0.0)),
        one("spread", -30.0, 70.0, "hip", (0.0, 0.0, sign)),
        one("turn out", -45.0, 60.0, "hip", (0.0, sign, 0.0)),
        one("bend knee", -100.0, 150.0, "knee", (1.0, 0.0, 0.0)),
        one("lift toes", -50.0, 40.0, "ankle", (-1.0, 0.0, 0.0)),
    )
    hand = tuple(_finger(side, sign, finger) for finger in _FINGERS)
    return {f"{side} arm": arm, f"{side} hand": hand, f"{side} leg": leg}


POSE: dict[str, tuple[Slider, ...]] = {
    "head": (
        Slider("nod", -60.0, 60.0, _spread(_HEAD, (1.0, 0.0, 0.0))),
        Slider("turn left", -90.0, 90.0, _spread(_HEAD, (0.0, 1.0, 0.0))),
        Slider("tilt left", -45.0, 45.0, _spread(_HEAD, (0.0, 0.0, -1.0))),
    ),
    "neck": (
        Slider("forward", -40.0, 40.0, _spread({"neck": 1.0}, (1.0, 0.0, 0.0))),
        Slider("turn left", -60.0, 60.0, _spread({"neck": 1.0}, (0.0, 1.0, 0.0))),
        Slider("aside left", -40.0, 40.0, _spread({"neck": 1.0}, (0.0, 0.0, -1.0))),
    ),
    "spine": (
        Slider("bend forward", -40.0, 90.0, _spread(_SPINE, (1.0, 0.0, 0.0))),
        Slider("turn left", -70.0, 70.0, _spread(_SPINE, (0.0, 1.0, 0.0))),
        Slider("bend left", -50.0, 50.0, _spread(_SPINE, (0.0, 0.0, -1.0))),
    ),
    **_limbs("left"),
    **_limbs("right"),
}
"""Sliders by group; sides are the person's own."""

_STEMS = {
    "brows": ("brow",),
    "eyes": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "jaw and tongue": ("jaw", "tongue"),
    "mouth": ("mouth",),
    "cheeks and nose": ("cheek", "nose"),
}
FACE: dict[str, tuple[str, ...]] = {
    group: tuple(name for name in ARKIT_NAMES if name.startswith(stems))
    for group, stems in _STEMS.items()
}
"""ARKit's 52 weights by group."""


def turned(motion: Motion, degrees: Mapping[tuple[str, str], float]) -> Motion:
    """A motion with sliders' turns on top: degrees by group and name. Those of 0 change nothing."""
    turns = torch.zeros(motion.pose.shape[1], 3)
    for (group, name), value in degrees.items():
        if value:
            slider = next(slider for slider in POSE[group] if slider.name == name)
            for joint, axis in slider.turns:
                turns[INDEX[joint]] += math.radians(value) * torch.tensor(axis)
    moved = turns.any(1)
    pose = motion.pose.clone()
    pose[:, moved] = pose[:, moved] @ axis_angle_to_matrix(turns[moved])
    return replace(motion, pose=pose)


def faced(weights: Mapping[str, float], yaw: float, pitch: float) -> Float[Tensor, "52"]:
    """ARKit weights of the sliders and of a gaze, in degrees to the person's left and upwards."""
    face = torch.zeros(len(ARKIT_NAMES))
    left, up = math.radians(yaw) / YAW, math.radians(pitch) / PITCH
    looks = {
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": -left,
        "eyeLookOutRight": -left, "eyeLookUpLeft": up, "eyeLookUpRight": up,
        "eyeLookDownLeft": -up, "eyeLookDownRight": -up,
    }  # fmt: skip
    for given in (weights, looks):
        for name, value in given.items():
            face[ARKIT_NAMES.index(name)] += max(value, 0.0)
    return face.clamp(0, 1)
