"""A trunk and two legs, unrolled, and continued beyond what the photo shows."""

import numpy as np
import pytest

from incarnate.avatars import garments
from incarnate.avatars.garments import Anatomy
from incarnate.avatars.wrap import LEFT_LEG, RIGHT_LEG, continued, unrolled

TURNS, ROWS = 120, 60


def tubes(*centers: float, segment: int, radius: float, lean: float = 0.0) -> Anatomy:
    """Upright tubes, or tubes that lean outwards."""
    row, turn = np.meshgrid(np.linspace(0, 0.6, ROWS), np.linspace(-np.pi, np.pi, TURNS, False))
    row, turn = row.ravel(), turn.ravel()
    normals = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], 1)
    points = []
    for x in centers:
        point = radius * normals + np.stack([0 * row, row, 0 * row], 1)
        angle = np.sign(x) * lean
        cos, sin = np.cos(angle), np.sin(angle)
        points.append(point @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]).T + [x, 0, 0])
    flat = np.concatenate(points)
    count, none = len(flat), np.zeros(len(flat))
    along = 1.8 - 3 * np.tile(row, len(centers))  # Down the limb, as on the body.
    return Anatomy(
        flat, np.tile(normals, (len(centers), 1)), np.full(count, segment), flat[:, 0] > 0, along,
        np.full(count, -1), none, none, none, none,
    )  # fmt: skip


def truth(count: int) -> tuple[np.ndarray, np.ndarray]:
    row, turn = np.meshgrid(np.linspace(0, 0.6, ROWS), np.linspace(-np.pi, np.pi, TURNS, False))
    return np.tile(turn.ravel(), count), np.tile(row.ravel(), count)


def wrapped(turn: np.ndarray) -> np.ndarray:
    return (turn + np.pi) % (2 * np.pi) - np.pi


@pytest.mark.parametrize(("lean", "centers"), [(0.0, (0.0,)), (0.6, (-0.3, 0.3))])
def test_a_tube_is_unrolled_along_and_round_itself(lean: float, centers: tuple[float, ...]):
    segment = garments.TORSO if len(centers) == 1 else garments.LEG
    chart = unrolled(tubes(*centers, segment=segment, radius=0.08, lean=lean))
    turn, row = truth(len(centers))
    assert np.abs(wrapped(chart.turn - turn)).max() < 0.06
    for section in np.unique(chart.section):
        mine = chart.section == section
        np.testing.assert_allclose(chart.row[mine] - chart.row[mine].min(), row[mine], atol=0.01)
    np.testing.assert_allclose(chart.radius, 0.08, atol=0.003)


def test_rows_go_on_behind_and_turns_are_mirrored_at_the_border():
    where = tubes(0.0, segment=garments.TORSO, radius=0.15)
    chart, (turn, row) = unrolled(where), truth(1)
    sources = np.abs(turn) < 1.2
    mine = np.abs(turn) > 1.25
    lender = np.flatnonzero(sources)[continued(chart, mine, sources)]
    np.testing.assert_allclose(row[lender], row[mine], atol=0.02)
    near = np.abs(turn[mine]) < 2
    there, lent = np.abs(turn[mine])[near], np.abs(turn[lender])[near]
    assert lent[there < 1.35].min() > 0.75  # Next to the border: what is next to it, inside.
    assert np.corrcoef(there, lent)[0, 1] < -0.95
    sided = np.abs(turn[mine]) < 3
    assert (turn[lender] * turn[mine])[sided].min() >= 0


def test_what_is_open_in_front_lends_from_its_sides_alone():
    where = tubes(0.0, segment=garments.TORSO, radius=0.15)
    chart, (turn, _) = unrolled(where), truth(1)
    sources = (np.abs(turn) > 0.6) & (np.abs(turn) < 1.3)
    lender = np.flatnonzero(sources)[continued(chart, np.abs(turn) > 1.4, sources)]
    spread = np.bincount(lender, minlength=len(turn))[sources]
    assert (spread > 0).mean() > 0.7  # All of it is used, not its edge alone.


def test_a_hidden_leg_is_like_the_other_mirrored():
    where = tubes(-0.3, 0.3, segment=garments.LEG, radius=0.08)
    chart, (turn, row) = unrolled(where), truth(2)
    left = chart.section == LEFT_LEG
    sources = (chart.section == RIGHT_LEG) & (turn > -1.4) & (turn < 0.2)  # Its outer half.
    lender = np.flatnonzero(sources)[continued(chart, left, sources)]
    outer = left & (turn < 1.2) & (turn > 0.0)
    at = lender[(outer)[left]]
    np.testing.assert_allclose(turn[at], -turn[outer], atol=0.25)
    np.testing.assert_allclose(row[at], row[outer], atol=0.02)


def test_too_little_lends_nothing():
    where = tubes(0.0, segment=garments.TORSO, radius=0.15)
    chart, (turn, row) = unrolled(where), truth(1)
    assert (continued(chart, np.abs(turn) > 2, (row < 0.02) & (np.abs(turn) < 1)) == -1).all()
