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

from incarnate.avatars.drapery import round_limb
from incarnate.avatars.garments import ARM, FOOT, HAND, HEAD, LEG, NECK, TORSO, Anatomy

TRUNK, RIGHT_ARM, LEFT_ARM, RIGHT_LEG, LEFT_LEG = range(5)
SECTIONS = (
    ((TORSO, NECK, HEAD), None), ((ARM, HAND), False), ((ARM, HAND), True), ((LEG, FOOT), False),
    ((LEG, FOOT), True),
)  # fmt: skip
"""Segments and side of each."""
TWIN = (TRUNK, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG)
NUM_ROWS = 12
FEW = 150  # Points: fewer tell nothing of a section.
SHOWN = 0.9  # Quantile of the seen turns beyond which a row counts as not seen.
FEW_OF_ROW, WIDTH, LEAST_WIDTH = 6, 1.2, 0.3  # Points; radians seen of a side, if it has fewer.
MIDDLE = 0.35  # Radians: what begins nearer to the middle goes through it.


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Where points lie on the trunk and the limbs."""

    section: Int[ndarray, " n"]
    """-1 where there is too little of it."""
    turn: Float[ndarray, " n"]
    """Radians round the section's core: 0 in front, positive to the left of the trunk."""
    row: Float[ndarray, " n"]
    """Metres along the section, upwards."""
    radius: Float[ndarray, " n"]
    """Metres: what a radian is long."""


def unrolled(where: Anatomy) -> Unrolled:
    """Unrolls the rest pose."""
    section = np.full(len(where.points), -1)
    turn, row, radius = (np.zeros(len(section)) for _ in range(3))
    for number, (segments, left) in enumerate(SECTIONS):
        inside = np.isin(where.segments, segments) & (where.fixed < 0)
        if (inside if left is None else inside & (where.left == left)).sum() < FEW:
            continue
        some = round_limb(where, segments, left)
        across, ahead = np.cos(some.angle), np.sin(some.angle)
        wide = some.profile(some.radius, across**8).clip(0.01)
        front = some.profile(some.radius, ahead.clip(0) ** 8)
        back = some.profile(some.radius, (-ahead).clip(0) ** 8)
        deep = ((front + back) / 2).clip(0.01)
        outwards = some.radius * across / wide
        forwards = (some.radius * ahead - (front - back) / 2) / deep
        section[some.mine], row[some.mine] = number, some.row
        turn[some.mine] = np.arctan2(-outwards if left is False else outwards, forwards)
        radius[some.mine] = (wide + deep) / 2
    return Unrolled(section, turn, row, radius)


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
    for section in set(chart.section[mine].tolist()) - {-1}:
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
        edges = np.unique(np.quantile(row, np.linspace(0, 1, NUM_ROWS + 1)))
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
