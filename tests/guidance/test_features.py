"""Distances of inner features, against the closed form of linear ones."""

import torch

from incarnate.guidance import feature_distance
from tests.guidance.closed import SAID, STD, Encoded, gaussian, gradient, noise, pictures, schedules

T = torch.tensor([100.0, 300.0, 700.0], dtype=torch.float64)


def closed_form(prior, images, targets, e):
    """Features are m + k (z_t - a m), k = a d^2 / (a^2 d^2 + s^2), so the gap is k a (z - y)."""
    a, s = (x.view(-1, 1, 1, 1) for x in (prior.schedule.signal(T), prior.schedule.noise(T)))
    k = a * STD**2 / (a**2 * STD**2 + s**2)
    mean = prior.means["a person"]
    z, y = images.movedim(-1, 1), targets.movedim(-1, 1)
    size = (mean + k * (a * y + s * e - a * mean)).square().sum((1, 2, 3), keepdim=True)
    gap = k * a * (z - y)
    return (gap.square() / size).sum((1, 2, 3)).mean(), 2 * k * a * gap / size / 3


def test_distance_and_gradient_are_those_of_linear_features():
    prior = gaussian(schedules()["v"])
    images, targets, e = pictures(), pictures(seed=4), noise()
    value, slope = closed_form(prior, images, targets, e)
    torch.testing.assert_close(feature_distance(prior, images, targets, SAID, T, e), value)
    found = gradient(lambda x: feature_distance(prior, x, targets, SAID, T, e), images)
    torch.testing.assert_close(found.movedim(-1, 1), slope)


def test_the_gradient_is_that_of_finite_differences():
    prior = gaussian(schedules()["flow"], size=(2, 2, 3))
    images, targets, e = pictures(3, 2, 2, 3), pictures(3, 2, 2, 3, seed=4), noise(3, 3, 2, 2)
    assert torch.autograd.gradcheck(
        lambda x: feature_distance(prior, x, targets, SAID, T, e), images.requires_grad_()
    )


def test_the_gradient_goes_through_the_encoder_and_targets_have_none():
    inner = gaussian(schedules()["v"])
    mix = torch.tensor([[1.0, 2, 0], [0, 1, 0], [0.5, 0, 3]], dtype=torch.float64)
    images, targets, e = pictures(), pictures(seed=4).requires_grad_(), noise()
    _, slope = closed_form(inner, images @ mix.T, targets.detach() @ mix.T, e)
    prior = Encoded(inner, mix)
    found = gradient(lambda x: feature_distance(prior, x, targets, SAID, T, e), images)
    torch.testing.assert_close(found, slope.movedim(1, -1) @ mix)
    feature_distance(prior, images.requires_grad_(), targets, SAID, T, e).backward()
    assert targets.grad is None


def test_every_layer_counts_alike_however_large_it_is():
    class Layered(Encoded):
        def features(self, x_t, t, condition):
            (one,) = self.inner.features(x_t, t, condition)
            return one, 1000 * one[:, :, ::2, ::2]

    inner = gaussian(schedules()["v"])
    prior = Layered(inner, torch.eye(3, dtype=torch.float64))
    images, targets, e = pictures(), pictures(seed=4), noise()
    found = feature_distance(prior, images, targets, SAID, T, e)
    whole = feature_distance(inner, images, targets, SAID, T, e)

    def features(pictures):
        x_t = inner.schedule.add_noise(pictures.movedim(-1, 1), e, T)
        return inner.features(x_t, T, SAID)[0][:, :, ::2, ::2]

    a, b = features(images), features(targets)
    part = ((a - b).square().sum((1, 2, 3)) / b.square().sum((1, 2, 3))).mean()
    torch.testing.assert_close(found, (whole + part) / 2)


def test_more_noise_forgives_more():
    prior = gaussian(schedules()["v"])
    images, targets, e = pictures(), pictures(seed=4), noise()
    distances = [
        float(feature_distance(prior, images, targets, SAID, torch.full((3,), t), e))
        for t in (50.0, 500.0, 950.0)
    ]
    assert distances == sorted(distances, reverse=True)
    assert float(feature_distance(prior, targets, targets, SAID, T, e)) == 0
