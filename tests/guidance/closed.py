"""Closed-form priors for tests of guidance, in float64."""

import torch

from incarnate.priors import Condition, Denoiser, GaussianPrior, Schedule, Text

SAID = Condition(text=Text(("a person",)))
STD = 0.5


def schedules():
    """One for each thing a network may predict."""
    named = {p: Schedule.scaled_linear(prediction=p) for p in ("epsilon", "sample", "v")}
    return {**named, "flow": Schedule.flow(3.0)}


def zero_signal():
    """Schedules whose last level holds no signal."""
    kinds = {
        p: Schedule.scaled_linear(prediction=p, zero_terminal_snr=True) for p in ("sample", "v")
    }
    return {**kinds, "flow": Schedule.flow_matching()}


def gaussian(schedule, names=("", "a person"), std=STD, size=(4, 4, 3)):
    """Means away from the edges of [0, 1], so that clamping has nothing to do."""
    rng = torch.Generator().manual_seed(5)
    draw = {n: 0.3 + 0.4 * torch.rand(size, generator=rng, dtype=torch.float64) for n in names}
    return GaussianPrior(draw, std, schedule)


def pictures(*shape, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (3, 4, 4, 3), generator=rng, dtype=torch.float64)


def noise(*shape, seed=2):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (3, 3, 4, 4), generator=rng, dtype=torch.float64)


def gradient(loss, images):
    """Of `loss` at the pictures."""
    images = images.detach().requires_grad_()
    return torch.autograd.grad(loss(images), images)[0]


class Encoded(Denoiser):
    """Another prior behind an encoder: every latent channel is a known mixture of colours."""

    def __init__(self, inner, mix):
        self.inner, self.mix, self.schedule = inner, mix, inner.schedule

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inner.reads

    def encode(self, images):
        return self.inner.encode(images @ self.mix.T)

    def decode(self, latents):
        return self.inner.decode(latents) @ torch.linalg.inv(self.mix).T

    def predict(self, x_t, t, condition):
        return self.inner.predict(x_t, t, condition)

    def unconditional(self, condition):
        return self.inner.unconditional(condition)

    def features(self, x_t, t, condition):
        return self.inner.features(x_t, t, condition)
