"""What light makes of a posed person, defined in numpy; `exposure` is the same, compiled.

Samples x samples points a pixel. Light falls on vertices: irradiance from around, a key light with
a shadow picture, a highlight; it is carried to samples, multiplied by the texture and averaged,
linearly. Depth and part are those of the nearest sample. Label 0, the stool, has colour only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from incarnate.cameras import Camera
from incarnate.render import Fragments
from incarnate.studio.light import Light, harmonics
from incarnate.studio.whole import Whole

LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
ENCODED = ((np.arange(4096) / 4095) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
TAPS = ((-1.3, -0.4), (0.4, -1.3), (0.9, 1.3))
"""Texels beside a point at which its shadow is asked for."""
SOFT = 0.02
"""Metres behind the nearest at which the key light is gone."""


@dataclass(frozen=True, eq=False)
class Shadow:
    """What the key light sees."""

    depth: Float[NDArray, "s s"]
    """0 where there is nothing."""
    project: Float[NDArray, "3 4"]
    """World to columns and rows (each times z), and z."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A posed person before a camera, lit, as samples."""

    whole: Whole
    vertices: Float[NDArray, "v 3"]
    normals: Float[NDArray, "v 3"]
    camera: Camera
    """Of the samples."""
    light: Light
    shadow: Shadow
    samples: Fragments
    behind: Float[NDArray, "h w 3"]
    """Linear."""


@dataclass(frozen=True, eq=False)
class Exposed:
    """As in `Shot`."""

    rgb: UInt8[NDArray, "h w 3"]
    alpha: Float[NDArray, "h w"]
    normal: Float[NDArray, "h w 3"]
    depth: Float[NDArray, "h w"]
    parts: UInt8[NDArray, "h w"]


def carried(
    whole: Whole, rest: Float[NDArray, "v 3"], bones: Float[NDArray, "j 3 4"]
) -> tuple[Float[NDArray, "v 3"], Float[NDArray, "v 3"]]:
    """Vertices and unit normals of the person posed by bones."""
    owner = np.repeat(np.arange(len(rest)), np.diff(whole.bone_starts))
    turn = np.zeros((len(rest), 3, 4), np.float32)
    np.add.at(turn, owner, whole.weights[:, None, None] * bones[whole.bones])
    vertices = (turn[..., :3] @ rest[..., None])[..., 0] + turn[..., 3]
    a, b, c = (vertices[whole.faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, whole.faces[:, k], flat)
    own = whole.own_normals
    normals[own] = (turn[own, :, :3] @ whole.normals[own, :, None])[..., 0]
    return vertices, _unit(normals)


def exposed(setting: Setting) -> Exposed:
    """The picture and its truth."""
    whole, height = setting.whole, setting.behind.shape[0]
    k = setting.camera.height // height
    ids = setting.samples.face_ids.numpy()
    hit = ids >= 0
    faces, bary = ids[hit], setting.samples.barycentrics.numpy()[hit]
    at_vertices = np.concatenate([setting.normals, _lit(setting)], 1)
    mixed = (bary[..., None] * at_vertices[whole.faces[faces]]).sum(1)
    n = _unit(mixed[:, :3] @ setting.camera.world_to_camera[:3, :3].numpy().T)
    back = (n * _rays(setting.camera)[hit]).sum(1) > 0  # The inside of cloth: dark.
    n[back] *= -1
    color = _albedo(whole, faces, bary) * mixed[:, 3:6]
    color[back] *= 0.45
    color += (mixed[:, 6] * whole.gloss[faces])[:, None] * setting.light.key
    labels = np.zeros(ids.shape, np.uint8)
    labels[hit] = whole.labels[faces]
    own = labels > 0
    cover = _blocks(hit[..., None].astype(np.float32), k).mean(2)
    alpha = _blocks(own[..., None].astype(np.float32), k).mean(2)[..., 0]
    linear = _blocks(_filled(hit, color), k).mean(2) + (1 - cover) * setting.behind
    normal = _blocks(_filled(hit, n) * own[..., None], k).sum(2)
    depth = np.where(own, setting.samples.depth.numpy(), np.inf)[..., None]
    depth = _blocks(depth, k)[..., 0]
    nearest = depth.argmin(-1)[..., None]
    parts = np.take_along_axis(_blocks(labels[..., None], k)[..., 0], nearest, -1)[..., 0]
    first = np.take_along_axis(depth, nearest, -1)[..., 0]
    return Exposed(
        ENCODED.take((linear * 4095).astype(np.int32), mode="clip"),
        alpha,
        np.where(alpha[..., None] > 0, _unit(normal), 0).astype(np.float32),
        np.where(alpha > 0, first, 0).astype(np.float32),
        np.where(alpha > 0, parts, 0).astype(np.uint8),
    )


def _lit(setting: Setting) -> Float[NDArray, "v 4"]:
    """Diffuse light and the strength of the highlight at each vertex."""
    light = setting.light
    eye = _unit(setting.camera.center.numpy() - setting.vertices)
    n = setting.normals
    turned = setting.whole.own_normals & ((n * eye).sum(1) < 0)
    n = np.where(turned[:, None], -n, n)
    arrives = _key_seen(setting.shadow, setting.vertices)
    facing = n @ light.toward
    key = np.clip((facing + light.soft) / (1 + light.soft), 0, None) * arrives
    shine = np.clip((n * _unit(light.toward + eye)).sum(1), 0, 1) ** 24
    shine = shine * (arrives * (facing > -0.1))
    dim = 0.55 + 0.45 * arrives  # What the key does not reach is partly hid from the sky too.
    around = harmonics(n) @ light.irradiance
    diffuse = np.clip(around * dim[:, None] + key[:, None] * light.key, 0, None)
    return np.concatenate([diffuse, 0.3 * shine[:, None]], 1).astype(np.float32)


def _key_seen(shadow: Shadow, points: Float[NDArray, "v 3"]) -> Float[NDArray, " v"]:
    """How much of the key light reaches each point."""
    x, y, z = shadow.project[:, :3] @ points.T + shadow.project[:, 3:]
    flat, side = np.stack([x, y], 1) / z[:, None], len(shadow.depth)
    total = np.zeros(len(z), np.float32)
    for tap in np.array(TAPS, np.float32):
        column, row = np.clip(flat + tap, 0, side - 1).astype(np.int64).T
        there = shadow.depth[row, column]
        total += np.where(there > 0, np.clip(2 - (z - there) / SOFT, 0, 1), 1)
    return total / 3


def _albedo(whole: Whole, ids: Int[NDArray, " n"], bary: NDArray) -> Float[NDArray, "n 3"]:
    uv = (bary[..., None] * whole.uvs[ids]).sum(1)
    first, height, width = whole.texture[ids].T
    x = np.minimum((uv[:, 0] % 1 * width).astype(np.int64), width - 1)
    y = np.clip((uv[:, 1] * height).astype(np.int64), 0, height - 1)
    return LINEAR[whole.texels[first + y * width + x]]


def _rays(camera: Camera) -> Float[NDArray, "h w 3"]:
    k = camera.intrinsics.numpy()
    out = np.ones((camera.height, camera.width, 3), np.float32)
    out[..., 0] = (np.arange(camera.width) + 0.5 - k[0, 2]) / k[0, 0]
    out[..., 1] = ((np.arange(camera.height) + 0.5 - k[1, 2]) / k[1, 1])[:, None]
    return out


def _filled(hit: NDArray, values: NDArray) -> NDArray:
    out = np.zeros((*hit.shape, values.shape[1]), np.float32)
    out[hit] = values
    return out


def _blocks(values: NDArray, k: int) -> NDArray:
    """(h w k*k c) the samples of each pixel."""
    h, w, c = values.shape
    cut = values.reshape(h // k, k, w // k, k, c)
    return cut.transpose(0, 2, 1, 3, 4).reshape(h // k, w // k, k * k, c)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
