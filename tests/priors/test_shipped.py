"""The directory that comes with the install."""

import json

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from incarnate.priors import Condition, Text, sample
from incarnate.priors.embedded import FOLDER, WORDS, Priors


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(
        FOLDER, dtype=torch.float32, local_files_only=True
    )


def test_a_pipeline_of_diffusers_opens_it_and_draws_what_ours_draws(pipe) -> None:
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    prompt = "a woman in a red dress, full body, front view"
    theirs = pipe(
        f"{prompt}, {WORDS['normal']}",
        negative_prompt=WORDS["normal"],
        latents=noise,
        num_inference_steps=3,
        guidance_scale=3.0,
        output_type="latent",
        height=64,
        width=64,
    ).images
    prior = Priors.embedded().text_to_normal
    ours = sample(prior, noise, Condition(text=Text((prompt,))), 3, 3.0)
    decoded = prior.decode(theirs).clamp(0, 1)
    torch.testing.assert_close(ours, decoded, atol=1e-2, rtol=0)


def test_it_tells_what_it_has_seen() -> None:
    told = json.loads((FOLDER / "training.json").read_text())
    assert told["vae"]["samples"] > 0 and told["base"]["samples"] > 0
    assert "unfinished" in (FOLDER / "README.md").read_text()
