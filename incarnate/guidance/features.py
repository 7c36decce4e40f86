"""Feature distillation: pictures are near where the prior sees the same in them.

Both are noised to the same level with the same noise, and the prior's inner features compared. What
noise of that level hides does not count, so the level says how coarse a likeness is asked for.
"""

import torch
from torch import Tensor

from incarnate.guidance.sds import Scalar, noised
from incarnate.priors import Condition, Denoiser, Images, Latents, Levels


def feature_distance(
    prior: Denoiser,
    images: Images,
    targets: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
) -> Scalar:
    """|F(images) - F(targets)|^2 / |F(targets)|^2, a mean over rows and layers of features F.

    The gradient goes through the network and the encoder to the images; the targets have none.
    """
    ours = prior.features(noised(prior, prior.encode(images), t, noise), t, condition)
    with torch.no_grad():
        theirs = prior.features(noised(prior, prior.encode(targets), t, noise), t, condition)
    layers = [_relative(a, b) for a, b in zip(ours, theirs, strict=True)]
    return torch.stack(layers).mean()


def _relative(a: Tensor, b: Tensor) -> Scalar:
    gap, size = (a - b).square().flatten(1).sum(1), b.square().flatten(1).sum(1)
    return (gap / size.clamp(min=torch.finfo(size.dtype).tiny)).mean()
