import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from incarnate.cameras import Stance
from incarnate.evaluate.distilled import (
    TINY,
    Stage,
    distilled,
    followed,
    measured,
    oracle,
    start,
)
from incarnate.evaluate.known import Known, KnownPictures, Ring, known
from incarnate.motion import SMPLX_JOINTS
from incarnate.priors import Denoiser
from incarnate.progress import Report, Silent
from incarnate.render.march import march
from incarnate.scene import Mesh
from incarnate.scene.field import ellipsoid


@pytest.fixture(scope="module")
def target() -> Known:
    return known()


@pytest.fixture(scope="module")
def found():
    return distilled(oracle(TINY), 0, TINY)


def test_a_prior_that_knows_the_truth_makes_a_body_and_regularisers_alone_do_not(found):
    # Nodes are 5 cm apart and pixels 5 cm wide here: an arm is two of them, a hand is none.
    assert found.prior.iou > 0.7 > 0.55 > found.control.iou
    assert found.prior.normal_error < 25 < 33 < found.control.normal_error
    assert found.start.iou == pytest.approx(found.control.iou, abs=0.08)


def test_the_picture_has_prior_control_and_truth_in_eight_views(found):
    assert found.picture.shape == (3 * 128, 8 * 128, 3)
    prior, control, truth = np.split(found.picture.astype(float), 3)
    assert np.abs(prior - truth).mean() < 0.7 * np.abs(control - truth).mean()


def test_a_run_follows_from_its_seed(target):
    # The seed says which cameras come in which order, and the noise, of which this prior cares not.
    short = replace(TINY, stages=(replace(TINY.stages[0], iterations=4),))
    runs = [followed(oracle(TINY), target, short, seed, Silent()).values for seed in (3, 3, 4)]
    torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=0)
    assert (runs[0] - runs[2]).abs().max() > 1e-4


def test_kept_pictures_are_followed_without_asking_the_prior_again(target):
    asked = []

    class Counting(Denoiser):
        """Counts the rows that the oracle is asked for."""

        def __init__(self):
            self.inner = oracle(TINY)
            self.schedule = self.inner.schedule

        @property
        def reads(self):
            return self.inner.reads

        def encode(self, images):
            return self.inner.encode(images)

        def decode(self, latents):
            return self.inner.decode(latents)

        def predict(self, x_t, t, condition):
            asked.append(len(x_t))
            return self.inner.predict(x_t, t, condition)

        def unconditional(self, condition):
            return self.inner.unconditional(condition)

        def features(self, x_t, t, condition):
            return self.inner.features(x_t, t, condition)

    stage = replace(TINY.stages[0], iterations=5, repainted=1)
    settings = replace(TINY, stages=(stage,), steps=2, guidance_scale=1.0)
    followed(Counting(), target, settings, 0, Silent())
    assert asked == [1] * 2 * 5


def test_the_ellipsoid_stands_where_the_body_will(target):
    field = start(target, 0.03)
    inside = field.nodes()[field.values < 0]
    low, high = target.stance.box
    # A node's width short of the tips.
    assert float(inside[:, 1].max()) == pytest.approx(float(high[1]), abs=0.05)
    assert float(inside[:, 1].min()) == pytest.approx(float(low[1]), abs=0.05)
    assert (field.low < low).all() and (field.high > high).all()


def test_a_solid_measured_against_itself_is_perfect():
    # A ball of triangles, and the field of the ball.
    rings, around = 60, 120
    theta = torch.linspace(0, math.pi, rings)[:, None]
    phi = torch.arange(around) * math.tau / around
    parts = [theta.sin() * phi.cos(), theta.cos().expand(-1, around), theta.sin() * phi.sin()]
    unit = torch.stack(parts, -1).flatten(0, 1)
    i, j = (
        x.flatten()
        for x in torch.meshgrid(torch.arange(rings - 1), torch.arange(around), indexing="ij")
    )
    a, b = i * around + j, i * around + (j + 1) % around
    faces = torch.cat(
        [torch.stack([a, b, b + around], 1), torch.stack([a, b + around, a + around], 1)]
    )
    nowhere = torch.full((55, 3), torch.nan)
    stance = Stance.of(0.5 * unit, nowhere, 0.5)
    ball = Known(Mesh(0.5 * unit, faces, unit), nowhere, stance)
    low = torch.full((3,), -0.7)
    field = ellipsoid(low, -low, torch.zeros(3), torch.full((3,), 0.5), 0.025)
    score = measured(field, ball)
    assert score.iou > 0.985 and score.normal_error < 1.5
    wider = measured(replace(field, values=field.values - 0.05), ball)
    assert wider.iou == pytest.approx((0.5 / 0.55) ** 2, abs=0.015)


def test_the_skeleton_lies_within_the_body(target):
    ring = Ring.around(target, 6, 128)
    for camera, skeleton in zip(ring.cameras, ring.skeletons, strict=True):
        alpha, _ = target.seen(camera)
        drawn = skeleton.amax(-1) > 0.5
        assert float(alpha[drawn].mean()) > 0.98
        assert drawn.sum() > 100
    known_joints = torch.isfinite(target.joints).all(-1)
    assert int(known_joints.sum()) >= len(SMPLX_JOINTS) - 3


def test_a_normal_map_faces_the_viewer(target):
    camera = target.camera(0.0, 64)
    picture = target.normal_map(camera)
    alpha, _ = target.seen(camera)
    assert picture[0, 0].abs().max() == 0
    # Blue is toward the viewer: at least a half wherever the body fills the pixel.
    solid = -torch.nn.functional.max_pool2d(-alpha[None, None], 3, 1, 1)[0, 0] > 0.5
    assert picture[solid][:, 2].min() > 0.45
    left, right = picture[:, :32][solid[:, :32]], picture[:, 32:][solid[:, 32:]]
    assert left[:, 0].mean() < 0.5 < right[:, 0].mean()


def test_the_oracle_tells_each_camera_its_own_picture(target):
    ring = Ring.around(target, 5, 32)
    prior = KnownPictures.of(target, [ring])
    rows = [3, 1]
    condition = ring.condition(rows, "a person")
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 900.0, dtype=torch.float64)
    made = prior.decode(prior.predict(noise, t, condition))
    for picture, k in zip(made, rows, strict=True):
        torch.testing.assert_close(picture, target.normal_map(ring.cameras[k]))


def test_stages_follow_one_another_at_their_own_size(target):
    steps = []

    class Heard(Report):
        """Keeps the steps."""

        def stage(self, name): ...

        def step(self, index, count):
            steps.append((index, count))

        def warn(self, text): ...

        def say(self, text): ...

        def close(self): ...

    settings = replace(TINY, stages=(Stage(2, 16, at_once=2, repainted=2), Stage(1, 24)))
    prior = oracle(settings)
    followed(prior, target, settings, 0, Heard())
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert march(start(target, 0.06), [target.camera(0.0, 24)], 0.02).alpha.shape == (1, 24, 24)
