"""A person, a pose, a camera and a light become a picture with exact truth.

Every channel comes from the same triangles at the same samples: SAMPLES x SAMPLES a pixel. Colour
and alpha are their means, depth and part are those of the nearest sample, normals are the mean
over the samples that hit. Light is added linearly and encoded as sRGB at the end.
"""

from collections.abc import Iterator
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
from incarnate.studio.light import Light, harmonics
from incarnate.studio.people import Person

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


def posed(person: Person, motion: Motion) -> Iterator[Posed]:
    """The person in each frame of a motion."""
    body, shape = person.figure.body, person.figure
    with torch.no_grad():
        joints = torch.from_numpy(shape.joints)
        own = retarget.pose_for(body, motion, joints)
        rest = torch.from_numpy(shape.vertices)
        for k in range(len(motion)):
            bones = body.bones(joints, own.pose[k], own.transl[k])
            face = body.express(rest, own.expression[k])
            yield _posed(person, motion.frames(k, k + 1), face, bones)


def _posed(person: Person, frame: Motion, face: Tensor, bones: Tensor) -> Posed:
    body = person.figure.body
    joints = torch.from_numpy(person.figure.joints)
    whole = person.whole
    rest = whole.rest
    count = len(person.body_vertices)
    rest = np.concatenate([face.numpy()[person.body_vertices], rest[count:]])
    blended = (whole.weights @ bones[:, :3].reshape(len(bones), 12).numpy()).reshape(-1, 3, 4)
    turn = blended[..., :3]
    vertices = _turned(turn, rest) + blended[..., 3]
    normals = _normals(person, vertices)
    own_normals = whole.own_normals
    normals[own_normals] = _turned(turn[own_normals], whole.normals[own_normals])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    moved = (bones[:, :3, :3] @ joints[..., None])[..., 0] + bones[:, :3, 3]
    places = np.full((55, 3), np.nan, np.float32)
    for name, j in body.smplx_joints.items():
        places[retarget.INDEX[name]] = moved[j]
    needed = _landmark_vertices(body)
    skinned = torch.zeros_like(face)
    weights, own = body.skin_weights[needed], body.skin_joints[needed]
    skinned[needed] = skin(face[needed], weights, own, bones)
    marks = body.landmarks(skinned).numpy()
    return Posed(person, frame, vertices, normals, places, marks, float(vertices[:, 1].min()))


@cache
def _landmark_vertices(body: Anny) -> Int[Tensor, " m"]:
    """The vertices that landmarks are made of."""
    with torch.enable_grad():
        points = torch.zeros(body.num_vertices, 3, requires_grad=True)
        (slope,) = torch.autograd.grad(body.landmarks(points).sum(), points)
    return slope.abs().sum(-1).nonzero()[:, 0]


def _turned(turn: Float[NDArray, "n 3 3"], points: Float[NDArray, "n 3"]) -> Float[NDArray, "n 3"]:
    out = turn[..., 0] * points[:, :1]
    out += turn[..., 1] * points[:, 1:2]
    out += turn[..., 2] * points[:, 2:]
    return out


def _normals(person: Person, vertices: NDArray) -> NDArray:
    faces = person.whole.faces
    a, b, c = (vertices.take(faces[:, k], 0) for k in range(3))
    u, v = b - a, c - a
    flat = np.empty_like(u)
    flat[:, 0] = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
    flat[:, 1] = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
    flat[:, 2] = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    return np.asarray(person.incidence @ flat, np.float32)


def shot(
    view: Posed, camera: Camera, light: Light, background: Background, samples: int = SAMPLES
) -> Shot:
    """The picture of a posed person, from `samples` x `samples` a pixel."""
    whole = view.person.whole
    fine = camera.resized(camera.width * samples, camera.height * samples)
    vertices = torch.from_numpy(view.vertices)
    seen = rasterize(Mesh(vertices, torch.from_numpy(whole.faces), vertices), fine)
    ids = seen.face_ids.numpy().ravel()
    hit = np.flatnonzero(ids >= 0)
    ids, bary = ids.take(hit), seen.barycentrics.numpy().reshape(-1, 3).take(hit, 0)
    lit = np.concatenate([view.normals, _shaded(view, camera, light)], 1)
    mixed = _mixed(bary, lit, whole.faces.take(ids, 0))
    n = mixed[:, :3] @ camera.world_to_camera[:3, :3].numpy().T
    n /= np.sqrt(np.maximum(_dot(n, n), 1e-18))[:, None]
    rays = _rays(fine).reshape(-1, 3).take(hit, 0)
    back = _dot(n, rays) > 0  # The inside of cloth: seen from behind, dark.
    n[back] *= -1
    color = _albedo(view.person, ids, bary) * mixed[:, 3:6]
    color[back] *= 0.45
    color += (mixed[:, 6] * whole.gloss.take(ids))[:, None] * light.key
    truth = _gathered(camera, samples, hit, np.concatenate([color, n], 1).astype(np.float32))
    depth, parts = _nearest(samples, hit, whole.labels.take(ids), seen.depth.numpy())
    linear, alpha, normal = truth
    behind = background.seen(camera, view.floor, _ground_shadow(view, light))
    linear = linear + (1 - alpha[..., None]) * behind
    rgb = _ENCODED.take((linear * 4095).astype(np.int32), mode="clip")
    joints, joints_seen = _keypoints(view.joints, camera, depth)
    marks, marks_seen = _keypoints(view.landmarks, camera, depth)
    return Shot(
        rgb, alpha, normal, depth, parts, joints, joints_seen, marks, marks_seen, camera, view
    )


_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
_ENCODED = ((np.arange(4096) / 4095) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def _rays(camera: Camera) -> Float[NDArray, "h w 3"]:
    k = camera.intrinsics.numpy()
    out = np.ones((camera.height, camera.width, 3), np.float32)
    out[..., 0] = (np.arange(camera.width) + 0.5 - k[0, 2]) / k[0, 0]
    out[..., 1] = ((np.arange(camera.height) + 0.5 - k[1, 2]) / k[1, 1])[:, None]
    return out


def _dot(a: NDArray, b: NDArray) -> NDArray:
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]


def _mixed(bary: NDArray, values: NDArray, corners: NDArray) -> NDArray:
    out = bary[:, :1] * values.take(corners[:, 0], 0)
    out += bary[:, 1:2] * values.take(corners[:, 1], 0)
    out += bary[:, 2:] * values.take(corners[:, 2], 0)
    return out


def _albedo(person: Person, ids: NDArray, bary: NDArray) -> Float[NDArray, "n 3"]:
    whole = person.whole
    corners = whole.uvs.take(ids, 0)
    uv = bary[:, :1] * corners[:, 0] + bary[:, 1:2] * corners[:, 1] + bary[:, 2:] * corners[:, 2]
    first, height, width = whole.texture.take(ids, 0).T
    x = np.minimum((uv[:, 0] % 1 * width).astype(np.int64), width - 1)
    y = np.clip((uv[:, 1] * height).astype(np.int64), 0, height - 1)
    return _LINEAR.take(whole.texels.take(first + y * width + x, 0))


def _shaded(view: Posed, camera: Camera, light: Light) -> Float[NDArray, "v 4"]:
    """Diffuse light and the strength of the highlight at each vertex."""
    n, eye = view.normals, camera.center.numpy() - view.vertices
    eye /= np.sqrt(_dot(eye, eye))[:, None]
    if view.person.whole.own_normals.any():
        n = np.where((view.person.whole.own_normals & (_dot(n, eye) < 0))[:, None], -n, n)
    lit = _key_seen(view, light)
    around = harmonics(n) @ light.irradiance
    facing = n @ light.toward
    key = np.clip((facing + light.soft) / (1 + light.soft), 0, None) * lit
    half = light.toward + eye
    half /= np.sqrt(np.maximum(_dot(half, half), 1e-12))[:, None]
    shine = np.clip(_dot(n, half), 0, 1) ** 24 * (lit * (facing > -0.1))
    dim = 0.55 + 0.45 * lit  # What the key does not reach is partly hid from the sky too.
    diffuse = np.clip(around * dim[:, None] + key[:, None] * light.key, 0, None)
    return np.concatenate([diffuse, 0.3 * shine[:, None]], 1).astype(np.float32)


def _key_seen(view: Posed, light: Light) -> Float[NDArray, " v"]:
    """How much of the key light reaches each vertex: a soft test against a picture from there."""
    low, high = view.vertices.min(0), view.vertices.max(0)
    middle, reach = (low + high) / 2, float(np.linalg.norm(high - low))
    far = 12.0
    eye, target = (torch.from_numpy(p) for p in (middle + far * light.toward, middle))
    camera = look_at(eye, target, far / reach * KEY_SIDE * 0.95, KEY_SIDE, KEY_SIDE)
    vertices = torch.from_numpy(view.vertices)
    faces = torch.from_numpy(view.person.casting)
    depth = rasterize(Mesh(vertices, faces, vertices), camera).depth.numpy().ravel()
    local = camera.local(vertices).numpy()
    z = local[:, 2]
    flat = local[:, :2] / z[:, None] * float(camera.intrinsics[0, 0]) + KEY_SIDE / 2
    total = np.zeros(len(z), np.float32)
    for dx, dy in ((-1.3, -0.4), (0.4, -1.3), (0.9, 1.3)):
        cell = np.clip(flat + np.array([dx, dy], np.float32), 0, KEY_SIDE - 1).astype(np.int32)
        there = depth.take(cell[:, 1] * KEY_SIDE + cell[:, 0])
        total += np.where(there > 0, np.clip(2 - (z - there) / 0.02, 0, 1), 1)
    return total / 3


def _gathered(
    camera: Camera, k: int, hit: Int[NDArray, " n"], values: Float[NDArray, "n 6"]
) -> tuple[NDArray, NDArray, NDArray]:
    """Linear colour premultiplied by alpha, alpha, and unit normals, of pixels from samples."""
    h, w = camera.height, camera.width
    row, column = np.divmod(hit, w * k)
    pixel = row // k * w + column // k
    sums = [np.bincount(pixel, values[:, c], h * w) for c in range(6)]
    packed = np.stack(sums, -1).reshape(h, w, 6).astype(np.float32)
    alpha = np.bincount(pixel, minlength=h * w).reshape(h, w).astype(np.float32) / (k * k)
    normal = packed[..., 3:]
    length = np.sqrt((normal**2) @ np.ones(3, np.float32))
    return packed[..., :3] / (k * k), alpha, normal / np.maximum(length, 1e-9)[..., None]


def _nearest(
    k: int, hit: NDArray, labels: NDArray, depth: Float[NDArray, "hk wk"]
) -> tuple[Float[NDArray, "h w"], UInt8[NDArray, "h w"]]:
    """Depth and part of each pixel's nearest sample."""
    parts = np.zeros(depth.size, np.uint8)
    parts[hit] = labels
    parts = parts.reshape(depth.shape)
    near, which = depth[::k, ::k].copy(), parts[::k, ::k].copy()
    for i, j in np.ndindex(k, k):
        other = depth[i::k, j::k]
        closer = (other > 0) & ((other < near) | (near == 0))
        near[closer], which[closer] = other[closer], parts[i::k, j::k][closer]
    return near, which


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
