import dataclasses
import json

import pytest
import torch

from incarnate.priors import Condition, Normal, Pose, Projection, Reference, Text, sample
from incarnate.priors.embedded import (
    FOLDER,
    TRAINING,
    WORDS,
    Priors,
    layout,
    opened,
    showing,
    told,
)
from incarnate.priors.guiders import GuidedDiffusion
from incarnate.priors.hub import load
from incarnate.priors.stable import StableDiffusion
from incarnate.recipe import Shows
from tests.priors import tiny, tiny_embedded, tiny_video

T = torch.tensor([500.0], dtype=torch.float64)
SHOWN: dict[str, Shows] = {
    "text_to_normal": "normal",
    "text_to_depth": "depth",
    "text_to_rgb": "rgb",
    "aligned_rgb": "rgb",
    "posed_video": "rgb",
    "projected": "rgb",
}
SAID = Condition(text=Text(("a woman",)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_embedded.written(tmp_path_factory.mktemp("embedded") / "made")


@pytest.fixture(scope="module")
def priors(folder):
    return Priors.embedded(folder=folder)


def predict(prior, condition, x=None):
    with torch.no_grad():
        return prior.predict(tiny.latents(1) if x is None else x, T, condition)


def text(*words):
    return Condition(text=Text((", ".join(words),)))


def test_each_role_is_told_what_to_show(priors, folder):
    plain = load(str(folder))
    for role, shows in SHOWN.items():
        prior = getattr(priors, role)
        said = predict(prior, SAID)
        # The tokenizer of tests knows twelve letters: the words are compared as they are told.
        asked = asked_of(prior, lambda p=prior: predict(p, SAID))
        assert asked == ("a woman, " + WORDS[shows],)
        alone = asked_of(prior, lambda p=prior: predict(p, p.unconditional(SAID)))
        assert alone == (WORDS[shows],)
        torch.testing.assert_close(
            said, predict(plain, text("a woman", WORDS[shows])), rtol=1e-4, atol=1e-5
        )


def asked_of(prior, work):
    """The prompts that reach the base's text encoder."""
    inner, asked = prior.text._text, []

    def listening(prompts):
        asked.append(prompts)
        return inner(prompts)

    prior.text._text = listening
    try:
        work()
    finally:
        prior.text._text = inner
    return asked[-1]


def test_a_photo_is_told_as_a_photo_in_every_role(priors):
    said = dataclasses.replace(SAID, reference=Reference(torch.rand(1, 32, 32, 3)))
    prior = priors.text_to_normal
    inner, asked = prior.photo_text._text, []

    def listening(prompts):
        asked.append(prompts)
        return inner(prompts)

    prior.photo_text._text = listening
    predict(prior, said)
    prior.photo_text._text = inner
    assert asked == [(WORDS["rgb"],)]


def test_all_roles_share_one_base_that_is_read_once(priors, folder):
    roles = [getattr(priors, field.name) for field in dataclasses.fields(priors)]
    assert len({id(prior.networks) for prior in roles}) == 1
    assert opened(folder) is opened(folder)
    assert roles[0].networks is opened(folder).networks


def test_every_role_reads_what_it_needs(priors):
    image = torch.rand(1, 32, 32, 3)
    hole = (image[..., :1] > 0.5).float()
    for prior, said in (
        (priors.aligned_rgb, Condition(text=SAID.text, normal=Normal(image))),
        (priors.projected, Condition(text=SAID.text, projection=Projection(image, hole))),
        (priors.text_to_normal, Condition(text=SAID.text, pose=Pose(image))),
    ):
        assert not torch.allclose(predict(prior, said), predict(prior, SAID), atol=1e-4)
    clip = torch.rand(1, 4, 32, 32, 3)
    said = Condition(pose=Pose(clip), reference=Reference(image))
    made = sample(priors.posed_video, torch.randn(1, 4, 4, 16, 16), said, 2, 3.0)
    assert made.shape == clip.shape


def test_weights_that_the_user_names_take_their_role_and_no_other(folder, tmp_path):
    theirs = tiny.stable(tmp_path / "theirs")
    mixed = Priors.of({"text-to-normal": str(theirs)}, folder=folder)
    assert isinstance(mixed.text_to_normal, StableDiffusion)
    assert isinstance(mixed.text_to_depth, GuidedDiffusion)
    assert mixed.text_to_depth.networks is opened(folder).networks
    plain = load(str(theirs))
    # As `train` tells them: the words at the end, and nothing at all without a prompt.
    torch.testing.assert_close(
        predict(mixed.text_to_normal, SAID), predict(plain, text("a woman", WORDS["normal"]))
    )
    torch.testing.assert_close(
        predict(mixed.text_to_normal, Condition()), predict(plain, Condition())
    )


def test_weights_that_cannot_play_a_role_are_refused(folder, tmp_path):
    theirs = tiny.stable(tmp_path / "theirs")
    with pytest.raises(ValueError, match="cannot play normal-aligned-rgb: it reads text, view"):
        Priors.of({"normal-aligned-rgb": str(theirs)}, folder=folder)
    vace = tiny_video.wan_vace(tmp_path / "vace")
    with pytest.raises(ValueError, match="WanVace cannot be told to show normal maps"):
        showing(load(str(vace)), "normal")


def test_what_is_missing_beside_the_base_is_left_out(folder, tmp_path):
    bare = tiny.stable(tmp_path / "bare")
    with pytest.raises(ValueError, match="none of pose, normal, projection beside its base"):
        opened(bare)
    tiny_embedded.guider(bare / "pose")
    assert opened(bare).reads == ("text", "view", "reference", "pose")
    assert layout(bare) == f"{bare}+pose:{bare / 'pose'}"
    with pytest.raises(ValueError, match="no directory"):
        opened(tmp_path / "nothing")


def test_it_says_what_it_is(folder, tmp_path):
    assert told(tmp_path / "nothing") is None
    said = told(folder)
    assert said is not None and "MB" in said
    ours = told()
    assert ours is not None and ours.startswith("embedded prior (13.6 MB, apache-2.0, trained on")
    assert f"base {json.loads((FOLDER / TRAINING).read_text())['base']['samples']:,}" in ours
