"""A surface avatar played back: frames in quick succession, by the compiled core, no gradients.

The values are those of `SurfaceAvatar.vertices` and `SurfaceAvatar.forward`, their definition.
What frames share is worked out once: sparse skinning weights and face shapes, and each disc's axes
in units of its triangle's edges at rest. A frame that repeats the last one costs nothing but its
picture.
"""

from threading import Lock
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate import _native
from incarnate.avatars.surface import MAX_STRETCH, Discs, Drive, Frames, SurfaceAvatar
from incarnate.body.gaze import gaze_rotations
from incarnate.cameras import Camera
from incarnate.render.native import picture
from incarnate.render.view import View
from incarnate.scene import Gaussians

LANES = 16  # Discs that the core places at once.


class Cloud(NamedTuple):
    """Gaussians with activated scales, in memory that the next frame overwrites."""

    means: Float[Tensor, "n 3"]
    quats: Float[Tensor, "n 4"]
    scales: Float[Tensor, "n 3"]


@final
class Player:
    """Plays one avatar whose discs, shape and clothes no longer change."""

    def __init__(self, surface: SurfaceAvatar) -> None:
        """ValueError for an avatar that is not float32 on the CPU."""
        if surface.rest.dtype != torch.float32 or surface.rest.device.type != "cpu":
            raise ValueError(
                f"avatars are played in float32 on the CPU, this one is {surface.rest.dtype} on "
                f"{surface.rest.device}; convert it, or call it as a module"
            )
        with torch.no_grad():
            body, discs = surface.body, surface.discs
            self.surface = surface
            self._centers = body.joints(surface.rest)[list(body.eye_joints)]
            self._skin = _skin(surface)
            self._discs, num_triangles = _riders(discs, surface.rest_frames, surface)
            self._frames = surface.rest.new_empty(num_triangles, 32)
            self._bones = surface.rest.new_empty(len(surface.joints), 4, 4)
            self._vertices = torch.empty_like(surface.rest)
            self._cloud = Cloud(
                torch.empty_like(discs.offsets),
                discs.offsets.new_empty(len(discs.faces), 4),
                torch.empty_like(discs.log_scales),
            )
            self._opacities = torch.sigmoid(discs.logit_opacities)
            self._colors = discs.colors.detach().contiguous()
            self._last: Drive | None = None
            self._lock = Lock()  # Frames share memory.

    def vertices(self, drive: Drive) -> Float[Tensor, "v 3"]:
        """The clothed mesh in the world."""
        with self._lock:
            self._pose(drive)
            return self._vertices.clone()

    def gaussians(self, drive: Drive) -> Gaussians:
        """The Gaussians in the world."""
        discs = self.surface.discs
        with self._lock:
            self._pose(drive)
            means, quats, scales = self._cloud
            placed = means.clone(), quats.clone(), scales.log()
        return Gaussians(*placed, discs.logit_opacities, discs.colors)

    def view(
        self, drive: Drive, camera: Camera, background: Float[Tensor, "3"] | None = None
    ) -> View:
        """The picture of a frame."""
        with self._lock:
            self._pose(drive)
            means, quats, scales = self._cloud
            cloud = means, quats, scales, self._opacities, self._colors
            return picture(cloud, camera, background)

    def _pose(self, drive: Drive) -> None:
        last, self._last = self._last, None  # None until all is in place.
        if last is None or not _equal(last, drive):
            with torch.no_grad():
                expression = drive.expression.detach().contiguous()
                pose, transl = drive.pose.detach().contiguous(), drive.transl.detach().contiguous()
                eyes = self._eyes(expression)
            _native.skinned(self._skin, expression, eyes, pose, transl, self._bones, self._vertices)
            _native.placed(self._discs, self._vertices, self._frames, *self._cloud)
            last = Drive(expression.clone(), pose.clone(), transl.clone())
        self._last = last

    def _eyes(self, expression: Float[Tensor, " e"]) -> Float[Tensor, "2 3 4"]:
        """The eyeballs' turns about their centers."""
        turns = gaze_rotations(expression)
        rest = self._centers - (turns * self._centers[:, None]).sum(2)
        return torch.cat([turns, rest[..., None]], 2)


def _equal(one: Drive, other: Drive) -> bool:
    return (
        torch.equal(one.expression, other.expression)
        and torch.equal(one.pose, other.pose)
        and torch.equal(one.transl, other.transl)
    )


def _skin(surface: SurfaceAvatar) -> _native.Skin:
    body = surface.body
    vertices, bones = surface.weights.nonzero(as_tuple=True)
    about = surface.centers
    order = body.face.points.argsort(stable=True)
    return _native.Skin(
        surface.rest.contiguous(),
        surface.vertex_offsets.contiguous(),
        _starts(body.face.points, len(surface.rest)),
        body.face.columns[order].int(),
        body.face.moves[order].contiguous(),
        _starts(vertices, len(surface.rest)),
        bones.int(),
        surface.weights[vertices, bones],
        torch.zeros_like(surface.rest).index_copy(0, about.vertices, about.points),
        body.parents.int(),
        surface.joints.contiguous(),
        len(body.expression_names),
        body.num_skin,
        body.num_eye,
    )


def _starts(rows: Int[Tensor, " m"], count: int) -> Int[Tensor, " count1"]:
    """Where each of `count` rows begins once its members are sorted, and where the last ends."""
    numbers = torch.bincount(rows, minlength=count)
    return torch.cat([numbers.new_zeros(1), numbers.cumsum(0)]).int()


def _riders(discs: Discs, rest: Frames, surface: SurfaceAvatar) -> tuple[_native.Discs, int]:
    """The discs as the core takes them, and how many triangles carry any."""
    carrying, triangles = discs.faces.unique(return_inverse=True)
    cos, sin, scales = discs.spins.cos(), discs.spins.sin(), discs.log_scales.exp()
    turned = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    own = torch.linalg.inv(rest.edges)[discs.faces] @ (turned * scales[:, None, :2])
    planes = [
        discs.barycentrics,
        discs.offsets,
        own.flatten(1),
        scales[:, :2].amin(1, keepdim=True) / MAX_STRETCH,
        scales[:, :2].amax(1, keepdim=True) * MAX_STRETCH,
        scales[:, 2:],
    ]
    values = torch.cat(planes, 1).T
    spare = -len(discs.faces) % LANES
    pad = torch.nn.functional.pad
    riders = _native.Discs(
        surface.body.faces[carrying].int(),
        pad(triangles, (0, spare)).int(),
        pad(values, (0, spare)).contiguous(),
        len(discs.faces),
        len(surface.rest),
    )
    return riders, len(carrying)
