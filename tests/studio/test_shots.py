"""Pictures and their truth agree with one another and with closed forms."""

import numpy as np
import pytest
import torch

from incarnate.motion import pose_preset
from incarnate.studio.backgrounds import background
from incarnate.studio.light import harmonics, light, projected
from incarnate.studio.people import person
from incarnate.studio.scenes import framed, pictured, side_words
from incarnate.studio.shots import Posed, Shot, posed, shot


@pytest.fixture(scope="module")
def view() -> Posed:
    return next(posed(person(3), pose_preset("stand")))


@pytest.fixture(scope="module")
def taken(view: Posed) -> Shot:
    rng = np.random.default_rng(0)
    camera = framed(view, "full", 0.3, 0.05, 192)
    return shot(view, camera, light(rng, "studio"), background(rng, "paper"))


def test_alpha_is_where_parts_are(taken: Shot) -> None:
    assert ((taken.alpha > 0) == (taken.parts > 0)).all()
    assert ((taken.alpha > 0) == (taken.depth > 0)).all()
    assert 0.05 < taken.alpha.mean() < 0.5


def test_normals_agree_with_the_slope_of_depth(taken: Shot) -> None:
    k = taken.camera.intrinsics.numpy()
    y, x = np.mgrid[:192, :192] + 0.5
    rays = np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], -1)
    points = rays * taken.depth[..., None]
    right, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
    flat = np.cross(down, right)
    flat /= np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)
    inner = np.ones_like(taken.alpha, bool)
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        beside = np.roll(taken.parts, step, (0, 1))
        near = np.abs(np.roll(taken.depth, step, (0, 1)) - taken.depth) < 0.02
        inner &= (beside == taken.parts) & near & (taken.alpha == 1)
    angle = np.degrees(np.arccos((flat * taken.normal).sum(-1).clip(-1, 1)[inner]))
    # Depth is a pixel's nearest sample, normals are smooth: folds narrower than a pixel differ.
    assert inner.sum() > 1000 and np.median(angle) < 12


def test_normals_are_unit_and_face_the_camera(taken: Shot) -> None:
    solid = taken.alpha == 1
    assert np.abs(np.linalg.norm(taken.normal[solid], axis=-1) - 1).max() < 1e-4
    assert (taken.normal[solid][:, 2] < 0.2).mean() > 0.99
    assert (taken.normal[taken.alpha == 0] == 0).all()


def test_keypoints_lie_on_the_person(taken: Shot) -> None:
    seen = taken.joints[taken.joints_seen]
    assert len(seen) > 15
    x, y = seen.astype(int).T
    assert (taken.alpha[y, x] > 0).all()
    depth = taken.depth[y, x]
    z = taken.camera.local(torch.from_numpy(taken.posed.joints[taken.joints_seen]))[:, 2].numpy()
    assert ((z - depth) > -0.03).all()  # Joints lie inside the flesh, behind the surface.


def test_moving_the_camera_back_moves_depth_by_as_much(view: Posed) -> None:
    rng = np.random.default_rng(0)
    lit, behind = light(rng, "studio"), background(rng, "plain")
    near = shot(view, framed(view, "full", 0.0, 0.0, 96, 0.42), lit, behind)
    far = shot(view, framed(view, "full", 0.0, 0.0, 96, 0.21), lit, behind)
    step = np.linalg.norm((far.camera.center - near.camera.center).numpy())
    both = (near.alpha == 1) & (far.alpha == 1)
    assert np.median(far.depth[both] - near.depth[both]) == pytest.approx(step, abs=0.02)


def test_even_light_from_everywhere_lights_every_normal_alike() -> None:
    k = np.arange(4000) + 0.5
    z, angle = 1 - 2 * k / 4000, np.pi * (1 + 5**0.5) * k
    even = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)
    flat = projected(even, np.ones((4000, 3)))
    assert np.abs(harmonics(even[::50]) @ flat - 1).max() < 1e-3
    # A sky that shines with 1 + cos: irradiance over pi is 1 + 2/3 cos, exactly (band 1).
    sloped = projected(even, 1 + even[:, 1:2] * np.ones(3))
    assert np.abs(harmonics(even[::50]) @ sloped - 1 - 2 / 3 * even[::50, 1:2]).max() < 1e-3


def test_captions_tell_action_framing_and_side(view: Posed) -> None:
    for sample in pictured(view.person, np.random.default_rng(0), 32, 3):
        assert sample.shot.posed.person.words in sample.caption
        assert sample.action in sample.caption and side_words(sample.azimuth) in sample.caption
        assert {"full": "full body", "upper": "upper body", "head": "head and"}[
            sample.framing
        ] in sample.caption


@pytest.mark.parametrize(
    ("degrees", "side"), [(0, "front"), (-45, "three-quarter"), (90, "side"), (190, "back")]
)
def test_sides_are_named_by_angle(degrees: float, side: str) -> None:
    assert side_words(float(np.radians(degrees))) == f"{side} view"


def test_lights_carried_round_shine_there_as_before() -> None:
    lit, around = light(np.random.default_rng(1), "studio"), np.random.default_rng(2)
    n = around.normal(size=(20, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    moved = lit.turned(np.pi / 2)  # From the front to the person's left: +z goes to +x.
    by = np.stack([n[:, 2], n[:, 1], -n[:, 0]], 1)
    assert np.allclose(harmonics(by) @ moved.irradiance, harmonics(n) @ lit.irradiance, atol=1e-5)
    assert np.allclose(moved.toward, [lit.toward[2], lit.toward[1], -lit.toward[0]], atol=1e-6)
