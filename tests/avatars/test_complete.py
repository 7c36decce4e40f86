"""Completion on a cylinder for a trunk, seen from the front."""

import numpy as np
import pytest

from incarnate.avatars import garments
from incarnate.avatars.complete import Seen, _streaks, _turns, completed
from incarnate.avatars.garments import Anatomy

BLUE, WHITE = (0.15, 0.25, 0.45), (0.95, 0.95, 0.95)


@pytest.fixture
def trunk() -> Anatomy:
    height, turn = np.meshgrid(
        np.linspace(0.9, 1.4, 40), np.linspace(-np.pi, np.pi, 80, endpoint=False)
    )
    height, turn = height.ravel(), turn.ravel()
    normals = np.stack([np.sin(turn), np.zeros_like(turn), np.cos(turn)], 1)
    points = normals * 0.15 + np.stack([0 * turn, height, 0 * turn], 1)
    count = len(points)
    side, none = points[:, 0] > 0, np.zeros(count)
    trunk = np.full(count, garments.TORSO)
    return Anatomy(points, normals, trunk, side, none, np.full(count, -1), none, none, none, none)


def front(where: Anatomy) -> np.ndarray:
    return np.clip((where.normals[:, 2] - 0.1) / 0.3, 0, 1)


def finish(where: Anatomy, rgb: np.ndarray) -> np.ndarray:
    labels = np.full(len(rgb), garments.TOP)
    return completed(where, labels, Seen(rgb, front(where)), np.random.default_rng(0))


def test_what_the_photo_is_sure_of_stays(trunk: Anatomy):
    rgb = np.random.default_rng(1).uniform(0.2, 0.8, (len(trunk.points), 3))
    colors = finish(trunk, rgb)
    sure = front(trunk) == 1
    np.testing.assert_allclose(colors[sure], rgb[sure], atol=1 / 255)  # Lab and back in float32.


def test_a_plain_shirt_is_as_plain_behind(trunk: Anatomy):
    rgb = np.tile(BLUE, (len(trunk.points), 1))
    rgb[front(trunk) == 0] = (0, 1, 0)  # What the photo does not show must not matter.
    np.testing.assert_allclose(finish(trunk, rgb), np.tile(BLUE, (len(rgb), 1)), atol=0.02)


def test_a_shirt_under_an_open_jacket_does_not_go_round_to_the_back(trunk: Anatomy):
    rgb = np.where(np.abs(trunk.points[:, :1]) < 0.05, WHITE, BLUE)
    behind = trunk.normals[:, 2] < -0.3
    assert np.abs(finish(trunk, rgb)[behind] - BLUE).max() < 0.08


def test_stripes_round_the_trunk_go_on_behind(trunk: Anatomy):
    striped = np.sin(trunk.points[:, 1:2] * 40) > 0
    rgb = np.where(striped, WHITE, BLUE)
    behind = trunk.normals[:, 2] < -0.5
    light = finish(trunk, rgb)[behind].mean(1)
    truth = rgb[behind].mean(1)
    assert np.corrcoef(light, truth)[0, 1] > 0.7


def test_there_is_no_seam_where_the_photo_ends(trunk: Anatomy):
    # One side is lit, the other in shade: the guess behind must meet both.
    rgb = np.array(BLUE) * (1 + 0.5 * trunk.points[:, :1] / 0.15)
    colors = finish(trunk, rgb)
    order = np.argsort(np.arctan2(trunk.normals[:, 0], trunk.normals[:, 2]))
    row = order[np.isclose(trunk.points[order, 1], trunk.points[0, 1])]
    assert np.abs(np.diff(colors[row], axis=0)).max() < 0.05


def test_an_unseen_hand_is_darker_in_its_hollows():
    across, along = np.meshgrid(np.linspace(-0.03, 0.03, 61), np.linspace(0, 0.04, 41))
    across, along = across.ravel(), along.ravel()
    points = np.stack([across, along, np.abs(across)], 1)  # A valley along y, at x = 0.
    normals = np.stack([-np.sign(across), 0 * across, np.ones_like(across)], 1) / np.sqrt(2)
    count, none = len(points), np.zeros(len(points))
    hand = Anatomy(
        points, normals, np.full(count, garments.HAND), none > 1, 2 + along, np.full(count, -1),
        none, none, none, none,
    )  # fmt: skip
    labels, rgb = np.full(count, garments.SKIN), np.tile([0.75, 0.6, 0.5], (count, 1))
    seen = Seen(rgb, (along < 0.01).astype(float))
    colors = completed(hand, labels, seen, np.random.default_rng(0)).mean(1)
    unseen, aside = along > 0.02, np.abs(across)
    slope = unseen & (aside > 0.01) & (aside < 0.02)
    assert colors[unseen & (aside < 0.002)].mean() < colors[slope].mean() - 0.05
    np.testing.assert_allclose(colors[along < 0.01], rgb.mean(), atol=0.01)


@pytest.mark.parametrize("angle", [-50, 0, 30])
def test_patches_of_hair_are_turned_until_their_strands_run_down(angle):
    rng = np.random.default_rng(0)
    seen = rng.uniform(-0.06, 0.06, (6000, 2))
    lean = np.radians(angle)  # Of the strands, from straight down.
    across = seen @ [np.cos(lean), np.sin(lean)]
    light = np.sin(across / 0.012 * 2 * np.pi)
    turn = _turns(seen, light, np.zeros((1, 2)))[0]
    run = turn @ [0, 1]
    assert abs(run @ [np.cos(lean), np.sin(lean)]) < 0.12
    curly = _turns(seen, rng.normal(size=6000), np.zeros((1, 2)))[0]
    assert np.allclose(curly, np.eye(2))


def test_locks_run_down_and_differ_from_one_to_the_next():
    around, down = np.meshgrid(np.linspace(-0.28, 0.28, 400), np.linspace(0, 0.03, 7))
    place = np.stack([around.ravel(), down.ravel()], 1)
    detail = np.random.default_rng(1).normal(size=(500, 3))
    light = _streaks(place, detail, np.random.default_rng(0))[:, 0].reshape(around.shape)
    along, across = np.diff(light, axis=0).std(), np.diff(light[:, ::8], axis=1).std()
    assert along < 0.5 * across  # Half a centimetre on against a lock aside.
    assert 0.4 < light.std() < 1.2
