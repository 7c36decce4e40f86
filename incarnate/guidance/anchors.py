"""Anchors: the noise that a view keeps as long as nothing better is found.

Multi-view noise resampling (Portrait Diffusion, Sec. 4, Eq. 15-17). Each view has an anchor. Every
iteration tries `noises.resampled` noise; of the anchor and the candidate, the one stays whose
gradient agrees more with the yardstick, the gradient that was applied at the view that drives this
one.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.guidance.sds import Scalar
from incarnate.priors import Images, Latents


@final
@dataclass(frozen=True, eq=False)
class Anchor:
    """Noise and what came of it."""

    noise: Latents
    target: Images
    """The picture that the prior made of the render with this noise."""
    gradient: Float[Tensor, "*p"]
    """Of the loss towards `target`, with respect to what is learnt (Eq. 15), or a part of it."""


def agreement(gradient: Float[Tensor, "*p"], yardstick: Float[Tensor, "*p"]) -> Scalar:
    """The cosine between two gradients (Eq. 16); 0 if one of them is 0."""
    return torch.cosine_similarity(gradient.flatten(), yardstick.flatten(), dim=0)


def retained(candidate: Anchor, previous: Anchor, yardstick: Float[Tensor, "*p"]) -> Anchor:
    """The candidate if it agrees more with the yardstick, else the previous one (Eq. 17).

    The previous gradient is that of the present render towards the previous target.
    """
    better = agreement(candidate.gradient, yardstick) > agreement(previous.gradient, yardstick)
    return candidate if bool(better) else previous
