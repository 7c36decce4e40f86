"""A person, a pose, a camera and a light become a picture with exact truth.

Every channel comes from the same triangles at the same samples: SAMPLES x SAMPLES a pixel. Colour
and alpha are their means, depth and part are those of the nearest sample, normals are the mean
over the samples that hit the person. `shading` says how, `exposure` does it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from incarnate.body import retarget
from incarnate.body.anny import Anny
from incarnate.body.skinning import skin
from incarnate.cameras import Camera, look_at
from incarnate.motion import Motion
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.studio.backgrounds import GROUND, GROUND_REACH, Background
from incarnate.studio.exposure import carried, exposed
from incarnate.studio.light import Light
from incarnate.studio.people import Person
from incarnate.studio.seat import SEAT_FACES, SEAT_VERTICES, under
from incarnate.studio.shading import Setting, Shadow
from incarnate.studio.shell import vertex_normals

SAMPLES = 2
KEY_SIDE = 192


@dataclass(frozen=True, eq=False)
class Posed:
    """A person in one pose, in the world."""

    person: Person
    motion: Motion
    """One frame."""
    vertices: Float[NDArray, "v 3"]
    normals: Float[NDArray, "v 3"]
    joints: Float[NDArray, "55 3"]
    """SMPL-X's joints; nan for those the body has not."""
    landmarks: Float[NDArray, "23 3"]
    """COCO's 17 keypoints, toes and heels."""
    floor: float

    @cached_property
    def box(self) -> Float[NDArray, "2 3"]:
        """Least and greatest coordinates."""
        columns = [self.vertices[:, k] for k in range(3)]
        return np.array([[c.min() for c in columns], [c.max() for c in columns]])


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture and the truth about it."""

    rgb: UInt8[NDArray, "h w 3"]
    alpha: Float[NDArray, "h w"]
    normal: Float[NDArray, "h w 3"]
    """Unit, in camera axes (x right, y down, z forward); 0 beside the person."""
    depth: Float[NDArray, "h w"]
    """Metres along z; 0 beside the person."""
    parts: UInt8[NDArray, "h w"]
    """Index into LABELS; 0 beside the person."""
    joints: Float[NDArray, "55 2"]
    joints_seen: Bool[NDArray, " 55"]
    """Inside the picture and not behind more than HIDDEN metres of the person."""
    landmarks: Float[NDArray, "23 2"]
    landmarks_seen: Bool[NDArray, " 23"]
    camera: Camera
    posed: Posed


HIDDEN = 0.14
AT_ONCE = 16  # Frames whose bones are computed together.


def posed(person: Person, motion: Motion, seated: Sequence[bool] = ()) -> Iterator[Posed]:
    """The person in each frame of a motion, on a stool in those that `seated` says."""
    body, shape = person.figure.body, person.figure
    with torch.no_grad():
        joints = torch.from_numpy(shape.joints)
        own = retarget.pose_for(body, motion, joints)
        rest = torch.from_numpy(shape.vertices)
        for first in range(0, len(motion), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            count = len(own.pose[some])
            bones = body.bones(joints.expand(count, -1, -1), own.pose[some], own.transl[some])
            faces = body.express(rest.expand(count, -1, -1), own.expression[some])
            marks = _landmarks(body, faces, bones)
            for i in range(count):
                k = first + i
                sits = bool(seated) and seated[k]
                yield _posed(person, motion.frames(k, k + 1), (faces[i], bones[i], marks[i]), sits)


def _posed(
    person: Person, frame: Motion, moved: tuple[Tensor, Tensor, Tensor], sits: bool
) -> Posed:
    face, bones, marks = moved
    body = person.figure.body
    whole = person.whole
    rest = whole.rest.copy()
    rest[: len(person.body_vertices)] = face.numpy()[person.body_vertices]
    vertices, normals = carried(whole, rest, bones[:, :3].numpy())
    joints = torch.from_numpy(person.figure.joints)
    places = retarget.smplx_places(body, joints, bones).numpy()
    _place_seat(vertices, normals, places[0], sits)
    return Posed(
        person, frame, vertices, normals, places, marks.numpy(), float(vertices[:, 1].min())
    )


def _landmarks(
    body: Anny, faces: Float[Tensor, "b v 3"], bones: Float[Tensor, "b j 4 4"]
) -> Float[Tensor, "b l 3"]:
    needed = _landmark_vertices(body)
    skinned = torch.zeros_like(faces)
    weights, own = body.skin_weights[needed], body.skin_joints[needed]
    skinned[:, needed] = skin(faces[:, needed], weights, own, bones)
    return body.landmarks(skinned)


def _place_seat(vertices: NDArray, normals: NDArray, pelvis: NDArray, sits: bool) -> None:
    """Puts the last vertices under who sits, else where they draw nothing: all in one place."""
    count = len(SEAT_VERTICES)
    vertices[-count:] = pelvis
    if sits:
        worn = vertices[:-count]
        vertices[-count:] = under(worn, pelvis, float(worn[:, 1].min()))
        normals[-count:] = vertex_normals(vertices[-count:], SEAT_FACES)


@cache
def _landmark_vertices(body: Anny) -> Int[Tensor, " m"]:
    """The vertices that landmarks are made of."""
    with torch.enable_grad():
        points = torch.zeros(body.num_vertices, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(body.landmarks(points).sum(), points)
    return slope.abs().sum(-1).nonzero()[:, 0]


def shot(
    view: Posed, camera: Camera, light: Light, background: Background, samples: int = SAMPLES
) -> Shot:
    """The picture of a posed person, from `samples` x `samples` a pixel."""
    out = exposed(setting(view, camera, light, background, samples))
    joints, joints_seen = _keypoints(view.joints, camera, out.depth)
    marks, marks_seen = _keypoints(view.landmarks, camera, out.depth)
    return Shot(
        out.rgb,
        out.alpha,
        out.normal,
        out.depth,
        out.parts,
        joints,
        joints_seen,
        marks,
        marks_seen,
        camera,
        view,
    )


def setting(
    view: Posed, camera: Camera, light: Light, background: Background, samples: int = SAMPLES
) -> Setting:
    """All that a picture is made of, samples taken."""
    whole = view.person.whole
    fine = camera.resized(camera.width * samples, camera.height * samples)
    vertices = torch.from_numpy(view.vertices)
    seen = rasterize(Mesh(vertices, torch.from_numpy(whole.faces), vertices), fine)
    shade = _ground_shadow(view, light) if background.floor is not None else _LIT
    behind = background.seen(camera, view.floor, shade)
    return Setting(
        whole, view.vertices, view.normals, fine, light, _shadow(view, light), seen, behind
    )


_LIT = np.ones((GROUND, GROUND), np.float32)


def _shadow(view: Posed, light: Light) -> Shadow:
    low, high = view.box
    middle, reach = (low + high) / 2, float(np.linalg.norm(high - low))
    far = 12.0
    eye, target = (torch.from_numpy(p) for p in (middle + far * light.toward, middle))
    camera = look_at(eye, target, far / reach * KEY_SIDE * 0.95, KEY_SIDE, KEY_SIDE)
    vertices = torch.from_numpy(view.vertices)
    mesh = Mesh(vertices, torch.from_numpy(view.person.whole.casting), vertices)
    project = (camera.intrinsics @ camera.world_to_camera[:3]).numpy()
    return Shadow(rasterize(mesh, camera).depth.numpy(), project)


def _keypoints(points: NDArray, camera: Camera, depth: NDArray) -> tuple[NDArray, NDArray]:
    where = torch.from_numpy(points)
    places, z = camera.project(where).numpy(), camera.local(where)[:, 2].numpy()
    known = np.isfinite(places).all(1)
    x, y = (np.where(known, places[:, i], -1).astype(np.int64) for i in (0, 1))
    inside = (places > 0).all(1) & (x < camera.width) & (y < camera.height) & known
    there = depth[y.clip(0, camera.height - 1), x.clip(0, camera.width - 1)]
    return places, inside & (there > 0) & (z - there < HIDDEN)


def _ground_shadow(view: Posed, light: Light) -> Float[NDArray, "g g"]:
    """Share of light that reaches the floor, over GROUND_REACH metres about the world's middle."""
    x, y, z = view.vertices[::3].T
    up = y - view.floor
    out = np.zeros((GROUND, GROUND), np.float32)
    slope = light.toward / max(float(light.toward[1]), 0.25)
    for some, lean, blur, weight in ((up < 0.12, 0.0, 2.2, 1.0), (slice(None), 1.0, 1.6, 0.8)):
        row, column = (
            ((p[some] - lean * up[some] * slope[i]) / GROUND_REACH + 1) * (GROUND / 2)
            for p, i in ((x, 0), (z, 2))
        )
        inside = (np.abs(row - GROUND / 2) < GROUND / 2) & (
            np.abs(column - GROUND / 2) < GROUND / 2
        )
        hit = np.zeros_like(out)
        hit[row[inside].astype(np.int32), column[inside].astype(np.int32)] = 1
        strength = weight * (0.55 if lean == 0 else min(0.6, float(light.key.mean())))
        dense = cv2.GaussianBlur(hit, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
        out = np.maximum(out, 1.5 * strength * dense)
    return np.asarray(1 - np.clip(out, 0, 0.75), np.float32)
