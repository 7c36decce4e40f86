"""Levels over a run."""

import pytest
import torch

from incarnate.guidance import Narrowing, Ramp, Range, annealed, levels
from incarnate.priors import Schedule

SCHEDULE = Schedule.scaled_linear()


def test_a_ramp_holds_falls_evenly_and_holds():
    ramp = Ramp(0.8, 0.2, 5000, 8000)  # HumanNorm's [5000, .8, .2, 8000].
    assert [ramp.at(step) for step in (0, 5000, 8000, 20_000)] == [0.8, 0.8, 0.2, 0.2]
    assert ramp.at(6500) == pytest.approx(0.5)
    assert ramp.at(5500) == pytest.approx(0.7)


def test_humannorms_range_narrows_at_once():
    assert Narrowing().at(0) == Narrowing().at(9_999) == Range(0.02, 0.80)
    assert Narrowing().at(10_000) == Narrowing().at(15_000) == Range(0.02, 0.21)


def test_an_annealed_level_falls_from_the_highest_to_the_lowest():
    within = Range(0.1, 0.9)
    assert annealed(within, 0.0) == Range(0.9, 0.9)
    assert annealed(within, 1.0) == Range(0.1, 0.1)
    assert annealed(within, 0.25).low == pytest.approx(0.5)  # .9 - .8 sqrt(.25)
    assert annealed(within, 0.25, power=1.0).low == pytest.approx(0.7)
    falling = [annealed(within, i / 50).low for i in range(51)]
    assert falling == sorted(falling, reverse=True)


def test_levels_are_drawn_evenly_between_the_shares_of_the_schedule():
    rng = torch.Generator().manual_seed(0)
    t = levels(Range(0.2, 0.6), SCHEDULE, 10_000, rng)
    assert t.shape == (10_000,)
    assert 0.2 * 999 <= float(t.min()) < 201 and 598 < float(t.max()) <= 0.6 * 999 + 1e-3
    counts = torch.histc(t, 4, 0.2 * 999, 0.6 * 999)
    assert float((counts / 2500 - 1).abs().max()) < 5 * (3 / 10_000) ** 0.5
    assert levels(Range(1.0, 1.0), SCHEDULE, 2, rng).tolist() == [999, 999]
    assert levels(Range(0.0, 0.0), SCHEDULE, 2, rng).tolist() == [0, 0]


def test_impossible_ranges_are_refused():
    with pytest.raises(ValueError, match=r"0.5 to 0.2"):
        Range(0.5, 0.2)
    with pytest.raises(ValueError, match="0 <= low <= high <= 1"):
        Range(0.5, 1.2)
    with pytest.raises(ValueError, match="end it later"):
        Ramp(0.5, 0.2, 10, 10)
    with pytest.raises(ValueError, match="1.5 of a run"):
        annealed(Range(), 1.5)
