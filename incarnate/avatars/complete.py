"""What the photo does not show: a colour for every Gaussian that it did not see.

This fills the slot that pseudo-labels have in One Shot, One Talk (Sec. 3.2): any source of unseen
colour, such as a video diffusion model, answers the same question as `completed` does here from
the photo alone. Every material continues as itself: a colour that varies slowly along the body
(`_course`), plus its fine texture (`_texture`: cloth as in a mirror at the outline, hair in locks
that run down, else that of the seen place most like it), plus the gap between that guess and the
photo, carried smoothly over the border so that no seam shows (`_healed`). All of it at rest, in
Lab.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.sparse import coo_matrix
from scipy.spatial import KDTree

from incarnate.avatars import garments
from incarnate.avatars.color import from_lab, to_lab
from incarnate.avatars.garments import HAIR, LABELS, SHOES, SKIN, Anatomy
from incarnate.avatars.wrap import Unrolled, continued, unrolled

NEIGHBOURS = 8
HEALING = 90  # Sweeps; with DECAY the gap at a border fades over about 6 cm.
DECAY = 0.985
NUM_ROWS = 48
HOLLOW, HOLLOW_NEIGHBOURS = 22.0, 65  # Lab L that a hollow of a hand is darker; discs about it.
PATCH, ROUND, STREAK = 0.035, 0.09, 0.0025  # Metres: of hair copied at once, a head, a lock.
PATCH_GAIN, STREAK_GAIN = 0.2, 0.8
PIXEL, RUN = 0.0025, 0.012  # Metres: of the picture of seen hair; over which strands run alike.
BROAD_EVERY, BROAD_OF = 8, 40  # Points of a mean some 5 cm about: what is broader is no texture.
CLOTH_GAIN = 0.9
SHARPEN = 1.2  # By which detail of the unseen is raised, since discs are coarser than the photo.
SOURCE_SHARE = 0.6  # A point is a source of colour for others from this confidence on.
CRISP = (HAIR, garments.TOP, garments.BOTTOM)
DEFAULTS = {"bottom": (38.0, 0.0, -6.0), "shoes": (30.0, 0.5, -1.0), "top": (55.0, 0.0, -2.0)}
"""Lab of clothes nobody saw: dark slate trousers, dark shoes, a mid-grey shirt."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the photo says of each point."""

    rgb: Float[ndarray, "n 3"]
    confidence: Float[ndarray, " n"]
    """1 where the photo shows the point squarely, 0 where it does not."""


def completed(
    where: Anatomy,
    labels: Int[ndarray, " n"],
    seen: Seen,
    rng: np.random.Generator,
    without: Collection[str] = (),
) -> Float[ndarray, "n 3"]:
    """A colour in [0, 1] for every point; where the photo is sure, the photo's.

    `without` names steps to leave out: course, texture, strands, healing, hollows, known-colors.
    """
    lab = to_lab(seen.rgb)
    guess, chart = np.zeros_like(lab), unrolled(where)
    for label in np.unique(labels):
        for mine, sources in _groups(where, lab, labels, seen.confidence, int(label)):
            guess[mine] = _guess(where, chart, lab, mine, sources, int(label), rng, without)
    if "known-colors" not in without:
        guess = _fixed(guess, labels, where, lab, seen.confidence)
    healed = guess
    if "healing" not in without:
        healed = _healed(guess, lab, where, labels, seen.confidence)
    if "hollows" not in without:
        healed[:, 0] -= _shade(where, labels)
    mixed = healed + seen.confidence[:, None] * (lab - healed)
    return from_lab(mixed)


Completion = Callable[
    [Anatomy, Int[ndarray, " n"], Seen, np.random.Generator], Float[ndarray, "n 3"]
]
"""What answers for the unseen, as `completed` does."""


def mirrored(
    where: Anatomy, labels: Int[ndarray, " n"], seen: Seen, rng: np.random.Generator
) -> Float[ndarray, "n 3"]:
    """A colour for every point by symmetry alone: that of the seen point nearest to its mirror
    image, or to itself if that is nearer. A baseline: no materials, no healing."""
    return _lent(where, seen, np.array([-1.0, 1.0, 1.0]))


def nearest(
    where: Anatomy, labels: Int[ndarray, " n"], seen: Seen, rng: np.random.Generator
) -> Float[ndarray, "n 3"]:
    """A colour for every point: that of the seen point nearest to it. A baseline."""
    return _lent(where, seen, np.ones(3))


def _lent(where: Anatomy, seen: Seen, mirror: Float[ndarray, "3"]) -> Float[ndarray, "n 3"]:
    sources = seen.confidence > SOURCE_SHARE
    if not sources.any():
        return np.full_like(seen.rgb, 0.5)
    tree = KDTree(where.points[sources])
    gap, here = tree.query(where.points)
    far, there = tree.query(where.points * mirror)
    lent = seen.rgb[sources][np.where(far < gap, there, here)]
    return lent + seen.confidence[:, None] * (seen.rgb - lent)


def _groups(where: Anatomy, lab: ndarray, labels: ndarray, confidence: ndarray, label: int):
    """Points to be coloured together, each with the points that may lend it colour."""
    same = labels == label
    sure = same & (confidence > SOURCE_SHARE)
    if label != SKIN:
        yield same, sure
        return
    lips = same & (where.lips > 0.5)
    if (sure & lips).sum() >= 20:  # Their inside, which the photo does not show, is as red.
        yield lips, sure & lips
        same = same & ~lips
    bare = garments.skin_model(where, lab, confidence).distance(lab) < 2.5
    sure &= bare  # Beard, brows and lips stay where they are.
    for parts in (
        (garments.HEAD, garments.NECK, garments.TORSO),
        (garments.ARM,),
        (garments.HAND,),
        (garments.LEG,),
        (garments.FOOT,),
    ):
        inside = np.isin(where.segments, parts)
        for widened in (parts, _KIN[parts[0]], tuple(range(7))):
            sources = sure & np.isin(where.segments, widened)
            if sources.sum() >= 60:
                break
        yield same & inside, sources


_KIN = {  # By the first of the segments coloured together: where else their skin may come from.
    garments.HEAD: (garments.HEAD, garments.NECK, garments.TORSO),
    garments.ARM: (garments.ARM, garments.HAND),
    garments.HAND: (garments.HAND, garments.ARM),
    garments.LEG: (garments.LEG, garments.FOOT),
    garments.FOOT: (garments.FOOT, garments.LEG),
}


def _guess(where, chart, lab, mine, sources, label: int, rng, without) -> Float[ndarray, "m 3"]:
    near = np.isin(where.segments[sources], where.segments[mine]).any()
    if sources.sum() < 20 or not near:
        default = DEFAULTS.get(LABELS[label])
        known = sources if sources.any() else mine
        color = np.array(default) if default else _lit(lab[known])
        return np.tile(color, (mine.sum(), 1))
    course, rows = _course(where, lab, sources)
    if "course" in without:
        course, rows = np.median(lab[sources], axis=0)[None], rows[:1]
    low = _at(course, rows, _row(where)[mine])
    residual = lab[sources] - _at(course, rows, _row(where)[sources])
    if label == SKIN or ("strands" if label == HAIR else "texture") in without:
        return low  # A face's texture is no face's back's.
    if label == HAIR:
        return low + _strands(where, residual, mine, sources, rng)
    return low + CLOTH_GAIN * _texture(where, chart, residual, mine, sources)


def _lit(lab: ndarray) -> ndarray:
    """The middle colour of the lighter half, for places that lie in another light."""
    return np.median(lab[lab[:, 0] >= np.median(lab[:, 0])], axis=0)


def _row(where: Anatomy) -> Float[ndarray, " n"]:
    """The coordinate along which a material's colour may drift: height, or the way down a limb."""
    arm = np.isin(where.segments, (garments.ARM, garments.HAND))
    return np.where(arm, 10 + 0.28 * where.along, where.points[:, 1])


def _course(where: Anatomy, lab: ndarray, sources: ndarray) -> tuple[ndarray, ndarray]:
    """Robust colours by row: (k 3) colours at (k) rows. The sides count more than the middle,
    since what is worn open or printed in front does not go round to the back."""
    row = _row(where)[sources]
    colors = lab[sources]
    weight = np.where(_inner(where, sources), 0.1, 1.0) * _usual(colors)
    edges = np.unique(np.quantile(row, np.linspace(0, 1, NUM_ROWS + 1)))
    if len(edges) < 3:
        return np.median(colors, axis=0)[None], row[:1]
    bins = np.clip(np.searchsorted(edges, row, side="right") - 1, 0, len(edges) - 2)
    course, rows = [], []
    for i in np.unique(bins):
        inside = bins == i
        course.append(_weighted_median(colors[inside], weight[inside]))
        rows.append(row[inside].mean())
    return gaussian_filter1d(np.array(course), 2.0, axis=0, mode="nearest"), np.array(rows)


def _usual(colors: ndarray) -> Float[ndarray, " n"]:
    """Weights that prefer, where a row's colours disagree, those which all rows share: the others
    are shadows of arms, and edges of what is worn next to it."""
    middle = np.median(colors, axis=0)
    spread = 1.5 * np.median(np.abs(colors - middle), axis=0) + [3, 1, 1]
    return 1 / (1 + (((colors - middle) / spread) ** 2).sum(1))


def _inner(where: Anatomy, sources: ndarray) -> ndarray:
    """Which sources lie in the middle of the trunk, where jackets open and prints sit."""
    aside = np.abs(where.points[sources, 0])
    torso = where.segments[sources] == garments.TORSO
    wide = np.quantile(aside[torso], 0.95) if torso.any() else 1.0
    return torso & (aside < 0.5 * wide)


def _weighted_median(values: ndarray, weight: ndarray) -> ndarray:
    order = values.argsort(axis=0)
    total = weight[order].cumsum(axis=0)
    middle = (total >= total[-1] / 2).argmax(axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, middle[None], 0), 0)[0]


def _at(course: ndarray, rows: ndarray, row: ndarray) -> ndarray:
    if len(rows) == 1:
        return np.tile(course[0], (len(row), 1))
    return np.stack([np.interp(row, rows, course[:, c]) for c in range(3)], 1)


def _texture(
    where: Anatomy, chart: Unrolled, residual: ndarray, mine: ndarray, sources: ndarray
) -> ndarray:
    """Fine residuals of seen points, continued round trunk and limbs as in a mirror. What drifts
    from side to side is the photo's light: it is not lent, nor is it doubled.

    What strays far from its row (a white shirt under an open jacket, a print, a stray hand) is
    not texture and is not lent.
    """
    inner = _inner(where, sources)
    plain = residual[~inner] if (~inner).sum() > 50 else residual
    spread = np.median(np.abs(plain), axis=0) * 1.48 + 0.5
    usual = np.flatnonzero((np.abs(residual) <= 2.5 * spread).all(1))
    few = usual[::BROAD_EVERY]
    if len(few) <= BROAD_OF:
        return np.zeros((mine.sum(), 3))
    points = where.points[sources]
    near = KDTree(points[few]).query(points[usual], k=BROAD_OF)[1]
    fine = residual[usual] - residual[few][np.asarray(near)].mean(1)
    lenders = np.zeros(len(mine), bool)
    lenders[np.flatnonzero(sources)[usual]] = True
    lender = continued(chart, mine, lenders)
    return np.where(lender[:, None] < 0, 0, fine[lender])


def _strands(where: Anatomy, residual: ndarray, mine, sources, rng) -> ndarray:
    """Hair: locks (`_streaks`) over patches of the seen hair, laid round the head at random and
    turned so that their strands run down."""
    chart = _chart(where)
    seen, place = chart[sources], chart[mine]
    tree = KDTree(seen)
    gaps, near = tree.query(seen, k=min(48, len(seen)))
    detail = residual - residual[np.asarray(near)].mean(1)
    crowd = np.asarray(gaps)[:, -1]
    good = np.flatnonzero(crowd <= np.median(crowd))  # Well inside the seen hair.
    cell = np.floor(place / PATCH + rng.random(2)).astype(int)
    _, block = np.unique(cell, axis=0, return_inverse=True)
    block = block.ravel()
    count = np.bincount(block)
    center = np.stack([np.bincount(block, place[:, c]) / count for c in range(2)], 1)
    chosen = seen[good[rng.integers(len(good), size=len(count))]]
    turned = np.einsum(
        "nij,nj->ni", _turns(seen, detail[:, 0], chosen)[block], place - center[block]
    )
    gap, nearest = tree.query(chosen[block] + turned)
    lent = detail[nearest] * np.clip(2 - gap / 0.006, 0, 1)[:, None]
    spread = 2.5 * detail.std(0)
    return PATCH_GAIN * lent.clip(-spread, spread) + STREAK_GAIN * _streaks(place, detail, rng)


def _streaks(place: ndarray, detail: ndarray, rng: np.random.Generator) -> Float[ndarray, "m 3"]:
    """Locks that run down from the crown, each as light as some seen strand: without them patches
    of hair look like a mosaic, in which face detectors find faces."""
    count = round(2 * np.pi * ROUND / STREAK)
    both = []
    for _ in range(2):
        locks = gaussian_filter1d(rng.choice(detail, count), 1.0, axis=0, mode="wrap")
        locks = locks * detail.std(0) / locks.std(0).clip(1e-3)
        bend = 0.003 * np.sin(place[:, 1] * 40 + rng.uniform(0, 6))
        both.append(locks[np.floor((place[:, 0] + bend) / STREAK).astype(int) % count])
    share = 0.5 + 0.5 * np.sin(place[:, 1] * 25 + rng.uniform(0, 6))[:, None]
    return share * both[0] + (1 - share) * both[1]


def _turns(seen: ndarray, light: ndarray, places: ndarray) -> Float[ndarray, "m 2 2"]:
    """Rotations of the chart that take `down` to the run of the strands at some places; none where
    hair is curly. The run is where lightness changes least (the structure tensor)."""
    low = seen.min(0)
    width, height = (((seen.max(0) - low) / PIXEL).astype(int) + 1).tolist()
    at = ((seen - low) / PIXEL).astype(int)
    cells = at[:, 1] * width + at[:, 0]
    number = np.bincount(cells, minlength=width * height)
    image = np.bincount(cells, light, width * height) / number.clip(1)
    image, known = image.reshape(height, width), (number > 0).reshape(height, width)
    filled = gaussian_filter(image * known, 0.7) / gaussian_filter(known.astype(float), 0.7).clip(
        0.05
    )
    dy, dx = np.gradient(filled)
    inside = gaussian_filter(known.astype(float), 1.5) > 0.7
    xx, xy, yy = (gaussian_filter(a * inside, RUN / PIXEL) for a in (dx * dx, dx * dy, dy * dy))
    x, y = ((places - low) / PIXEL).astype(int).T
    xx, xy, yy = xx[y, x], xy[y, x], yy[y, x]
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + 1e-12)
    run = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    lean = (run - np.pi / 2 + np.pi / 2) % np.pi - np.pi / 2  # From straight down, the short way.
    lean = np.where(coherence > 0.3, lean, 0)
    cos, sin = np.cos(lean), np.sin(lean)
    return np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)


def _chart(where: Anatomy) -> Float[ndarray, "n 2"]:
    """Metres round the head and down from its crown."""
    head = where.segments == garments.HEAD
    local = where.points - where.points[head].mean(0)
    flat = np.hypot(local[:, 0], local[:, 2])
    down = np.where(local[:, 1] > 0, np.arctan2(flat, local[:, 1]) * ROUND, np.pi / 2 * ROUND)
    down = down - local[:, 1].clip(None, 0)
    around = np.arctan2(local[:, 0], local[:, 2]) * ROUND
    return np.stack([around, down], 1)


def _fixed(guess, labels, where: Anatomy, lab, confidence) -> ndarray:
    """Parts whose colour is known beforehand, under the light that falls on the face."""
    face = (where.segments == garments.HEAD) & (labels == SKIN) & (confidence > SOURCE_SHARE)
    light = np.quantile(lab[face, 0], 0.8) / 70 if face.sum() > 20 else 1.0
    known = {
        "teeth": (82, 1, 8),
        "tongue": (48, 26, 14),
        "mouth": (22, 20, 10),
        "lashes": (15, 2, 2),
    }
    for name, color in known.items():
        mine = labels == LABELS.index(name)
        guess[mine] = np.array(color) * [min(light, 1.15), 1, 1]
    return guess


def _shade(where: Anatomy, labels) -> Float[ndarray, " n"]:
    """How much darker bare hands are between their fingers and in their creases: without it a hand
    that the photo does not show is a flat cut-out."""
    shade = np.zeros(len(labels))
    hand = np.flatnonzero((where.segments == garments.HAND) & (labels == SKIN))
    if len(hand) < 200:
        return shade
    points, normals = where.points[hand], where.normals[hand]
    near = np.asarray(KDTree(points).query(points, k=HOLLOW_NEIGHBOURS, workers=-1)[1])[:, 1:]
    away = points[near] - points[:, None]
    above = (away * normals[:, None]).sum(2) / np.linalg.norm(away, axis=2).clip(1e-6)
    hollow = above.clip(0, 1).mean(1)
    shade[hand] = HOLLOW * np.clip((hollow - 0.02) / 0.3, 0, 1) - 2 * normals[:, 1].clip(-1, 1)
    return shade


def _healed(guess, lab, where: Anatomy, labels, confidence) -> ndarray:
    """The guess plus its gap to the photo, carried over the border and fading behind it."""
    raised = where.points + where.normals * 0.01
    near = np.asarray(KDTree(raised).query(raised, k=NEIGHBOURS + 1, workers=-1)[1])
    rows = np.repeat(np.arange(len(labels)), NEIGHBOURS)
    columns = near[:, 1:].ravel()
    same = (labels[rows] == labels[columns]).astype(np.float32)
    links = coo_matrix((same, (rows, columns)), shape=(len(labels),) * 2).tocsr()
    degree = np.maximum(np.asarray(links.sum(1)), 1)
    hold = np.clip((confidence - 0.3) / 0.5, 0, 1)[:, None].astype(np.float32)
    known = np.isin(labels, (SKIN, HAIR, SHOES, garments.TOP, garments.BOTTOM))[:, None]
    gap = ((lab - guess) * known).astype(np.float32)
    carried = hold * gap
    for _ in range(HEALING):
        carried = hold * gap + (1 - hold) * DECAY * (links @ carried) / degree
    cloth = np.isin(labels, CRISP)[:, None]
    return guess + carried + SHARPEN * (1 - hold) * cloth * (guess - (links @ guess) / degree)
