"""Tables come out of their packing exactly, on every machine."""

import numpy as np
import pytest

from incarnate.body.codec import SHIFT, predicted


@pytest.mark.parametrize(("most", "heaviest"), [(3000, 100), (32767, 32767), (0, 0)])
def test_predictions_are_those_of_whole_numbers(most: int, heaviest: int):
    rng = np.random.default_rng(0)
    rows = rng.integers(-most, most, (40, 7), np.int16, endpoint=True)
    neighbors = rng.integers(0, 40, (90, 6))
    weights = rng.integers(-heaviest, heaviest, (90, 6), np.int16, endpoint=True)
    sums = np.einsum("mk,mkc->mc", weights.astype(np.int64), rows[neighbors].astype(np.int64))
    fits = np.abs(sums) < 2**31 - 2**SHIFT
    true = (sums + (1 << (SHIFT - 1))) >> SHIFT
    assert (predicted(rows, neighbors, weights) == true)[fits].all() and fits.mean() > 0.4
