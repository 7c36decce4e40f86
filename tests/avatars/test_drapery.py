"""Clothes' depth, shoes and skirts, on the bare body with looseness that is known."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from incarnate.avatars import drapery, garments
from incarnate.avatars.garments import FOOT, LEG, Outfit
from incarnate.avatars.surface import dense_weights
from incarnate.body.anny import Anny
from incarnate.cameras import orbit

TROUSERS = Outfit(0.5, 1.9, 0.0, True, np.inf, False, True)
SKIRT = Outfit(0.5, 1.0, 0.0, True, np.inf, False, True)


@pytest.fixture(scope="module")
def bare():
    body = Anny.load()
    rest = body.shaped(body.default_betas())
    return body, rest, garments.anatomy(body, rest)


def test_profile_of_a_limb_is_the_mean_near_each_place():
    along = np.repeat(np.linspace(0, 2, 200), 4)
    some = drapery.Round(np.arange(800), along, *np.zeros((3, 800)))
    weights = np.tile([1.0, 0, 3, 0], 200)
    found = some.profile(np.tile([1.0, 9, 2, 9], 200) + along, weights)
    middle = (along > 0.3) & (along < 1.7)
    assert np.abs(found - 1.75 - along)[middle].max() < 0.01


def test_angles_go_from_outwards_to_the_front(bare):
    _, _, where = bare
    for left, sign in ((True, 1), (False, -1)):
        leg = drapery.round_limb(where, LEG, left)
        points = where.points[leg.mine]
        out, front = np.abs(leg.angle) < 0.3, np.abs(leg.angle - np.pi / 2) < 0.3
        assert (sign * where.normals[leg.mine][out, 0] > 0.3).mean() > 0.9
        assert points[front, 2].mean() > points[out, 2].mean() + 0.02


def test_looseness_at_the_outline_is_carried_to_front_and_back(bare):
    body, rest, where = bare
    legs = [drapery.round_limb(where, LEG, left) for left in (True, False)]
    height = np.zeros(len(rest))
    for leg in legs:
        height[leg.mine[np.abs(np.cos(leg.angle)) > 0.6]] = 0.04
    offsets = torch.tensor(height[:, None] * where.normals).float()
    found = drapery.thickened(offsets, body.faces, where, TROUSERS)
    after = (found.numpy() * where.normals).sum(1)
    for leg in legs:
        mine = leg.mine[(np.abs(np.sin(leg.angle)) > 0.9) & (np.abs(leg.along - 0.9) < 0.5)]
        assert 0.015 < np.median(after[mine]) < 0.04
    bare_feet = where.along > 2.05
    assert np.abs(after - height)[bare_feet & (where.segments != FOOT)].max() < 1e-3


def test_shoes_are_the_feet_s_convex_hulls(bare):
    _, rest, where = bare
    found = (rest + drapery.shod(rest, torch.zeros_like(rest), where, TROUSERS)).numpy()
    for left in (True, False):
        foot = (where.segments == FOOT) & (where.left == left)
        hull = ConvexHull(where.points[foot]).equations
        low = foot & (where.points[:, 1] < np.quantile(where.points[foot, 1], 0.3))
        depth = (found[low] @ hull[:, :3].T + hull[:, 3]).max(1)
        assert np.quantile(depth, 0.1) > -1e-3 and depth.max() < 0.03
    barefoot = Outfit(0.5, 1.9, 0.0, False, np.inf, False, True)
    nothing = torch.zeros_like(rest)
    assert drapery.shod(rest, nothing, where, barefoot) is nothing


def test_a_skirt_is_one_convex_surface_down_to_a_level_hem(bare):
    _, rest, where = bare
    found = (rest + drapery.skirted(rest, torch.zeros_like(rest), where, SKIRT)).numpy()
    skirt = (where.segments == LEG) & (where.along > 0.35) & (where.along < 0.9)
    middle = where.points[where.segments == LEG, 0].mean()
    for left, sign in ((True, 1), (False, -1)):
        aside = sign * (found[skirt & (where.left == left), 0] - middle)
        assert aside.min() > -1e-3  # The halves meet and do not cross.
    level = skirt & (np.abs(where.along - 0.7) < 0.06)
    flat = (found[level] - [middle, 0, 0])[:, [0, 2]]
    hull = ConvexHull(flat)
    outer = np.abs(where.points[level, 0] - middle) > 0.12
    depth = (flat[outer] @ hull.equations[:, :2].T + hull.equations[:, 2]).max(1)
    assert np.median(depth) > -0.01
    assert np.allclose(found[where.along > 1.2], where.points[where.along > 1.2], atol=1e-5)


def test_skirts_hang_from_both_thighs(bare):
    body, rest, where = bare
    found = drapery.skirt_weights(dense_weights(body), rest, body, where, SKIRT)
    assert torch.allclose(found.sum(1), torch.ones(len(rest)), atol=1e-5)
    low = torch.tensor((where.segments == LEG) & (where.along > 0.8) & (where.along < 0.98))
    thighs = [body.smplx_joints["left_hip"], body.smplx_joints["right_hip"]]
    assert found[low][:, thighs].sum(1).min() > 0.95
    inner = low & (rest[:, 0].abs() < 0.08)
    assert found[inner][:, thighs].min() > 0.2


@pytest.mark.parametrize("closed", [True, False])
def test_cloth_between_the_legs_makes_the_skirt(bare, closed):
    _, rest, where = bare
    camera = orbit(torch.zeros(3), 2.0, 0.0, 0.0, 300, 300)
    pixels = camera.project(rest)
    legs = pixels[torch.tensor(where.segments == LEG)]
    alpha = torch.zeros(300, 300)
    alpha[int(legs[:, 1].min()) : int(legs[:, 1].max())] = 1
    if not closed:
        alpha[:, 148:152] = 0
    assert drapery.is_skirt(rest, torch.zeros_like(rest), where, SKIRT, camera, alpha) == closed
