"""Where exactly a person is: log-odds per pixel, from a rough mask, the body's points and colours.

The pose network's mask is right to a hand's breadth, and blind to the gap between arm and torso.
Near its edge, and in that gap, every pixel is compared with the nearest sure samples of person and
background, near in colour and in place: k nearest neighbours tell textured grass from textured
cloth where global colour models (GrabCut was tried) take trousers for path and hair for trees.
Lengths are in the person's `unit`: about a third of a standing person's height, or of a portrait's.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy.spatial import KDTree

from incarnate.perception.keypoints import HEAD

LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28))
ARMS, TORSO = LIMBS[:4], (11, 12, 24, 23)
BLIND = (
    (11, 13, 15, 23), (12, 14, 16, 24), (15, 19, 25, 23), (16, 20, 26, 24), (23, 25, 26, 24),
)  # fmt: skip
"""Where the mask fills gaps: between arm and torso, hand and thigh, and between the thighs."""
SEEN = 0.5
NEIGHBORS = 5
SLACK = 0.5  # Of the distances: neighbours need not be the very nearest, and come twice as fast.
COLOR_SCALE = 10.0  # Lab units worth as much as the place's scale.
SURE_LOGIT = 9.0
MAX_LOGIT = 7.0
PLACE_FAR, PLACE_NEAR = 0.25, 0.1  # Units worth as much as `COLOR_SCALE`: first look, second look.
GAP_AREA = 0.035**2  # Square units: smaller holes beside an arm are shadows in cloth.


@dataclass(frozen=True, eq=False)
class Zones:
    """What is known before looking at colours: surely person; possibly person; around the head;
    beside the torso or between the thighs, where there may be a gap. `unit` in pixels."""

    sure: Bool[np.ndarray, "h w"]
    outer: Bool[np.ndarray, "h w"]
    head: Bool[np.ndarray, "h w"]
    gap: Bool[np.ndarray, "h w"]
    unit: float

    def resized(self, width: int, height: int) -> "Zones":
        """The same zones on another grid."""
        factor = width / self.sure.shape[1]
        return Zones(
            _grown(self.sure, width, height),
            _grown(self.outer, width, height),
            _grown(self.head, width, height),
            _grown(self.gap, width, height),
            self.unit * factor,
        )


def person_logits(
    rgb: UInt8[np.ndarray, "h w 3"],
    mask: Float32[np.ndarray, "h w"],
    points: Float32[np.ndarray, "33 3"],
) -> tuple[Float32[np.ndarray, "h w"], Zones, Bool[np.ndarray, "h w"]]:
    """Log-odds of belonging to the person, the zones, and the gaps found beside the arms.

    Looked at in half the size, in two rounds, the second with the first one's outline as sample;
    the gaps, a few pixels wide, in full size.
    """
    height, width = mask.shape
    size = (max(width // 2, 1), max(height // 2, 1))
    shrink = np.asarray([size[0] / width, size[1] / height, 1], np.float32)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    zones = known_zones(soft, points * shrink)
    logits = cv2.resize(_half_size(small, soft, zones), (width, height))
    zones = zones.resized(width, height)
    logits, gaps = _with_gaps(logits, _lab(rgb), zones)
    return logits, zones, gaps


def known_zones(mask: Float32[np.ndarray, "h w"], points: Float32[np.ndarray, "33 3"]) -> Zones:
    """Zones from mask and points alone. Sure is not the mask in gaps, where it is blind."""
    unit = _unit(mask)
    solid = (mask > 0.9).astype(np.uint8)
    torso, blind, bones = (np.zeros(mask.shape, np.uint8) for _ in range(3))
    if points[list(TORSO), 2].min() > SEEN:
        cv2.fillConvexPoly(torso, np.round(points[list(TORSO), :2]).astype(np.int32), 1)
    for limb in LIMBS:
        _line(bones, points[list(limb)], 0.05 * unit)
    for arm in ARMS:
        _line(blind, points[list(arm)], 0.3 * unit)
    for corners in BLIND:
        if points[list(corners), 2].min() > SEEN:
            cv2.fillPoly(blind, [np.round(points[list(corners), :2]).astype(np.int32)], 1)
    head = _head_zone(points, mask.shape)
    beside = (blind > 0) & (torso == 0)
    inner = (cv2.erode(solid, disc(0.03 * unit)) > 0) & ~beside
    inner &= ~head | (cv2.erode(solid, disc(0.08 * unit)) > 0)
    likely = (mask > 0.3).astype(np.uint8)
    outer = cv2.dilate(likely, disc(0.035 * unit)) > 0
    outer |= (cv2.dilate(likely, disc(0.09 * unit)) > 0) & head
    within = cv2.erode((mask > 0.5).astype(np.uint8), disc(0.02 * unit)) > 0
    sure = (inner | (bones > 0) | (torso > 0)) & (mask > 0.3)
    return Zones(sure, outer, head, beside & within & ~head, unit)


def disc(radius: float) -> UInt8[np.ndarray, "n n"]:
    """A round structuring element of at least 3 pixels."""
    size = 2 * max(round(radius), 1) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _unit(mask: Float32[np.ndarray, "h w"]) -> float:
    """The scale of the mask's errors: by its area, but no more than by its extent (the network
    draws it with 256 pixels whatever it shows)."""
    rows, columns = np.nonzero(mask > 0.5)
    if len(rows) == 0:
        return 1.0
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    return float(min(np.sqrt(len(rows) / 1.7), 0.36 * extent))


def _half_size(
    rgb: UInt8[np.ndarray, "h w 3"], mask: Float32[np.ndarray, "h w"], zones: Zones
) -> Float32[np.ndarray, "h w"]:
    """Both rounds. The mask counts as evidence too, little where it is blind."""
    lab, unit = _lab(rgb), zones.unit
    blurred = np.clip(cv2.GaussianBlur(mask, (0, 0), 0.02 * unit + 0.1), 0.03, 0.97)
    prior = np.log(blurred / (1 - blurred)) * np.where(zones.gap, 0.3, 1.3)
    logits = np.where(zones.sure, SURE_LOGIT, -SURE_LOGIT).astype(np.float32)
    unknown = zones.outer & ~zones.sure
    evidence = _evidence(lab, zones.sure, ~zones.outer, unknown, PLACE_FAR * unit)
    logits[unknown] = np.clip(evidence, -8, 8) + prior[unknown]
    logits = cv2.GaussianBlur(logits, (0, 0), 0.8)

    outline = cv2.morphologyEx((logits > 0).astype(np.uint8), cv2.MORPH_OPEN, disc(1.0))
    front = (cv2.erode(outline, disc(1.0)) > 0) & (logits > 1.5)
    back = (cv2.dilate(outline, disc(2.0)) == 0) & (logits < -1.5)
    unsure = _band(outline, 0.03 * unit) | (np.abs(logits) < 3) | zones.gap
    unsure |= zones.head & _band(outline, 0.06 * unit)
    evidence = _evidence(lab, front, back, unsure, PLACE_NEAR * unit)
    logits[unsure] = np.clip(evidence, -MAX_LOGIT, MAX_LOGIT) + 0.5 * prior[unsure]
    return cv2.GaussianBlur(logits, (0, 0), 0.7)


def _with_gaps(
    logits: Float32[np.ndarray, "h w"], lab: Float32[np.ndarray, "h w 3"], zones: Zones
) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """The gap zone decided anew from sure samples only, and the holes that hold background."""
    zone = zones.gap & ~zones.sure
    if not zone.any():
        return logits, zone
    unit = zones.unit
    evidence = np.full(zone.shape, 3, np.float32)
    raw = _evidence(lab, zones.sure, ~zones.outer, zone, PLACE_FAR * unit)
    evidence[zone] = np.clip(raw, -MAX_LOGIT, MAX_LOGIT)
    smooth = cv2.GaussianBlur(evidence, (0, 0), 0.003 * unit + 0.3)
    hole = ((smooth < 0) | (evidence < -1)) & zone
    linked = cv2.morphologyEx(hole.astype(np.uint8), cv2.MORPH_CLOSE, disc(0.012 * unit))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(linked, connectivity=8)
    total = np.bincount(labels[hole], weights=evidence[hole], minlength=count)
    mean = total / np.maximum(np.bincount(labels[hole], minlength=count), 1)
    least = np.where(mean < -2.5, 0.3, 1.0) * GAP_AREA * unit**2
    kept = (stats[:, cv2.CC_STAT_AREA] >= least) & (mean < -0.9)
    kept[0] = False
    gaps = kept[np.asarray(labels, np.intp)] & (smooth < 0.5)
    opened, closed = np.minimum(3 * smooth - 1, -1), np.maximum(logits, 2)
    decided = np.where(zone | gaps, np.where(gaps, opened, closed), logits)
    return decided.astype(np.float32), gaps


def _evidence(
    lab: Float32[np.ndarray, "h w 3"],
    front: Bool[np.ndarray, "h w"],
    back: Bool[np.ndarray, "h w"],
    asked: Bool[np.ndarray, "h w"],
    place: float,
) -> Float32[np.ndarray, " n"]:
    """How much nearer the asked pixels are to samples of `front` than to samples of `back`:
    difference of mean squared distances to the nearest, colour and place in their scales."""
    around = cv2.dilate(asked.astype(np.uint8), disc(place)) > 0
    rows, columns = np.indices(asked.shape, dtype=np.float32)
    features = np.dstack([lab / COLOR_SCALE, rows / place, columns / place])
    queries = features[asked]
    far = np.full(len(queries), MAX_LOGIT, np.float32)
    distances = []
    for samples in (front, back):
        chosen = _thinned(samples & around)
        if len(chosen) < NEIGHBORS:
            distances.append(far)
            continue
        tree = KDTree(features.reshape(-1, 5)[chosen], balanced_tree=False)
        distances.append(
            (tree.query(queries, NEIGHBORS, eps=SLACK, workers=2)[0] ** 2).mean(axis=1)
        )
    return (distances[1] - distances[0]).astype(np.float32)


def _thinned(mask: Bool[np.ndarray, "h w"], most: int = 8000) -> np.ndarray:
    """At most so many of the mask's pixels, drawn with a fixed seed: the same photo, the same
    matte."""
    indices = np.flatnonzero(mask)
    if len(indices) <= most:
        return indices
    return np.random.default_rng(0).choice(indices, most, replace=False)


def _band(outline: UInt8[np.ndarray, "h w"], radius: float) -> Bool[np.ndarray, "h w"]:
    element = disc(radius)
    return cv2.dilate(outline, element) != cv2.erode(outline, element)


def _head_zone(
    points: Float32[np.ndarray, "33 3"], shape: tuple[int, ...]
) -> Bool[np.ndarray, "h w"]:
    """A disc around the head with room for hair; empty if the head is not known."""
    canvas = np.zeros(shape, np.uint8)
    head = points[HEAD, :2]
    head = head[np.isfinite(head).all(axis=1)]
    if len(head) > 1:
        x, y = np.round(head.mean(axis=0)).astype(int).tolist()
        cv2.circle(canvas, (x, y), round(2.4 * float(np.ptp(head, axis=0).max())), 1, -1)
    return canvas > 0


def _line(canvas: UInt8[np.ndarray, "h w"], ends: Float32[np.ndarray, "2 3"], wide: float) -> None:
    if ends[:, 2].min() > SEEN:
        start, end = np.round(ends[:, :2]).astype(int).tolist()
        cv2.line(canvas, start, end, 1, max(round(wide), 1))


def _lab(rgb: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _grown(mask: Bool[np.ndarray, "h w"], width: int, height: int) -> Bool[np.ndarray, "oh ow"]:
    return cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
