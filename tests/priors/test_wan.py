"""Wan VACE and Wan-Animate: published widths, and samples against diffusers' own."""

import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from incarnate.priors import (
    Condition,
    Depth,
    Pose,
    Projection,
    Reference,
    Schedule,
    Text,
    ddim,
)
from incarnate.priors.vision import CLIP_MEAN, CLIP_STD, cropped, fitted
from incarnate.priors.wan import WanAutoencoder, WanText, WanVace
from incarnate.priors.wan_animate import WanAnimate, animated
from tests.priors import published_video, tiny_video
from tests.priors.tiny import SIZE, diffusers, transformers
from tests.priors.tiny_video import as_file, latents, loaded, pictures

FRAMES = 5
LATENTS = (1, 4, 2, SIZE // 8, SIZE // 8)
TEXT = Text(("a dog &amp;  a cat",), negative=("cat",))
# Some hundred float32 roundings of numbers near 1, grown by guidance. (The levels are read along a
# line between neighbours, which is off by 3e-6 at most.)
CLOSE = {"rtol": 0, "atol": 5e-6}
FELT = 1e-3


@pytest.fixture(autouse=True)
def without_ftfy(monkeypatch):
    """The pipelines fail where ftfy, which mends broken letters, is not installed."""
    mend = SimpleNamespace(fix_text=lambda text: text)
    for name in ("vace", "animate"):
        module = importlib.import_module(f"diffusers.pipelines.wan.pipeline_wan_{name}")
        monkeypatch.setattr(module, "ftfy", mend, raising=False)


def clip(channels=3, seed=4):
    return pictures(1, FRAMES, SIZE, SIZE, channels, seed=seed)


def holes():
    """Some pixels of every frame, and two frames whole; masks are read at 1 and 3."""
    hole = (clip(1, seed=7) > 0.5).float()
    hole[:, 0], hole[:, 2] = 1, 1
    return hole


def filled(known):
    """The projection's picture, grey where nothing is known."""
    return torch.where(known.hole > 0.5, 0.5, known.image)


@pytest.fixture(scope="module")
def vace(tmp_path_factory):
    folder = tiny_video.wan_vace(tmp_path_factory.mktemp("vace") / "vace")
    pipe = loaded(diffusers.WanVACEPipeline, folder)
    return pipe, wrapped(pipe, 0), wrapped(pipe, 1)


def wrapped(pipe, references):
    text = WanText(pipe.text_encoder, pipe.tokenizer)
    return WanVace(pipe.transformer, WanAutoencoder(pipe.vae), text, Schedule.flow(3.0), references)


PROJECTION = Projection(clip(), holes(), scale=0.7)
POSE = Pose(clip(seed=8), scale=0.7)
DEPTH = Depth(clip(1, seed=9))
# Sides that 8 divides: others the pipeline changes first, however large it makes them then.
REFERENCE = Reference(pictures(1, 16, 24, 3, seed=10))
SHOWN = {
    "text only": Condition(text=TEXT),
    "projection": Condition(text=TEXT, projection=PROJECTION),
    "pose": Condition(text=TEXT, pose=POSE),
    "depth and reference": Condition(text=TEXT, depth=DEPTH, reference=REFERENCE),
    "all": Condition(text=TEXT, projection=PROJECTION, pose=POSE, reference=REFERENCE),
}


def as_diffusers_wants(condition):
    """The pipeline's arguments: a video with what is known and drawn, and its mask."""
    drawn, hole, scale = None, torch.ones(1, FRAMES, SIZE, SIZE, 1), 1.0
    if condition.depth is not None:
        drawn = condition.depth.image.expand(-1, -1, -1, -1, 3)
    if condition.pose is not None:
        drawn, scale = condition.pose.image, condition.pose.scale
    if condition.projection is not None:
        hole, scale = condition.projection.hole, condition.projection.scale
        inside = 0.5 if drawn is None else drawn
        drawn = torch.where(hole > 0.5, inside, condition.projection.image)
    given = {"conditioning_scale": scale}
    if drawn is not None:
        given["video"], given["mask"] = drawn.movedim(-1, 2), hole.movedim(-1, 2)
    if condition.reference is not None:
        given["reference_images"] = [as_file(condition.reference.image[0])]
    return given


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("shown", SHOWN)
def test_vace_samples_as_diffusers_does(vace, shown, scale):
    pipe, *priors = vace
    condition = SHOWN[shown]
    prior = priors[int(condition.reference is not None)]
    start = latents(*LATENTS[:2], 2 + prior.references, *LATENTS[3:])
    theirs = pipe(
        prompt=TEXT.prompts[0],
        negative_prompt=TEXT.negative[0],
        height=SIZE,
        width=SIZE,
        num_frames=FRAMES,
        num_inference_steps=2,
        guidance_scale=scale,
        latents=start,
        output_type="pt",
        **as_diffusers_wants(condition),
    ).frames
    ours = prior.decode(ddim(prior, start, condition, prior.schedule.levels(2), scale))
    torch.testing.assert_close(ours, theirs.movedim(2, -1), **CLOSE)


@pytest.fixture(scope="module")
def animate(tmp_path_factory):
    folder = tiny_video.wan_animate(tmp_path_factory.mktemp("animate") / "animate")
    pipe = loaded(diffusers.WanAnimatePipeline, folder)
    text, vae = WanText(pipe.text_encoder, pipe.tokenizer), WanAutoencoder(pipe.vae)
    schedule = Schedule.flow(3.0)
    return pipe, WanAnimate(pipe.transformer, vae, text, pipe.image_encoder, schedule)


def moves(frames=FRAMES):
    image = pictures(1, frames, SIZE, SIZE, 3, seed=11)
    return Pose(image, face=pictures(1, frames, 16, 16, 3, seed=12))


PHOTO = Reference(pictures(1, SIZE, SIZE, 3, seed=13))


def films(condition):
    """The pipeline's arguments: lists of PIL's images."""
    given = {
        "image": as_file(condition.reference.image[0]),
        "pose_video": [as_file(frame) for frame in condition.pose.image[0]],
        "face_video": [as_file(frame) for frame in condition.pose.face[0]],
        "mode": "animate",
    }
    if condition.projection is not None:
        known = condition.projection
        given["mode"] = "replace"
        given["background_video"] = [as_file(frame) for frame in known.image[0]]
        given["mask_video"] = [as_file(frame[..., 0]) for frame in known.hole[0]]
    return given


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("overlap", [None, 1])
def test_animate_samples_as_diffusers_does(animate, replacing, scale, overlap):
    """One segment, or two in a chain, with or without a film in which a person is replaced."""
    pipe, prior = animate
    frames = FRAMES if overlap is None else 2 * FRAMES - overlap
    film = pictures(1, frames, SIZE, SIZE, 3, seed=14)
    place = torch.zeros(1, frames, SIZE, SIZE, 1)
    place[:, :, 8:, :20] = 1
    known = Projection(film, place) if replacing else None
    condition = Condition(text=TEXT, reference=PHOTO, pose=moves(frames), projection=known)
    rng = torch.Generator().manual_seed(6)
    noises = [torch.randn(1, 4, 3, 4, 4, generator=rng) for _ in range(1 if overlap is None else 2)]
    theirs = pipe(
        prompt=TEXT.prompts[0],
        negative_prompt=TEXT.negative[0],
        height=SIZE,
        width=SIZE,
        segment_frame_length=FRAMES,
        prev_segment_conditioning_frames=overlap or 1,
        num_inference_steps=2,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(6),
        output_type="pt",
        **films(condition),
    ).frames.movedim(2, -1)
    if overlap is None:
        clean = ddim(prior, noises[0], condition, prior.schedule.levels(2), scale)
        ours = prior.decode(clean)
    else:
        ours = animated(prior, noises, condition, 2, scale, overlap)
    torch.testing.assert_close(ours, theirs, **CLOSE)


def changed(part, **more):
    """The part with something else in it."""
    return type(part)(**(vars(part) | more))


VACE_CHANGES = {
    "text": {"text": Text(("dog",))},
    "known picture": {"projection": changed(PROJECTION, image=clip(seed=20))},
    "hole": {"projection": changed(PROJECTION, hole=1 - holes())},
    "pose": {"pose": changed(POSE, image=clip(seed=20))},
    "scale": {
        "pose": changed(POSE, scale=0.3),
        "projection": changed(PROJECTION, scale=0.3),
    },
    "reference": {"reference": Reference(pictures(1, 16, 24, 3, seed=20))},
}


@pytest.mark.parametrize("what", VACE_CHANGES)
def test_everything_told_to_vace_is_felt(vace, what):
    """So that samples can only be equal if all that is told is told alike."""
    _, _, prior = vace
    x, t = latents(1, 4, 3, 4, 4), torch.tensor([700.0])
    told = SHOWN["all"]
    other = Condition(**(vars(told) | VACE_CHANGES[what]))
    assert (prior.predict(x, t, other) - prior.predict(x, t, told)).abs().max() > FELT


ACTED = Condition(text=TEXT, reference=PHOTO, pose=moves(), projection=Projection(clip(), holes()))
ANIMATE_CHANGES = {
    "text": {"text": Text(("dog",))},
    "photo": {"reference": Reference(pictures(1, SIZE, SIZE, 3, seed=20))},
    "skeleton": {"pose": changed(moves(), image=clip(seed=20))},
    "face": {"pose": changed(moves(), face=pictures(1, FRAMES, 16, 16, 3, seed=20))},
    "known picture": {"projection": Projection(clip(seed=20), holes())},
    "hole": {"projection": Projection(clip(), 1 - holes())},
    "nothing known": {"projection": None},
}


@pytest.mark.parametrize("what", ANIMATE_CHANGES)
def test_everything_told_to_animate_is_felt(animate, what):
    _, prior = animate
    x, t = latents(1, 4, 3, 4, 4), torch.tensor([700.0])
    other = Condition(**(vars(ACTED) | ANIMATE_CHANGES[what]))
    assert (prior.predict(x, t, other) - prior.predict(x, t, ACTED)).abs().max() > FELT


@pytest.mark.parametrize("shape", [(90, 130), (131, 90), (30, 40)])
def test_pictures_are_cropped_for_clip_as_its_processor_does(shape):
    images = (pictures(1, *shape, 3) * 100 + 78).round() / 255  # Theirs clips what overshoots.
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}
    )
    theirs = processor(as_file(images[0]), return_tensors="pt").pixel_values
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))
    # Theirs are rounded to eight bits, after each of the two passes.
    apart = (cropped(images, 48) - theirs) * std
    assert apart.abs().max() < 1.5 / 255
    assert apart.abs().mean() < 0.5 / 255
    assert cropped(images, 48).mul(std).add(mean).amax() <= 1 + 1e-6


def test_fitted_pictures_keep_their_shape_and_stand_in_the_middle():
    there = fitted(torch.zeros(1, 10, 20, 3), 40, 40, fill=1.0)
    rows = there[0, :, :, 0].mean(1)
    assert rows.tolist() == [1.0] * 10 + [0.0] * 20 + [1.0] * 10
    assert torch.equal(fitted(PHOTO.image, SIZE, SIZE, 0.0), PHOTO.image)


def test_prompts_are_encoded_once_and_their_rest_is_zeros(vace):
    pipe, prior, _ = vace
    words = prior.text(("ab", "abc", "ab")).context
    assert words.shape == (3, 512, 16)
    # Two letters and the end.
    assert (words[0, :3].abs().amax(1) > 0).all() and not words[0, 3:].any()
    assert torch.equal(words[0], words[2])


@pytest.mark.parametrize(("family", "first"), [(1, 0), (2, 1)])
def test_clips_are_coded_with_a_frame_in_front_where_there_is_a_reference(vace, family, first):
    prior = vace[family]
    clips = pictures(2, FRAMES, SIZE, SIZE, 3).requires_grad_()
    found = prior.encode(clips)
    assert found.shape == (2, 4, first + 2, 4, 4)
    assert prior.decode(found).shape == clips.shape
    mean, std = (
        torch.tensor(x).view(1, 4, 1, 1, 1) for x in ([0.1, -0.2, 0.3, -0.4], [0.5, 0.6, 0.7, 0.8])
    )
    raw = prior.vae.vae.encode(clips.movedim(-1, 1) * 2 - 1).latent_dist.mean
    torch.testing.assert_close(found[:, :, first:], (raw - mean) / std)
    (gradient,) = torch.autograd.grad(found[0].square().sum(), clips)
    assert gradient[0].abs().amax((1, 2, 3)).min() > 0 and not gradient[1].any()


def test_a_condition_s_pictures_are_encoded_once(vace, animate, monkeypatch):
    calls = []
    t = torch.tensor([700.0])
    for prior, told in (
        (vace[2], SHOWN["all"]),
        (vace[1], SHOWN["text only"]),
        (animate[1], ACTED),
    ):
        x = latents(1, 4, 2 if prior is vace[1] else 3, 4, 4)
        prior.predict(x, t, told)
        prior.predict(x, t, prior.unconditional(told))
        with monkeypatch.context() as patched:
            patched.setattr(prior.vae.vae, "encode", lambda *_, **__: calls.append(1))
            prior.predict(x, t, told)
            prior.predict(x, t, prior.unconditional(told))
    assert not calls


@pytest.mark.parametrize("family", ["vace", "animate"])
def test_wan_s_features_know_the_frames_and_can_be_descended(vace, animate, family):
    prior, told = (vace[2], SHOWN["all"]) if family == "vace" else (animate[1], ACTED)
    x, t = latents(2, 4, 3, 4, 4).requires_grad_(), torch.tensor([300.0, 700.0])
    found = prior.features(x, t, told)
    assert [f.shape for f in found] == [(2, 24, 3, 2, 2)] * 3
    (gradient,) = torch.autograd.grad(found[0].square().sum(), x)
    assert (gradient.abs().amax((1, 2, 3, 4)) > 0).all()
    moved = x.detach().clone()
    moved[1, :, 1, 2:, :2] += 1
    change = (prior.features(moved, t, told)[-1] - found[-1]).abs().amax(1)
    assert not change[0].any()
    # Tokens attend to all others, but the moved one feels it most.
    assert change[1].argmax() == torch.tensor([1, 1, 0]).dot(torch.tensor([4, 2, 1]))


def test_bad_conditions_of_wan_are_told_in_a_line(vace, animate):
    _, plain, prior = vace
    x, t = latents(1, 4, 2, 4, 4), torch.tensor([500.0])
    small = Pose(pictures(1, FRAMES, 16, SIZE, 3))
    for told, words in (
        (Condition(reference=REFERENCE), "does not read reference; it reads text, view, proj"),
        (Condition(pose=POSE, depth=DEPTH), "a pose and a depth map came; .* give one"),
        (Condition(projection=PROJECTION, pose=small), "a control of 32 x 16 pixels came for"),
        (Condition(depth=DEPTH, projection=PROJECTION), r"scales \[0.7, 1.0\] came; this prior"),
        (Condition(pose=Pose(pictures(1, 4, SIZE, SIZE, 3))), "of 4 frames came for a clip of 5"),
    ):
        with pytest.raises(ValueError, match=words):
            plain.predict(x, t, told)
    with pytest.raises(ValueError, match="this prior needs reference in its condition"):
        prior.predict(x, t, Condition(text=TEXT))
    with pytest.raises(ValueError, match="a clip of 4 frames came; this VAE wants one more than"):
        plain.encode(pictures(1, 4, SIZE, SIZE, 3))
    with pytest.raises(ValueError, match="came without its face; .* Pose"):
        animate[1].predict(latents(1, 4, 3, 4, 4), t, replace(ACTED, pose=Pose(clip())))
    with pytest.raises(ValueError, match="a pose of scale 0.5 came; this prior follows it wholly"):
        told = replace(ACTED, pose=changed(moves(), scale=0.5))
        animate[1].predict(latents(1, 4, 3, 4, 4), t, told)
    with pytest.raises(ValueError, match="needs reference and pose in its condition"):
        animate[1].predict(x, t, Condition(text=TEXT))


@pytest.mark.parametrize("model", published_video.WAN.values(), ids=published_video.WAN)
def test_published_wan_models_have_their_published_widths(model):
    published_video.check(model)


@pytest.mark.parametrize("size", ["vace 14B", "animate 14B"])
def test_wan_runs_at_its_published_width(size):
    """On the meta device: shapes fit from pictures to latents, through the network, and back.

    With few of its many layers, which are all alike.
    """
    few: dict[str, dict[str, object]] = {
        "vae": {},
        "text encoder": {"num_layers": 2},
        "image encoder": {"num_hidden_layers": 2},
        size: {"num_layers": 5, **({"vace_layers": [0, 4]} if "vace" in size else {})},
    }
    parts: dict[str, Any] = {
        name: replace(published_video.WAN[name], config=published_video.WAN[name].config | less)
        for name, less in few.items()
    }
    parts = {name: model.built() for name, model in parts.items()}
    vae = WanAutoencoder(parts["vae"])
    words = WanText(parts["text encoder"], tiny_video.umt5_tokenizer())
    transformer, schedule = parts[size], Schedule.flow(5.0)
    with torch.device("meta"):
        clip, face = torch.empty(1, FRAMES, 64, 96, 3), torch.empty(1, FRAMES, 512, 512, 3)
        known, photo = Projection(clip, clip[..., :1]), Reference(torch.empty(1, 100, 80, 3))
    told = Condition(text=TEXT, reference=photo, pose=Pose(clip, face=face), projection=known)
    prior = WanVace(transformer, vae, words, schedule, 1)
    if size == "animate 14B":
        prior = WanAnimate(transformer, vae, words, parts["image encoder"], schedule)
    with torch.no_grad():
        x = prior.encode(clip)
        assert x.shape == (1, 16, 3, 8, 12)
        t = torch.empty(1, device="meta")
        assert prior.predict(x, t, told).shape == x.shape
        assert prior.decode(x).shape == clip.shape
