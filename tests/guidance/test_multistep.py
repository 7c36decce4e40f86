"""Multi-step distillation, against the probability flow and against single-step distillation."""

import pytest
import torch

from incarnate.guidance import (
    Closeness,
    denoised,
    multi_step_latent,
    multi_step_pixel,
    repainted,
    sds,
)
from tests.guidance.closed import SAID, STD, Encoded, gaussian, gradient, noise, pictures, schedules

T = torch.tensor([150.0, 400.5, 800.0], dtype=torch.float64)
MIX = torch.tensor([[1.0, 0.5, 0], [0, 1, 0], [0.2, 0, 1.5]], dtype=torch.float64)


def flowed(prior, images, t, e):
    """(x - a m) / sqrt(a^2 d^2 + s^2) stays as it is on the way down from t, to a = 1, s = 0."""
    mean = prior.means["a person"]
    a = prior.schedule.signal(t).view(-1, 1, 1, 1)
    s = prior.schedule.noise(t).view(-1, 1, 1, 1)
    place = (a * images.movedim(-1, 1) + s * e - a * mean) / (a**2 * STD**2 + s**2).sqrt()
    return mean + STD * place


@pytest.mark.parametrize("name", schedules())
def test_many_steps_land_where_the_probability_flow_leads(name):
    """Rows may start at levels of their own."""
    prior = gaussian(schedules()[name])
    images, e = pictures(), noise()
    wanted = flowed(prior, images, T, e)
    errors = [
        float((denoised(prior, images, SAID, T, e, steps) - wanted).abs().max())
        for steps in (10, 40, 160)
    ]
    # DDIM is of first order: four times the steps, about a quarter of the error.
    assert errors[2] < 0.36 * errors[1] < 0.36 * 0.36 * errors[0] < 0.04


@pytest.mark.parametrize("name", schedules())
def test_one_step_is_sds_up_to_a_factor_of_the_level(name):
    """z - x_0 = s / a (predicted - e), whatever the guidance scale."""
    prior = Encoded(gaussian(schedules()[name]), MIX)
    images, e = pictures(), noise()
    weight = prior.schedule.noise(T) / prior.schedule.signal(T)
    single = gradient(lambda x: sds(prior, x, SAID, T, e, 4.0, weight), images)
    found = gradient(lambda x: multi_step_latent(prior, x, SAID, T, e, 1, 4.0), images)
    torch.testing.assert_close(found, single)


def test_in_pixels_nothing_is_differentiated_but_the_distance():
    prior = Encoded(gaussian(schedules()["v"], std=0.02), MIX)
    images, e = pictures(), noise()
    target = repainted(prior, images, SAID, T, e, 5, 2.0)
    mse = Closeness("mse")
    found = gradient(lambda x: multi_step_pixel(prior, x, SAID, T, e, 5, 2.0, mse), images)
    torch.testing.assert_close(found, 2 * (images - target) / images.numel())
    l1 = gradient(lambda x: multi_step_pixel(prior, x, SAID, T, e, 5, 2.0), images)
    torch.testing.assert_close(l1, (images - target).sign() / images.numel())


def test_targets_are_the_decoded_latents_within_zero_and_one():
    prior = Encoded(gaussian(schedules()["v"]), MIX)
    images, e = pictures(), noise()
    decoded = denoised(prior, images, SAID, T, e, 5).movedim(1, -1) @ torch.linalg.inv(MIX).T
    assert float(decoded.min()) < 0 and float(decoded.max()) > 1
    torch.testing.assert_close(repainted(prior, images, SAID, T, e, 5), decoded.clamp(0, 1))


def test_targets_hold_no_graph_of_the_decoder():
    prior = Encoded(gaussian(schedules()["v"]), MIX.clone().requires_grad_())
    images, e = pictures().requires_grad_(), noise()
    assert not repainted(prior, images, SAID, T, e, 2).requires_grad
    assert not denoised(prior, images, SAID, T, e, 2).requires_grad


def test_the_latent_form_reaches_the_encoder_and_the_pixel_form_does_not():
    mix = MIX.clone().requires_grad_()
    prior = Encoded(gaussian(schedules()["v"]), mix)
    images, e = pictures().requires_grad_(), noise()
    multi_step_pixel(prior, images, SAID, T, e, 2).backward()
    assert mix.grad is None
    multi_step_latent(prior, images, SAID, T, e, 2).backward()
    assert mix.grad is not None


def test_a_perceptual_distance_is_added_by_its_weight():
    def doubled(a, b):
        return 2 * (a - b).square().sum()

    images, target = pictures(), pictures(seed=7)
    both = Closeness("l1", doubled, 0.25)(images, target)
    gap = images - target
    torch.testing.assert_close(both, gap.abs().mean() + 0.5 * gap.square().sum())
    target.requires_grad_()
    found = gradient(lambda x: Closeness("mse", doubled, 3.0)(x, target), images)
    torch.testing.assert_close(found, (2 / gap.numel() + 12) * gap)
    Closeness("mse", doubled, 3.0)(images.requires_grad_(), target).backward()
    assert target.grad is None


@pytest.mark.parametrize("form", [multi_step_latent, multi_step_pixel])
def test_descending_finds_the_mode_from_far_away(form):
    """The flow keeps quantiles: the target is on the way from the picture to the mean."""
    prior = gaussian(schedules()["v"], std=0.05)
    mean = prior.means["a person"].movedim(0, -1)
    rng = torch.Generator().manual_seed(0)
    images = pictures(1, 4, 4, 3)
    start = float((images - mean).abs().mean())
    for _ in range(60):
        e = torch.randn(1, 3, 4, 4, generator=rng, dtype=torch.float64)
        slope = gradient(lambda x, e=e: form(prior, x, SAID, T[1:2], e, 4), images)
        size = 0.2 if form is multi_step_latent else 0.02 * images.numel()
        images = images - size * slope
    assert float((images - mean).abs().mean()) < 0.2 * start
