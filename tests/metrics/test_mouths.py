"""Mouths in films: pictures that follow the face, and lips that do or do not close."""

import math

import cv2
import numpy as np
import pytest

from incarnate.metrics import mouths

PHONES = [("SIL", 0.0, 0.2), ("M", 0.2, 0.4), ("AA", 0.4, 0.8), ("B", 0.8, 0.92), ("T", 0.92, 1.0)]


def face(size: float, angle: float, place: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a mouth, a dark bar, between irises `size` apart, and the points it has."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = np.zeros((478, 3), np.float32)
    for number, (x, y) in {468: (-0.5, 0), 473: (0.5, 0), 61: (-0.4, 1), 291: (0.4, 1)}.items():
        points[number, :2] = turn @ np.array([x, y]) * size + place
    frame = np.full((300, 300, 3), 220, np.uint8)
    ends = [tuple(int(8 * v) for v in points[k, :2]) for k in (61, 291)]
    cv2.line(frame, ends[0], ends[1], (40, 40, 40), round(size * 0.2), cv2.LINE_AA, 3)
    return frame, points


def test_a_mouth_looks_the_same_however_the_face_is_turned_and_placed():
    upright, turned = face(60, 0.0, (150, 120)), face(90, 0.3, (130, 100))
    a, b = (mouths.crops([f] * 3, np.stack([p] * 3))[1] for f, p in (upright, turned))
    assert a[24, 24] < 80 < 200 < a[4, 24]  # The bar is in the middle, skin above it.
    assert np.abs(a.astype(float) - b).mean() < 4


def test_a_missed_face_is_where_its_neighbours_are_and_many_missed_are_refused():
    frames, points = zip(*(face(60, 0.0, (150 + k, 120)) for k in range(9)), strict=True)
    known = np.stack(points)
    gone = known.copy()
    gone[4] = np.nan
    np.testing.assert_array_equal(mouths.crops(frames, gone), mouths.crops(frames, known))
    gone[:6] = np.nan
    with pytest.raises(ValueError, match="found in 3 of 9 frames"):
        mouths.crops(frames, gone)


def test_lips_that_close_and_open_on_time_count_and_frozen_ones_do_not():
    at = np.arange(25) / 25
    gap = np.where((at >= 0.4) & (at < 0.8), 0.2, 0.0)
    good = mouths.articulated(gap, 25.0, PHONES)
    assert (good.closed, good.opened, good.least, good.most) == (1.0, 1.0, (0.0, 0.0), (0.2,))
    assert mouths.articulated(np.full(25, 0.03), 25.0, PHONES).closed == 0
    assert mouths.articulated(np.full(25, 0.03), 25.0, PHONES).opened == 0
    late = mouths.articulated(np.roll(gap, 8), 25.0, PHONES)
    assert late.closed == 0.5  # The b falls into the vowel, which is late.
    assert math.isnan(mouths.articulated(gap, 25.0, PHONES[:1]).closed)


def test_gaps_are_in_iris_distances():
    _, points = face(50, 0.4, (100, 100))
    points[13, :2], points[14, :2] = (10, 20), (10, 45)
    assert mouths.gaps(points[None])[0] == pytest.approx(0.5, abs=1e-5)
