"""What holds for every family: the contract of `Denoiser`, through the loader."""

from dataclasses import replace

import pytest
import torch

from incarnate.guidance import sds
from incarnate.priors import Condition, Reference, Text, ddim
from incarnate.priors.checkpoint import Checkpoint, found
from incarnate.priors.cost import cost, everything, fitting
from incarnate.priors.hub import load
from incarnate.priors.wan import WanVace
from tests.priors import tiny_video
from tests.priors.families import FAMILIES
from tests.priors.tiny import diffusers

SIDE = 32


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """The name of its directory, and how many frames."""
    make, frames = FAMILIES[request.param]
    return str(make(tmp_path_factory.mktemp("family") / "made")), frames


@pytest.fixture(scope="module")
def prior(family):
    return load(family[0])


def pictures(frames):
    rng = torch.Generator().manual_seed(1)
    shape = (2, SIDE, SIDE, 3) if frames is None else (2, frames, SIDE, SIDE, 3)
    return torch.rand(shape, generator=rng)


def levels(*t: float) -> torch.Tensor:
    return torch.tensor(t, dtype=torch.float64)


def test_pictures_go_to_latents_and_back_in_their_shape(prior, family):
    images = pictures(family[1])
    with torch.no_grad():
        latents = prior.encode(images)
        assert latents.ndim == images.ndim
        assert prior.decode(latents).shape[:-1] == images.shape[:-1]


def test_a_prediction_follows_its_condition_and_level(prior, family):
    images = pictures(family[1])
    said = fitting(prior, images)
    with torch.no_grad():
        x = prior.encode(images)
        output = prior.predict(x, levels(600, 600), said)
        assert output.shape == x.shape and output.dtype == x.dtype
        assert torch.isfinite(output).all()
        assert not torch.equal(prior.predict(x, levels(100, 600), said)[0], output[0])
        plain = prior.predict(x, levels(600, 600), prior.unconditional(said))
        assert not torch.equal(plain, output)


def test_rows_do_not_know_of_one_another(prior, family):
    images = pictures(family[1])
    said = fitting(prior, images[:1])
    with torch.no_grad():
        x = prior.encode(images)
        both = prior.predict(x, levels(300, 700), said)
        one = prior.predict(x[1:], levels(700), said)
    # The same sums in other orders.
    torch.testing.assert_close(both[1:], one, rtol=1e-3, atol=1e-4)


def test_a_condition_it_does_not_read_is_refused(prior, family):
    images = pictures(family[1])
    foreign = everything(("text", "normal", "depth", "pose", "reference", "projection"), images)
    with pytest.raises(ValueError, match="does not read|reads"):
        prior.predict(prior.encode(images), levels(1, 1), foreign)


def test_sampling_and_guidance_run_on_it(prior, family):
    images = pictures(family[1])
    said = fitting(prior, images)
    with torch.no_grad():
        x = torch.randn_like(prior.encode(images))
    clean = ddim(prior, x, said, prior.schedule.levels(2), 3.0)
    assert clean.shape == x.shape
    drawn = images.clone().requires_grad_()
    sds(prior, drawn, said, levels(500, 500), x, 3.0).backward()
    assert drawn.grad is not None and float(drawn.grad.abs().max()) > 0


def test_its_features_are_rows_and_follow_the_latents(prior, family):
    images = pictures(family[1])
    said = fitting(prior, images)
    x = prior.encode(images).detach().requires_grad_()
    found_features = prior.features(x, levels(500, 500), said)
    assert found_features and all(len(layer) == 2 for layer in found_features)
    found_features[0].square().sum().backward()
    assert float(x.grad.abs().max()) > 0


def test_its_cost_is_known_before_it_is_loaded(prior, family):
    costed = cost(found(Checkpoint.parse(family[0])), SIDE, family[1], "cpu", torch.float32)
    assert costed.reads == prior.reads
    assert min(work.flops for work in (costed.encoding, costed.prediction, costed.decoding)) > 0


def test_prompts_of_a_wrong_number_are_refused(prior, family):
    if "text" not in prior.reads:
        return
    images = pictures(family[1])
    wrong = replace(fitting(prior, images), text=Text(("a", "b", "c")))
    with pytest.raises(ValueError, match="3 prompts came for 2 rows"):
        prior.predict(prior.encode(images), levels(1, 1), wrong)


@pytest.mark.parametrize("cls, channels", [("Depth", 1), ("Normals", 3)])
def test_marigold_is_loaded_with_the_maps_it_measures(cls, channels, tmp_path):
    pipeline = getattr(diffusers, f"Marigold{cls}Pipeline")
    folder = tiny_video.marigold(tmp_path / "made", pipeline, cls.lower())
    prior = load(str(folder))
    said = Condition(reference=Reference(pictures(None)))
    x = torch.randn(2, 4, SIDE // 2, SIDE // 2)
    maps = prior.decode(ddim(prior, x, said, prior.schedule.levels(2)))
    assert maps.shape == (2, SIDE, SIDE, channels)
    costed = cost(found(Checkpoint.parse(str(folder))), SIDE, None, "cpu", torch.float32)
    assert costed.prediction.flops > 0


def test_vace_as_loaded_can_be_made_to_refer_to_a_picture(tmp_path):
    prior = load(str(tiny_video.wan_vace(tmp_path / "made")))
    assert isinstance(prior, WanVace) and "reference" not in prior.reads
    referring = prior.referring()
    images = pictures(5)
    said = fitting(referring, images)
    with torch.no_grad():
        x = referring.encode(images)
        assert x.shape[2] == prior.encode(images).shape[2] + 1
        assert referring.predict(x, levels(500, 500), said).shape == x.shape
