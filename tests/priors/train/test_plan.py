"""What follows from a recipe alone."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from incarnate.priors.train import plan
from incarnate.priors.train.plan import Rounds, checked, differing, learning_rate, settings
from incarnate.recipe import Recipe

RECIPE = Recipe(
    "text-to-normal",
    Path("base"),
    Path("data"),
    Path("run"),
    samples=1000,
    batch=10,
    lr=2.0,
    warmup=100,
)


def test_the_learning_rate_rises_then_stays():
    assert learning_rate(RECIPE, 10) == pytest.approx(0.2)
    assert learning_rate(RECIPE, 100) == learning_rate(RECIPE, 900) == 2.0
    assert learning_rate(replace(RECIPE, warmup=0), 10) == 2.0


def test_the_cosine_is_half_way_in_the_middle_and_ends_at_nothing():
    falling = replace(RECIPE, falls="cosine")
    assert learning_rate(falling, 50) == pytest.approx(1.0)
    assert learning_rate(falling, 100) == pytest.approx(2.0)
    assert learning_rate(falling, 550) == pytest.approx(1.0)
    assert learning_rate(falling, 325) == pytest.approx(2 * math.cos(math.pi / 8) ** 2)
    assert learning_rate(falling, 1000) == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(falling, 1010) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("micro", [None, 1, 2])
def test_processes_take_each_sample_once_and_go_on_where_they_were(size, micro):
    recipe = replace(RECIPE, samples=40, batch=8, micro_batch=micro)
    whole = [list(Rounds.of(recipe, 0, rank, size)) for rank in range(size)]
    taken = sorted(n for parts in whole for part in parts for n in part)
    assert taken == list(range(40))
    rounds = Rounds.of(recipe, 0, 0, size)
    assert len(rounds) == len(whole[0]) == 5 * rounds.per_step
    for rank in range(size):
        rest = list(Rounds.of(recipe, 16, rank, size))
        assert rest == whole[rank][2 * rounds.per_step :]


def test_the_processes_together_take_what_one_takes_at_each_step():
    recipe = replace(RECIPE, samples=24, batch=8, micro_batch=2)
    for step in range(3):
        own = [list(Rounds.of(recipe, 0, rank, 2))[2 * step : 2 * step + 2] for rank in range(2)]
        taken = sorted(n for parts in own for part in parts for n in part)
        assert taken == list(range(8 * step, 8 * step + 8))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch": 0}, "--batch is 0; give 1 or more"),
        ({"ema": 1.5}, "--ema is 1.5; give 0 to 1"),
        ({"lr": math.nan}, "--lr is nan"),
        ({"min_snr_gamma": 0.0}, "--min-snr-gamma is 0.0"),
        ({"lora": 0}, "--lora is 0"),
        ({"lora": 4, "task": "normal-aligned"}, "are for text-to- tasks, not normal-aligned"),
        ({"lora": 4, "text_encoder": True}, "leave out --text-encoder"),
        ({"shows": "depth"}, "--shows is for pose-guider"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, says):
    checked(RECIPE)
    with pytest.raises(ValueError, match=says):
        checked(replace(RECIPE, **changes))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="a batch of 10 cannot be shared by 4 processes"):
        Rounds.of(RECIPE, 0, 0, 4)
    with pytest.raises(ValueError, match="no multiple of --micro-batch 3"):
        Rounds.of(replace(RECIPE, micro_batch=3), 0, 0, 2)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(plan, "EXTRA", ("peft", "no_such_package"))
    with pytest.raises(ValueError, match=r"no_such_package.*pip install 'incarnate\[train\]'"):
        checked(RECIPE)


def test_only_what_changes_the_weights_must_stay_on_a_resume():
    known = settings(RECIPE)
    same = settings(replace(RECIPE, workers=3, output=Path("x"), micro_batch=5, resume=True))
    assert differing(same, known, "constant") == []
    other = settings(replace(RECIPE, lr=1.0, caption_dropout=0.3))
    assert differing(other, known, "constant") == ["--lr", "--caption-dropout"]


def test_a_run_may_grow_longer_only_if_its_rate_is_constant():
    longer = settings(replace(RECIPE, samples=2000))
    assert differing(longer, settings(RECIPE), "constant") == []
    assert differing(longer, settings(RECIPE), "cosine") == ["--samples"]
