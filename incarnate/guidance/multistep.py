"""Multi-step score distillation: the prior finishes the picture, and the picture follows.

The latents are noised to t, sampled down by DDIM in some steps, and taken as the target h
(HumanNorm, Eq. 10; Portrait Diffusion, Sec. 4 and Eq. 14). A small guidance scale is enough, so
that colours do not saturate. Nothing of the way to the target is differentiated; with one step, the
latent form is `sds` up to a factor of the level.

A target may be kept for some iterations, as HumanNorm keeps its own for 30: `repainted` gives it,
and a `Closeness` is the loss towards it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never, final

import torch

from incarnate.guidance.sds import Scalar, noised, with_gradient
from incarnate.priors import Condition, Denoiser, Images, Latents, Levels, ddim
from incarnate.priors.denoiser import Scale

Distance = Callable[[Images, Images], Scalar]
"""How far pictures are from their targets."""


@final
@dataclass(frozen=True)
class Closeness:
    """|images - target| + weight * perceptual(images, target), a mean over all pixels."""

    norm: Literal["l1", "mse"] = "l1"
    perceptual: Distance | None = None
    """Such as LPIPS, or a `feature_distance`."""
    perceptual_weight: float = 1.0
    """HumanNorm's lambda_p."""

    def __call__(self, images: Images, target: Images) -> Scalar:
        """The distance, differentiable in `images` alone."""
        gap = images - target.detach()
        loss = self._mean(gap)
        if self.perceptual is None:
            return loss
        return loss + self.perceptual_weight * self.perceptual(images, target.detach())

    def _mean(self, gap: Images) -> Scalar:
        match self.norm:
            case "l1":
                return gap.abs().mean()
            case "mse":
                return gap.square().mean()
            case _:
                assert_never(self.norm)


L1 = Closeness()


@torch.no_grad()
def denoised(
    prior: Denoiser,
    images: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
    steps: int,
    guidance_scale: Scale = 1.0,
) -> Latents:
    """Clean latents, `steps` even steps of DDIM down from the pictures' own, noised to `t`."""
    return _finished(prior, prior.encode(images), condition, t, noise, steps, guidance_scale)


def repainted(
    prior: Denoiser,
    images: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
    steps: int,
    guidance_scale: Scale = 1.0,
) -> Images:
    """The pictures that `denoised` latents are, in [0, 1], without a gradient."""
    with torch.no_grad():
        z = denoised(prior, images, condition, t, noise, steps, guidance_scale)
        return prior.decode(z).clamp(0, 1)


def multi_step_latent(
    prior: Denoiser,
    images: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
    steps: int,
    guidance_scale: Scale = 1.0,
) -> Scalar:
    """0.5 |z - h|^2 / b in latents: the gradient is (z - h) / b, and goes through the encoder."""
    z = prior.encode(images)
    target = _finished(prior, z, condition, t, noise, steps, guidance_scale)
    return with_gradient(z, (z - target).detach())


def multi_step_pixel(
    prior: Denoiser,
    images: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
    steps: int,
    guidance_scale: Scale = 1.0,
    distance: Distance = L1,
) -> Scalar:
    """The pictures' distance from the decoded target; no gradient goes through the encoder.

    A small VAE's encoder writes its grid into the pictures; this form is free of it.
    """
    target = repainted(prior, images, condition, t, noise, steps, guidance_scale)
    return distance(images, target)


@torch.no_grad()
def _finished(
    prior: Denoiser,
    z: Latents,
    condition: Condition,
    t: Levels,
    noise: Latents,
    steps: int,
    guidance_scale: Scale,
) -> Latents:
    x_t = noised(prior, z, t, noise)
    shares = prior.schedule.levels(steps, start=1.0).to(t.device)
    return ddim(prior, x_t, condition, shares[:, None] * t, guidance_scale)
