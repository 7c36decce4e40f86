"""A person, a pose, a camera and a light become a picture with exact truth.

Every channel comes from the same triangles at the same samples: SAMPLES x SAMPLES a pixel. Colour
and alpha are their means, depth and part are those of the nearest sample, normals are the mean
over the samples that hit the person. `shading` says how, `exposure` does it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
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
from incarnate.studio.seat import SEAT_FACES, SEAT_VERTICES, placed
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


def posed(person: Person, motion: Motion, seated: Sequence[bool] = ()) -> Iterator[Posed]:
    """The person in each frame of a motion, on a stool in those that `seated` says."""
    body, shape = person.figure.body, person.figure
    with torch.no_grad():
        joints = torch.from_numpy(shape.joints)
        own = retarget.pose_for(body, motion, joints)
        rest = torch.from_numpy(shape.vertices)
        for k in range(len(motion)):
            bones = body.bones(joints, own.pose[k], own.transl[k])
            face = body.express(rest, own.expression[k])
            sits = bool(seated) and seated[k]
            yield _posed(person, motion.frames(k, k + 1), face, bones, sits)


def _posed(person: Person, frame: Motion, face: Tensor, bones: Tensor, sits: bool) -> Posed:
    body = person.figure.body
    joints = torch.from_numpy(person.figure.joints)
    whole = person.whole
    rest = whole.rest.copy()
    rest[: len(person.body_vertices)] = face.numpy()[person.body_vertices]
    vertices, normals = carried(whole, rest, bones[:, :3].numpy())
    moved = (bones[:, :3, :3] @ joints[..., None])[..., 0] + bones[:, :3, 3]
    places = np.full((55, 3), np.nan, np.float32)
    for name, j in body.smplx_joints.items():
        places[retarget.INDEX[name]] = moved[j]
    _place_seat(vertices, normals, places[0], sits)
    needed = _landmark_vertices(body)
    skinned = torch.zeros_like(face)
    weights, own = body.skin_weights[needed], body.skin_joints[needed]
    skinned[needed] = skin(face[needed], weights, own, bones)
    marks = body.landmarks(skinned).numpy()
    return Posed(person, frame, vertices, normals, places, marks, float(vertices[:, 1].min()))


def _place_seat(vertices: NDArray, normals: NDArray, pelvis: NDArray, sits: bool) -> None:
    """Puts the last vertices under who sits, else where they draw nothing: all in one place."""
    count = len(SEAT_VERTICES)
    vertices[-count:] = pelvis
    if sits:
        worn = vertices[:-count]
        vertices[-count:] = placed(worn, pelvis, float(worn[:, 1].min()))
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
    behind = background.seen(camera, view.floor, _ground_shadow(view, light))
    return Setting(
        whole, view.vertices, view.normals, fine, light, _shadow(view, light), seen, behind
    )


def _shadow(view: Posed, light: Light) -> Shadow:
    low, high = view.vertices.min(0), view.vertices.max(0)
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
    """Share of light that reaches the floor, over GROUND_REACH metres about the person."""
    v = view.vertices[::3]
    up = v[:, 1] - view.floor
    middle = np.zeros(3)
    out = np.zeros((GROUND, GROUND), np.float32)
    slope = light.toward / max(float(light.toward[1]), 0.25)
    for some, lean, blur, weight in ((up < 0.12, 0.0, 2.2, 1.0), (up > -1, 1.0, 1.6, 0.8)):
        place = v[some][:, [0, 2]] - lean * up[some, None] * slope[[0, 2]] - middle[[0, 2]]
        cell = ((place / GROUND_REACH + 1) / 2 * GROUND).astype(np.int64)
        inside = ((cell >= 0) & (cell < GROUND)).all(1)
        flat = np.bincount(cell[inside] @ [GROUND, 1], minlength=GROUND * GROUND)
        dense = gaussian_filter((flat > 0).reshape(GROUND, GROUND).astype(np.float32), blur)
        strength = weight * (0.55 if lean == 0 else min(0.6, float(light.key.mean())))
        out = np.maximum(out, 1.5 * strength * dense)
    return 1 - np.clip(out, 0, 0.75)
