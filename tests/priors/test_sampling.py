"""Schedules and sampling, against diffusers' schedulers and the closed-form prior."""

import math

import pytest
import torch

from incarnate.priors import (
    Condition,
    GaussianPrior,
    Schedule,
    Text,
    ddim,
    guided,
    inverted,
    sample,
)
from incarnate.priors.schedule import Prediction, Spacing, spread
from tests.priors.tiny import diffusers

PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "sample", "v")
NAMES = {"epsilon": "epsilon", "sample": "sample", "v": "v_prediction"}


def stable(
    prediction: Prediction = "epsilon", zero: bool = False, spacing: Spacing = "leading"
) -> Schedule:
    return Schedule.scaled_linear(prediction=prediction, zero_terminal_snr=zero, spacing=spacing)


def diffusers_ddim(prediction, zero, spacing):
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=NAMES[prediction],
        rescale_betas_zero_snr=zero,
        timestep_spacing=spacing,
        clip_sample=False,
    )


def gaussian(schedule, std=0.5):
    rng = torch.Generator().manual_seed(5)
    means = {
        name: torch.rand(4, 4, 3, generator=rng, dtype=torch.float64)
        for name in ("", "a person", "a dog")
    }
    return GaussianPrior(means, std, schedule)


def noise(count=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 4, 4, generator=rng, dtype=torch.float64)


SAID = Condition(text=Text(("a person",)))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("zero", [False, True])
def test_ddim_walks_as_diffusers_does(prediction, spacing, zero):
    if zero and prediction == "epsilon":
        return
    ours, theirs = stable(prediction, zero, spacing), diffusers_ddim(prediction, zero, spacing)
    prior = gaussian(ours)
    theirs.set_timesteps(20)
    levels = ours.levels(20)
    assert levels.tolist() == theirs.timesteps.tolist()
    x = start = noise()
    for t in theirs.timesteps:
        output = prior.predict(x, torch.full((3,), float(t)), SAID)
        x = theirs.step(output, int(t), x).prev_sample
    # diffusers keeps its tables in float32: 1e-7 relative, over 20 steps.
    torch.testing.assert_close(ddim(prior, start, SAID, levels), x, rtol=1e-4, atol=1e-5)


def test_zero_terminal_snr_leaves_no_signal_and_keeps_the_first_level():
    plain, zero = stable("v"), stable("v", zero=True)
    assert zero.signals[-1] == 0
    torch.testing.assert_close(zero.signals[0], plain.signals[0])
    with pytest.raises(ValueError, match="predict v or sample"):
        stable("epsilon", zero=True)


@pytest.mark.parametrize("prediction", [*PREDICTIONS, "flow"])
def test_every_prediction_tells_the_same_data_and_noise(prediction):
    schedule = Schedule.flow(3.0) if prediction == "flow" else stable(prediction)
    x_0, e = noise(seed=1), noise(seed=2)
    t = torch.tensor([1.0, 400.5, 950.0], dtype=torch.float64)
    x_t = schedule.add_noise(x_0, e, t)
    clean, found = schedule.parts(x_t, t, schedule.target(x_0, e, t))
    torch.testing.assert_close(clean, x_0)
    torch.testing.assert_close(found, e)


def test_v_of_a_schedule_that_does_not_preserve_variance_tells_data_and_noise():
    flow = Schedule.flow()
    schedule = Schedule(flow.signals, flow.noises, flow.tells, "v")
    x_0, e = noise(seed=1), noise(seed=2)
    t = torch.tensor([1.0, 400.5, 950.0], dtype=torch.float64)
    clean, found = schedule.parts(schedule.add_noise(x_0, e, t), t, schedule.target(x_0, e, t))
    torch.testing.assert_close(clean, x_0)
    torch.testing.assert_close(found, e)


def test_a_scale_of_one_is_the_conditional_prediction_and_others_lead_away_from_the_negative():
    prior = gaussian(stable())
    x, t = noise(), torch.tensor([10.0, 300.0, 900.0])
    conditional = prior.predict(x, t, SAID)
    plain = prior.predict(x, t, Condition(text=Text(("",))))
    assert torch.equal(guided(prior, x, t, SAID, 1.0), conditional)
    torch.testing.assert_close(guided(prior, x, t, SAID, 0.0), plain)
    torch.testing.assert_close(guided(prior, x, t, SAID, 4.0), 4 * conditional - 3 * plain)
    against = Condition(text=Text(("a person",), negative=("a dog",)))
    dog = prior.predict(x, t, Condition(text=Text(("a dog",))))
    torch.testing.assert_close(guided(prior, x, t, against, 2.0), 2 * conditional - dog)


def test_ddim_with_many_steps_maps_noise_by_the_closed_form_flow():
    """The probability flow of N(m, s^2) keeps the quantile: (x - a m) / sqrt(a^2 s^2 + n^2)."""
    schedule = stable("v", zero=True, spacing="trailing")
    prior = gaussian(schedule)
    mean = prior.means["a person"]
    errors = []
    for steps in (50, 200, 1000):
        start = noise()
        reached = ddim(prior, start, SAID, schedule.levels(steps))
        errors.append(float((reached - (mean + prior.std * start)).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def test_rows_may_fall_from_levels_of_their_own():
    prior = gaussian(stable("v"))
    start, levels = (
        noise(),
        prior.schedule.levels(5, start=1.0)[:, None]
        * torch.tensor([100.0, 300.5, 900.0], dtype=torch.float64),
    )
    together = ddim(prior, start, SAID, levels)
    for i in range(3):
        alone = ddim(prior, start[i : i + 1], SAID, levels[:, i])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_samples_have_the_mean_and_spread_of_the_data():
    schedule = stable("v", zero=True, spacing="trailing")
    prior = gaussian(schedule)
    pictures = ddim(prior, noise(4000), SAID, schedule.levels(100))
    # 4000 samples of spread .5: the mean of each pixel within 4 standard errors, .032.
    assert float((pictures.mean(0) - prior.means["a person"]).abs().max()) < 0.04
    assert float((pictures.std(0) - prior.std).abs().max()) < 0.04


def test_inversion_with_refinements_is_the_exact_way_back_and_without_them_nearly():
    prior = gaussian(stable())
    levels = prior.schedule.levels(25)
    start = noise()
    reached = ddim(prior, start, SAID, levels)
    exact = inverted(prior, reached, SAID, levels, refinements=60)
    torch.testing.assert_close(exact, start, rtol=1e-6, atol=1e-6)
    usual = inverted(prior, reached, SAID, levels)
    assert 1e-4 < float((usual - start).abs().mean()) < 0.2


def test_samples_are_pictures():
    prior = gaussian(stable())
    pictures = sample(prior, noise(2), SAID, steps=5)
    assert pictures.shape == (2, 4, 4, 3)
    assert 0 <= float(pictures.min()) and float(pictures.max()) <= 1


@pytest.mark.parametrize("steps", [0, 1001])
def test_an_impossible_number_of_steps_is_refused(steps):
    with pytest.raises(ValueError, match="steps of sampling"):
        stable().levels(steps)


def test_levels_from_a_start_fall_evenly_to_the_end():
    levels = stable().levels(4, start=500.0)
    assert levels.tolist() == [500, 375, 250, 125]
    assert [t.tolist() for t in spread(levels[:2], 2, levels)] == [[500, 500], [375, 375]]


def test_between_whole_levels_the_tables_are_read_linearly():
    schedule = stable()
    t = torch.tensor([10.0, 10.25, 11.0], dtype=torch.float64)
    low, middle, high = schedule.signal(t).tolist()
    assert math.isclose(middle, 0.75 * low + 0.25 * high)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_flow_levels_are_those_of_unipc(shift, steps):
    theirs = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    theirs.set_timesteps(steps)
    ours = Schedule.flow(shift)
    levels = ours.levels(steps)
    # A line between neighbours, a thousandth apart, of a curve that bends by 2 shift^2 at most.
    close = {"rtol": 0, "atol": shift**2 / 4 * 1e-6 + 1e-7}
    torch.testing.assert_close(ours.noise(levels), theirs.sigmas[:-1].double(), **close)
    assert ours.told(levels).tolist() == theirs.timesteps.tolist()


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_flow_matching_levels_are_those_of_its_scheduler(shift, steps):
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(steps)
    ours = Schedule.flow_matching(shift)
    levels = ours.levels(steps)
    close = {"rtol": 0, "atol": shift**2 / 4 * 1e-6 + 1e-7}
    torch.testing.assert_close(ours.noise(levels), theirs.sigmas[:-1].double(), **close)
    told = ours.told(levels) / 1000
    torch.testing.assert_close(told, theirs.timesteps.double() / 1000, **close)
