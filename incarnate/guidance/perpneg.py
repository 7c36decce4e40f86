"""Perp-Neg: what is not wanted is taken away only where it leaves what is wanted alone.

Armandpour et al. 2023 ("Re-imagine the negative prompt algorithm"). With u the unconditional
prediction, p the sum of the positive predictions less u, and n_i a negative one less u,

    u + scale (p - sum_i weight_i (n_i - <n_i, p> / <p, p> p))

A negative prompt that means partly the same as the positive one so takes nothing from it. What the
network predicts does not matter: all differences scale alike.

`PerpNeg` tells a prior the view in this way, against people with two faces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors import Condition, Denoiser, Latents, Levels, View
from incarnate.priors.denoiser import Over, Scale
from incarnate.recipe import Framing


@final
@dataclass(frozen=True, eq=False)
class Weighted:
    """A condition, and how much it counts in each row."""

    condition: Condition
    weight: Float[Tensor, " b"]


def perp_neg(
    prior: Denoiser,
    x_t: Latents,
    t: Levels,
    positives: Sequence[Weighted],
    negatives: Sequence[Weighted],
    guidance_scale: Scale = 1.0,
) -> Latents:
    """The guided prediction. Several positives are summed by weight; one has weight 1."""
    plain = prior.predict(x_t, t, prior.unconditional(positives[0].condition))
    towards = [prior.predict(x_t, t, p.condition) - plain for p in positives]
    away = [prior.predict(x_t, t, n.condition) - plain for n in negatives]
    wanted = _sum(towards, [p.weight for p in positives], plain)
    unwanted = [perpendicular(n, wanted) for n in away]
    lost = _sum(unwanted, [n.weight for n in negatives], plain)
    return plain + guidance_scale * (wanted - lost)


def perpendicular(x: Latents, to: Latents) -> Latents:
    """The part of each row of `x` at a right angle to that of `to`; all of it if that is 0."""
    along = (x * to).flatten(1).sum(1) / to.square().flatten(1).sum(1).clamp(
        min=torch.finfo(to.dtype).tiny
    )
    return x - torch.einsum("b,b...->b...", along, to)


def _sum(parts: Sequence[Latents], weights: Sequence[Tensor], like: Latents) -> Latents:
    total = torch.zeros_like(like)
    for part, weight in zip(parts, weights, strict=True):
        total = total + torch.einsum("b,b...->b...", weight.to(part), part)
    return total


@final
@dataclass(frozen=True, eq=False)
class ViewWeights:
    """How much of the front, the side and the back view each row is told, in this order."""

    positive: Float[Tensor, "b 3"]
    """Sums to 1."""
    negative: Float[Tensor, "b 3"]


def view_weights(azimuths: Sequence[float]) -> ViewWeights:
    """What views of these azimuths (radians, 0 to the face) are told, and told not to be.

    Between front and side (r = 1 and 0) the positive is r front + (1 - r) side, the negatives are
    the front with f(r) and the side with f(1 - r); between side and back (r = 1 and 0) the positive
    is r side + (1 - r) back, the negatives are the side with g(r) and the front with h(r). f, g and
    h are positive and fall, as the paper wants; their numbers are threestudio's to three digits:

        f(r) = 4 (e^(-r/2) - e^(-1/2))    g(r) = e^(-r/2) - e^(-1/2)    h(r) = e^(-r/2) + 0.967

    with h(1) = f(0), so that nothing jumps at the side.
    """
    positive, negative = zip(*[_weights(azimuth) for azimuth in azimuths], strict=True)
    return ViewWeights(torch.tensor(positive), torch.tensor(negative))


def _weights(azimuth: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    quarters = abs(math.remainder(azimuth, 2 * math.pi)) / (math.pi / 2)
    if quarters <= 1:
        r = 1 - quarters
        return (r, 1 - r, 0.0), (4 * _fall(r), 4 * _fall(1 - r), 0.0)
    r = 2 - quarters
    return (0.0, r, 1 - r), (_fall(r) + 4 * _fall(0.0), _fall(r), 0.0)


def _fall(r: float) -> float:
    """Falls to 0 at 1."""
    return math.exp(-r / 2) - math.exp(-1 / 2)


@final
class PerpNeg(Over):
    """A prior that is told the view of its condition by Perp-Neg, not by the nearest view's words.

    Where the paper mixes the prompts' embeddings, this mixes the predictions, which every prior
    has. A call asks the inner prior for the unconditional prediction and for two or three views;
    without a view in the condition, for one prediction.
    """

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """Perp-Neg's at scale 1; guidance away from the unconditional one scales it."""
        if condition.view is None:
            return self.inner.predict(x_t, t, condition)
        view, count = condition.view, len(x_t)
        weights = view_weights(view.azimuths * (count // len(view.azimuths)))
        plain = self.inner.predict(x_t, t, self.unconditional(condition))
        told = [
            (i, self.inner.predict(x_t, t, replace(condition, view=named)) - plain)
            for i, named in enumerate(_views(view.azimuths, view.framings))
            if bool((weights.positive[:, i] + weights.negative[:, i]).any())
        ]
        wanted = _sum([x for _, x in told], [weights.positive[:, i] for i, _ in told], plain)
        unwanted = [perpendicular(x, wanted) for _, x in told]
        return plain + wanted - _sum(unwanted, [weights.negative[:, i] for i, _ in told], plain)

    def unconditional(self, condition: Condition) -> Condition:
        """As the inner prior has it, without the view."""
        return replace(self.inner.unconditional(condition), view=None)

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The inner prior's, told the view in words."""
        return self.inner.features(x_t, t, condition)


def _views(azimuths: tuple[float, ...], framings: tuple[Framing, ...]) -> tuple[View, View, View]:
    """The front, the side that is nearer, and the back."""
    sides = tuple(
        math.copysign(math.pi / 2, math.remainder(azimuth, 2 * math.pi)) for azimuth in azimuths
    )
    return View((0.0,), framings), View(sides, framings), View((math.pi,), framings)
