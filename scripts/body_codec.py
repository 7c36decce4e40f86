"""Packing for incarnate.body.codec: see there for the format."""

import numpy as np
from scipy.spatial import KDTree

from incarnate.body.codec import SHIFT, predicted, zigzag

NEIGHBORS = 6
RIDGE = 2.0


def packed(name: str, ticks: np.ndarray, points: np.ndarray) -> dict[str, np.ndarray]:
    """A dense table (r, n, 3) of integers over n points in space, coarse to fine."""
    order, levels = coarse_to_fine(points)
    rows = ticks.transpose(1, 2, 0).reshape(len(points), -1)[order]
    where = points[order]
    neighbors = np.zeros((len(points), NEIGHBORS), np.uint16)
    weights = np.zeros((len(points), NEIGHBORS), np.int16)
    rest = rows.copy()
    for start, end in zip(levels[:-1], levels[1:], strict=True):
        near = np.asarray(KDTree(where[:start]).query(where[start:end], NEIGHBORS)[1])
        neighbors[start:end] = near
        for i in range(start, end):
            weights[i] = fitted(rows[near[i - start]], rows[i])
        rest[start:end] -= predicted(rows[:start], neighbors[start:end], weights[start:end])
    assert np.abs(rest).max() < 1 << 14
    coded = zigzag(rest).T
    return {
        f"{name}_low": (coded & 255).astype(np.uint8),
        f"{name}_high": (coded >> 8).astype(np.uint8),
        f"{name}_neighbors": neighbors,
        f"{name}_weights": weights,
        f"{name}_levels": np.array(levels, np.int32),
        f"{name}_order": order.astype(np.uint16),
    }


def coarse_to_fine(points: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """An order in which every prefix covers the points evenly, and the ends of its levels."""
    distance = np.full(len(points), np.inf)
    order = np.zeros(len(points), np.int64)
    chosen = 0
    for step in range(len(points)):
        order[step] = chosen
        distance = np.minimum(distance, ((points - points[chosen]) ** 2).sum(1))
        distance[chosen] = -1
        chosen = int(distance.argmax())
    levels, end = [], 16
    while end < len(points):
        levels.append(end)
        end *= 2
    return order, [*levels, len(points)]


def fitted(near: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Integer predictor weights by ridge regression towards the plain mean."""
    values, target = near.astype(np.float64), row.astype(np.float64)
    # Robust: one round of reweighting, since few channels hold most of the energy.
    scale = 1 / (1 + np.abs(target - values.mean(0)))
    a = values * scale
    mean = np.full(len(near), 1 / len(near))
    gram = a @ a.T + RIDGE * np.eye(len(near))
    weights = mean + np.linalg.solve(gram, a @ (scale * (target - mean @ values)))
    return np.rint(weights * (1 << SHIFT)).clip(-32768, 32767).astype(np.int16)


def packed_sparse(name: str, ticks: np.ndarray) -> dict[str, np.ndarray]:
    """A table (r, n, 3) of integers, mostly zero: a bit mask and the steps between its members."""
    members = np.abs(ticks).max(2) > 0
    parts = []
    for row, mask in zip(ticks, members, strict=True):
        parts.append(np.diff(row[mask], axis=0, prepend=np.zeros((1, 3), np.int32)))
    coded = zigzag(np.concatenate(parts)).T
    return {
        f"{name}_members": np.packbits(members, axis=1),
        f"{name}_low": (coded & 255).astype(np.uint8),
        f"{name}_high": (coded >> 8).astype(np.uint8),
    }
