"""Sampling: DDIM down, DDIM up (Song et al. 2021), and from noise to pictures."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from incarnate.priors.conditions import Condition
from incarnate.priors.denoiser import Denoiser, Images, Scale, guided
from incarnate.priors.schedule import Latents, spread

Progress = Callable[[int, int], None]


def _quiet(index: int, count: int) -> None: ...


@torch.no_grad()
def ddim(
    prior: Denoiser,
    x_t: Latents,
    condition: Condition,
    levels: Sequence[float] | Tensor,
    guidance_scale: Scale = 1.0,
    progress: Progress = _quiet,
) -> Latents:
    """Clean latents from `x_t` at the first of falling `levels`; without chance (eta 0)."""
    schedule, x = prior.schedule, x_t
    visited = spread(levels, len(x), x)
    for i, t in enumerate(visited):
        output = guided(prior, x, t, condition, guidance_scale)
        x_0, noise = schedule.parts(x, t, output)
        x = schedule.step(x_0, noise, visited[i + 1] if i + 1 < len(visited) else None)
        progress(i + 1, len(visited))
    return x


@torch.no_grad()
def inverted(
    prior: Denoiser,
    x_0: Latents,
    condition: Condition,
    levels: Sequence[float] | Tensor,
    refinements: int = 0,
    guidance_scale: Scale = 1.0,
) -> Latents:
    """The latents at the first of falling `levels` from which `ddim` comes to `x_0`.

    Without refinements this is the usual inversion, which takes the noise found one step below.
    Each refinement asks again where the last one led; with enough of them the way back is exact.
    """
    schedule, x = prior.schedule, x_0
    visited = spread(levels, len(x), x)[::-1]
    for i, t in enumerate(visited):
        below = visited[i - 1] if i else None
        higher = x
        for _ in range(refinements + 1):
            output = guided(prior, higher, t, condition, guidance_scale)
            _, noise = schedule.parts(higher, t, output)
            higher = schedule.add_noise(_clean(prior, x, noise, below), noise, t)
        x = higher
    return x


def _clean(prior: Denoiser, x: Latents, noise: Latents, t: Tensor | None) -> Latents:
    """The x_0 that, with this noise, is at `x` on level t (None: at the end of sampling)."""
    schedule = prior.schedule
    if t is None:
        return (x - schedule.final_noise * noise) / schedule.final_signal
    zeros = torch.zeros_like(x)
    carried = schedule.add_noise(zeros, noise, t)
    return (x - carried) / schedule.add_noise(torch.ones_like(x), zeros, t)


def sample(
    prior: Denoiser,
    noise: Latents,
    condition: Condition,
    steps: int = 20,
    guidance_scale: Scale = 1.0,
    progress: Progress = _quiet,
) -> Images:
    """Pictures, clamped to [0, 1], from unit noise in the shape of the latents."""
    levels = prior.schedule.levels(steps)
    clean = ddim(prior, noise, condition, levels, guidance_scale, progress)
    with torch.no_grad():
        return prior.decode(clean).clamp(0, 1)
