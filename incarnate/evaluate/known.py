"""A body that is known: what cameras see of it, and the prior that knows that, too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body import retarget
from incarnate.body.anny import Anny
from incarnate.cameras import Camera, Stance
from incarnate.motion import SMPLX_JOINTS, pose_preset
from incarnate.priors import (
    Condition,
    Denoiser,
    Images,
    Latents,
    Levels,
    Pose,
    Schedule,
    Text,
    View,
)
from incarnate.priors.conditions import check_condition
from incarnate.priors.skeleton import drawn
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

FOV = 0.45
ELEVATION = 0.05
LIFTS = (-0.05, 0.12)
"""By which every other camera of a ring looks up or down on top of that."""
FINE = 4  # Samples across a pixel.


@final
@dataclass(frozen=True, eq=False)
class Known:
    """A body in a pose."""

    mesh: Mesh
    """Its colours are its normals."""
    joints: Float[Tensor, "55 3"]
    """SMPL-X's; nan for those the body has not."""

    stance: Stance

    def camera(self, azimuth: float, size: int, elevation: float = ELEVATION) -> Camera:
        """A camera that frames the whole body, as the studio's do."""
        return self.stance.camera("full", azimuth, elevation, size, FOV)

    def skeleton(self, camera: Camera) -> Float[Tensor, "h w 3"]:
        """The skeleton as the camera sees it."""
        joints = camera.project(self.joints).numpy()
        return torch.from_numpy(drawn(joints, SMPLX_JOINTS, camera.height, camera.width))

    def seen(self, camera: Camera) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w 3"]]:
        """Alpha, and normals in camera axes (x right, y down, z forward)."""
        seen = rasterize(self.mesh, camera)
        hit = (seen.face_ids >= 0).to(self.mesh.vertices)
        corners = self.mesh.colors[self.mesh.faces[seen.face_ids.clamp(min=0)]]
        normals = (seen.barycentrics[..., None] * corners).sum(-2)
        turned = torch.nn.functional.normalize(normals, dim=-1) @ camera.world_to_camera[:3, :3].T
        return hit, turned * hit[..., None]

    def normal_map(self, camera: Camera) -> Float[Tensor, "h w 3"]:
        """What a prior should make: (n + 1) / 2, x right, y up, z to the viewer, before black."""
        alpha, normal = self.seen(camera.resized(camera.width * FINE, camera.height * FINE))
        toward = normal * normal.new_tensor([1.0, -1.0, -1.0])
        picture = (toward + 1) / 2 * alpha[..., None]
        return torch.nn.functional.avg_pool2d(picture.movedim(-1, 0), FINE).movedim(0, -1)


def known(pose: str = "rest") -> Known:
    """The average adult in a pose; 'rest' holds the arms off the body."""
    body = Anny.load()
    with torch.no_grad():
        betas = body.default_betas()
        rest = body.joints(body.shaped(betas))
        own = retarget.pose_for(body, pose_preset(pose))
        bones = body.bones(rest, own.pose[0], own.transl[0])
        joints = retarget.smplx_places(body, rest, bones)
        vertices = body.vertices(betas, own.expression[0], own.pose[0], own.transl[0])
    trunk = float(rest[body.smplx_joints["neck"], 1] - rest[body.smplx_joints["pelvis"], 1])
    stance = Stance.of(vertices, joints, trunk)
    return Known(Mesh(vertices, body.faces, vertex_normals(vertices, body.faces)), joints, stance)


@final
@dataclass(frozen=True, eq=False)
class Ring:
    """Cameras around a known body, and all of it that a prior is told: entry i is of camera i."""

    cameras: tuple[Camera, ...]
    azimuths: tuple[float, ...]
    skeletons: Images

    @staticmethod
    def around(target: Known, count: int, size: int) -> "Ring":
        """`count` cameras of `size` pixels a side, in equal steps."""
        azimuths = tuple(math.tau * i / count for i in range(count))
        cameras = tuple(
            target.camera(azimuth, size, ELEVATION + LIFTS[i % len(LIFTS)])
            for i, azimuth in enumerate(azimuths)
        )
        return Ring(cameras, azimuths, torch.stack([target.skeleton(c) for c in cameras]))

    def condition(self, rows: Sequence[int], words: str) -> Condition:
        """What the prior is told of some of the cameras."""
        return Condition(
            text=Text((words,)),
            view=View(tuple(self.azimuths[i] for i in rows)),
            pose=Pose(self.skeletons[list(rows)]),
        )


@final
class KnownPictures(Denoiser):
    """Data are known pictures, each told by its skeleton: whatever the noise, the right one.

    An upper bound for what a prior can do, and its latents are pictures.
    """

    schedule = Schedule.scaled_linear(prediction="sample")

    def __init__(self, pictures: Mapping[int, tuple[Images, Images]]) -> None:
        """For each size in pixels, skeletons and what belongs to them."""
        self._pictures = pictures

    @staticmethod
    def of(target: Known, rings: Sequence[Ring]) -> "KnownPictures":
        """What the cameras of the rings see of a body."""
        return KnownPictures(
            {
                ring.cameras[0].width: (
                    ring.skeletons,
                    torch.stack([target.normal_map(camera) for camera in ring.cameras]),
                )
                for ring in rings
            }
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """As a prior of people does."""
        return ("text", "view", "pose")

    def encode(self, images: Images) -> Latents:
        """The pictures, around 0."""
        return images.movedim(-1, 1) * 2 - 1

    def decode(self, latents: Latents) -> Images:
        """Back again."""
        return (latents.movedim(1, -1) + 1) / 2

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The picture whose skeleton is the nearest to the one told."""
        check_condition(condition, self.reads, ("pose",))
        assert condition.pose is not None
        skeletons, pictures = self._pictures[x_t.shape[-1]]
        told = condition.pose.image.expand(len(x_t), -1, -1, -1)
        apart = torch.cdist(told.flatten(1), skeletons.flatten(1))
        return self.encode(pictures[apart.argmin(1)]).to(x_t)

    def unconditional(self, condition: Condition) -> Condition:
        """The same: there is nothing else to say."""
        return condition

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """What it predicts."""
        return (self.predict(x_t, t, condition),)
