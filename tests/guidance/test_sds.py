"""Score distillation, against what it is on paper for normally distributed data."""

from functools import partial

import pytest
import torch

from incarnate.guidance import multi_step_latent, multi_step_pixel, sds
from incarnate.guidance.sds import with_gradient
from incarnate.priors import Condition, Text
from tests.guidance.closed import (
    SAID,
    STD,
    Encoded,
    gaussian,
    gradient,
    noise,
    pictures,
    schedules,
    zero_signal,
)

T = torch.tensor([20.0, 400.5, 950.0], dtype=torch.float64)


def first(images):
    return images.movedim(-1, 1)


def factors(schedule, t=T):
    a, s = schedule.signal(t), schedule.noise(t)
    return [x.view(-1, 1, 1, 1) for x in (a, s, a**2 * STD**2 + s**2)]


@pytest.mark.parametrize("name", schedules())
def test_the_gradient_is_the_papers(name):
    """With v = a^2 d^2 + s^2 the exact denoiser leaves z_t - a x_0 = s^2 / v (a (z - m) + s e), so

    predicted - e = (z_t - a x_0) / s - e = a s / v (z - m) - a^2 d^2 / v e.

    Its mean over noise leads to the mean, its spread is that of the second term.
    """
    prior = gaussian(schedules()[name])
    images, e = pictures(), noise()
    a, s, v = factors(prior.schedule)
    wanted = s**2 * (a * s / v * (first(images) - prior.means["a person"]) - a**2 * STD**2 / v * e)
    found = gradient(lambda x: sds(prior, x, SAID, T, e), images)
    torch.testing.assert_close(first(found), wanted / 3, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", schedules())
def test_over_noises_the_gradient_has_the_mean_and_variance_of_the_paper(name):
    prior = gaussian(schedules()[name])
    images, t = pictures(1, 4, 4, 3), torch.full((4000,), 400.5)
    draws = noise(4000, 3, 4, 4)
    many = images.expand(4000, -1, -1, -1)
    found = first(4000 * gradient(lambda x: sds(prior, x, SAID, t, draws), many))
    a, s, v = factors(prior.schedule, t[:1])
    mean = s**2 * a * s / v * (first(images) - prior.means["a person"])
    std = float(s**2 * a**2 * STD**2 / v)
    # 48 places, 4000 draws: 4.5 standard errors of a mean and of a standard deviation.
    assert float((found.mean(0) - mean).abs().max()) < 4.5 * std / 4000**0.5
    assert float((found.std(0) / std - 1).abs().max()) < 4.5 / 8000**0.5


def test_descending_sds_reaches_the_mode_of_the_prior():
    prior = gaussian(schedules()["v"])
    rng = torch.Generator().manual_seed(0)
    images = pictures(1, 4, 4, 3).requires_grad_()
    optimizer = torch.optim.SGD([images], lr=1.0)
    for i in range(120):
        optimizer.param_groups[0]["lr"] = 4.0 / (1 + i / 5)
        t = torch.rand(16, generator=rng, dtype=torch.float64) * 600 + 100
        e = torch.randn(16, 3, 4, 4, generator=rng, dtype=torch.float64)
        optimizer.zero_grad()
        sds(prior, images.expand(16, -1, -1, -1), SAID, t, e).backward()
        optimizer.step()
    start = float((pictures(1, 4, 4, 3) - prior.means["a person"].movedim(0, -1)).abs().mean())
    gap = float((images.detach() - prior.means["a person"].movedim(0, -1)).abs().mean())
    assert gap < 0.1 * start


@pytest.mark.parametrize("name", schedules())
def test_guidance_moves_the_fixed_point_beyond_the_mean(name):
    """Predictions are linear in the mean: at scale g that of the guided prior is u + g (c - u)."""
    prior = gaussian(schedules()[name])
    plain, said = prior.means[""], prior.means["a person"]
    images = (plain + 3 * (said - plain)).movedim(0, -1).expand(3, -1, -1, -1)
    e = noise()

    def both(x):
        return sds(prior, x, SAID, T, e, 3.0) + sds(prior, x, SAID, T, -e, 3.0)

    torch.testing.assert_close(gradient(both, images), torch.zeros_like(images))


def test_the_encoders_jacobian_is_kept_and_the_networks_dropped():
    """Through z = mix c the gradient is mix^T g, with g the papers' gradient at z."""
    inner = gaussian(schedules()["epsilon"])
    mix = torch.tensor([[1.0, 2, 0], [0, 1, 0], [0.5, 0, 3]], dtype=torch.float64)
    images, e = pictures(), noise()
    at_latents = gradient(lambda x: sds(inner, x, SAID, T, e), images @ mix.T)
    found = gradient(lambda x: sds(Encoded(inner, mix), x, SAID, T, e), images)
    torch.testing.assert_close(found, at_latents @ mix)


@pytest.mark.parametrize("name", zero_signal())
def test_without_signal_there_is_nothing_to_learn(name):
    prior = gaussian(zero_signal()[name])
    last = torch.full((3,), prior.schedule.num_levels - 1.0)
    found = gradient(lambda x: sds(prior, x, SAID, last, noise(), 4.0), pictures())
    assert float(found.abs().max()) < 1e-12


def test_a_given_weight_takes_the_place_of_the_schedules():
    prior = gaussian(schedules()["epsilon"])
    images, e, weight = pictures(), noise(), torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    usual = gradient(lambda x: sds(prior, x, SAID, T, e), images)
    found = gradient(lambda x: sds(prior, x, SAID, T, e, weight=weight), images)
    ratio = (weight / prior.schedule.noise(T) ** 2).view(-1, 1, 1, 1)
    torch.testing.assert_close(found, ratio * usual)


def test_the_network_is_never_asked_for_a_graph():
    class Watched(Encoded):
        def predict(self, x_t, t, condition):
            assert not torch.is_grad_enabled() and not x_t.requires_grad
            return self.inner.predict(x_t, t, condition)

    prior = Watched(gaussian(schedules()["v"]), torch.eye(3, dtype=torch.float64))
    for loss in (sds, partial(multi_step_latent, steps=2), partial(multi_step_pixel, steps=2)):
        found = gradient(
            lambda x, loss=loss: loss(prior, x, SAID, T, noise(), guidance_scale=3.0), pictures()
        )
        assert float(found.abs().min()) > 0


def test_a_row_does_not_know_how_many_there_are_but_for_the_mean():
    prior = gaussian(schedules()["v"])
    images, e = pictures(), noise()
    rows = [sds(prior, images[i : i + 1], SAID, T[i : i + 1], e[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(sds(prior, images, SAID, T, e), torch.stack(rows).mean())


def test_a_small_gradient_survives_large_latents_of_low_precision():
    z = torch.full((1, 4), 100.0, dtype=torch.bfloat16).requires_grad_()
    wanted = torch.full((1, 4), 1e-3, dtype=torch.bfloat16)
    with_gradient(z, wanted).backward()
    assert z.grad is not None
    assert torch.equal(z.grad, wanted)


def test_noise_of_another_shape_is_refused():
    prior = gaussian(schedules()["v"])
    with pytest.raises(ValueError, match=r"shape \(3, 3, 2, 2\) came for latents of shape"):
        sds(prior, pictures(), Condition(text=Text(("",))), T, noise(3, 3, 2, 2))
