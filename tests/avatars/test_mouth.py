"""Teeth where a smile shows them, lips that stay red, and lips that meet."""

import numpy as np
import pytest
import torch

from incarnate.avatars import garments, mouth
from incarnate.avatars.garments import Anatomy
from incarnate.body.anny import Anny
from incarnate.cameras import Camera, orbit
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import rasterize
from incarnate.scene import Mesh

LIP, TOOTH, GAP = (0.75, 0.40, 0.40), (0.93, 0.91, 0.85), (0.15, 0.06, 0.05)


@pytest.fixture(scope="module")
def body() -> Anny:
    return Anny.load()


@pytest.fixture(scope="module")
def rest(body: Anny) -> torch.Tensor:
    return body.shaped(body.default_betas())


def smiling(body: Anny, rest: torch.Tensor) -> torch.Tensor:
    weights = torch.zeros(len(ARKIT_NAMES))
    for name in ("mouthUpperUpLeft", "mouthUpperUpRight", "jawOpen"):
        weights[ARKIT_NAMES.index(name)] = 0.4
    return body.express(rest, body.arkit(weights)) + mouth.set_teeth(body, rest)


def close_up(body: Anny, posed: torch.Tensor) -> Camera:
    center = posed[body.region("lips") > 0.5].mean(0)
    return orbit(center, 0.08, 0.0, 0.0, 256, 256)


def test_teeth_grow_down_over_a_pale_opening_and_not_over_a_dark_one(body: Anny, rest):
    posed = smiling(body, rest)
    camera = close_up(body, posed)
    upper = mouth.upper_teeth(body, rest)
    ids = rasterize(Mesh(posed, body.faces, torch.zeros(len(posed), 1)), camera).face_ids
    lips = (body.region("lips")[body.faces].amin(1) > 0.5)[ids] & (ids >= 0)
    for colour, grows in ((TOOTH, True), (GAP, False), (LIP, False)):
        picture = torch.where(lips[..., None], torch.tensor(LIP), torch.tensor(colour))
        moved = mouth.lengthened(body, rest, posed, camera, picture)
        assert (moved[~upper] == 0).all()
        assert -mouth.LONGEST <= moved[:, 1].min() <= 0
        assert bool(moved[:, 1].min() < -0.0005) == grows


def test_a_mouth_whose_lips_are_apart_is_closed_by_as_much(body: Anny, rest):
    jaw = torch.zeros(len(ARKIT_NAMES))
    jaw[ARKIT_NAMES.index("jawOpen")] = 0.1
    apart = body.express(rest, body.arkit(jaw))
    weight = mouth.closing(body, apart) - mouth.closing(body, rest)
    assert weight == pytest.approx(0.1, abs=0.03)  # ARKit: mouthClose closes what jawOpen opens.
    assert mouth.closing(body, rest) < 0.02


def lips_and_gap() -> tuple[Anatomy, np.ndarray, np.ndarray]:
    """Red lips 5 cm wide with teeth in their colour at the rim, where the inner mouth begins."""
    across, up = np.meshgrid(np.linspace(-0.025, 0.025, 51), np.linspace(-0.012, 0.012, 25))
    points = np.stack([across.ravel(), up.ravel(), 0 * up.ravel()], 1)
    count, none = len(points), np.zeros(len(points))
    inner = np.abs(points[:, 1]) < 0.0005
    fixed = np.where(inner, garments.LABELS.index("mouth"), -1)
    where = Anatomy(
        points, np.tile([0.0, 0.0, 1.0], (count, 1)), np.full(count, garments.HEAD),
        points[:, 0] > 0, none, fixed, none, none, none + 1, (~inner).astype(float),
    )  # fmt: skip
    lab = np.tile([55.0, 24.0, 12.0], (count, 1))
    rim = ~inner & (np.abs(points[:, 1]) < 0.003)
    lab[rim] = [80.0, 3.0, 12.0]
    return where, lab, rim


def test_teeth_on_the_rim_of_lips_are_not_believed_and_lips_are():
    where, lab, rim = lips_and_gap()
    labels = np.where(where.fixed < 0, garments.SKIN, where.fixed)
    trusted = np.ones(len(lab))
    mouth.doubt_lips(trusted, where, labels, lab)
    assert (trusted[rim] == 0).all()
    assert (trusted[~rim & (where.fixed < 0)] == 1).all()
