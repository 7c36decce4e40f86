"""Mouths in films: where they are, pictures of them, how far they open.

Points are the 478 of MediaPipe's face landmarker (x, y, z in pixels); NaN where no face was found.
Lengths are in distances between the irises, so that neither size nor resolution matters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from incarnate.perception.landmarkers import Perception

UPPER, LOWER, LEFT, RIGHT, CHIN, IRISES = 13, 14, 61, 291, 152, (468, 473)
SIDE = 48
"""Pixels of a mouth's picture."""
REACH = 1.4
"""Its width in iris distances: from under the nose to the chin of an open mouth."""
STEADY = 5
"""Frames over which its place is averaged, so that finding does not tremble."""
LEAST_FOUND = 0.6
CLOSED, OPEN = 0.02, 0.06
"""Gaps between the inner lips, in iris distances, under and over which a mouth is shut and open."""
LIPS = frozenset({"M", "B", "P"})
WIDE_OPEN = frozenset({"AA", "AE", "AW", "AY"})

Phone = tuple[str, float, float]
"""A sound in ARPABET, its start and end in seconds."""


@dataclass(frozen=True)
class Articulation:
    """What lips do at the sounds that need them, in iris distances."""

    least: tuple[float, ...]
    """The least gap in (or a frame about) each m, b and p."""
    most: tuple[float, ...]
    """The largest in each open vowel."""

    @property
    def closed(self) -> float:
        """Share of m, b and p in which the lips meet; NaN if there are none."""
        return sum(gap < CLOSED for gap in self.least) / len(self.least) if self.least else NAN

    @property
    def opened(self) -> float:
        """Share of open vowels in which the mouth opens; NaN if there are none."""
        return sum(gap > OPEN for gap in self.most) / len(self.most) if self.most else NAN


NAN = float("nan")


def face_points(
    frames: Iterable[UInt8[ndarray, "h w 3"]], perception: Perception
) -> Float[ndarray, "t 478 3"]:
    """The largest face's points in every frame."""
    found = []
    for frame in frames:
        faces = perception.faces(frame)
        points = [face.points for face in faces] or [np.full((478, 3), np.nan, np.float32)]
        found.append(max(points, key=lambda p: float(np.nan_to_num(p[CHIN, 1] - p[10, 1]))))
    return np.array(found, np.float32)


def crops(
    frames: Sequence[UInt8[ndarray, "h w 3"]],
    points: Float[ndarray, "t 478 3"],
    side: int = SIDE,
    reach: float = REACH,
) -> UInt8[ndarray, "t side side"]:
    """Grey pictures of the mouth, upright, `reach` iris distances wide.

    Where a face is missed its place is between its neighbours'. ValueError if most are missed.
    """
    places = _places(points)
    out = np.empty((len(frames), side, side), np.uint8)
    for k, (frame, (x, y, across, down)) in enumerate(zip(frames, places, strict=True)):
        size = np.hypot(across, down) * reach / side  # Pixels of the frame per pixel here.
        c, s = size * np.array([across, down]) / np.hypot(across, down)
        half = (side - 1) / 2
        turn = np.array([[c, -s, x - half * (c - s)], [s, c, y - half * (s + c)]])
        grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        if size > 1.5:  # Fewer pixels than there were: blurred first, or edges would shimmer.
            grey = cv2.GaussianBlur(grey, (0, 0), 0.45 * size)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out[k] = cv2.warpAffine(grey, turn, (side, side), flags=flags, borderMode=1)
    return out


def gaps(points: Float[ndarray, "t 478 3"]) -> Float[ndarray, " t"]:
    """How far the inner lips are apart, in iris distances."""
    return _apart(points, UPPER, LOWER) / _apart(points, *IRISES)


def articulated(gap: Float[ndarray, " t"], fps: float, phones: Sequence[Phone]) -> Articulation:
    """Whether lips close and open at their sounds, by pocketsphinx' or anybody's times."""
    times = np.arange(len(gap)) / fps
    least, most = [], []
    for symbol, start, end in phones:
        near = (times >= start - 1 / fps) & (times <= end + 1 / fps) & np.isfinite(gap)
        if symbol in LIPS and near.any():
            least.append(float(gap[near].min()))
        if symbol in WIDE_OPEN and near.any():
            most.append(float(gap[near].max()))
    return Articulation(tuple(least), tuple(most))


def _places(points: Float[ndarray, "t 478 3"]) -> Float[ndarray, "t 4"]:
    """Middle of the mouth and the vector between the irises, over time."""
    flat = points[..., :2]
    middle = (flat[:, LEFT] + flat[:, RIGHT]) / 2
    raw = np.concatenate([middle, flat[:, IRISES[1]] - flat[:, IRISES[0]]], 1)
    known = np.isfinite(raw).all(1)
    if known.mean() < LEAST_FOUND:
        raise ValueError(
            f"a face was found in {int(known.sum())} of {len(raw)} frames, too few to see a mouth; "
            "give a film of a face from the front"
        )
    at = np.arange(len(raw))
    whole = np.stack([np.interp(at, at[known], column[known]) for column in raw.T], 1)
    padded = np.pad(whole, ((STEADY // 2, STEADY // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(c, np.full(STEADY, 1 / STEADY), "valid") for c in padded.T], 1)


def _apart(points: Float[ndarray, "t 478 3"], a: int, b: int) -> Float[ndarray, " t"]:
    return np.linalg.norm(points[:, a, :2] - points[:, b, :2], axis=1)
