"""How sure a figure is: bootstrap intervals over subjects, and differences of runs in pairs."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
CONFIDENCE = 0.95
SEED = 0  # Same values, same interval.


@dataclass(frozen=True)
class Interval:
    """What 95 of 100 such samples would hold the mean in."""

    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Run B less run A, subject by subject."""

    difference: float
    interval: Interval
    p: float
    """The share of all swaps of A and B, by subject, whose mean differs at least as much."""
    n: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.interval.low <= 0 <= self.interval.high


def bootstrap(values: Sequence[float]) -> Interval | None:
    """The 95 % bootstrap interval (BCa, Efron 1987) of the mean; None for fewer than two values.

    Where BCa has no answer (values that hardly vary), the percentile interval.
    """
    if len(values) < 2:
        return None
    if max(values) == min(values):
        return Interval(float(values[0]), float(values[0]))
    from scipy.stats import DegenerateDataWarning
    from scipy.stats import bootstrap as resampled

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            bounds = resampled(
                (np.asarray(values, float),),
                np.mean,
                n_resamples=RESAMPLES,
                confidence_level=CONFIDENCE,
                method=method,
                rng=np.random.default_rng(SEED),
            ).confidence_interval
        if np.isfinite(bounds).all():
            break
    return Interval(float(bounds[0]), float(bounds[1]))


def paired(a: Sequence[float], b: Sequence[float]) -> Paired | None:
    """How B differs from A on the same subjects; None for fewer than two.

    The interval is the bootstrap's, p that of the sign-flip permutation test: with n subjects it
    is never below 2 / 2^n, so that 6 subjects can just tell.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    gaps = np.asarray(b, float) - np.asarray(a, float)
    interval = bootstrap(gaps.tolist())
    if interval is None:
        return None
    if not gaps.any():
        return Paired(0.0, interval, 1.0, len(gaps))
    from scipy.stats import permutation_test

    test = permutation_test(
        (gaps,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return Paired(float(gaps.mean()), interval, float(test.pvalue), len(gaps))
