"""Directories of the user's own weights: loaded, and equal to diffusers' own pipelines."""

import pytest
import torch

from incarnate.priors import Condition, Depth, Normal, Projection, Text, sample
from incarnate.priors.hub import load
from incarnate.priors.stable import StableDiffusion
from tests.priors import tiny
from tests.priors.tiny import diffusers

PROMPTS = ("a man", "a woman, back view")
NEGATIVE = ("bad", "bad")
# Two passes of one row each against one of two: sums differ in float32's last places.
RTOL, ATOL = 1e-4, 1e-5


def said(**parts):
    return Condition(text=Text(PROMPTS, NEGATIVE), **parts)


def pipeline(folder, cls="StableDiffusionPipeline", **parts):
    pipe = getattr(diffusers, cls).from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, safety_checker=None, **parts
    )
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe, scale, **given):
    return torch.from_numpy(
        pipe(
            prompt=list(PROMPTS),
            negative_prompt=list(NEGATIVE),
            guidance_scale=scale,
            num_inference_steps=2,
            latents=tiny.latents(),
            output_type="np",
            **given,
        ).images
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.mark.parametrize("scale", [1.0, 5.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_stable_diffusion_draws_what_its_pipeline_draws(folder, scale, prediction):
    zero = prediction == "v_prediction"
    spacing = "trailing" if zero else "leading"
    path = tiny.stable(
        folder / prediction,
        prediction_type=prediction,
        rescale_betas_zero_snr=zero,
        timestep_spacing=spacing,
    )
    ours = sample(load(str(path)), tiny.latents(), said(), 2, scale)
    torch.testing.assert_close(ours, drawn(pipeline(path), scale), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_xl_draws_what_its_pipeline_draws(folder, scale):
    path = tiny.stable_xl(folder / "xl")
    pipe = pipeline(path, "StableDiffusionXLPipeline")
    ours = sample(load(str(path)), tiny.latents(), said(), 2, scale)
    torch.testing.assert_close(ours, drawn(pipe, scale, height=32, width=32), rtol=RTOL, atol=ATOL)


def test_xl_encodes_no_prompt_as_zeros(folder):
    prior = load(str(tiny.stable_xl(folder / "xl-zeros")))
    assert isinstance(prior, StableDiffusion)
    words = prior.text(("",))
    assert words.pooled is not None
    assert not words.context.any() and not words.pooled.any()
    assert prior.text(("a",)).context.any()


def test_a_control_is_followed_as_in_its_pipeline(folder):
    path, control = tiny.stable(folder / "base"), tiny.control(folder / "control")
    net = diffusers.ControlNetModel.from_pretrained(str(control))
    pipe = pipeline(path, "StableDiffusionControlNetPipeline", controlnet=net)
    image = tiny.pictures()
    theirs = drawn(pipe, 5.0, image=image.movedim(-1, 1), controlnet_conditioning_scale=0.7)
    prior = load(f"{path}+normal:{control}")
    ours = sample(prior, tiny.latents(), said(normal=Normal(image, 0.7)), 2, 5.0)
    torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=ATOL)
    plain = sample(load(str(path)), tiny.latents(), said(), 2, 5.0)
    assert float((ours - plain).abs().max()) > 0.01


def test_several_controls_add_up_as_in_their_pipeline(folder):
    path = tiny.stable(folder / "two-base")
    controls = [tiny.control(folder / f"two-{i}", seed=i) for i in (1, 2)]
    nets = [diffusers.ControlNetModel.from_pretrained(str(c)) for c in controls]
    pipe = pipeline(path, "StableDiffusionControlNetPipeline", controlnet=nets)
    normal, depth = tiny.pictures(), tiny.pictures(channels=1, seed=9)
    images = [normal.movedim(-1, 1), depth.movedim(-1, 1).expand(-1, 3, -1, -1)]
    theirs = drawn(pipe, 3.0, image=images, controlnet_conditioning_scale=[1.0, 0.5])
    prior = load(f"{path}+normal:{controls[0]}+depth:{controls[1]}")
    parts = said(normal=Normal(normal), depth=Depth(depth, 0.5))
    torch.testing.assert_close(
        sample(prior, tiny.latents(), parts, 2, 3.0), theirs, rtol=RTOL, atol=ATOL
    )


def test_inpainting_fills_what_its_pipeline_fills(folder):
    path = tiny.stable(folder / "inpaint", in_channels=9)
    image = tiny.pictures()
    hole = torch.zeros(2, 32, 32, 1)
    hole[:, 8:20, 4:28] = 1
    pipe = pipeline(path, "StableDiffusionInpaintPipeline")
    theirs = drawn(
        pipe,
        4.0,
        image=image.movedim(-1, 1),
        mask_image=hole.movedim(-1, 1),
        strength=1.0,
        height=32,
        width=32,
    )
    prior = load(str(path))
    ours = sample(prior, tiny.latents(), said(projection=Projection(image, hole)), 2, 4.0)
    torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=ATOL)
    with pytest.raises(ValueError, match="needs projection"):
        sample(prior, tiny.latents(), said(), 2)


def test_encoding_and_decoding_are_the_vae_of_the_directory(folder):
    path = tiny.stable(folder / "coded")
    prior, pipe = load(str(path)), pipeline(path)
    image = tiny.pictures()
    with torch.no_grad():
        mean = pipe.vae.encode(image.movedim(-1, 1) * 2 - 1).latent_dist.mean * 0.5
        torch.testing.assert_close(prior.encode(image), mean)
        back = pipe.vae.decode(mean / 0.5).sample / 2 + 0.5
        torch.testing.assert_close(prior.decode(mean), back.movedim(1, -1))
    with pytest.raises(ValueError, match="33 x 32 pixels came; this prior wants sides that 2"):
        prior.encode(torch.zeros(1, 32, 33, 3))
