"""Strands that grow from a scalp, fall, keep off faces, and become ribbons."""

from functools import cache

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial import KDTree

from incarnate.body.body import PARTS
from incarnate.studio.figure import Figure, dense_weights, embedded
from incarnate.studio.piece import LABELS, Piece, Texture
from incarnate.studio.shell import Shell, vertex_normals
from incarnate.studio.styles import Head, Style, cap_height, head_weights


def lines_of(
    person: Figure,
    head: Head,
    style: Style,
    start: tuple[NDArray, NDArray],
    rng: np.random.Generator,
) -> Float[NDArray, "n k 3"]:
    """Each strand's places from root to tip."""
    s = person.scale
    roots, normals = start
    steps = 8 if style.length > 0.15 else 5
    gathered = style.cut in ("ponytail", "bun")
    step = (
        (0.09 if gathered else style.length) * s / steps * rng.uniform(0.75, 1.0, (len(roots), 1))
    )
    own = np.isin(person.body.part_labels.numpy(), [PARTS.index(p) for p in
                  ("skin", "head", "ear_left", "ear_right")])  # fmt: skip
    own &= person.vertices[:, 1] > person.joint("spine3")[1] - 0.2 * s
    flesh, outward = person.vertices[own], _body_normals(person)[own]
    tree = KDTree(flesh)
    comb = _combed(head, style, roots, normals)
    point, places = roots, [roots]
    phase = rng.uniform(0, 2 * np.pi, (len(roots), 1))
    lift, skin = style.lift, normals
    layer = cap_height(style) * rng.uniform(0.5, 1.3, len(roots)) + 0.002
    for k in range(steps):
        part = k / steps
        long = style.length > 0.12 and not gathered
        fall = np.array([0.0, -1.0, 0.0]) * min(1.0, part * 2.2) * long
        stand = 0.0 if gathered else lift * max(0.0, 1 - 3 * part) * (0.4 if long else 1.0)
        toward = comb * max(0.15, 1 - 1.2 * part if long else 1.0)
        direction = toward + stand * normals + fall
        if style.curl > 0:
            wave = np.concatenate([np.cos(phase + 2.2 * k), np.sin(phase + 1.7 * k),
                                   np.sin(phase + 2.2 * k)], 1)  # fmt: skip
            direction = direction + 1.3 * style.curl * wave + 0.3 * style.curl * normals
        if k > 0 and style.curl < 0.5:  # Combed hair follows the head round.
            rise = np.maximum(0, (direction * skin).sum(1, keepdims=True))
            direction = direction - 0.92 * rise * skin
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        point = point + step * direction
        _, near = tree.query(point)
        skin = outward[near]
        below = np.clip((person.joint("neck")[1] - point[:, 1]) / (0.1 * s), 0, 1)
        clear = (layer + 0.020 * below) * s
        gap = ((point - flesh[near]) * outward[near]).sum(1)
        point = point + np.maximum(0, clear - gap)[:, None] * outward[near]
        point = _off_face(head, style, point, s)
        places.append(point)
    return np.stack(places, 1).astype(np.float32)


def _combed(head: Head, style: Style, roots: NDArray, normals: NDArray) -> NDArray:
    """Unit tangents along which hair is combed at its root."""
    off = (roots - head.center) / head.size
    away = np.sign(roots[:, :1] - style.part) * np.array([[1.0, 0, 0]])
    back = np.array([0.0, 0.0, -1.0])
    down = np.array([0.0, -1.0, 0.0])
    front = np.clip(off[:, 2:3] + 0.2, 0, 1)
    match style.cut:
        case "short":
            want = 0.8 * away * np.clip(off[:, 1:2], 0, 1) + 0.5 * down + 0.25 * back
            want = want - 0.2 * front * down
        case "slick" | "ponytail" | "bun":
            want = 1.0 * back + 0.25 * down * (off[:, 2:3] < 0)
        case "afro" | "curly":
            want = normals * 1.0
        case _:
            want = (
                0.9 * away * np.clip(off[:, 1:2], 0, 1) + 0.5 * down + (0.35 + 0.9 * front) * back
            )
    if style.cut not in ("afro", "curly"):
        want = want - 0.85 * (want * normals).sum(1, keepdims=True) * normals
    return want / np.maximum(np.linalg.norm(want, axis=1, keepdims=True), 1e-6)


def _off_face(head: Head, style: Style, point: NDArray, s: float) -> NDArray:
    """Hair that comes before the ears below the hairline goes behind them."""
    out = point.copy()
    low = point[:, 1] < head.eyes + 0.045 * s
    limit = head.ear_front - 0.030 * s
    before = low & (point[:, 2] > limit)
    out[before, 2] = limit + 0.25 * np.minimum(point[before, 2] - limit, 0.02 * s)
    # Over the forehead hair lies outside the face's outline.
    wide = 0.86 * head.size[0]
    mid = before & (np.abs(point[:, 0]) < wide) & (point[:, 2] > head.center[2])
    out[mid, 0] = np.where(point[mid, 0] < 0, -wide, wide)
    return out


@cache
def _body_faces() -> NDArray:
    return embedded().faces.numpy()


def _body_normals(person: Figure) -> NDArray:
    return vertex_normals(person.vertices, _body_faces())


def ribbons(
    person: Figure,
    head: Head,
    style: Style,
    lines: Float[NDArray, "n k 3"],
    texture: Texture,
    rng: np.random.Generator,
) -> Piece:
    """Strands as ribbons that lie along the head, two triangles a step."""
    s = person.scale
    if style.cut == "ponytail":
        lines = np.concatenate([lines, _tail(person, head, style, lines.shape[1], rng)])
    count, nodes = lines.shape[:2]
    along = np.gradient(lines, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    outward = lines - (head.center - [0, 0.02, 0])
    outward[..., 1] *= np.where(lines[..., 1] < head.ear_low, 0.1, 1.0)  # Below, hair hangs.
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    across = np.cross(along, outward)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    v = np.linspace(0, 1, nodes)
    width = (
        (0.0075 if style.length > 0.12 else 0.0055)
        * s
        * (1 - (0.85 if style.curl < 0.5 else 0.5) * v**2)
    )
    width = width[None, :, None] * rng.uniform(0.6, 1.3, (count, 1, 1))
    vertices = np.stack([lines - width * across, lines + width * across], 2).reshape(-1, 3)
    tilt = rng.normal(0, 0.25, (count, 1, 1))
    normal = outward - (outward * along).sum(-1, keepdims=True) * along * 0.7
    both = np.stack([normal - (0.45 - tilt) * across, normal + (0.45 + tilt) * across], 2)
    normals = both.reshape(-1, 3) / np.linalg.norm(both.reshape(-1, 3), axis=1, keepdims=True)
    at = (np.arange(count)[:, None] * nodes + np.arange(nodes - 1)[None]).ravel() * 2
    quads = np.stack([at, at + 1, at + 3, at + 2], 1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    u = rng.random((count, 1, 1)) + np.array([0.0, 0.05])
    uv = np.stack(np.broadcast_arrays(u, v[None, :, None]), -1).reshape(-1, 2)
    weights = _hung_weights(person, lines, head)
    shell = Shell(vertices.astype(np.float32), faces, np.repeat(weights, 2, 0))
    materials = np.zeros(len(faces), np.int64)
    return Piece("hair", LABELS.index("hair"), shell, uv[faces].astype(np.float32), materials,
                 (texture,), 0.3, normals.astype(np.float32))  # fmt: skip


def _tail(
    person: Figure, head: Head, style: Style, nodes: int, rng: np.random.Generator
) -> NDArray:
    """Strands of a ponytail: out from the back of the head, then down, clear of the back."""
    s, count = person.scale, 260
    knot = head.center + [0, 0.02 * s, -head.size[2] - 0.012 * s]
    t = np.linspace(0, 1, nodes)[None, :]
    radius = (0.006 + 0.018 * np.sin(np.pi * 0.75 * t)) * s
    side = rng.normal(0, 0.6, (count, 1)) * radius
    deep = rng.normal(0, 0.6, (count, 1)) * radius
    length = style.length * s * rng.uniform(0.8, 1, (count, 1))
    x = knot[0] + side
    y = knot[1] + 0.035 * s * np.sin(np.pi * np.minimum(1, 2.2 * t)) * (1 - t) - length * t**1.3
    z = knot[2] - 0.055 * s * np.minimum(1, 3 * t) + deep
    return np.stack(np.broadcast_arrays(x, y, z), -1).astype(np.float32)


def _hung_weights(person: Figure, lines: NDArray, head: Head) -> NDArray:
    """Hair turns with the head, and from the neck down with what it lies on."""
    points = lines.reshape(-1, 3)
    weights = head_weights(person, len(points))
    below = np.clip((head.ear_low - 0.04 - points[:, 1]) / 0.12, 0, 1)
    some = np.flatnonzero(below > 0)
    if len(some):
        trunk = np.isin(person.body.part_labels.numpy(), [PARTS.index("skin")])
        ids = np.flatnonzero(trunk)
        _, near = KDTree(person.vertices[ids]).query(points[some])
        lying = dense_weights(person.body, False)[ids[near]]
        share = below[some, None].astype(np.float32)
        weights[some] = (1 - share) * weights[some] + share * lying
    return weights
