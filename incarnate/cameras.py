"""Cameras.

OpenCV axes: x right, y down, z forward. `world_to_camera` maps world columns to camera columns.
Pixels: the centre of the first pixel is (0.5, 0.5). The world is y up, metres.
"""

from dataclasses import dataclass, replace
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.recipe import Framing

TRUNK = 0.549
"""Metres from the average adult's pelvis to their neck."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera, or an orthographic one."""

    world_to_camera: Float[Tensor, "4 4"]
    intrinsics: Float[Tensor, "3 3"]
    width: int
    height: int
    orthographic: bool = False
    """Rays run along z, not through the centre; fx and fy are pixels per metre, at any depth."""

    def project(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Pixel coordinates of world points."""
        flat = self.on_rays(self.local(points)) @ self.intrinsics.T
        return flat[..., :2] / flat[..., 2:]

    def on_rays(self, local: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """What intrinsics take to pixels, for points in camera axes: themselves, or (x, y, 1)."""
        if not self.orthographic:
            return local
        return torch.cat([local[..., :2], torch.ones_like(local[..., 2:])], -1)

    def local(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """World points in camera axes."""
        return points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]

    @property
    def center(self) -> Float[Tensor, "3"]:
        """Where the camera stands in the world."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]

    def resized(self, width: int, height: int) -> "Camera":
        """The same view on another pixel grid."""
        scales = [width / self.width, height / self.height, 1]
        scale = torch.diag(self.intrinsics.new_tensor(scales))
        return replace(self, intrinsics=scale @ self.intrinsics, width=width, height=height)

    def cropped(self, left: float | int, top: float | int, width: int, height: int) -> "Camera":
        """The window of `width` x `height` pixels whose corner is (left, top)."""
        intrinsics = self.intrinsics.clone()
        intrinsics[:2, 2] -= intrinsics.new_tensor([left, top])
        return replace(self, intrinsics=intrinsics, width=width, height=height)


@dataclass(frozen=True, eq=False)
class Stance:
    """What a camera must know of a person to frame them."""

    box: Float[Tensor, "2 3"]
    """Least and greatest coordinates."""
    pelvis: Float[Tensor, "3"]
    head: Float[Tensor, "3"]
    """SMPL-X's joint."""
    trunk: float
    """Metres from pelvis to neck, standing."""

    @staticmethod
    def of(vertices: Float[Tensor, "v 3"], places: Float[Tensor, "55 3"], trunk: float) -> "Stance":
        """Of a posed body and where SMPL-X's joints are in it."""
        box = torch.stack([vertices.amin(0), vertices.amax(0)])
        return Stance(box, places[0], places[15], trunk)

    def camera(
        self, framing: Framing, azimuth: float, elevation: float, size: int, fov: float = 0.42
    ) -> Camera:
        """A square camera on the person, as the studio frames people; angles as of `orbit`."""
        (low, high), scale = self.box, self.trunk / TRUNK
        up = low.new_tensor([0.0, scale, 0.0])
        match framing:
            case "full":
                middle, reach = (low + high) / 2, float((high - low).max()) * 1.1
            case "upper":
                middle = 0.45 * self.pelvis + 0.55 * self.head + 0.06 * up
                reach = 0.95 * scale
            case "lower":
                feet = torch.stack([self.pelvis[0], low[1], self.pelvis[2]])
                middle, reach = (self.pelvis + feet) / 2, 1.25 * float((self.pelvis - feet).norm())
            case "head":
                middle, reach = self.head + 0.035 * up, 0.44 * scale
            case _:
                assert_never(framing)
        return orbit(middle, reach, azimuth, elevation, size, size, fov)


def look_at(
    eye: Float[Tensor, "3"],
    target: Float[Tensor, "3"],
    focal: float,
    width: int,
    height: int,
) -> Camera:
    """The camera at `eye` with `target` at its centre and y up; `focal` in pixels."""
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(forward, forward.new_tensor([0.0, 1.0, 0.0])), dim=0
    )
    down = torch.linalg.cross(forward, right)
    world_to_camera = torch.eye(4, dtype=eye.dtype, device=eye.device)
    world_to_camera[:3, :3] = torch.stack([right, down, forward])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ eye
    intrinsics = eye.new_tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(world_to_camera, intrinsics, width, height)


def orbit(
    target: Float[Tensor, "3"],
    extent: float,
    azimuth: float,
    elevation: float,
    width: int,
    height: int,
    fov: float = 0.42,
) -> Camera:
    """A camera on a sphere around `target` that frames `extent` metres.

    `azimuth` and `elevation` in radians: 0, 0 looks at the person's face (along -z), a positive
    azimuth walks to the person's left (+x). `fov` is the vertical field of view; `extent` spans
    the shorter side of the picture.
    """
    focal = height / 2 / torch.tan(torch.tensor(fov / 2)).item()
    distance = focal * extent / min(width, height)
    angles = torch.tensor([azimuth, elevation], dtype=target.dtype)
    sin, cos = angles.sin(), angles.cos()
    direction = torch.stack([sin[0] * cos[1], sin[1], cos[0] * cos[1]]).to(target)
    return look_at(target + distance * direction, target, focal, width, height)
