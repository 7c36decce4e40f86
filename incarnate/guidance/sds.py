"""Score distillation: a loss that leads pictures towards what a prior knows.

With z the latents of the pictures, z_t = signal z + noise(t) e, and `predicted` the noise that the
prior sees in z_t, the gradient with respect to z is (DreamFusion, Poole et al. 2023, Eq. 3)

    w(t) (predicted - e) / b,    b rows

It goes on through the encoder, but not through the prior's network. What the network predicts
(epsilon, x_0, v or flow) does not matter: the schedule turns it into noise.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors import Condition, Denoiser, Images, Latents, Levels, guided
from incarnate.priors.denoiser import Scale

Scalar = Float[Tensor, ""]


def sds(
    prior: Denoiser,
    images: Images,
    condition: Condition,
    t: Levels,
    noise: Latents,
    guidance_scale: Scale = 1.0,
    weight: Levels | None = None,
) -> Scalar:
    """Half the mean squared norm of w(t)(predicted - noise), which is its gradient as well.

    `weight` is w at each row's level: by default noise(t)^2, as in HumanNorm (Eq. 6 and 9).
    At a level without signal the loss is 0: what is there holds nothing of the pictures, so that
    the prior's x_0, whatever it is, says nothing of the noise. Draw levels below it.
    """
    schedule, z = prior.schedule, prior.encode(images)
    with torch.no_grad():
        x_t = noised(prior, z, t, noise)
        output = guided(prior, x_t, t, condition, guidance_scale)
        _, predicted = schedule.parts(x_t, t, output)
        w = schedule.weight(t) if weight is None else weight
        gradient = torch.einsum("b,b...->b...", w.to(z), predicted - noise)
    return with_gradient(z, gradient)


def noised(prior: Denoiser, z: Latents, t: Levels, noise: Tensor) -> Latents:
    """`z` at level `t`. ValueError for noise that is not in the shape of the latents."""
    if noise.shape != z.shape:
        raise ValueError(
            f"noise of shape {tuple(noise.shape)} came for latents of shape {tuple(z.shape)}; "
            "draw it in their shape"
        )
    return prior.schedule.add_noise(z, noise, t)


def with_gradient(z: Latents, gradient: Latents) -> Scalar:
    """A loss whose gradient with respect to `z` is `gradient` / b: 0.5 |z - sg(z - g)|^2 / b.

    Summed as (z - sg(z)) + g, so that a small gradient does not drown in a large z.
    """
    return 0.5 * ((z - z.detach()) + gradient.detach()).square().sum() / len(z)
