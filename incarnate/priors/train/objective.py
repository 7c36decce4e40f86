"""The loss of a training, and the running mean of its weights."""

from collections.abc import Mapping
from typing import assert_never, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.train.base import Base
from incarnate.priors.train.examples import Batch


def loss(net: nn.Module, base: Base, batch: Batch, gamma: float | None) -> Float[Tensor, ""]:
    """Mean squared error of what the network predicts, weighted by level."""
    schedule, t = base.schedule, batch.levels
    x_0 = base.encode(batch.pictures)
    x_t = schedule.add_noise(x_0, batch.noise, t)
    tokens = base.tokens(batch.prompts).to(x_t.device)
    output = net(x_t, schedule.told(t).float(), tokens, batch.controls)
    return weighted(schedule, t, output, schedule.target(x_0, batch.noise, t), gamma)


def weighted(
    schedule: Schedule, t: Levels, output: Latents, target: Latents, gamma: float | None
) -> Float[Tensor, ""]:
    """The mean over all numbers of the squared error, each row times its level's weight."""
    errors = (output.float() - target.float()).square().flatten(1).mean(1)
    if gamma is None:
        return errors.mean()
    return (errors * level_weight(schedule, t, gamma).to(errors)).mean()


def level_weight(schedule: Schedule, t: Levels, gamma: float) -> Levels:
    """Min-SNR (Hang et al. 2023): a level counts at most gamma times in terms of x_0.

    For v and flow, x_0's error is the output's over 1 + snr and (signal + noise)^2 / noise^2, and
    it is these that are cut at gamma. The paper cuts snr before it divides, which gives the last
    level of a schedule with zero-terminal SNR no weight at all; Animate Anyone cuts as we do.
    """
    snr = schedule.snr(t)
    match schedule.prediction:
        case "sample":
            return snr.clamp(max=gamma)
        case "epsilon":
            own = snr
        case "v":
            own = snr + 1
        case "flow":
            own = ((schedule.signal(t) + schedule.noise(t)) / schedule.noise(t)) ** 2
        case _:
            assert_never(schedule.prediction)
    return own.clamp(max=gamma) / own


@final
class Average:
    """The exponential moving average of what is trained (Polyak), in float32.

    Step n keeps min(decay, n / (9 + n)) of it: short runs are not held by where they began.
    """

    def __init__(self, trained: Mapping[str, Tensor], decay: float) -> None:
        self.weights = {name: weight.detach().float().clone() for name, weight in trained.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, trained: Mapping[str, Tensor], step: int) -> None:
        """After step number `step`, counted from 1."""
        keep = min(self._decay, step / (9 + step))
        for name, mean in self.weights.items():
            mean.lerp_(trained[name].detach().float(), 1 - keep)
