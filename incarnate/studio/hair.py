"""Hair: a cap over the scalp and ribbons of strands that grow from it, fall and keep off faces."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from incarnate.scene.mesh import averaging
from incarnate.studio import noise
from incarnate.studio.figure import Figure, dense_weights, embedded
from incarnate.studio.piece import LABELS, Piece, Texture
from incarnate.studio.shell import Shell, cut, refined
from incarnate.studio.strands import lines_of, ribbons
from incarnate.studio.styles import (
    SHADES,
    Cut,
    Head,
    Style,
    cap_height,
    grid_faces,
    head_of,
    head_weights,
)

HAIRLINE_PASSES = 2
"""How far, in edges of the mesh, hairlines lie lower than the sculpted scalp ends."""


def shade(rng: np.random.Generator, melanin: float, age: float) -> str:
    """A colour that goes with skin and age."""
    if age > 0.86 and rng.random() < 0.75:
        return str(rng.choice(["grey", "white", "grey"]))
    if rng.random() < 0.03:
        return str(rng.choice(["pink", "blue"]))
    if melanin > 0.5:
        return str(rng.choice(["black", "black", "dark brown"]))
    dark = ["dark brown", "brown", "black", "brown"]
    fair = ["brown", "light brown", "blond", "blond", "red", "dark brown"]
    return str(rng.choice(dark if melanin > 0.33 else fair))


def style(rng: np.random.Generator, woman: bool, age: float, color: str, covered: bool) -> Style:
    """A cut for this person; `covered` by a hat it lies flat."""
    if woman:
        cuts = ["short", "bob", "long", "long", "ponytail", "bun", "curly", "afro", "slick", "bob"]
    else:
        cuts = ["short", "short", "short", "buzz", "slick", "curly", "long", "bald", "afro", "buzz"]
        cuts += ["bald"] if age > 0.85 else []
    cuts = [c for c in cuts if not covered or c not in ("afro", "bun", "curly")]
    chosen: Cut = cuts[rng.integers(len(cuts))]  # pyright: ignore[reportAssignmentType]
    length = {"buzz": 0.006, "short": 0.045, "slick": 0.07, "curly": 0.03, "afro": 0.055,
              "bob": 0.24, "long": 0.42, "ponytail": 0.34, "bun": 0.1}.get(chosen, 0.0)  # fmt: skip
    length *= float(rng.uniform(0.8, 1.25))
    curl = {"curly": 1.0, "afro": 1.0}.get(chosen, float(rng.choice([0.0, 0.0, 0.25])))
    return Style(
        chosen,
        color,
        length,
        float(rng.uniform(0.15, 0.45)),
        curl,
        float(rng.uniform(-0.035, 0.035)),
    )


def grown(person: Figure, style: Style, hat: bool, rng: np.random.Generator) -> list[Piece]:
    """The hair's pieces on this person at rest; none for the bald."""
    if style.cut == "bald":
        return []
    head = head_of(person)
    texture = strands(style.shade, rng)
    cap = _cap(person, style, hat, rng)
    cap_uvs = _cap_uvs(head, cap)
    label = LABELS.index("hair")
    zeros = np.zeros(len(cap.faces), np.int64)
    pieces = [Piece("hair cap", label, cap, cap_uvs, zeros, (texture,), 0.25)]
    if style.cut == "buzz":
        return pieces
    if style.cut == "bun" and not hat:
        pieces.append(_bun(person, head, texture, rng))
    roots, normals = _roots(cap, style, hat, head, rng)
    if len(roots) == 0:
        return pieces
    lines = lines_of(person, head, style, (roots, normals), rng)
    pieces.append(ribbons(person, head, style, lines, texture, rng))
    return pieces


@cache
def _scalp() -> tuple[csr_array, NDArray, NDArray]:
    """(m v) rows that make the cap's vertices from the body's, its faces, and how far in (m)."""
    body = embedded()
    mask, ears = body.region("scalp").numpy(), body.region("ears").numpy()
    faces = body.faces.numpy()
    rest = body.shaped(body.default_betas())
    eye = body.joints(rest)[body.smplx_joints["left_eye_smplhf"]].numpy()
    low = (rest.numpy()[:, 2] > eye[2] - 0.06) & (rest.numpy()[:, 1] < eye[1] + 0.045)
    mask = np.where(low, 0, mask)
    blur = averaging(body.faces, len(mask))
    for _ in range(HAIRLINE_PASSES):
        mask = np.maximum(mask, blur @ mask)
    mask = np.where(low | (ears > 0.3), 0, mask)
    faces = faces[(mask[faces] > 0.02).any(1) & (ears[faces] < 0.3).all(1)]
    used = np.unique(faces)
    faces, pairs = refined(np.searchsorted(used, faces), len(used))
    own = np.eye(len(used), dtype=np.float32)
    rows = np.concatenate([own, own[pairs].mean(1)])
    points = rows @ body.template.numpy()[used]
    inside = rows @ mask[used]
    shell = Shell(points.astype(np.float32), faces, rows)
    soft = np.asarray(shell.smoothed(1).spread @ inside, np.float32)
    field = soft - 0.35
    shell, carried = cut(shell, field, field[:, None])
    wide = np.zeros((len(shell.weights), body.num_vertices), np.float32)
    wide[:, used] = shell.weights
    return csr_array(wide), shell.faces, carried[:, 0]


def _cap(person: Figure, style: Style, hat: bool, rng: np.random.Generator) -> Shell:
    rows, faces, inside = _scalp()
    points = np.asarray(rows @ person.vertices, np.float32)
    weights = np.asarray(rows @ dense_weights(person.body, False), np.float32)
    shell = Shell(points, faces, weights)
    s = person.scale
    thick = min(cap_height(style), 0.004) if hat else cap_height(style)
    lumps = noise.at(noise.field(rng, 1.3), 4 * points[:, 0] + points[:, 2], 4 * points[:, 1])
    bumpy = 0.18 if style.curl > 0.5 else 0.05
    rise = thick * s * np.clip(inside / 0.30, 0.12, 1) ** 0.6 * (1 + bumpy * lumps)
    if style.cut == "afro":
        shell = shell.smoothed(4)
    points = shell.vertices + rise[:, None] * shell.normals
    return Shell(points.astype(np.float32), faces, weights)


def _cap_uvs(head: Head, cap: Shell) -> NDArray:
    """Strands run from the crown down: u round the crown, v down from it."""
    off = cap.vertices - (head.center + [0, 0, -0.25 * head.size[2]])
    turn = np.arctan2(off[:, 0], off[:, 2]) / (2 * np.pi) % 1
    down = np.arccos(np.clip(off[:, 1] / np.linalg.norm(off, axis=1), -1, 1)) / np.pi
    u = turn[cap.faces]
    u = u + ((u.max(1, keepdims=True) - u) > 0.5)
    return np.stack([u * 4, 0.1 + 0.5 * down[cap.faces]], -1).astype(np.float32)


def strands(shade: str, rng: np.random.Generator) -> Texture:
    """Strands side by side: darker at the root (v 0), lighter at the tip."""
    base = np.array(SHADES[shade], np.float32)
    u = noise.field(rng, 0.4, (1, 256))[0]
    long = noise.field(rng, 0.9, (128, 256))
    v = np.linspace(0, 1, 128)[:, None]
    tone = 1 + 0.22 * np.clip(u, -2, 2)[None] + 0.07 * long
    tone = tone * (0.72 + 0.42 * v)
    return np.clip(base * tone[..., None] + 3, 0, 255).astype(np.uint8)


def _roots(
    cap: Shell, style: Style, hat: bool, head: Head, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    count = {"short": 1300, "slick": 1000, "curly": 1900, "afro": 2200, "bob": 1000, "long": 1000,
             "ponytail": 700, "bun": 500}[style.cut]  # fmt: skip
    corners = cap.vertices[cap.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
                          axis=1)  # fmt: skip
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), rng.random(count))
    chosen = chosen.clip(max=len(area) - 1)
    b = rng.dirichlet([1, 1, 1], count).astype(np.float32)
    roots = (b[..., None] * corners[chosen]).sum(1)
    normals = (b[..., None] * cap.normals[cap.faces[chosen]]).sum(1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    if hat:
        below = roots[:, 1] < head.eyes + 0.03
        roots, normals = roots[below], normals[below]
    return roots, normals


def _bun(person: Figure, head: Head, texture: Texture, rng: np.random.Generator) -> Piece:
    """A ball of hair at the back of the head."""
    s = person.scale
    high = float(rng.choice([0.035, 0.075])) * s
    back = head.size[2] * (0.98 if high < 0.05 * s else 0.78)
    center = head.center + [0, high, -back - 0.010 * s]
    turns, rows = 24, 12
    a, b = np.meshgrid(np.arange(turns + 1) / turns, np.linspace(0.02, 0.98, rows))
    ring = np.sin(np.pi * b)
    around = ring * np.cos(2 * np.pi * a), ring * np.sin(2 * np.pi * a)
    direction = np.stack([*around, -np.cos(np.pi * b)], -1)
    radius = 0.036 * s * (1 + 0.04 * np.sin(14 * np.pi * a + 9 * b))
    points = center + radius[..., None] * direction * [1.05, 1.0, 0.85]
    shell = Shell(points.reshape(-1, 3).astype(np.float32), grid_faces(rows, turns + 1),
                  head_weights(person, points.size // 3))  # fmt: skip
    uv = np.stack([b * 2 + 0.2 * a, 0.4 + 0.4 * b], -1).reshape(-1, 2)
    zeros = np.zeros(len(shell.faces), np.int64)
    return Piece("bun", LABELS.index("hair"), shell, uv[shell.faces].astype(np.float32), zeros,
                 (texture,), 0.3, direction.reshape(-1, 3).astype(np.float32))  # fmt: skip
