"""Stress: what it adds, where, and what it costs."""

import pytest
import torch

from incarnate.guidance import Stressed
from incarnate.priors import Condition, Text, ddim, guided
from tests.guidance.closed import gaussian, noise, schedules

T = torch.tensor([600.0, 600.0, 600.0], dtype=torch.float64)
LOW = torch.tensor([100.0, 100.0, 100.0], dtype=torch.float64)
NAMES = ("", "b", "a b")


def said(text):
    return Condition(text=Text((text,)))


def without_a(condition):
    return said("b") if condition.text.prompts == ("a b",) else condition


@pytest.mark.parametrize("name", schedules())
def test_the_gap_to_the_weaker_condition_is_added_before_guidance(name):
    prior, x = gaussian(schedules()[name], NAMES), noise()
    c, u, b = (prior.predict(x, T, said(text)) for text in ("a b", "", "b"))
    assert (c - b).abs().mean() > 1e-4
    stressed = Stressed(prior, without_a, 0.4)
    wanted = u + 3 * (c + 0.4 * (c - b) - u)
    torch.testing.assert_close(guided(stressed, x, T, said("a b"), 3.0), wanted)
    assert torch.equal(guided(stressed, x, T, said("a b"), 1.0), c)


def test_what_was_not_said_is_not_stressed_and_asks_nothing():
    inner = gaussian(schedules()["v"], NAMES)
    asked = []
    predict = inner.predict
    inner.predict = lambda x_t, t, condition: asked.append(condition) or predict(x_t, t, condition)
    stressed = Stressed(inner, without_a, 0.4, unled_below=0.3)
    for condition, level, count in (
        (said("b"), T, 2),
        (said("a b"), T, 3),
        (said("a b"), LOW, 1),
    ):
        asked.clear()
        found = guided(stressed, noise(), level, condition, 3.0)
        assert len(asked) == count
    torch.testing.assert_close(found, predict(noise(), LOW, said("a b")))


def test_samples_go_further_from_the_weaker_condition_and_not_aside():
    """Of Gaussians of one width the way is linear: it is led along the gap of the means alone."""
    prior = gaussian(schedules()["v"], NAMES)
    levels = prior.schedule.levels(20)
    plain, louder = (
        ddim(Stressed(prior, without_a, scale, 0.5), noise(), said("a b"), levels, 1.5)
        for scale in (0.0, 0.3)
    )
    gap = (prior.means["a b"] - prior.means["b"]).expand_as(plain)
    share = ((louder - plain) * gap).sum() / gap.square().sum()
    torch.testing.assert_close(louder - plain, share * gap)
    assert 0 < float(share) < 1.5 * 0.3
