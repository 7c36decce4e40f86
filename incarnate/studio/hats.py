"""Hats: a dome over the widest head above the brow, with or without a brim."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from incarnate.studio.fabrics import COLORS, Fabric
from incarnate.studio.figure import Figure
from incarnate.studio.piece import LABELS, Piece
from incarnate.studio.shell import Shell
from incarnate.studio.styles import grid_faces, head_of, head_weights

TURNS, ROWS = 48, 14


def hat(person: Figure, kind: str, fabric: Fabric) -> list[Piece]:
    """The pieces of a beanie, cap or brimmed hat on this person at rest."""
    head, s = head_of(person), person.scale
    room = 0.014 * s
    band = head.eyes + 0.036 * s
    base = np.array([0.0, band, head.center[2] - 0.002 * s])
    half = np.array([head.size[0], head.center[1] + head.size[1] - band, head.size[2]]) + room
    match kind:
        case "beanie":
            profile = _dome(1.06, 2.5)
        case "cap":
            profile = _dome(1.05, 2.6)
        case _:
            profile = _dome(1.25, 5.0)
    turn = np.arange(TURNS + 1) / TURNS * 2 * np.pi
    ring = np.stack([np.sin(turn), np.zeros_like(turn), np.cos(turn)], -1)
    points = base + (profile[:, :1, None] * ring + profile[:, 1:, None] * [0, 1, 0]) * half
    if kind == "beanie":  # Its lower rim sits low at the back.
        points[..., 1] -= 0.030 * s * np.clip(-ring[:, 2], 0, 1) * (1 - profile[:, 1:])
    pieces = [_surface(person, kind, points, fabric)]
    if kind != "beanie":
        pieces.append(_surface(person, "brim", _brim(kind, base, half, ring, s), fabric))
    return pieces


def _dome(height: float, power: float) -> Float[NDArray, "r 2"]:
    """Radius and height of a superellipse from the rim to the top."""
    t = np.linspace(0, np.pi / 2, ROWS)
    return np.stack([np.cos(t) ** (2 / power), height * np.sin(t) ** (2 / power)], -1)


def _brim(kind: str, base: NDArray, half: NDArray, ring: NDArray, s: float) -> NDArray:
    """Rows of points from the rim outwards: below, then back above, so that it has a thickness."""
    out = np.linspace(0, 1, 6)
    front = np.clip(ring[:, 2], 0, 1) ** 0.6 * (ring[:, 2] > 0)
    reach = 0.075 * s * (front if kind == "cap" else np.ones(len(ring)))
    rows = []
    for lift, steps in ((-0.002 * s, out), (0.002 * s, out[::-1])):
        for step in steps:
            drop = 0.020 * s * step**2 if kind == "cap" else -0.012 * s * step**2
            flat = ring * (half * 0.985) + ring * (reach * step)[:, None]
            rows.append(base + flat + [0, lift - drop, 0])
    return np.stack(rows)


def _surface(person: Figure, name: str, points: NDArray, fabric: Fabric) -> Piece:
    rows, columns = points.shape[:2]
    faces = grid_faces(rows, columns)
    flat = points.reshape(-1, 3).astype(np.float32)
    shell = Shell(flat, faces, head_weights(person, len(flat)))
    u, v = np.meshgrid(np.arange(columns) / (columns - 1), np.arange(rows) / (rows - 1))
    uv = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    ribs = 1 + 0.08 * np.sin(np.arange(256) / 256 * 2 * np.pi * 48) * (name == "beanie")
    fold = np.where((np.arange(64) < 16)[:, None] & (name == "beanie"), 0.9, 1.0)
    color = np.array(COLORS[fabric.color], np.float32)
    texture = np.clip(color * (fold * ribs[None])[..., None], 0, 255).astype(np.uint8)
    zeros = np.zeros(len(faces), np.int64)
    return Piece(name, LABELS.index("hat"), shell, uv[faces], zeros, (texture,), 0.03)
