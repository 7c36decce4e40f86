"""Cameras of browser tabs, and ours.

A tab's camera looks along z with y down, as ours do, from a place in the world that is SCALE times
as large; it knows no more of its lens than the vertical field of view.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.avatar import Avatar, Framing
from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.rotations import axis_angle_to_matrix, quat_to_matrix
from incarnate.viewer.splats import SCALE

Side = Literal["front", "left", "back", "right"]
SIDES: dict[Side, float] = {"front": 0.0, "left": 90.0, "back": 180.0, "right": 270.0}
"""Degrees of azimuth: left is the person's left side."""
FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head")


@dataclass(frozen=True)
class Eye:
    """Where a tab looks from; in its own, larger world."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    fov: float
    """Radians, vertical."""


def eye(camera: Camera, distance: float) -> Eye:
    """How a tab sees what the camera sees, its target `distance` metres away.

    The picture's centre lies on the tab's axis, even where it does not lie on the camera's.
    """
    size = camera.intrinsics.new_tensor([camera.width, camera.height])
    across = torch.linalg.inv(camera.intrinsics) @ torch.cat([size / 2, size.new_ones(1)])
    turn = camera.world_to_camera[:3, :3].T
    ahead = turn @ (across / across.norm())
    fov = 2 * math.atan(camera.height / 2 / float(camera.intrinsics[1, 1]))
    target = camera.center + distance * ahead
    return Eye(_large(camera.center), _large(target), _triple(-turn[:, 1]), fov)


def seen(
    wxyz: Float[Tensor, "4"], position: Float[Tensor, "3"], fov: float, width: int, height: int
) -> Camera:
    """Our camera at a tab's."""
    out = torch.eye(4)
    out[:3, :3] = quat_to_matrix(wxyz[None])[0].T
    out[:3, 3] = -out[:3, :3] @ (position / SCALE)
    focal = height / 2 / math.tan(fov / 2)
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(out, intrinsics, width, height)


def preset(avatar: Avatar, drive: Drive, framing: Framing, side: Side, aspect: float) -> Eye:
    """The tab's view of a side of the avatar as it stands; `aspect` is the tab's width / height."""
    width, height = max(round(1000 * aspect), 1), 1000
    azimuth = math.radians(SIDES[side])
    camera = avatar.framed(drive, framing, azimuth, 0.0, width, height)
    vertices = avatar.player.vertices(drive)
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    return eye(camera, float((camera.center - middle).norm()))


def of_photo(avatar: Avatar, aspect: float) -> Eye:
    """The tab's view from the photo's camera, wide enough for what the avatar was fitted to."""
    camera = avatar.camera
    view = eye(camera, photo_distance(avatar, camera))
    narrow = max(camera.width / camera.height / aspect, 1.0)
    return replace(view, fov=2 * math.atan(narrow * math.tan(view.fov / 2)))


def photo_distance(avatar: Avatar, camera: Camera) -> float:
    """Metres from the photo's camera to the person, on average."""
    return float(camera.local(avatar.player.vertices(avatar.photo))[:, 2].mean())


def around(camera: Camera, center: Float[Tensor, "3"], angle: float) -> Camera:
    """The camera walked about the vertical through `center` by radians, to the person's left."""
    turn = axis_angle_to_matrix(torch.tensor([0.0, angle, 0.0]))
    place = center + turn @ (camera.center - center)
    out = torch.eye(4)
    out[:3, :3] = camera.world_to_camera[:3, :3] @ turn.T
    out[:3, 3] = -out[:3, :3] @ place
    return Camera(out, camera.intrinsics, camera.width, camera.height)


def orbited(view: Eye, angle: float) -> Eye:
    """The view from `angle` radians further about the vertical through its target."""
    turn = axis_angle_to_matrix(torch.tensor([0.0, angle, 0.0]))
    target = torch.tensor(view.target)
    place = target + turn @ (torch.tensor(view.position) - target)
    return Eye(_triple(place), view.target, _triple(turn @ torch.tensor(view.up)), view.fov)


def _large(point: Float[Tensor, "3"]) -> tuple[float, float, float]:
    return _triple(SCALE * point)


def _triple(point: Float[Tensor, "3"]) -> tuple[float, float, float]:
    x, y, z = point.tolist()
    return x, y, z
