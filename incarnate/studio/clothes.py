"""Clothes cut from a surface close about the body: drape, fold, then cut along level sets."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from incarnate.studio import noise
from incarnate.studio.fabrics import Fabric, textures
from incarnate.studio.figure import LEFT_ARM, LEFT_LEG, TORSO, Figure, Measured
from incarnate.studio.piece import LABELS, Piece, wrapped_uvs
from incarnate.studio.shell import Shell, cut

Neck = Literal["crew", "v", "wide", "high", "collar"]
MARGIN = 0.02
"""Metres inside a garment's edge from which on what lies under it is left out."""
CLEAR = 0.003
"""Metres that cloth keeps from the surface it is cut from."""


@dataclass(frozen=True)
class Garment:
    """A cut. Heights are metres of the average adult above the pelvis joint."""

    name: str
    label: str
    fabric: Fabric
    top: float | None = None
    """Where it ends above; None for what hangs from the shoulders."""
    hem: float = 0.0
    """Where it ends below."""
    sleeve: float = 0.0
    """Reach along the arm where sleeves end, 0 for none (0 shoulder, 1 elbow, 2 wrist)."""
    neck: Neck = "crew"
    open: float = 0.0
    """Width of an open front in metres, 0 for closed."""
    thickness: float = 0.009
    ease: float = 0.5
    """0 follows the body, 1 hangs from it."""
    leg_radius: float = 0.0
    """Metres about the leg that trousers keep, 0 to follow the leg."""
    flare: float = 0.0
    """Widening of a skirt, in metres a metre."""
    pleats: int = 0
    clear: float = CLEAR
    """Metres kept from the body: more for what is worn over other clothes."""
    gloss: float = 0.02


@dataclass(frozen=True, eq=False)
class Worn:
    """A garment made for a person."""

    garment: Garment
    piece: Piece
    measured: Measured


def sewn(person: Figure, garment: Garment, base: "Base", rng: np.random.Generator) -> Worn:
    """The garment on this person at rest."""
    if garment.label == "shoes":
        shaped = _shoe(person, garment, base)
    elif garment.hem < 0 and garment.flare > 0:
        base = base_of(person, person.skirt())
        shaped = _skirted(person, garment, base, rng)
    else:
        shaped = _draped(person, garment, base, rng)
    reach = base.measured.reach
    measured = replace(base.measured, height=shaped.vertices[:, 1])
    fields = limits(person, garment, shaped.vertices, measured)
    origin = base.shell.vertices
    arm = 2.0 * base.arm_share - 1
    for k in range(fields.shape[1]):
        carried = np.concatenate([fields, origin, reach[:, None], arm[:, None]], 1)
        shaped, carried = cut(shaped, fields[:, k], carried)
        fields, origin = carried[:, : fields.shape[1]], carried[:, -5:-2]
        reach, arm = carried[:, -2], carried[:, -1]
    shell, measured = _parted(person, garment, shaped, origin, arm)
    uvs, part = wrapped_uvs(person, measured, shell.faces)
    cloth = textures(garment.fabric, set(part.tolist()), rng)
    label = LABELS.index(garment.label)
    return Worn(
        garment, Piece(garment.name, label, shell, uvs, part, cloth, garment.gloss), measured
    )


def _parted(
    person: Figure, garment: Garment, shell: Shell, origin: NDArray, arm: NDArray
) -> tuple[Shell, Measured]:
    """The garment taken apart where arms and legs begin, so that each is measured by itself."""
    crotch = person.joint("left_hip")[1] - 0.06 * person.scale
    leg = np.where(arm > 0, -1.0, crotch - origin[:, 1]).astype(np.float32)
    if garment.flare > 0:
        leg[:] = -1
    trunk = np.minimum(-arm, -leg)
    shells, places, limbs = [], [], []
    for limb, field in ((LEFT_ARM, arm), (LEFT_LEG, leg), (TORSO, trunk)):
        if not (field > 0).any():
            continue
        part, where = cut(shell, field, origin)
        side = 0 if limb == TORSO else (where[:, 0] < 0).astype(np.int64)
        shells.append(part)
        places.append(where)
        limbs.append(np.full(len(where), limb) + side)
    starts = np.cumsum([0, *(len(s.vertices) for s in shells)])
    joined = Shell(
        np.concatenate([s.vertices for s in shells]),
        np.concatenate([s.faces + start for s, start in zip(shells, starts, strict=False)]),
        np.concatenate([s.weights for s in shells]),
    )
    measured = person.measured(np.concatenate(places), joined.weights, np.concatenate(limbs))
    return joined, replace(measured, height=joined.vertices[:, 1])


@dataclass(frozen=True, eq=False)
class Base:
    """The uncut surface with what is measured on it, made once for all clothes of a person."""

    shell: Shell
    normals: Float[NDArray, "v 3"]
    measured: Measured
    arm_share: Float[NDArray, " v"]
    """How much of each vertex's weight is an arm's."""


def base_of(person: Figure, shell: Shell) -> Base:
    """The surface, measured."""
    measured = person.measured(shell.vertices, shell.weights)
    return Base(shell, shell.normals, measured, person.arm_share(shell.weights))


def limits(
    person: Figure, garment: Garment, points: Float[NDArray, "n 3"], measured: Measured
) -> Float[NDArray, "n k"]:
    """Signed metres to each of the garment's edges, positive inside."""
    s, base = person.scale, float(person.joint("pelvis")[1])
    x, y, z = points.T
    arm = measured.is_arm
    if garment.label == "shoes":
        rim = person.floor + garment.hem * s - y
        return np.where(measured.limb >= LEFT_LEG, rim, -1.0)[:, None].astype(np.float32)
    hem = np.where(arm, 1.0, y - base - garment.hem * s)
    fields = [hem]
    if garment.top is not None:
        fields.append(np.where(arm, -1.0, base + garment.top * s - y))
        return np.stack(fields, 1).astype(np.float32)
    fields += _neck_limits(person, garment.neck, points)
    if garment.sleeve > 0:
        length = np.linalg.norm(person.joint("left_elbow") - person.joint("left_shoulder"))
        fields.append(np.where(arm, (garment.sleeve - measured.reach) * length, 1.0))
    else:
        shoulder = person.joint("left_shoulder")
        side = shoulder[0] * 0.8 - np.abs(x)
        fields.append(np.where(arm, -0.02, np.maximum(side, shoulder[1] - 0.12 * s - y)))
    if garment.open > 0:
        middle = person.joint("spine3")[2]
        fields.append(np.abs(x) + np.maximum(0, middle - z) * 20 - garment.open / 2)
    return np.stack(fields, 1).astype(np.float32)


def covered(
    person: Figure, garment: Garment, points: Float[NDArray, "n 3"], measured: Measured
) -> Bool[NDArray, " n"]:
    """Points so far inside the garment's edges that nothing of them can be seen."""
    if garment.flare > 0 and garment.hem < 0:
        # A skirt stands off, so that legs are seen from below: only what its waist holds is out.
        above = limits(person, garment, points, measured)[:, 1]
        return (above > 2.5 * MARGIN) & (above < 0.2 * person.scale) & ~measured.is_arm
    return np.asarray((limits(person, garment, points, measured) > MARGIN).all(1))


def _neck_limits(person: Figure, neck: Neck, points: NDArray) -> list[NDArray]:
    s = person.scale
    x, y, z = points.T
    base = person.joint("neck")
    lift = {"crew": 0.025, "v": 0.02, "wide": -0.012, "high": 0.055, "collar": 0.04}[neck] * s
    tilt = {"crew": 0.55, "v": 0.5, "wide": 0.5, "high": 0.25, "collar": 0.4}[neck]
    plane = lift - 0.9 * (y - base[1]) - tilt * (z - base[2] - 0.02 * s)
    fields = [plane]
    if neck in ("v", "collar"):
        depth = (0.17 if neck == "v" else 0.10) * s
        wedge = np.abs(x) + np.maximum(0, base[2] + 0.02 * s - z) * 4
        fields.append(wedge - 0.45 * (y - (base[1] - depth)))
    return fields


def _draped(person: Figure, garment: Garment, base: Base, rng: np.random.Generator) -> Shell:
    s, m, ease = person.scale, base.measured, garment.ease
    points = base.shell.smoothed(2 + round(10 * ease)).vertices
    radius = np.linalg.norm(m.outward, axis=1)
    direction = m.outward / np.maximum(radius, 1e-6)[:, None]
    wider = np.zeros(len(points), np.float32)
    trunk = m.limb == TORSO
    if garment.top is None:
        wider[trunk] = ease * _hang(m.turn[trunk], m.height[trunk], radius[trunk], s)
        loose = (
            (0.010 + 0.030 * ease)
            * s
            * np.clip(m.reach, 0, 2) ** 0.7
            * (1 - 0.45 * np.clip(m.reach - 1, 0, 1))
        )
        wider = np.where(m.is_arm, ease * loose, wider)
    elif garment.leg_radius > 0:
        leg = m.limb >= LEFT_LEG
        knee = person.joint("left_hip")[1] - 0.15 * s
        fade = np.clip((knee - m.height) / (0.2 * s), 0, 1)
        wider = np.where(leg, fade * np.maximum(0, garment.leg_radius * s - radius), wider)
    points = points + wider[:, None] * direction
    shell = replace(base.shell, vertices=points.astype(np.float32)).smoothed(2)
    folded = garment.thickness + _folds(person, garment, m, rng)
    points = shell.vertices + folded[:, None] * shell.normals
    gap = ((points - base.shell.vertices) * base.normals).sum(1)
    need = garment.clear + 0.5 * garment.thickness
    points = points + np.maximum(0, need - gap)[:, None] * base.normals
    return replace(shell, vertices=points.astype(np.float32))


def _hang(turn: NDArray, height: NDArray, radius: NDArray, s: float) -> NDArray:
    """How much further out cloth is that falls from the widest places above, at most 45 mm."""
    turns, step = 40, 0.012 * s
    row = np.clip(((height.max() - height) / step).astype(int), 0, None)
    column = (turn * turns).astype(int) % turns
    grid = np.zeros((row.max() + 1, turns), np.float32)
    np.maximum.at(grid, (row, column), radius)
    start = int(0.12 * s / step)  # Shoulders themselves do not count.
    hung = grid.copy()
    for k in range(start + 1, len(grid)):
        hung[k] = np.maximum(grid[k], hung[k - 1] - 0.10 * step)
    more = np.clip(hung - grid, 0, 0.045 * s)
    for _ in range(4):
        more = (np.roll(more, 1, 1) + more + np.roll(more, -1, 1)) / 3
        more[1:-1] = (more[:-2] + more[1:-1] + more[2:]) / 3
    return more[row, column]


def _folds(person: Figure, garment: Garment, m: Measured, rng: np.random.Generator) -> NDArray:
    """Metres along the normal: rings about joints, falls elsewhere, deeper in looser cloth."""
    s = person.scale
    along = np.where(m.is_arm, 0.28 * m.reach, m.height / s)
    limb = m.limb * 0.37
    slant = 0.35 * np.sin(2 * np.pi * m.turn + m.limb)
    rings = noise.at(noise.field(rng, 1.5), 0.35 * m.turn + limb, 1.1 * (along + 0.2 * slant))
    falls = noise.at(noise.field(rng, 1.6), 1.0 * m.turn + limb, 0.35 * along + limb)
    rings, falls = 1 - 2 * np.abs(np.tanh(rings)), np.tanh(falls)
    knee, waist = person.joint("left_knee")[1], person.joint("spine1")[1]
    near = np.exp(-(((m.reach - 1) / 0.5) ** 2)) * m.is_arm
    near = near + np.exp(-(((m.height - knee) / (0.14 * s)) ** 2)) * (m.limb >= LEFT_LEG)
    near = near + 0.8 * np.exp(-(((m.height - waist) / (0.10 * s)) ** 2)) * (m.limb == TORSO)
    deep = (0.0016 + 0.0080 * garment.ease) * s
    return deep * (rings * (0.35 + near) + 0.7 * falls)


def _skirted(person: Figure, garment: Garment, base: Base, rng: np.random.Generator) -> Shell:
    s = person.scale
    top = base.shell.vertices[:, 1].max()
    # About the trunk at all heights: a skirt has no legs.
    shell = base.shell.smoothed(3)
    points = shell.vertices
    middle = person.joint("pelvis")[2] + 0.01 * s
    flat = points - np.stack([0 * points[:, 0], points[:, 1], 0 * points[:, 2] + middle], 1)
    radius = np.linalg.norm(flat, axis=1)
    direction = flat / np.maximum(radius, 1e-6)[:, None]
    turn = np.arctan2(flat[:, 0], -flat[:, 2]) / (2 * np.pi)
    drop = np.clip(top - points[:, 1], 0, None)
    waves = np.sin(2 * np.pi * garment.pleats * turn) if garment.pleats else 0 * turn
    soft = noise.at(noise.field(rng, 1.8), turn % 1, 0.2 * drop)
    out = garment.thickness + (garment.flare - 0.18) * drop
    out = out + np.minimum(0.05 * drop, 0.012 * s) * (waves + 0.8 * soft)
    points = points + out[:, None] * direction
    return replace(shell, vertices=points.astype(np.float32))


def _shoe(person: Figure, garment: Garment, base: Base) -> Shell:
    """A sock drawn tight over the toes, widened, on a flat sole."""
    s, floor = person.scale, person.floor
    shell = base.shell.smoothed(5)
    points = shell.vertices + (0.004 * s + garment.thickness) * shell.normals
    gap = ((points - base.shell.vertices) * base.normals).sum(1)
    points = points + np.maximum(0, 0.004 - gap)[:, None] * base.normals
    low = points[:, 1] < floor + 0.016 * s
    sole = floor - 0.012 * s
    points[:, 1] = np.where(low, sole, points[:, 1])
    return replace(shell, vertices=points.astype(np.float32))
