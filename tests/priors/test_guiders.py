from dataclasses import replace

import pytest
import torch

from incarnate.priors import Condition, Normal, Pose, Projection, Reference, Text
from incarnate.priors.branches import Branches, References
from incarnate.priors.guiders import GuidedDiffusion, Guider, Networks
from incarnate.priors.hub import load
from incarnate.priors.stable import StableDiffusion
from incarnate.priors.texts import Worded
from incarnate.priors.unet import predicted, reference_states
from tests.priors import tiny, tiny_embedded

T = torch.tensor([500.0, 500.0], dtype=torch.float64)
SAID = Condition(text=Text(("a woman",)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_embedded.written(tmp_path_factory.mktemp("guided") / "made")


@pytest.fixture(scope="module")
def prior(folder):
    made = load(tiny_embedded.named(folder))
    assert isinstance(made, GuidedDiffusion)
    return made


def shown(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, tiny.SIZE, tiny.SIZE, 3, generator=rng)


def hole():
    return (shown(1)[..., :1] > 0.5).float()


def predict(prior, condition, x=None):
    with torch.no_grad():
        return prior.predict(tiny.latents() if x is None else x, T, condition)


def clip_latents(frames=3):
    return torch.randn(2, 4, frames, 16, 16, generator=torch.Generator().manual_seed(5))


def test_without_guides_it_is_stable_diffusion(prior, folder):
    plain = load(str(folder))
    assert isinstance(plain, StableDiffusion)
    torch.testing.assert_close(predict(prior, SAID), predict(plain, SAID), rtol=1e-4, atol=1e-5)


PARTS = {
    "pose": Pose(shown(1, seed=1)),
    "normal": Normal(shown(1, seed=2)),
    "projection": Projection(shown(1, seed=3), hole()),
    "reference": Reference(shown(1, seed=4)),
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_its_say_and_may_be_left_out(prior, name):
    assert name in prior.reads
    alone = replace(SAID, **{name: PARTS[name]})
    assert not torch.allclose(predict(prior, alone), predict(prior, SAID), atol=1e-4)
    everything = replace(SAID, **PARTS)
    without = replace(everything, **{name: None})
    assert not torch.allclose(predict(prior, everything), predict(prior, without), atol=1e-4)


def test_the_guiders_sum_is_added_to_the_first_features_and_the_photo_is_read(prior):
    nets = {guider.kind: guider.net for guider in prior.networks.guiders}
    known = PARTS["projection"]
    first = lambda image: image.movedim(-1, 1)  # noqa: E731
    with torch.no_grad():
        pose = (
            nets["pose"](first(PARTS["pose"].image))
            + nets["normal"](first(PARTS["normal"].image))
            + nets["projection"](
                torch.cat([first(known.image * (1 - known.hole)), first(known.hole)], 1)
            )
        ).expand(2, -1, -1, -1)
        latents = prior.networks.vae.encode(PARTS["reference"].image)
        states = reference_states(
            prior.networks.unet, latents, torch.zeros(1), prior.text(("",)).context
        )
        wanted = predicted(
            prior.networks.unet,
            tiny.latents(),
            T.float(),
            prior.text(("a woman", "a woman")).context,
            Branches(pose=pose, references=References(states)),
        )
    torch.testing.assert_close(predict(prior, replace(SAID, **PARTS)), wanted)


def test_a_guide_is_spoken_as_loud_as_its_scale(prior):
    silent = replace(SAID, pose=replace(PARTS["pose"], scale=0.0))
    torch.testing.assert_close(predict(prior, silent), predict(prior, SAID))


def test_guides_and_photo_are_looked_at_once(prior):
    net = next(guider.net for guider in prior.networks.guiders if guider.kind == "pose")
    looks = []
    hook = net.register_forward_hook(lambda *_: looks.append(1))
    said = replace(SAID, pose=Pose(shown(1, seed=7)), reference=Reference(shown(1, seed=8)))
    for _ in range(3):
        predict(prior, said)
        predict(prior, prior.unconditional(said))
    hook.remove()
    assert looks == [1]


def test_nothing_but_the_latents_wants_gradients(prior):
    x = tiny.latents().requires_grad_()
    drawn = shown(1).requires_grad_()
    said = replace(SAID, pose=Pose(drawn), reference=PARTS["reference"])
    prior.predict(x, T, said).square().sum().backward()
    assert x.grad is not None and float(x.grad.abs().max()) > 0
    assert drawn.grad is None
    assert all(p.grad is None for p in prior.networks.unet.parameters())


def test_two_guiders_of_one_kind_add_up(folder, prior, tmp_path):
    other = tiny_embedded.guider(tmp_path / "other", seed=5)
    both = load(f"{folder}+pose:{folder / 'pose'}+pose:{other}")
    swapped = load(f"{folder}+pose:{other}+pose:{folder / 'pose'}")
    said = replace(SAID, pose=PARTS["pose"])
    torch.testing.assert_close(predict(both, said), predict(swapped, said), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(predict(both, said), predict(prior, said), atol=1e-4)


def test_each_frame_has_its_own_guide(folder):
    still = load(f"{folder}+pose:{folder / 'pose'}")  # No motion modules: frames are alone.
    poses = shown(1, 3)
    first = predict(still, replace(SAID, pose=Pose(poses)), clip_latents())
    other = poses.clone()
    other[:, 2] = shown(1, seed=9)
    second = predict(still, replace(SAID, pose=Pose(other)), clip_latents())
    torch.testing.assert_close(second[:, :, :2], first[:, :, :2])
    assert not torch.allclose(second[:, :, 2], first[:, :, 2], atol=1e-4)
    one = predict(still, replace(SAID, pose=Pose(poses[:, 1])), clip_latents())
    torch.testing.assert_close(one[:, :, 1], first[:, :, 1], rtol=1e-4, atol=1e-5)


def test_motion_modules_let_frames_know_of_one_another_and_all_read_the_photo(prior):
    poses = shown(1, 3)
    other = poses.clone()
    other[:, 2] = shown(1, seed=9)
    first, second = (
        predict(prior, replace(SAID, pose=Pose(p)), clip_latents()) for p in (poses, other)
    )
    assert not torch.allclose(first[:, :, 0], second[:, :, 0], atol=1e-4)
    seen = predict(prior, replace(SAID, pose=Pose(poses), **{"reference": PARTS["reference"]}),
                   clip_latents())  # fmt: skip
    assert all(not torch.allclose(seen[:, :, k], first[:, :, k], atol=1e-4) for k in range(3))


def test_guidance_leads_away_from_the_text_and_the_photo(prior):
    said = replace(SAID, **PARTS, text=Text(("a woman",), ("a man",)))
    plain = prior.unconditional(said)
    assert plain.given == ("text", "normal", "pose", "projection")
    assert plain.text.prompts == ("a man",)


@pytest.mark.parametrize("given", [(), ("pose",), ("reference",), tuple(PARTS)])
@pytest.mark.parametrize("clip", [False, True])
def test_guidance_in_one_pass_is_that_of_two(prior, given, clip):
    said = replace(SAID, text=Text(("a woman",), ("a man",)), **{n: PARTS[n] for n in given})
    x = clip_latents() if clip else tiny.latents()
    with torch.no_grad():
        conditional, plain = prior.led(x, T, said)
    torch.testing.assert_close(conditional, predict(prior, said, x), rtol=1e-4, atol=1e-5)
    wanted = predict(prior, prior.unconditional(said), x)
    torch.testing.assert_close(plain, wanted, rtol=1e-4, atol=1e-5)


def test_words_are_added_to_every_prompt_and_photos_have_their_own(prior):
    worded = prior.worded("a map", "a photo")
    same = predict(prior, Condition(text=Text(("a woman, a map",))))
    torch.testing.assert_close(predict(worded, SAID), same)
    alone = predict(prior, Condition(text=Text(("a map",))))
    torch.testing.assert_close(predict(worded, Condition(text=Text(("",)))), alone)
    seen = replace(SAID, reference=PARTS["reference"])
    assert not torch.allclose(
        predict(worded, seen), predict(prior.worded("a map", "a dog"), seen), atol=1e-5
    )
    assert worded.networks is prior.networks


def test_of_an_empty_prompt_nothing_is_left_if_the_model_was_trained_so(prior):
    words = Worded(prior.text, "a map", empty=True)
    torch.testing.assert_close(words(("",)).context, prior.text(("",)).context)
    assert not torch.equal(words(("a",)).context, prior.text(("a",)).context)


@pytest.mark.parametrize(
    "said, x, problem",
    [
        (Condition(pose=Pose(torch.rand(3, 32, 32, 3))), None, "3 rows came for 2 rows"),
        (Condition(pose=Pose(torch.rand(1, 16, 16, 3))), None, "a pose of 16 x 16 pixels"),
        (Condition(pose=Pose(torch.rand(1, 4, 32, 32, 3))), None, "4 frames came for pictures"),
        (Condition(normal=Normal(torch.rand(1, 2, 32, 32, 3))), 3, "2 frames came for a clip of 3"),
        (Condition(reference=Reference(torch.rand(3, 32, 32, 3))), None, "3 references came for 2"),
        (Condition(), 9, "these motion modules know 8"),
    ],
)
def test_what_does_not_fit_is_refused(prior, said, x, problem):
    with pytest.raises(ValueError, match=problem):
        predict(prior, said, None if x is None else clip_latents(x))


def test_clips_of_a_base_that_hears_whole_sentences_want_a_guider(folder):
    with pytest.raises(ValueError, match=r"lay a guider over it too \(\+pose:DIR\)"):
        load(f"{folder}+motion:{folder / 'motion'}")


def test_guiders_of_another_model_are_refused(folder, prior, tmp_path):
    wide = tiny_embedded.guider(tmp_path / "wide", width=16)
    with pytest.raises(ValueError, match="pose guider's width came as 16"):
        load(f"{folder}+pose:{wide}")
    with pytest.raises(ValueError, match="normal guider's picture's channels came as 4"):
        load(f"{folder}+normal:{folder / 'projection'}")
    with pytest.raises(ValueError, match="holds a PoseGuider; as \\+depth: a ControlNetModel"):
        load(f"{folder}+depth:{folder / 'pose'}")
    control = tiny.control(tmp_path / "control")
    with pytest.raises(ValueError, match="is a ControlNet beside a guider"):
        load(f"{folder}+pose:{folder / 'pose'}+normal:{control}")
    coarse = tiny_embedded.PoseGuider(8, (4, 8, 8))
    networks = prior.networks
    with pytest.raises(ValueError, match="halvings span came as 4"):
        Networks(networks.unet, networks.vae, (Guider("pose", coarse),))
