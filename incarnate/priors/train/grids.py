"""Pictures of what a run has learnt: the same few captions again and again, with mean weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.func import functional_call

from incarnate.priors.conditions import Condition, Text
from incarnate.priors.denoiser import Denoiser, Images
from incarnate.priors.sampling import sample
from incarnate.priors.schedule import Latents, Levels
from incarnate.priors.train.base import Base
from incarnate.priors.train.examples import Examples
from incarnate.priors.train.nets import Net

COLUMNS = 8
STEPS = 20
GUIDANCE_SCALE = 3.0


@final
class Sampler(Denoiser):
    """A network in training as sampling sees it, with other weights than its own."""

    def __init__(
        self,
        base: Base,
        net: Net,
        weights: Mapping[str, Tensor],
        controls: Float[Tensor, "b h w 3"],
    ) -> None:
        """`controls` is what the pictures follow, a row each."""
        self.schedule = base.schedule
        self._base, self._net, self._weights, self._controls = base, net, dict(weights), controls

    @property
    def reads(self) -> tuple[str, ...]:
        """Text; what is followed was given before."""
        return ("text", "view")

    def encode(self, images: Images) -> Latents:
        """The posterior's mean."""
        return self._base.encode(images)

    def decode(self, latents: Latents) -> Images:
        """Near [0, 1]."""
        return self._base.vae.decode(latents)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """With the weights given."""
        tokens = self._base.tokens(condition.prompts(len(x_t))).to(x_t.device)
        inputs = (x_t, self.schedule.told(t).float(), tokens, self._controls)
        return functional_call(self._net, self._weights, inputs)

    def unconditional(self, condition: Condition) -> Condition:
        """Without words; what is followed stays."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The prediction itself: nothing looks into a network in training."""
        return (self.predict(x_t, t, condition),)


@final
@dataclass(frozen=True, eq=False)
class Grid:
    """What is drawn again and again."""

    truth: Float[Tensor, "b h w 3"]
    controls: Float[Tensor, "b height width 3"]
    prompts: tuple[str, ...]
    noise: Latents

    @staticmethod
    def of(examples: Examples, count: int, latents: tuple[int, int, int], seed: int) -> "Grid":
        """Samples spread evenly over `count`, each with noise of its own."""
        chosen = np.unique(np.linspace(0, count - 1, COLUMNS).round().astype(int))
        found = [examples.plain(int(index)) for index in chosen]
        rng = np.random.default_rng([seed, 0, 2])
        noise = rng.standard_normal((len(found), *latents), dtype=np.float32)
        return Grid(
            torch.stack([truth for truth, _, _ in found]),
            torch.stack([control for _, control, _ in found]),
            tuple(prompt for _, _, prompt in found),
            torch.from_numpy(noise),
        )

    def drawn(
        self, base: Base, net: Net, weights: Mapping[str, Tensor], device: torch.device
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Rows: the truth, what is followed (if anything), what the network makes."""
        sampler = Sampler(base, net, weights, self.controls.to(device))
        said = Condition(text=Text(self.prompts))
        made = sample(sampler, self.noise.to(device), said, STEPS, GUIDANCE_SCALE).cpu()
        rows = [self.truth, *([self.controls] if self.controls.numel() else []), made]
        whole = torch.cat([torch.cat(list(row), 1) for row in rows])
        return (whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
