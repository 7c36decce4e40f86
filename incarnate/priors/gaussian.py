"""The prior of which everything is known: data of a normal distribution.

With x_0 ~ N(mean, std^2) and x_t = a x_0 + s e, the exact denoiser is

    E[x_0 | x_t] = mean + a std^2 / (a^2 std^2 + s^2) (x_t - a mean)

so SDS, DDIM and guidance have answers on paper, and code can be held to them.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors.conditions import Condition, check_condition
from incarnate.priors.denoiser import Denoiser, Images
from incarnate.priors.schedule import Latents, Levels, Schedule


@final
class GaussianPrior(Denoiser):
    """Pictures around the mean that the prompt names; latents are pictures, channels first."""

    def __init__(
        self,
        means: Mapping[str, Float[Tensor, "*frames h w c"]],
        std: float,
        schedule: Schedule,
    ) -> None:
        """`means` by prompt (with the view's words, if any); '' is the unconditional one."""
        self.schedule = schedule
        self.means = {prompt: mean.movedim(-1, 0) for prompt, mean in means.items()}
        self.std = std

    @property
    def reads(self) -> tuple[str, ...]:
        """Words alone."""
        return ("text", "view")

    def encode(self, images: Images) -> Latents:
        """The pictures themselves."""
        return images.movedim(-1, 1)

    def decode(self, latents: Latents) -> Images:
        """The latents themselves."""
        return latents.movedim(1, -1)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """Exact, in the schedule's terms."""
        clean = self.clean(x_t, t, condition)
        a, s = _rows(self.schedule.signal(t), x_t), _rows(self.schedule.noise(t), x_t)
        return self.schedule.target(clean, (x_t - a * clean) / s, t)

    def clean(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """E[x_0 | x_t]. ValueError for a prompt that has no mean."""
        check_condition(condition, self.reads, ())
        prompts = condition.prompts(len(x_t))
        unknown = sorted(set(prompts) - set(self.means))
        if unknown:
            raise ValueError(f"no mean for {unknown}; there are {sorted(self.means)}")
        mean = torch.stack([self.means[prompt] for prompt in prompts]).to(x_t)
        a, s = _rows(self.schedule.signal(t), x_t), _rows(self.schedule.noise(t), x_t)
        return mean + a * self.std**2 / (a**2 * self.std**2 + s**2) * (x_t - a * mean)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The posterior mean: linear in `x_t`, so distances of features have a closed form too."""
        return (self.clean(x_t, t, condition),)


def _rows(values: Levels, x: Latents) -> Tensor:
    return values.to(x).view(-1, *[1] * (x.ndim - 1))
