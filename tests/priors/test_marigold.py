"""Marigold: published widths, and maps against diffusers' own."""

from typing import Any

import pytest
import torch

from incarnate.priors import Condition, Reference, Schedule, Text, ddim, sample
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.marigold import DepthMaps, Marigold, NormalMaps, said_nothing
from tests.priors import published_video, tiny_video
from tests.priors.tiny import SIZE, diffusers
from tests.priors.tiny_video import latents, loaded, pictures

T = torch.tensor([300.0, 700.0])


def wrapped(pipe, maps):
    schedule = Schedule.scaled_linear(prediction="v", zero_terminal_snr=True, spacing="trailing")
    nothing = said_nothing(pipe.text_encoder, pipe.tokenizer)
    return Marigold(pipe.unet, Autoencoder(pipe.vae), nothing, schedule, maps)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    there = tmp_path_factory.mktemp("marigold")
    return {
        "depth": tiny_video.marigold(there / "depth", diffusers.MarigoldDepthPipeline, "depth"),
        "normals": tiny_video.marigold(
            there / "normals", diffusers.MarigoldNormalsPipeline, "normals"
        ),
    }


@pytest.fixture(scope="module")
def depth(folders):
    pipe = loaded(diffusers.MarigoldDepthPipeline, folders["depth"])
    return pipe, wrapped(pipe, DepthMaps())


def picture(count=2, height=SIZE):
    return Condition(reference=Reference(pictures(count, height, SIZE, 3)))


def theirs(pipe, condition, start):
    return pipe(
        condition.reference.image.movedim(-1, 1),
        num_inference_steps=2,
        processing_resolution=0,
        batch_size=2,
        latents=start,
        output_type="pt",
    ).prediction.movedim(1, -1)


def test_depth_is_measured_as_diffusers_measures_it(depth):
    pipe, prior = depth
    condition, start = picture(), latents(2, 4, SIZE // 2, SIZE // 2)
    ours = sample(prior, start, condition, 2)
    assert ours.shape == (2, SIZE, SIZE, 1)
    # A hundred or so float32 roundings of numbers near 1.
    torch.testing.assert_close(ours, theirs(pipe, condition, start), rtol=0, atol=1e-5)


@pytest.mark.parametrize("facing", [False, True])
def test_normals_are_measured_as_diffusers_measures_them(folders, facing):
    pipe = loaded(diffusers.MarigoldNormalsPipeline, folders["normals"])
    pipe.use_full_z_range = not facing
    prior = wrapped(pipe, NormalMaps(facing))
    condition, start = picture(), latents(2, 4, SIZE // 2, SIZE // 2)
    clean = ddim(prior, start, condition, prior.schedule.levels(2))
    ours = 2 * prior.decode(clean) - 1
    torch.testing.assert_close(ours.norm(dim=-1), torch.ones(2, SIZE, SIZE))
    # As above; short normals, no shorter than 0.04 here, grow by what they lack to length 1.
    torch.testing.assert_close(ours, theirs(pipe, condition, start), rtol=0, atol=3e-4)


@pytest.mark.parametrize("maps", [DepthMaps(), NormalMaps(), NormalMaps(facing=True)])
def test_maps_are_read_as_they_are_shown(maps):
    normals = torch.nn.functional.normalize(latents(2, 5, 6, 3), dim=-1)
    normals[..., 2] = normals[..., 2].abs()
    given = pictures(2, 5, 6, 1) if maps.channels == 1 else (normals + 1) / 2
    shown = maps.shown(given)
    assert shown.shape == (2, 5, 6, 3) and shown.min() >= 0 and shown.max() <= 1
    torch.testing.assert_close(maps.read(shown), given)


def test_a_map_s_latents_are_those_of_its_picture(depth):
    _, prior = depth
    maps = pictures(2, SIZE, SIZE, 1)
    grey = maps.expand(-1, -1, -1, 3)
    torch.testing.assert_close(prior.encode(maps), prior.vae.encode(grey))


def test_one_picture_holds_for_all_rows_and_is_encoded_once(depth, monkeypatch):
    _, prior = depth
    x, one = latents(2, 4, SIZE // 2, SIZE // 2), picture(1)
    assert one.reference is not None
    twice = Condition(reference=Reference(one.reference.image.expand(2, -1, -1, -1)))
    torch.testing.assert_close(prior.predict(x, T, one), prior.predict(x, T, twice))
    monkeypatch.setattr(prior.vae, "encode", None)
    prior.predict(x, T, one)


def test_marigold_s_features_know_the_map_and_the_picture(depth):
    _, prior = depth
    x = latents(2, 4, SIZE // 2, SIZE // 2).requires_grad_()
    deepest, shallow = prior.features(x, T, picture())
    assert deepest.shape == (2, 16, 8, 8) and shallow.shape == (2, 16, 16, 16)
    (gradient,) = torch.autograd.grad(deepest.square().sum(), x)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()
    other = Condition(reference=Reference(pictures(2, SIZE, SIZE, 3, seed=9)))
    assert not torch.allclose(prior.features(x, T, other)[0], deepest, atol=1e-3)


def test_bad_conditions_of_marigold_are_told_in_a_line(depth):
    _, prior = depth
    x = latents(2, 4, SIZE // 2, SIZE // 2)
    with pytest.raises(ValueError, match="this prior needs reference in its condition"):
        prior.predict(x, T, Condition())
    with pytest.raises(ValueError, match="does not read text; it reads reference"):
        prior.predict(x, T, Condition(text=Text(("a dog",))))
    with pytest.raises(ValueError, match="a reference of 32 x 48 pixels came for"):
        prior.predict(x, T, picture(height=48))
    with pytest.raises(ValueError, match="maps of 3 channels came, this prior knows 1"):
        prior.encode(pictures(1, SIZE, SIZE, 3))
    with pytest.raises(ValueError, match="guide it by a scale of 1"):
        sample(prior, x, picture(), 2, 3.0)


@pytest.mark.parametrize("model", published_video.MARIGOLD.values(), ids=published_video.MARIGOLD)
def test_marigold_s_models_have_their_published_widths(model):
    published_video.check(model)


def test_marigold_runs_at_its_published_width():
    """On the meta device: shapes fit from pictures to latents, through the network, and back."""
    models: list[Any] = [model.built() for model in published_video.MARIGOLD.values()]
    unet, vae, text_encoder = models
    with torch.device("meta"):
        tokens = torch.empty(1, 2, dtype=torch.long)  # The empty prompt: its begin and its end.
        maps, t = torch.empty(1, 64, 96, 3), torch.empty(1)
    nothing = text_encoder(tokens).last_hidden_state
    prior = Marigold(unet, Autoencoder(vae), nothing, Schedule.scaled_linear(), NormalMaps())
    with torch.no_grad():
        x = prior.encode(maps)
        assert x.shape == (1, 4, 8, 12)
        assert prior.predict(x, t, Condition(reference=Reference(maps))).shape == x.shape
        assert prior.decode(x).shape == maps.shape
