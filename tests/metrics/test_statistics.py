import numpy as np
import pytest

from incarnate.metrics import Interval, bootstrap, paired


def test_intervals_hold_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    samples = rng.normal(3.0, 1.0, (60, 30))
    held = 0
    for sample in samples:
        interval = bootstrap(sample.tolist())
        assert interval is not None and interval.low < sample.mean() < interval.high
        held += interval.low <= 3.0 <= interval.high
    assert held >= 51  # 57 expected; fewer than 51 of 60 at 95 % comes once in 200.


def test_few_and_equal_values():
    assert bootstrap([1.0]) is None
    assert bootstrap([2.0, 2.0, 2.0]) == Interval(2.0, 2.0)
    near = bootstrap([0.0, 0.0, 0.0, 1.0])
    assert near is not None and 0 <= near.low < near.high <= 1


def test_pairs_see_what_the_spread_of_subjects_hides():
    a = np.linspace(10, 40, 8)
    gain = paired(a.tolist(), (a + np.array([0.9, 1.1, 1.0, 1.2, 0.8, 1.0, 1.1, 0.9])).tolist())
    assert gain is not None and gain.significant
    assert gain.difference == pytest.approx(1.0)
    assert gain.p == pytest.approx(2 / 2**8)  # The exact test: only all signs kept or all turned.
    noise = paired(a.tolist(), (a + np.array([1, -1, 1, -1, 1, -1, 1, -1.0])).tolist())
    assert noise is not None and not noise.significant and noise.p == 1
    same = paired(a.tolist(), a.tolist())
    assert same is not None and not same.significant and same.difference == 0
    assert paired([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="cannot be paired"):
        paired([1.0], [2.0, 3.0])
