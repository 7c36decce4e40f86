"""`incarnate sample`, on a directory of a few thousand random numbers in the embedded layout."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from incarnate import sampled as module
from incarnate.body.anny import Anny
from incarnate.cli import main
from incarnate.motion import pose_preset
from incarnate.priors import Condition, Text, View
from incarnate.priors.embedded import Priors
from incarnate.priors.vocabulary import ATTITUDES
from incarnate.progress import Silent
from incarnate.recipe import Framing
from incarnate.sampled import (
    FRAMES,
    GAP,
    LOUDER,
    by_words,
    sampled,
    skeletons,
    worded_skeletons,
)
from incarnate.verbs import Sample
from tests.priors import tiny_embedded

TEXT = "a tall lady in a crimson shirt riding a unicorn, back view"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_embedded.written(tmp_path_factory.mktemp("sample") / "made")


@pytest.fixture(scope="module")
def body():
    return Anny.load()


def asked(folder, **more):
    said = {"count": 1, "size": 64, "steps": 1, "output": Path("x.png"), "priors": folder}
    return Sample(TEXT, **(said | more))


def made(folder, **more):
    return sampled(asked(folder, **more), Silent(), quick=True)


def test_the_command_writes_a_grid_and_says_what_it_understood(folder, tmp_path, capsys):
    out = tmp_path / "grid.png"
    said = ["sample", TEXT, "--priors", str(folder), "--size", "64", "--steps", "1", "-q"]
    assert main([*said, "--count", "3", "--domain", "depth", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "understood  a tall woman, in a red shirt, full body, back view, depth" in told
    assert "replaced    lady -> woman, crimson -> red" in told
    assert "ignored     riding, unicorn" in told
    assert "seed 0, 1 steps, guidance 3; first after" in told and "MB of memory" in told
    assert told.endswith(f"{out}\n")
    grid = np.asarray(Image.open(out))
    assert grid.shape == (2 * 64 + 3 * GAP, 2 * 64 + 3 * GAP, 3)
    assert (grid[-64:, -64:] > 225).all() and grid[GAP : GAP + 64, -66:-GAP].std() > 0


def test_what_the_words_say_is_done_is_drawn_unless_left_to_them(folder, tmp_path, capsys):
    said = ["sample", "a man waving, back view", "--priors", str(folder), "--size", "64"]
    said += ["--steps", "1", "--count", "1", "-q", "-o", str(tmp_path / "x.png")]
    assert main(said) == 0
    assert "skeleton    waving, full body, back view, as the text says" in capsys.readouterr().out
    assert main([*said, "--no-skeleton"]) == 0
    assert "skeleton" not in capsys.readouterr().out
    drawn, worded = made(folder), made(folder, skeleton=False)
    assert drawn.drawn == "standing" and not worded.drawn
    assert not torch.allclose(drawn.pictures, worded.pictures, atol=1e-4)
    dancing = sampled(replace(asked(folder), text="a man dancing"), Silent(), quick=True)
    assert dancing.drawn == "dancing"


def test_an_action_is_drawn_as_its_preset(body):
    for action, preset in ATTITUDES.items():
        own = worded_skeletons(f"a man, {action}", [0], View((0.3,)), 64)
        betas = body.default_betas()
        betas[body.betas_names.index("gender")] = 0.05
        theirs = skeletons(body, betas, pose_preset(preset), View((0.3,)), 64)
        torch.testing.assert_close(own, theirs[:1])
    for moving in ("walking", "dancing"):
        one, other = worded_skeletons(f"a man, {moving}", [0, 1], View((0.3,)), 64)
        assert not torch.equal(one, other)
        (again,) = worded_skeletons(f"a man, {moving}", [1], View((0.3,)), 64)
        assert torch.equal(again, other)


def test_a_clip_goes_through_what_its_caption_says():
    one, other = module._motions((), "a man, dancing")
    assert not torch.equal(one.pose, other.pose)
    (waving,) = module._motions((), "a man, waving")
    assert torch.equal(waving.pose, pose_preset("waving").pose)
    assert module._motions((), "a man, in a red shirt") == []  # Walks.
    (named,) = module._motions(("arms-up",), "a man, dancing")
    assert torch.equal(named.pose, pose_preset("arms-up").pose)


def test_only_photos_are_told_colours_louder(folder):
    """By hand at some levels."""
    ours = Priors.embedded(folder=folder, quick=True)
    assert by_words(ours, "normal") is ours.text_to_normal
    assert by_words(ours, "depth") is ours.text_to_depth
    loud, plain = by_words(ours, "rgb"), ours.text_to_rgb
    said = Condition(Text(("a man, in a red shirt",)), View((0.0,)))
    bare = replace(said, text=Text(("a man, in a shirt",)))
    x = torch.randn(1, *plain.encode(torch.zeros(1, 64, 64, 3)).shape[1:])
    t, low = torch.tensor([600.0]), torch.tensor([200.0])
    c, u = plain.led(x, t, said)
    louder, away = loud.led(x, t, said)
    torch.testing.assert_close(louder, c + LOUDER * (c - plain.predict(x, t, bare)))
    torch.testing.assert_close(away, u)
    torch.testing.assert_close(loud.led(x, t, bare)[0], plain.led(x, t, bare)[0])
    assert torch.equal(*loud.led(x, low, said))
    torch.testing.assert_close(loud.led(x, low, said)[0], plain.predict(x, low, said))


def test_a_picture_follows_its_seed_and_not_how_many_there_are(folder):
    two = made(folder, count=2).pictures
    assert not torch.allclose(two[0], two[1], atol=1e-3)
    torch.testing.assert_close(made(folder).pictures[0], two[0])
    assert not torch.allclose(made(folder, seed=1).pictures[0], two[0], atol=1e-3)


def test_domain_pose_and_photo_have_their_say(folder, tmp_path):
    plain = made(folder).pictures
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 60, 3), np.uint8)).save(photo)
    others = [
        made(folder, domain="normal"),
        made(folder, pose=("arms-up",)),
        made(folder, pose=("sitting",)),
        made(folder, reference=photo),
    ]
    seen = [plain, *(other.pictures for other in others)]
    for i, first in enumerate(seen):
        for second in seen[:i]:
            assert not torch.allclose(first, second, atol=1e-4)


def test_the_domain_is_the_texts_if_none_is_given(folder):
    one = asked(folder)
    said = Sample(**{**vars(one), "text": "a man, depth map"})
    read = sampled(said, Silent(), quick=True)
    assert read.shows == "depth"
    assert sampled(Sample(**{**vars(said), "domain": "rgb"}), Silent(), quick=True).shows == "rgb"


def test_clips_are_films_or_rows(folder, tmp_path):
    film = tmp_path / "clip.mp4"
    said = ["sample", "a man", "--priors", str(folder), "--size", "64", "--steps", "1", "-q"]
    said += ["--clip", "--count", "2", "--pose", "stand", "waving"]
    assert main([*said, "-o", str(film)]) == 0
    assert film.stat().st_size > 0
    rows = made(folder, clip=True, count=2, pose=("waving",))
    assert rows.pictures.shape == (2, FRAMES, 64, 64, 3)
    assert rows.sheet().shape == (2 * 66 + GAP, FRAMES * 66 + GAP, 3)
    assert len(rows.frames()) == FRAMES and rows.frames()[0].shape == (64, 128, 3)
    assert not torch.allclose(rows.pictures[0, 0], rows.pictures[0, -1], atol=1e-3)
    waving = sampled(replace(asked(folder, clip=True), text="a man waving"), Silent(), quick=True)
    named = replace(asked(folder, clip=True, pose=("waving",)), text="a man waving")
    torch.testing.assert_close(sampled(named, Silent(), quick=True).pictures, waving.pictures)
    walking = sampled(replace(asked(folder, clip=True), text="a man"), Silent(), quick=True)
    assert not torch.allclose(walking.pictures, waving.pictures, atol=1e-4)


def skeleton(body, azimuth, framing: Framing = "full", pose="stand"):
    motion = pose_preset(pose)
    view = View((azimuth,), (framing,))
    return skeletons(body, body.default_betas(), motion, view, 128)[0].numpy()


def test_skeletons_stand_in_the_picture_and_turn_with_the_view(body):
    front, back = skeleton(body, 0.0), skeleton(body, math.pi)
    rows = np.flatnonzero(front.any((1, 2)))
    assert rows[0] > 3 and rows[-1] < 124 and np.ptp(rows) > 80
    # The person's left limbs are the brighter colours' side: they change sides from behind.
    turned = np.abs(front - back[:, ::-1]).mean()
    assert turned < np.abs(front - back).mean()
    raised = skeleton(body, 0.0, pose="arms-up")
    assert np.abs(front - raised).mean() > 0.005
    head = np.flatnonzero(skeleton(body, 0.0, "head").any((1, 2)))
    assert head[-1] == 127 and head[0] > 10  # The neck and the trunk run out of the picture.


def test_a_file_gives_its_frames(folder, tmp_path):
    file = tmp_path / "still.npz"
    poses = np.zeros((10, 165), np.float32)
    poses[:, 0] = np.linspace(0, 0.5, 10)
    np.savez(file, poses=poses, trans=np.zeros((10, 3)), mocap_frame_rate=10.0)
    two = made(folder, pose=(str(file),), count=2)
    assert len(two.pictures) == 2


@pytest.mark.parametrize(
    "more, match",
    [
        (["-o", "x.txt"], "pictures are .png, .jpg, .jpeg"),
        (["-o", "x.mp4"], "x.mp4 is a film; give --clip"),
        (["--count", "0"], "--count is 0; give 1 to 64"),
        (["--steps", "5000"], "--steps is 5000; give 1 to 1000"),
        (["--guidance-scale", "-1"], "--guidance-scale is -1.0"),
        (["--pose", "arms-upp"], "no pose is called 'arms-upp'; the nearest is 'arms-up'"),
        (["--pose", "walk.bvh"], "there is no motion walk.bvh"),
        (["--priors", "/nowhere"], "there is no directory /nowhere"),
        (["--reference", "/nowhere.png"], "/nowhere.png does not exist"),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, monkeypatch, capsys, more, match):
    monkeypatch.chdir(tmp_path)
    said = ["sample", "a man", "-q", "-o", "x.png"]
    said += [] if "--priors" in more else ["--priors", str(folder)]
    assert main([*said, *more]) == 2
    err = capsys.readouterr().err
    assert match in err and err.count("\n") == 1
