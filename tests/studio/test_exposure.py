"""The compiled core does what numpy defines, sample for sample."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from incarnate.motion import pose_preset
from incarnate.studio import exposure, shading
from incarnate.studio.backgrounds import background
from incarnate.studio.light import light
from incarnate.studio.people import person
from incarnate.studio.scenes import framed
from incarnate.studio.shading import Setting
from incarnate.studio.shots import posed, setting


@pytest.fixture(scope="module")
def scene() -> Setting:
    """Somebody in long hair who sits, seen from below, so that insides of cloth show."""
    view = next(posed(person(3), pose_preset("sitting"), [True]))
    rng = np.random.default_rng(0)
    lit, behind = light(rng, "outdoor"), background(rng, "paper")
    return setting(view, framed(view, "full", 2.4, -0.15, 96), lit, behind)


def test_pictures_agree_with_their_definition(scene: Setting) -> None:
    ours, theirs = exposure.exposed(scene), shading.exposed(scene)
    # Texels are picked by rounding: a sample in ten thousand may fall to its neighbour.
    off = np.abs(ours.rgb.astype(int) - theirs.rgb).max(-1)
    assert (off > 0).mean() < 1e-3 and off.max() < 40
    np.testing.assert_allclose(ours.normal, theirs.normal, atol=1e-4)
    for name in ("alpha", "depth", "parts"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert 0.1 < (ours.alpha > 0).mean() < 0.9


def test_posing_agrees_with_its_definition(scene: Setting) -> None:
    whole = scene.whole
    turn, _ = torch.linalg.qr(torch.randn(whole.num_joints, 3, 3, generator=_seeded()))
    shift = 0.1 * torch.randn(whole.num_joints, 3, 1, generator=_seeded())
    bones = torch.cat([turn, shift], -1).numpy()
    for ours, theirs in zip(
        exposure.carried(whole, whole.rest, bones),
        shading.carried(whole, whole.rest, bones),
        strict=True,
    ):
        far = np.abs(ours - theirs).max(1)
        # Normals of slivers are differences of large numbers.
        assert np.quantile(far, 0.999) < 1e-4


def test_the_stool_has_colour_and_nothing_else(scene: Setting) -> None:
    bare = replace(scene.whole, labels=np.zeros_like(scene.whole.labels))
    out = exposure.exposed(replace(scene, whole=bare))
    assert not out.alpha.any() and not out.parts.any() and not out.normal.any()
    np.testing.assert_array_equal(out.rgb, exposure.exposed(scene).rgb)


def test_a_sample_of_no_face_is_refused(scene: Setting) -> None:
    ids = scene.samples.face_ids.clone()
    ids[0, 0] = len(scene.whole.faces)
    with pytest.raises(ValueError, match="a face that is not there"):
        exposure.exposed(replace(scene, samples=replace(scene.samples, face_ids=ids)))


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
