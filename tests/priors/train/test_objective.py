"""The loss's weights and the running mean, in closed form."""

import pytest
import torch

from incarnate.priors import Schedule
from incarnate.priors.train.objective import Average, level_weight, weighted


def stable(prediction):
    zero = prediction in ("v", "sample")
    return Schedule.scaled_linear(prediction=prediction, zero_terminal_snr=zero)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v"])
@pytest.mark.parametrize("t", [0.0, 100.0, 600.0, 999.0])
def test_min_snr_weights(prediction, t):
    schedule = stable(prediction)
    a, s = float(schedule.signal(torch.tensor([t]))), float(schedule.noise(torch.tensor([t])))
    snr = a**2 / s**2
    by_hand = {
        "epsilon": lambda: min(snr, 5) / snr,
        "sample": lambda: min(snr, 5),
        "v": lambda: min(snr + 1, 5) / (snr + 1),
    }[prediction]()
    found = level_weight(schedule, torch.tensor([t]), 5.0)
    assert float(found) == pytest.approx(by_hand, rel=1e-9)


def test_flow_is_cut_where_its_error_in_the_picture_is():
    schedule = Schedule.flow()
    # signal = 1 - noise: x_0's error is noise times the output's.
    for t, by_hand in ((499.0, 1.0), (99.0, 5 * 0.1**2)):
        found = level_weight(schedule, torch.tensor([t]), 5.0)
        assert float(found) == pytest.approx(by_hand, rel=1e-6)


def test_the_last_level_without_signal_still_counts():
    assert float(level_weight(stable("v"), torch.tensor([999.0]), 5.0)) == 1.0


def test_without_gamma_the_loss_is_the_mean_square():
    rng = torch.Generator().manual_seed(0)
    output, target = torch.randn(2, 3, 4, 5, 5, generator=rng)
    t = torch.tensor([0.0, 400.0, 999.0])
    plain = weighted(stable("v"), t, output, target, None)
    torch.testing.assert_close(plain, (output - target).square().mean())
    weights = level_weight(stable("v"), t, 5.0)
    rows = [((a - b) ** 2).mean() * w for a, b, w in zip(output, target, weights, strict=True)]
    cut = weighted(stable("v"), t, output, target, 5.0)
    torch.testing.assert_close(cut, torch.stack(rows).mean().float())


def test_the_running_mean_has_its_closed_form():
    values = [torch.tensor([float(v)]) for v in (3, 1, 4, 1, 5)]
    average = Average({"w": torch.tensor([2.0])}, 0.3)
    for n, value in enumerate(values, 1):
        average.update({"w": value}, n)
    # Steps 1 to 3 keep 1/10, 2/11 and 3/12; from step 4 (4/13) on the decay is lower.
    keeps = [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]
    expected, left = 0.0, 1.0
    for keep, value in zip(reversed(keeps), reversed(values), strict=True):
        expected += left * (1 - keep) * float(value)
        left *= keep
    assert float(average.weights["w"]) == pytest.approx(expected + left * 2.0, rel=1e-6)


def test_the_running_mean_holds_no_part_of_the_weights_themselves():
    weight = torch.nn.Parameter(torch.ones(2))
    average = Average({"w": weight}, 0.9)
    with torch.no_grad():
        weight.zero_()
    assert average.weights["w"].tolist() == [1, 1]
    assert not average.weights["w"].requires_grad
