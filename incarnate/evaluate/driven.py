"""An avatar under a known motion: its joints, its place, and where hands and face are in a film."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.body.retarget import pose_for, smplx_places
from incarnate.cameras import Camera
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX

UPPER_BODY = (
    "pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
SIDES = ("left", "right")
KNUCKLES = ("wrist", "index1", "middle1", "pinky1", "middle3", "thumb3")
HAND, FACE = 0.22, 0.27
"""Metres of the crops' sides on a person of average size."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def joints(avatar: Avatar, motion: Motion) -> Float[Tensor, "f 55 3"]:
    """SMPL-X's joints of the avatar in the world; NaN for those that the body has not."""
    body, rest = avatar.surface.body, avatar.surface.joints
    own = pose_for(body, motion, rest)
    moved = [body.bones(rest, own.pose[k], own.transl[k]) for k in range(len(motion))]
    return smplx_places(body, rest, torch.stack(moved))


def hand_box(
    places: Float[Tensor, "55 3"], side: str, camera: Camera, size: float = HAND
) -> Box | None:
    """A square of `size` metres about a hand; None where its middle is not in the picture."""
    known = places[[INDEX[f"{side}_{name}"] for name in KNUCKLES if f"{side}_{name}" in INDEX]]
    known = known[torch.isfinite(known).all(1)]
    return square(known.mean(0), size, camera)


def square(middle: Float[Tensor, "3"], size: float, camera: Camera) -> Box | None:
    """A square of `size` metres about a point, cut to the picture; None if that lies outside."""
    x, y = camera.project(middle[None])[0].tolist()
    if not (0 < x < camera.width and 0 < y < camera.height):
        return None
    half = float(camera.intrinsics[0, 0]) * size / 2 / float(camera.local(middle[None])[0, 2])
    left, top = max(0, round(x - half)), max(0, round(y - half))
    return left, top, min(camera.width, round(x + half)), min(camera.height, round(y + half))


def cut(picture: Float[Tensor, "h w *c"], box: Box) -> Float[Tensor, "y x *c"]:
    """The part of a picture in a box."""
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def spots(count: int, pairs: int) -> list[int]:
    """First frames of pairs of neighbours, spread evenly over a film of `count` frames."""
    if pairs == 1 or count < 2 * pairs:
        return list(range(0, max(1, count - 1), 2))[:pairs]
    return [round(k * (count - 2) / (pairs - 1)) for k in range(pairs)]


def picked(motion: Motion, frames: Sequence[int]) -> Motion:
    """Some frames of a motion."""
    index = list(frames)
    return Motion(motion.fps, motion.pose[index], motion.transl[index], motion.expression[index])
