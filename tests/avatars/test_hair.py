"""Hair on a ball for a head: hairline, thickness behind, fall and following."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from incarnate.avatars.hair import behind, border, curtain, extents, hung, puffed


@pytest.fixture
def ball() -> np.ndarray:
    """Points evenly on a head of 10 cm radius, the face at +z (Fibonacci's spiral)."""
    i = np.arange(3000) + 0.5
    height, turn = 1 - 2 * i / 3000, np.pi * (1 + 5**0.5) * i
    wide = np.sqrt(1 - height**2)
    return 0.1 * np.stack([wide * np.cos(turn), height, wide * np.sin(turn)], 1)


def test_the_hairline_of_what_is_seen_goes_on_without_a_bare_gap(ball: np.ndarray):
    # The photo shows z > 1 cm, hair above 3 cm; usually hair starts only behind the ears, z < -1.
    seen = (ball[:, 2] > 0.01).astype(float)
    usual = (ball[:, 2] < -0.01).astype(float)
    hairy = border(ball, usual, ball[:, 1] > 0.03, seen)
    assert hairy[(np.abs(ball[:, 2]) < 0.01) & (ball[:, 1] > 0.05)].all()
    assert not hairy[(ball[:, 2] > 0.03) & (ball[:, 1] < 0.02)].any()
    assert hairy[ball[:, 2] < -0.06].all()


def test_single_odd_pixels_do_not_fray_a_border(ball: np.ndarray):
    rng = np.random.default_rng(0)
    like = (ball[:, 1] > 0.0) ^ (rng.random(len(ball)) < 0.1)
    hairy = border(ball, np.zeros(len(ball)), like, np.ones(len(ball)))
    clear = np.abs(ball[:, 1]) > 0.02
    assert (hairy == (ball[:, 1] > 0))[clear].mean() > 0.99


def test_one_side_of_the_head_tells_of_the_other(ball: np.ndarray):
    seen = (ball[:, 0] > 0.03).astype(float)
    hairy = border(ball, np.zeros(len(ball)), ball[:, 1] > 0, seen)
    other = ball[:, 0] < -0.05
    assert hairy[other & (ball[:, 1] > 0.04)].all()
    assert not hairy[other & (ball[:, 1] < -0.04)].any()


def faces_of(points: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(ConvexHull(points).simplices.astype(np.int64))


def test_hair_is_as_thick_behind_as_at_the_outline(ball: np.ndarray):
    facing = torch.tensor(ball[:, 2] / 0.1).float()
    heights = torch.where(facing.abs() < 0.45, 0.03, 0.0)
    high = behind(heights, facing, ball, np.ones(len(ball)), faces_of(ball))
    assert (high[facing < -0.6] > 0.025).all()


@pytest.fixture
def bust() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head of 10 cm radius on a neck of 5 cm: points, what hair hangs over, the scalp map."""
    turn, height = np.meshgrid(
        np.linspace(-np.pi, np.pi, 48, endpoint=False), np.linspace(-0.3, 0.095, 40)
    )
    turn, height = turn.ravel(), height.ravel()
    radius = np.where(height > -0.08, np.sqrt(0.01 - height.clip(-0.08) ** 2), 0.05)
    points = np.stack([radius * np.sin(turn), height, radius * np.cos(turn)], 1)
    neck = height < -0.08
    return points, neck & (np.cos(turn) < 0), (~neck & (np.cos(turn) < 0.3)).astype(float)


def grid_faces() -> torch.Tensor:
    i = np.arange(39 * 48)
    right = i // 48 * 48 + (i + 1) % 48
    return torch.from_numpy(
        np.concatenate([np.stack([i, right, i + 48], 1), np.stack([right, right + 48, i + 48], 1)])
    )


def test_long_hair_falls_from_where_the_head_is_widest(bust):
    points, hanging, scalp = bust
    rest = torch.tensor(points).float()
    fallen = rest + curtain(rest, torch.zeros_like(rest), grid_faces(), hanging, scalp)
    squarely = hanging & (points[:, 2] < -0.04) & (points[:, 1] > -0.28) & (points[:, 1] < -0.12)
    radius = fallen[:, [0, 2]].norm(dim=1)[torch.tensor(squarely)]
    assert (radius > 0.085).all() and (radius < 0.105).all()
    front = torch.tensor(points[:, 2] > 0.04)
    torch.testing.assert_close(fallen[front], rest[front])


def test_hair_near_the_scalp_follows_the_head_and_its_ends_do_not(bust):
    points, hanging, scalp = bust
    weights = torch.zeros(len(points), 2)
    weights[:, 0] = 1  # All on the trunk, joint 0; the head is joint 1.
    moved = hung(weights, grid_faces(), 1, points[:, 1], hanging, scalp)
    torch.testing.assert_close(moved.sum(1), torch.ones(len(points)))
    back = points[:, 2] < -0.04
    assert (moved[torch.tensor(back & (np.abs(points[:, 1] + 0.1) < 0.01)), 1] > 0.4).all()
    assert (moved[torch.tensor(back & (points[:, 1] < -0.27)), 1] < 0.1).all()


def test_short_hair_changes_nothing(bust):
    points, hanging, scalp = bust
    rest = torch.tensor(points).float()
    none = np.zeros_like(hanging)
    assert (curtain(rest, torch.zeros_like(rest), grid_faces(), none, scalp) == 0).all()
    weights = torch.eye(2)[torch.zeros(len(points), dtype=torch.long)]
    assert hung(weights, grid_faces(), 1, points[:, 1], none, scalp) is weights


def test_the_picture_tells_how_wide_hair_is():
    def shown(points: np.ndarray):
        radius = np.hypot(points[:, 0], points[:, 1])
        lab = np.where(radius[:, None] < 0.12, [20.0, 5, 5], [70.0, 0, 0])  # Hair, then a wall.
        return (radius < 0.2).astype(float), lab

    heights = np.array([-0.06, 0.0, 0.06])
    found = extents(np.zeros(3), heights, shown, np.array([20.0, 5, 5]))
    wanted = np.sqrt(0.12**2 - heights**2)
    assert np.allclose(found[:, 0], heights)
    assert np.abs(found[:, 1:] - wanted[:, None]).max() < 0.004
    nothing = extents(np.zeros(3), heights, shown, np.array([90.0, 60, 60]))
    assert (nothing[:, 1:] == 0).all()


def test_hair_widens_behind_the_ears_and_not_in_front(ball: np.ndarray):
    rest, faces = torch.tensor(ball).float(), faces_of(ball)
    scalp = ((ball[:, 2] < 0.03) | (ball[:, 1] > 0.05)).astype(float)
    wide = np.stack([np.linspace(-0.04, 0.04, 17), np.full(17, 0.13), np.full(17, 0.1)], 1)
    found = ball + puffed(rest, torch.zeros_like(rest), faces, scalp, wide).numpy()
    level, side = np.abs(ball[:, 1]) < 0.02, np.abs(ball[:, 2] + 0.015) < 0.01
    assert found[level & side, 0].max() == pytest.approx(0.13, abs=0.012)
    assert found[level & side, 0].min() == pytest.approx(-0.1, abs=0.006)
    face = ball[:, 2] > 0.05
    assert np.allclose(found[face], ball[face], atol=1e-6)
