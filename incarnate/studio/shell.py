"""Surfaces around a body at rest that can be cut, refined and smoothed, skin weights and all."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.sparse import csr_array

NEAREST_CUT = 1e-3  # Share of an edge that a cut leaves at least: no slivers of no area.


@dataclass(frozen=True, eq=False)
class Shell:
    """Triangles at rest, counter-clockwise from outside; `weights` are dense over the joints."""

    vertices: Float[NDArray, "v 3"]
    faces: Int[NDArray, "f 3"]
    weights: Float[NDArray, "v j"]

    @cached_property
    def spread(self) -> csr_array:
        """(v v) that gives each vertex the mean of its neighbours and itself."""
        a, b, c = self.faces.T
        count = len(self.vertices)
        own = np.arange(count)
        ends = np.concatenate([a, b, c, b, c, a, own]), np.concatenate([b, c, a, a, b, c, own])
        links = csr_array((np.ones(len(ends[0]), np.float32), ends), shape=(count, count))
        links.data[:] = 1
        degree = np.repeat(links.sum(1), np.diff(links.indptr))
        links.data /= degree
        return links

    @property
    def normals(self) -> Float[NDArray, "v 3"]:
        """Unit normals of the vertices."""
        return vertex_normals(self.vertices, self.faces)

    def smoothed(self, passes: int) -> "Shell":
        """Each vertex drawn to its neighbours' mean so many times; open edges shrink a little."""
        points = self.vertices
        for _ in range(passes):
            points = self.spread @ points
        return replace(self, vertices=np.asarray(points, np.float32))

    def kept(self, faces: Bool[NDArray, " f"]) -> "Shell":
        """Only some faces, and the vertices they need."""
        return self.compact(self.faces[faces])[0]

    def compact(self, faces: Int[NDArray, "g 3"]) -> tuple["Shell", Int[NDArray, " w"]]:
        """The shell of these faces, and where its vertices were."""
        used, place = _used(faces, len(self.vertices))
        return Shell(self.vertices[used], place[faces], self.weights[used]), used


def vertex_normals(
    vertices: Float[NDArray, "v 3"], faces: Int[NDArray, "f 3"]
) -> Float[NDArray, "v 3"]:
    """Unit normals, each the mean of its faces' by area."""
    p, q, r = (vertices.take(faces[:, i], 0).T for i in range(3))
    u, v = q - p, r - p
    out, corners = np.empty((len(vertices), 3), np.float32), faces.ravel()
    for axis in range(3):
        j, k = (axis + 1) % 3, (axis + 2) % 3
        flat = u[j] * v[k] - u[k] * v[j]
        out[:, axis] = np.bincount(corners, np.repeat(flat, 3), minlength=len(vertices))
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _used(faces: Int[NDArray, "g 3"], count: int) -> tuple[NDArray, NDArray]:
    """Which of `count` vertices faces have, and the place of each among these."""
    mark = np.zeros(count, bool)
    mark[faces.ravel()] = True
    return np.flatnonzero(mark), np.cumsum(mark) - 1


def cut(
    shell: Shell, field: Float[NDArray, " v"], carried: Float[NDArray, "v c"]
) -> tuple[Shell, Float[NDArray, "w c"]]:
    """The part where `field` is positive, its new edge exactly where linear `field` is 0.

    Triangles across the edge are split; positions, weights and `carried` are interpolated.
    """
    inside = field > 0
    count = inside[shell.faces].sum(1)
    whole = shell.faces[count == 3]
    edges: list[NDArray] = []
    fresh: list[NDArray] = []
    start = len(shell.vertices)
    for wanted in (1, 2):
        some = shell.faces[count == wanted]
        odd = (inside[some] == (wanted == 1)).argmax(1)  # The corner alone on its side.
        a, b, c = (some[np.arange(len(some)), (odd + k) % 3] for k in range(3))
        ab = start + sum(len(e) for e in edges) + np.arange(len(some))
        ac = ab + len(some)
        edges += [np.stack([a, b], 1), np.stack([a, c], 1)]
        if wanted == 1:
            fresh.append(np.stack([a, ab, ac], 1))
        else:
            fresh += [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
    ends = np.concatenate(edges)
    faces = np.concatenate([whole, *fresh])
    unique, back = _edges(ends, start)  # An edge is cut at one place, from whichever triangle.
    low, high = field[unique[:, 0]], field[unique[:, 1]]
    share = np.clip(low / np.where(low == high, 1, low - high), NEAREST_CUT, 1 - NEAREST_CUT)
    share = share.astype(np.float32)[:, None]
    faces = np.concatenate([np.arange(start), start + back])[faces]
    used, place = _used(faces, start + len(unique))
    old = used[used < start]  # Every edge that is cut is used, so the rest are all of them.

    def kept(values: NDArray) -> NDArray:
        new = (1 - share) * values[unique[:, 0]] + share * values[unique[:, 1]]
        return np.concatenate([values[old], new.astype(values.dtype)])

    return Shell(kept(shell.vertices), place[faces], kept(shell.weights)), kept(carried)


def _edges(ends: Int[NDArray, "e 2"], count: int) -> tuple[NDArray, NDArray]:
    """The different edges (m 2), lower end first, and which of them each is."""
    key = ends.min(1) * count + ends.max(1)
    unique, back = np.unique(key, return_inverse=True)
    return np.stack(np.divmod(unique, count), 1), back.ravel()


def refined(faces: Int[NDArray, "f 3"], count: int) -> tuple[Int[NDArray, "g 3"], NDArray]:
    """Each triangle in four: the faces, and the pairs (m 2) of vertices whose middles are new."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs, back = _edges(sides, count)
    ab, bc, ca = (count + part for part in np.split(back, 3))
    a, b, c = faces.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.stack(part, 1) for part in parts]), pairs
