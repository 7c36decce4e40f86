"""Cloth unrolled: the trunk and each limb as a rectangle, round it and along it.

What the photo shows of cloth ends at the outline. Beyond, it is continued as in a mirror that
stands at this border: stripes go on, folds do not smear, and detail stays as fine as it was seen.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from incarnate.avatars import garments
from incarnate.avatars.garments import Anatomy

TRUNK, RIGHT_ARM, LEFT_ARM, RIGHT_LEG, LEFT_LEG = range(5)
TWIN = (TRUNK, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG)
NUM_ROWS = 24
FEW = 150  # Points: fewer tell nothing of a section.
SHOWN = 0.9  # Quantile of the seen turns beyond which a row counts as not seen.
FEW_OF_ROW, WIDTH, LEAST_WIDTH = 6, 1.2, 0.3  # Points; radians seen of a side, if it has fewer.
MIDDLE = 0.35  # Radians: what begins nearer to the middle goes through it.


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Where points lie on the trunk and the limbs."""

    section: Int[ndarray, " n"]
    turn: Float[ndarray, " n"]
    """Radians round the section's core: 0 in front, positive to the left of the trunk."""
    row: Float[ndarray, " n"]
    """Metres along the section, upwards."""
    radius: Float[ndarray, " n"]
    """Metres: what a radian is long."""


def unrolled(where: Anatomy) -> Unrolled:
    """Unrolls the rest pose."""
    arm = np.isin(where.segments, (garments.ARM, garments.HAND))
    leg = np.isin(where.segments, (garments.LEG, garments.FOOT))
    section = np.where(arm, RIGHT_ARM, np.where(leg, RIGHT_LEG, TRUNK))
    section = section + (arm | leg) * where.left.astype(int)
    turn, row, radius = (np.zeros(len(section)) for _ in range(3))
    for number in np.unique(section):
        mine = section == number
        turn[mine], row[mine], radius[mine] = _round(where.points[mine], bool(number == TRUNK))
    return Unrolled(section, turn, row, radius)


def _round(points: Float[ndarray, "n 3"], upright: bool) -> tuple[ndarray, ndarray, ndarray]:
    """Turns, rows and radii about the core of one section, as if it were a round tube."""
    axis = np.array([0.0, 1.0, 0.0])
    if not upright and len(points) > 2:
        axis = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
        axis = axis * (1 if axis[1] >= 0 else -1)
    ahead = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    ahead = ahead / np.linalg.norm(ahead).clip(1e-6)
    row = points @ axis
    across = points @ np.stack([np.cross(axis, ahead), ahead], 1)
    edges = np.linspace(row.min(), row.max() + 1e-6, NUM_ROWS + 1)
    bins = np.searchsorted(edges, row, side="right") - 1
    known = np.unique(bins)
    low = np.stack([np.quantile(across[bins == b], 0.03, axis=0) for b in known])
    high = np.stack([np.quantile(across[bins == b], 0.97, axis=0) for b in known])
    middle, half = (_smooth(a) for a in ((low + high) / 2, (high - low) / 2))
    at = (edges[known] + edges[known + 1]) / 2
    off = np.stack([np.interp(row, at, middle[:, c]) for c in range(2)], 1)
    size = np.stack([np.interp(row, at, half[:, c].clip(0.01)) for c in range(2)], 1)
    x, z = ((across - off) / size).T
    return np.arctan2(x, z), row, size.mean(1)


def _smooth(values: Float[ndarray, "r c"]) -> Float[ndarray, "r c"]:
    return gaussian_filter1d(values, 1.0, axis=0, mode="nearest")


def continued(
    chart: Unrolled, mine: Bool[ndarray, " n"], sources: Bool[ndarray, " n"]
) -> Int[ndarray, " m"]:
    """For each of `mine` which of the sources (counted among themselves) lends it detail; -1 where
    its section shows too little.

    Each side of a section goes on as itself: to and fro between the outermost and the innermost
    source of the row, so that an open jacket lends no shirt.
    """
    lender = np.full(len(mine), -1)
    number = np.cumsum(sources) - 1
    for section in np.unique(chart.section[mine]):
        here = mine & (chart.section == section)
        own, side = sources & (chart.section == section), 1
        twin = sources & (chart.section == TWIN[section])
        if own.sum() < max(FEW, 0.3 * twin.sum()):  # Hidden, or nearly: it is as its twin.
            own, side = twin, -1 if section else 1
        if own.sum() < FEW:
            continue
        shown = _Shown(chart.turn[own], chart.row[own])
        scale = [float(np.median(chart.radius[own])), 1.0]
        seen = np.stack([shown.off(chart.turn[own], chart.row[own]), chart.row[own]], 1)
        off = shown.folded(shown.off(side * chart.turn[here], chart.row[here]), chart.row[here])
        around = np.stack([off, chart.row[here]], 1)
        lender[here] = number[own][KDTree(seen * scale).query(around * scale)[1]]
    return lender[mine]


class _Shown:
    """What is seen of a section, by row: its middle, and from where to where on either side."""

    def __init__(self, turn: Float[ndarray, " k"], row: Float[ndarray, " k"]):
        edges = np.unique(np.quantile(row, np.linspace(0, 1, NUM_ROWS // 2 + 1)))
        bins = np.clip(np.searchsorted(edges, row, side="right") - 1, 0, len(edges) - 2)
        known = np.unique(bins)
        self.rows = np.array([row[bins == b].mean() for b in known])
        middle = [np.arctan2(np.sin(t).mean(), np.cos(t).mean())
                  for t in (turn[bins == b] for b in known)]  # fmt: skip
        self.middle = gaussian_filter1d(np.unwrap(middle), 1.0, mode="nearest")
        self.bounds = {}
        off = self.off(turn, row)
        for side in (-1, 1):
            bounds = np.array([_bounds(side * off[bins == b]) for b in known])
            self.bounds[side] = gaussian_filter1d(bounds, 1.0, axis=0, mode="nearest")

    def off(self, turn: Float[ndarray, " n"], row: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Radians from the middle of what is seen."""
        return (turn - np.interp(row, self.rows, self.middle) + np.pi) % (2 * np.pi) - np.pi

    def folded(self, off: Float[ndarray, " n"], row: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """To and fro between what each side shows innermost and outermost."""
        out = np.zeros_like(off)
        for side in (-1, 1):
            mine = np.sign(off + 1e-9) == side
            low, high = (np.interp(row[mine], self.rows, b) for b in self.bounds[side].T)
            span = high - low
            out[mine] = side * (high - np.abs((np.abs(off[mine]) - low) % (2 * span) - span))
        return out


def _bounds(off: Float[ndarray, " k"]) -> tuple[float, float]:
    """From where to where one side is seen: `off` grows outwards, and is negative beyond."""
    mine = off[off > 0]
    if len(mine) < FEW_OF_ROW:
        return 0.0, WIDTH
    low, high = np.quantile(mine, (1 - SHOWN, SHOWN)).tolist()
    low = 0.0 if low < MIDDLE else low
    return low, max(high, low + LEAST_WIDTH)
