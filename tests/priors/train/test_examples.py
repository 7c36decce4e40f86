"""Samples of a run, by their number."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from incarnate.priors.train.examples import Batch, Examples, loader, wanted
from incarnate.priors.train.plan import Rounds
from incarnate.priors.train.shards import Shards, place
from incarnate.recipe import Recipe, Task

LATENTS = (4, 8, 8)


def examples(data, task: Task = "text-to-normal", **changes):
    recipe = replace(Recipe(task, data, data, data, size=32, samples=24, batch=4), **changes)
    shards = Shards.of(data, wanted(recipe), task == "pose-guider")
    return recipe, Examples(recipe, shards, LATENTS, 1000)


def alike(a, b):
    pictures = torch.equal(a.picture, b.picture) and torch.equal(a.control, b.control)
    return pictures and (a.prompt, a.level) == (b.prompt, b.level) and torch.equal(a.noise, b.noise)


def test_a_sample_depends_on_seed_and_number_alone(data):
    _, ours = examples(data)
    _, again = examples(data)
    order = [5, 0, 17, 5]
    assert all(alike(ours[n], again[n]) for n in order)
    _, other = examples(data, seed=1)
    assert not torch.equal(ours[0].noise, other[0].noise)
    assert not torch.equal(ours[0].noise, ours[6].noise)


def test_every_picture_comes_once_an_epoch(data):
    _, ours = examples(data, task="text-to-rgb", caption_dropout=0.0)
    for epoch in range(2):
        seen = Counter(ours[6 * epoch + i].prompt for i in range(6))
        assert len(seen) == 6


def test_noise_is_normal_and_levels_are_uniform(data):
    _, ours = examples(data, noise_offset=0.0)
    some = [ours[n] for n in range(300)]
    noise = torch.stack([e.noise for e in some])
    assert noise.shape == (300, *LATENTS)
    # 76800 numbers: the mean's deviation is 0.0036, the variance's 0.0051.
    assert abs(float(noise.mean())) < 0.015
    assert abs(float(noise.var()) - 1) < 0.02
    levels = np.array([e.level for e in some])
    assert levels.min() >= 0 and levels.max() <= 999
    assert abs(levels.mean() - 499.5) < 4 * 288.7 / 300**0.5


def test_the_offset_is_shared_by_a_channel(data):
    _, plain = examples(data, noise_offset=0.0)
    _, shifted = examples(data, noise_offset=0.5)
    offsets = torch.stack([shifted[n].noise - plain[n].noise for n in range(100)])
    torch.testing.assert_close(offsets, offsets[:, :, :1, :1].expand_as(offsets), atol=1e-6, rtol=0)
    assert abs(float(offsets[:, :, 0, 0].std()) - 0.5) < 4 * 0.5 / 800**0.5


def test_what_is_left_out_changes_nothing_else(data):
    _, plain = examples(data, "normal-aligned", caption_dropout=0.0)
    _, bare = examples(data, "normal-aligned", caption_dropout=1.0, condition_dropout=1.0)
    for n in range(4):
        a, b = plain[n], bare[n]
        assert b.prompt == "" and a.prompt != ""
        assert not b.control.any() and a.control.any()
        assert torch.equal(a.noise, b.noise) and a.level == b.level
        assert torch.equal(a.picture, b.picture)


def test_captions_are_left_out_as_often_as_asked(data):
    _, ours = examples(data, caption_dropout=0.3)
    dropped = np.mean([ours[n].prompt == "" for n in range(300)])
    assert abs(dropped - 0.3) < 4 * (0.21 / 300) ** 0.5


def test_parts_of_captions_are_left_out_but_not_what_it_shows(data):
    _, ours = examples(data, segment_dropout=1.0, caption_dropout=0.0)
    assert ours[0].prompt.startswith("black background, normal map, upper body, ")


def test_flipped_samples_are_mirrored(data):
    _, plain = examples(data, "normal-aligned", flip=0.0, caption_dropout=0.0)
    _, flipped = examples(data, "normal-aligned", flip=1.0, caption_dropout=0.0)
    a, b = plain[0], flipped[0]
    assert torch.equal(a.picture.flip(1), b.picture)
    torch.testing.assert_close(1 - a.control.flip(1)[16, 16, 0], b.control[16, 16, 0])
    assert "left arm" in a.prompt and "right arm" in b.prompt


@pytest.mark.parametrize(
    ("task", "shows", "follows"),
    [
        ("text-to-depth", "depth", False),
        ("text-to-rgb", "rgb", False),
        ("normal-aligned", "rgb", True),
        ("pose-guider", "rgb", True),
    ],
)
def test_tasks_show_and_follow_what_they_should(data, task, shows, follows):
    _, ours = examples(data, task, caption_dropout=0.0)
    picture, control, prompt = ours.plain(0)
    assert picture.shape == (32, 32, 3) and 0 <= picture.min() and picture.max() <= 1
    assert control.shape == ((32, 32, 3) if follows else (0, 0, 3))
    assert ("depth map" in prompt) == (shows == "depth")
    # A red sphere before black; its nearest place is in the middle.
    if shows == "rgb":
        assert picture[16, 16].tolist() == [1, 0, 0]
    else:
        assert picture[16, 16].min() > 0.99


def test_a_pose_guider_may_show_normals(data):
    recipe, ours = examples(data, "pose-guider", shows="normal")
    assert "normal.png" in wanted(recipe) and "png" not in wanted(recipe)
    picture, control, prompt = ours.plain(0)
    torch.testing.assert_close(picture[16, 16], torch.tensor([0.5, 0.5, 1]), atol=0.03, rtol=0)
    assert control.any() and "normal map" in prompt


def test_readers_in_other_processes_change_nothing(data):
    recipe, ours = examples(data, samples=8)
    rounds = Rounds.of(recipe, 0, 0, 1)
    for a, b in zip(loader(ours, rounds, 0), loader(ours, rounds, 1), strict=True):
        assert torch.equal(a.pictures, b.pictures) and torch.equal(a.noise, b.noise)
        assert a.prompts == b.prompts and torch.equal(a.levels, b.levels)


def test_a_bad_sample_is_named(data, tmp_path):
    _, ours = examples(data)
    first = place(0, 0, 6)
    row = ours._shards.rows[first]
    begin, length = row.places["normal.png"]
    damaged = bytearray(row.shard.read_bytes())
    damaged[begin : begin + length] = bytes(length)
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / row.shard.name).write_bytes(damaged)
    _, bad = examples(tmp_path)
    with pytest.raises(ValueError, match=f"sample {row.key} of .*normal.png cannot be read"):
        bad[0]


def test_batches_keep_the_order_of_their_examples(data):
    _, ours = examples(data)
    batch = Batch.of([ours[3], ours[1]])
    assert batch.prompts == (ours[3].prompt, ours[1].prompt)
    assert torch.equal(batch.noise[1], ours[1].noise)
    assert batch.levels.tolist() == [ours[3].level, ours[1].level]
