"""Surfaces that are cut: edges where they should be, nothing lost, nothing added."""

import numpy as np
import pytest
from numpy.typing import NDArray

from incarnate.studio.shell import Shell, cut, refined, vertex_normals


def grid(side: int = 9) -> Shell:
    """The unit square in the xy plane, facing +z, with two weights that follow x."""
    at = np.linspace(0, 1, side, dtype=np.float32)
    x, y = np.meshgrid(at, at)
    points = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    k = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate([np.stack([k, k + 1, k + side + 1], 1),
                            np.stack([k, k + side + 1, k + side], 1)])  # fmt: skip
    return Shell(points, faces, np.stack([points[:, 0], 1 - points[:, 0]], 1))


def area(shell: Shell) -> float:
    a, b, c = (shell.vertices[shell.faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def border(faces: NDArray) -> NDArray:
    """Vertices on edges that only one triangle has."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[count == 1])


@pytest.mark.parametrize("slope", [0.0, 0.7])
def test_a_cut_along_a_line_leaves_the_area_under_it_and_an_edge_on_it(slope: float) -> None:
    shell = grid()
    x, y, _ = shell.vertices.T
    field = (0.55 + slope * (x - 0.5) - y).astype(np.float32)
    out, carried = cut(shell, field, field[:, None])
    assert area(out) == pytest.approx(0.55, abs=2e-4)  # The line's mean height; shares are clipped.
    new = carried[:, 0] < 0.003
    assert np.abs(out.vertices[new, 1] - 0.55 - slope * (out.vertices[new, 0] - 0.5)).max() < 2e-4
    assert (vertex_normals(out.vertices, out.faces)[:, 2] > 0.999).all()  # None is turned over.


def test_both_sides_of_a_cut_fit_together() -> None:
    shell = grid()
    field = (np.sin(5 * shell.vertices[:, 0]) * 0.3 + 0.5 - shell.vertices[:, 1]).astype(np.float32)
    kept, _ = cut(shell, field, field[:, None])
    rest, _ = cut(shell, -field, field[:, None])
    assert area(kept) + area(rest) == pytest.approx(1, abs=1e-5)
    seam = {tuple(p) for p in kept.vertices.round(5).tolist()}
    other = {tuple(p) for p in rest.vertices.round(5).tolist()}
    assert len(seam & other) >= 9


def test_weights_and_what_is_carried_are_linear_across_a_cut() -> None:
    shell = grid()
    out, carried = cut(shell, 0.44 - shell.vertices[:, 0], shell.vertices[:, :2])
    assert np.abs(carried - out.vertices[:, :2]).max() < 1e-6
    assert np.abs(out.weights[:, 0] - out.vertices[:, 0]).max() < 1e-6
    assert np.abs(out.weights.sum(1) - 1).max() < 1e-6


def test_a_cut_makes_no_cracks() -> None:
    shell = grid()
    out, _ = cut(shell, 0.37 + 0.3 * shell.vertices[:, 0] - shell.vertices[:, 1],
                 shell.vertices)  # fmt: skip
    edge = out.vertices[border(out.faces)]
    on_square = (np.abs(edge[:, :2] * (1 - edge[:, :2])) < 1e-6).any(1)
    on_line = np.abs(edge[:, 1] - 0.37 - 0.3 * edge[:, 0]) < 1e-3
    assert (on_square | on_line).all()


def test_refining_keeps_the_area_and_makes_four_of_each() -> None:
    shell = grid(4)
    faces, pairs = refined(shell.faces, len(shell.vertices))
    points = np.concatenate([shell.vertices, shell.vertices[pairs].mean(1)])
    fine = Shell(points, faces, np.zeros((len(points), 1), np.float32))
    assert len(faces) == 4 * len(shell.faces)
    assert area(fine) == pytest.approx(1, abs=1e-6)
