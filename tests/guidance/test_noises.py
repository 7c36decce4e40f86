"""Sources of noise: unit variance, and the correlations that they promise."""

import pytest
import torch

from incarnate.guidance import Warp, independent, projected, resampled, shared

NUM = 20_000
# 5 standard errors of a variance, sqrt(2 / n), and of a correlation, 1 / sqrt(n).
VARIANCE, CORRELATION = 5 * (2 / NUM) ** 0.5, 5 / NUM**0.5


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def moments(x):
    """The covariance matrix of the rest over the first axis."""
    flat = x.flatten(1).double()
    return flat.T @ flat / len(flat)


def test_independent_noise_is_white_and_the_generators_own():
    x = independent((NUM, 2, 3), rng())
    assert float((moments(x) - torch.eye(6)).abs().max()) < VARIANCE
    assert torch.equal(x, independent((NUM, 2, 3), rng()))
    assert not torch.equal(x, independent((NUM, 2, 3), rng(1)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_frames_share_what_was_asked_and_places_nothing(share):
    x = shared((NUM, 1, 1, 2), 3, rng(), share)
    assert x.shape == (NUM, 1, 3, 1, 2)
    same = torch.eye(2, dtype=torch.bool).repeat(3, 3)
    wanted = torch.where(same, share, 0.0).fill_diagonal_(1.0)
    assert float((moments(x) - wanted).abs().max()) < VARIANCE
    if share == 1:
        assert torch.equal(x[:, :, 0], x[:, :, 2])


def test_projected_noise_has_unit_variance_inside_and_in_the_void():
    source = torch.tensor([[3, 0, 0], [5, 1, 0]])
    void = torch.tensor([[False, False, False], [False, True, True]])
    anchor = independent((NUM, 1, 2, 3), rng())
    x = projected(anchor, Warp(source, void), rng(1))
    covariance = moments(x)
    assert float((covariance.diagonal() - 1).abs().max()) < VARIANCE
    seen = x[:, 0].flatten(1)[:, :4]
    assert torch.equal(seen, anchor.flatten(1)[:, [3, 0, 0, 5]]), "values are taken, not mixed"
    fresh = x[:, 0].flatten(1)[:, 4:]
    mixed = fresh.T @ anchor.flatten(1) / NUM
    assert float(mixed.abs().max()) < CORRELATION, "what was not seen does not know the anchor"
    assert abs(float(covariance[4, 5])) < CORRELATION


@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.7, 1.0])
def test_resampled_noise_keeps_its_variance_and_remembers_its_anchor(sigma):
    anchor = independent((NUM, 1), rng())
    x = resampled(anchor, sigma, rng(1))
    covariance = moments(torch.cat([anchor, x], 1))
    assert abs(float(covariance[1, 1]) - 1) < VARIANCE
    assert abs(float(covariance[0, 1]) - (1 - sigma**2) ** 0.5) < VARIANCE


def test_impossible_shares_are_refused():
    with pytest.raises(ValueError, match="share 1.5"):
        shared((1, 1, 1), 2, rng(), 1.5)
    with pytest.raises(ValueError, match="sigma -0.1"):
        resampled(torch.zeros(1, 1), -0.1, rng())
