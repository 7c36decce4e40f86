"""Perp-Neg: right angles, its limits, and the views."""

import math

import pytest
import torch

from incarnate.guidance import PerpNeg, Weighted, perp_neg, sds, view_weights
from incarnate.guidance.perpneg import perpendicular
from incarnate.priors import Condition, Text, View, guided
from tests.guidance.closed import gaussian, gradient, noise, pictures, schedules

NAMES = ("", "a", "b", "c")
T = torch.tensor([50.0, 400.0, 900.0], dtype=torch.float64)
SIDES = ("front", "left side", "right side", "back")
VIEWS = {name: f"a, full body, {name} view" for name in SIDES}


def said(*prompts):
    return Condition(text=Text(prompts))


def one(*weights):
    return torch.tensor(weights, dtype=torch.float64)


def dots(x, y):
    return (x * y).flatten(1).sum(1)


def test_the_perpendicular_part_is_at_a_right_angle_and_leaves_a_parallel_rest():
    x, to = noise(seed=1), noise(seed=2)
    part = perpendicular(x, to)
    torch.testing.assert_close(dots(part, to), torch.zeros(3, dtype=torch.float64))
    rest = x - part
    torch.testing.assert_close(dots(rest, to) ** 2, dots(rest, rest) * dots(to, to))
    assert torch.equal(perpendicular(x, 0 * to), x)
    assert torch.autograd.gradcheck(perpendicular, (x.requires_grad_(), to.requires_grad_()))


@pytest.mark.parametrize("name", schedules())
def test_negatives_move_the_prediction_only_at_right_angles_to_the_positive(name):
    prior, x = gaussian(schedules()[name], NAMES), noise()
    plain, wanted = prior.predict(x, T, said("")), prior.predict(x, T, said("a"))
    negatives = [Weighted(said("b"), one(1, 0.5, 2)), Weighted(said("c"), one(0.3, 0, 1))]
    found = perp_neg(prior, x, T, [Weighted(said("a"), one(1, 1, 1))], negatives, 7.0)
    shift = found - plain - 7 * (wanted - plain)
    torch.testing.assert_close(
        dots(shift, wanted - plain), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-10
    )
    for i, row in enumerate(shift):  # By hand, a row at a time.
        p = (wanted - plain)[i]
        by_hand = torch.zeros_like(p)
        for negative, weight in (("b", one(1, 0.5, 2)[i]), ("c", one(0.3, 0, 1)[i])):
            n = prior.predict(x, T, said(negative))[i] - plain[i]
            by_hand -= 7 * weight * (n - (n * p).sum() / (p * p).sum() * p)
        torch.testing.assert_close(row, by_hand)


def test_without_negatives_or_with_parallel_ones_it_is_classifier_free_guidance():
    prior, x = gaussian(schedules()["v"], NAMES), noise()
    usual = guided(prior, x, T, said("a"), 7.0)
    positive = [Weighted(said("a"), one(1, 1, 1))]
    torch.testing.assert_close(perp_neg(prior, x, T, positive, [], 7.0), usual)
    same = [Weighted(said("a"), one(3, 1, 0.1))]
    torch.testing.assert_close(perp_neg(prior, x, T, positive, same, 7.0), usual)


def test_all_predictions_mean_the_same_direction():
    found = []
    for schedule in list(schedules().values())[:3]:
        prior, x = gaussian(schedule, NAMES), noise()
        negatives = [Weighted(said("b"), one(1, 1, 1))]
        out = perp_neg(prior, x, T, [Weighted(said("a"), one(1, 1, 1))], negatives, 5.0)
        found.append(schedule.parts(x, T, out)[1])
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])


def test_views_are_told_by_the_papers_interpolation():
    w = view_weights((0.0, math.pi / 2, math.pi, math.pi / 4, -3 * math.pi / 4, 2 * math.pi))
    half = math.exp(-0.25) - math.exp(-0.5)
    steep = 4 * (1 - math.exp(-0.5))
    positive = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [1, 0, 0]]
    negative = [
        [0, steep, 0],
        [steep, 0, 0],
        [1 - math.exp(-0.5) + steep, 1 - math.exp(-0.5), 0],
        [4 * half, 4 * half, 0],
        [half + steep, half, 0],
        [0, steep, 0],
    ]
    torch.testing.assert_close(w.positive, torch.tensor(positive), rtol=0, atol=1e-6)
    torch.testing.assert_close(w.negative, torch.tensor(negative), rtol=0, atol=1e-6)
    # threestudio's constants, which have three digits: (a, b, c) of a e^(-b r) + c.
    for r in (0.0, 0.3, 1.0):
        behind = view_weights(((2 - r) * math.pi / 2,)).negative[0].tolist()
        assert behind[0] == pytest.approx(math.exp(-r / 2) + 0.967, abs=1e-3)
        assert behind[1] == pytest.approx(math.exp(-r / 2) - 0.606, abs=1e-3)
        before = view_weights(((1 - r) * math.pi / 2,)).negative[0].tolist()
        assert before[0] == pytest.approx(4 * math.exp(-r / 2) - 2.426, abs=1e-3)


def test_weights_do_not_jump_and_never_turn_negative():
    azimuths = [i / 100 for i in range(-629, 630)]
    w = view_weights(azimuths)
    for weights in (w.positive, w.negative):
        assert float(weights.diff(dim=0).abs().max()) < 0.03
        assert float(weights.min()) >= 0
    torch.testing.assert_close(w.positive.sum(1), torch.ones(len(azimuths)))


@pytest.mark.parametrize("framings", [("full",), ("full", "full", "full")])
def test_a_prior_told_by_perp_neg_is_the_general_form_with_the_views_weights(framings):
    inner, x = gaussian(schedules()["v"], ("", *VIEWS.values())), noise()
    azimuths = (0.4, -1.2, 2.5)
    condition = Condition(text=Text(("a",)), view=View(azimuths, framings))
    found = guided(PerpNeg(inner), x, T, condition, 6.0)
    w = view_weights(azimuths)
    for i in range(3):
        side = "right side" if azimuths[i] < 0 else "left side"
        told = [said(VIEWS[name]) for name in ("front", side, "back")]
        wanted = perp_neg(
            inner,
            x[i : i + 1],
            T[i : i + 1],
            [Weighted(c, w.positive[i : i + 1, k]) for k, c in enumerate(told)],
            [Weighted(c, w.negative[i : i + 1, k]) for k, c in enumerate(told)],
            6.0,
        )
        torch.testing.assert_close(found[i : i + 1], wanted, rtol=1e-6, atol=1e-6)


def test_a_prior_told_by_perp_neg_without_a_view_is_the_inner_one():
    inner, x = gaussian(schedules()["v"], NAMES), noise()
    prior = PerpNeg(inner)
    assert torch.equal(prior.predict(x, T, said("a")), inner.predict(x, T, said("a")))
    images = pictures()
    assert torch.equal(prior.encode(images), inner.encode(images))
    assert torch.equal(prior.decode(x), inner.decode(x))
    assert torch.equal(prior.features(x, T, said("a"))[0], inner.features(x, T, said("a"))[0])


def test_distillation_pushes_a_side_view_off_the_front_more_than_words_alone():
    """At the side the front's pull is taken away where it is not the side's as well."""
    inner = gaussian(schedules()["epsilon"], ("", *VIEWS.values()))
    condition = Condition(text=Text(("a",)), view=View((math.pi / 2,)))
    images, e = pictures(), noise()
    words = gradient(lambda x: sds(inner, x, condition, T, e, 5.0), images)
    perp = gradient(lambda x: sds(PerpNeg(inner), x, condition, T, e, 5.0), images)
    front = (inner.means[VIEWS["front"]] - inner.means[""]).movedim(0, -1)
    assert bool((dots(perp, front[None]) > dots(words, front[None])).all())


def test_views_that_do_not_fit_the_rows_are_refused():
    inner = gaussian(schedules()["v"], ("", *VIEWS.values()))
    with pytest.raises(ValueError, match="2 views came for 3 rows"):
        condition = Condition(text=Text(("a",)), view=View((0.1, 0.2)))
        PerpNeg(inner).predict(noise(), T, condition)
