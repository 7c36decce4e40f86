"""Stable Video and AnimateDiff: published widths, and samples against diffusers' own."""

import pytest
import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    _resize_with_antialiasing,
)

from incarnate.priors import Condition, Reference, Schedule, Text, ddim
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.clips import AnimateDiff, Footage, StableVideo
from incarnate.priors.texts import ClipText
from incarnate.priors.vision import CLIP_MEAN, CLIP_STD, stretched
from tests.priors import published, published_video, tiny, tiny_video
from tests.priors.tiny import diffusers
from tests.priors.tiny_video import FRAMES, as_file, latents, loaded, pictures

# diffusers turns tensors into arrays in a way that numpy 2 will not take for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LATENTS = (1, 4, FRAMES, tiny.SIZE // 2, tiny.SIZE // 2)


def replaced(prior, schedule):
    parts = prior.vae, prior.image_encoder, prior.unet
    return StableVideo(*parts, schedule, prior.footage, prior.chunk)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tiny_video.stable_video(tmp_path_factory.mktemp("svd") / "svd")
    pipe = loaded(diffusers.StableVideoDiffusionPipeline, folder)
    schedule = Schedule.karras()
    prior = StableVideo(
        pipe.vae, pipe.image_encoder, pipe.unet, schedule, Footage(9, 100, 0.1, 5), 2
    )
    return pipe, prior


def picture(height=tiny.SIZE, width=tiny.SIZE):
    return Condition(reference=Reference(pictures(1, height, width, 3)))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_karras_levels_are_the_published_schedulers(steps):
    scheduler, ours = tiny_video.karras_scheduler(), Schedule.karras()
    scheduler.set_timesteps(steps)
    levels = ours.levels(steps)
    sigmas = ours.noise(levels) / ours.signal(levels)
    torch.testing.assert_close(sigmas, scheduler.sigmas[:-1].double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.told(levels).float(), scheduler.timesteps)


def test_karras_levels_between_the_table_s_are_near():
    scheduler, ours = tiny_video.karras_scheduler(), Schedule.karras()
    scheduler.set_timesteps(25)
    levels = ours.levels(25)
    sigmas = ours.noise(levels) / ours.signal(levels)
    # A line between neighbours of r^7 is off by 42 (dr / r)^2 / 8 < 2e-4 at most.
    torch.testing.assert_close(sigmas, scheduler.sigmas[:-1].double(), rtol=2e-4, atol=0)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.5, 3.0)])
@pytest.mark.parametrize("most", [5.0, 700.0])
def test_stable_video_samples_as_diffusers_does(video, scales, most):
    pipe, prior = video
    pipe.scheduler = tiny_video.karras_scheduler(most)
    prior = replaced(prior, Schedule.karras(most=most))
    condition, start = picture(), latents(*LATENTS)
    assert condition.reference is not None
    theirs = pipe(
        as_file(condition.reference.image[0]),
        height=tiny.SIZE,
        width=tiny.SIZE,
        num_frames=FRAMES,
        num_inference_steps=2,
        min_guidance_scale=scales[0],
        max_guidance_scale=scales[1],
        fps=9,
        motion_bucket_id=100,
        noise_aug_strength=0.1,
        decode_chunk_size=2,
        generator=torch.Generator().manual_seed(5),
        latents=start.movedim(2, 1),
        output_type="pt",
    ).frames
    scale = (
        1.0 if scales[1] == 1 else torch.linspace(scales[0], scales[1], FRAMES).view(1, 1, -1, 1, 1)
    )
    ours = ddim(prior, start, condition, prior.schedule.levels(2), scale)
    # diffusers' latents are as large as the noise, about 3 x `most`, and in float32: 6e-8 of that.
    close = {"rtol": 0, "atol": 2e-6 + 4e-7 * most}
    torch.testing.assert_close(prior.decode(ours).clamp(0, 1), theirs.movedim(2, -1), **close)


def test_the_unconditional_clip_knows_no_picture(video):
    _, prior = video
    x, t = latents(*LATENTS), torch.tensor([500.0])
    plain = prior.unconditional(picture())
    assert torch.equal(prior.predict(x, t, plain), prior.predict(x, t, Condition()))
    assert not torch.allclose(prior.predict(x, t, plain), prior.predict(x, t, picture()))


def test_a_clip_s_frames_are_coded_alike_however_many_at_once(video):
    pipe, prior = video
    clips = pictures(2, FRAMES, tiny.SIZE, tiny.SIZE, 3)
    found = prior.encode(clips)
    assert found.shape == (2, *LATENTS[1:])
    one = pipe.vae.encode(clips[1, 2].movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
    torch.testing.assert_close(found[1, :, 2], one[0] * 0.18215, rtol=1e-5, atol=1e-6)
    assert prior.decode(found).shape == clips.shape


@pytest.mark.parametrize(("height", "width"), [(700, 1000), (90, 130)])
def test_pictures_are_stretched_for_clip_as_stable_video_was_trained_with(height, width):
    images = pictures(1, height, width, 3)
    theirs = (_resize_with_antialiasing(images.movedim(-1, 1) * 2 - 1, (224, 224)) + 1) / 2
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))
    # Sums of some ten float32 numbers below 10.
    torch.testing.assert_close(stretched(images, 224), (theirs - mean) / std, rtol=0, atol=2e-5)


def test_bad_conditions_of_stable_video_are_told_in_a_line(video):
    _, prior = video
    x, t = latents(*LATENTS), torch.tensor([500.0])
    with pytest.raises(ValueError, match="does not read text; it reads reference"):
        prior.predict(x, t, Condition(text=Text(("a dog",))))
    with pytest.raises(ValueError, match="reference of 32 x 48 pixels came for .* 32 x 32"):
        prior.predict(x, t, picture(height=48))
    with pytest.raises(ValueError, match="2 rows came for 3 rows"):
        image = pictures(2, tiny.SIZE, tiny.SIZE, 3)
        prior.predict(latents(3, *LATENTS[1:]), t.expand(3), Condition(reference=Reference(image)))
    with pytest.raises(ValueError, match="sides that 2 divides"):
        prior.encode(pictures(1, FRAMES, 31, 32, 3))


@pytest.fixture(scope="module")
def animated(tmp_path_factory):
    folder = tiny_video.animate_diff(tmp_path_factory.mktemp("animate") / "animate")
    pipe = loaded(diffusers.AnimateDiffPipeline, folder)
    schedule = Schedule.of_cumprod(pipe.scheduler.alphas_cumprod, "epsilon", offset=1, to_one=False)
    text = ClipText(pipe.text_encoder, pipe.tokenizer)
    return pipe, AnimateDiff(pipe.unet, Autoencoder(pipe.vae), text, schedule, 2)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_animate_diff_samples_as_diffusers_does(animated, scale):
    pipe, prior = animated
    start, text = latents(2, *LATENTS[1:]), Text(("a dog", "a bird"), negative=("a cat",))
    theirs = pipe(
        ["a dog", "a bird"],
        negative_prompt=["a cat", "a cat"],
        num_frames=FRAMES,
        height=tiny.SIZE,
        width=tiny.SIZE,
        num_inference_steps=2,
        guidance_scale=scale,
        latents=start,
        output_type="pt",
    ).frames
    ours = ddim(prior, start, Condition(text=text), prior.schedule.levels(2), scale)
    # A hundred or so float32 roundings of numbers near 1, grown by guidance.
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(prior.decode(ours).clamp(0, 1), theirs.movedim(2, -1), **close)


def test_animate_diff_codes_frames_and_refuses_what_it_does_not_know(animated):
    pipe, prior = animated
    clips = pictures(2, FRAMES, tiny.SIZE, tiny.SIZE, 3)
    found = prior.encode(clips)
    one = prior.vae.encode(clips[1, 2:3])
    torch.testing.assert_close(found[1:2, :, 2], one, rtol=1e-5, atol=1e-6)
    assert prior.decode(found).shape == clips.shape
    with pytest.raises(ValueError, match="does not read reference"):
        prior.predict(found, torch.tensor([5.0, 5.0]), picture())
    with pytest.raises(ValueError, match=r"9 frames came, these motion modules know 8; wrap"):
        prior.predict(latents(1, 4, 9, 16, 16), torch.tensor([5.0]), Condition(text=Text(("a",))))


@pytest.mark.parametrize("family", ["video", "animated"])
def test_clips_have_inner_features_that_know_the_frames_and_can_be_descended(family, request):
    _, prior = request.getfixturevalue(family)
    condition = picture() if family == "video" else Condition(text=Text(("a dog",)))
    x = latents(2, *LATENTS[1:]).requires_grad_()
    levels = torch.tensor([300.0, 600.0])
    deepest, shallow = prior.features(x, levels, condition)
    assert deepest.shape == (2, 64, FRAMES, 8, 8)
    assert shallow.shape[:3] == (2, 64, FRAMES)
    (gradient,) = torch.autograd.grad(deepest.square().sum(), x)
    assert (gradient.abs().amax((1, 3, 4)) > 0).all()
    moved = x.detach().clone()
    moved[1, :, 1] += 1
    change = (prior.features(moved, levels, condition)[0] - deepest).abs().amax((1, 3, 4))
    assert change[0].max() == 0 and change[1, 1] > 0.01


@pytest.mark.parametrize("model", published_video.CLIPS.values(), ids=published_video.CLIPS)
def test_published_clip_models_have_their_published_widths(model):
    published_video.check(model)


def test_motion_modules_make_of_a_published_unet_one_for_clips():
    base, adapter = published.U15.built(), published_video.CLIPS["motion v1.5.3"].built()
    with torch.device("meta"):
        unet = diffusers.UNetMotionModel.from_unet2d(base, adapter, load_weights=False)
    count = sum(p.numel() for p in unet.parameters())
    assert count == published.U15.parameters + published_video.CLIPS["motion v1.5.3"].parameters
