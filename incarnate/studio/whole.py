"""All pieces of a person in one mesh, and the stool for those who sit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray

from incarnate import _native
from incarnate.studio.piece import LABELS, Piece
from incarnate.studio.seat import SEAT_FACES, SEAT_VERTICES

SEAT_COLOR = (122, 92, 66)


@dataclass(frozen=True, eq=False)
class Whole:
    """Pieces joined: one array for each thing. The stool's vertices and faces are the last."""

    rest: Float[NDArray, "v 3"]
    bone_starts: Int[NDArray, " v1"]
    """First of each vertex's bones; one more than vertices."""
    bones: Int[NDArray, " b"]
    weights: Float[NDArray, " b"]
    faces: Int[NDArray, "f 3"]
    uvs: Float[NDArray, "f 3 2"]
    texels: UInt8[NDArray, "t 3"]
    texture: Int[NDArray, "f 3"]
    """First texel, height and width of each face's texture."""
    labels: UInt8[NDArray, " f"]
    """Index into LABELS; background for the stool."""
    gloss: Float[NDArray, " f"]
    normals: Float[NDArray, "v 3"]
    """Normals at rest of what brings its own; 0 elsewhere."""
    own_normals: Bool[NDArray, " v"]
    num_joints: int

    @cached_property
    def casting(self) -> Int[NDArray, "g 3"]:
        """The faces that cast shadows: all but single strands of hair."""
        return self.faces[~self.own_normals[self.faces[:, 0]]]

    @cached_property
    def native(self) -> _native.Dressed:
        """The same for the compiled core."""
        return _native.Dressed(
            self.bone_starts,
            self.bones,
            self.weights,
            self.normals,
            self.own_normals.view(np.uint8),
            self.faces.astype(np.int32),
            self.uvs,
            self.texels,
            self.texture,
            self.labels,
            self.gloss,
            self.num_joints,
        )


def joined(pieces: tuple[Piece, ...]) -> Whole:
    """The pieces in one; the first is the body."""
    starts = np.cumsum([0, *(len(p.shell.vertices) for p in pieces)])
    textures, table, at = [], [], 0
    for p in pieces:
        rows = []
        for t in p.textures:
            rows.append((at, t.shape[0], t.shape[1]))
            textures.append(t.reshape(-1, 3))
            at += len(textures[-1])
        table.append(np.array(rows, np.int32)[p.materials])
    seats, seat_faces = len(SEAT_VERTICES), len(SEAT_FACES)
    table.append(np.tile(np.array([at, 1, 1], np.int32), (seat_faces, 1)))
    normals = [np.zeros_like(p.shell.vertices) if p.normals is None else p.normals for p in pieces]
    labels = [np.full(len(p.shell.faces), p.label, np.uint8) for p in pieces]
    labels[0] = _body_labels(pieces[0])
    own = np.repeat([p.normals is not None for p in pieces], np.diff(starts))
    bone_starts, bones, weights = _sparse([p.shell.weights for p in pieces])
    nothing = np.zeros((seats, 3), np.float32)
    return Whole(
        np.concatenate([*(p.shell.vertices for p in pieces), nothing]),
        np.concatenate([bone_starts, np.full(seats, bone_starts[-1], np.int32)]),
        bones,
        weights,
        np.concatenate(
            [
                *(p.shell.faces + s for p, s in zip(pieces, starts, strict=False)),
                SEAT_FACES + starts[-1],
            ]
        ),  # fmt: skip
        np.concatenate([*(p.uvs for p in pieces), np.zeros((seat_faces, 3, 2), np.float32)]),
        np.concatenate([*textures, np.array([SEAT_COLOR], np.uint8)]),
        np.concatenate(table),
        np.concatenate([*labels, np.zeros(seat_faces, np.uint8)]),
        np.concatenate(
            [
                *(np.full(len(p.shell.faces), p.gloss, np.float32) for p in pieces),
                np.full(seat_faces, 0.1, np.float32),
            ]
        ),  # fmt: skip
        np.concatenate([*normals, nothing]).astype(np.float32),
        np.concatenate([own, np.zeros(seats, bool)]),
        pieces[0].shell.weights.shape[1],
    )


def _sparse(dense: list[NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    """First bone of each row, bones and weights of rows of dense weights, one after the other."""
    counts, bones, weights = [], [], []
    for rows in dense:
        used = np.flatnonzero(rows.any(0))  # Most pieces hang on few bones.
        some = rows[:, used]
        row, column = np.nonzero(some > 1e-4)
        counts.append(np.bincount(row, minlength=len(rows)))
        bones.append(used[column].astype(np.int32))
        weights.append(some[row, column])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    return starts, np.concatenate(bones), np.concatenate(weights).astype(np.float32)


def _body_labels(piece: Piece) -> UInt8[NDArray, " f"]:
    """Of the body's materials: skin, eyes, mouth, lashes."""
    names = ("skin", "eyes", "mouth", "mouth", "mouth", "eyes")
    return np.array([LABELS.index(n) for n in names], np.uint8)[piece.materials]
