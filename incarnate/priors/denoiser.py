"""The one interface of all priors, tiny or full-size, closed form or learnt.

Latents have their channels first: b c h w for pictures, b c f h w for clips. A prior knows no 3D.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar, final
from weakref import WeakKeyDictionary

from jaxtyping import Float
from torch import Tensor

from incarnate.priors.conditions import Condition
from incarnate.priors.schedule import Latents, Levels, Schedule

Images = Float[Tensor, "b *frames h w c"]
Scale = float | Tensor
"""A guidance scale: one for all, or a tensor that goes with the latents (a scale a frame)."""
T = TypeVar("T")


class Denoiser(ABC):
    """A diffusion model as guidance and sampling see it."""

    schedule: Schedule

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The names of the parts of a condition that it knows."""

    @abstractmethod
    def encode(self, images: Images) -> Latents:
        """The latents of pictures in [0, 1], without chance: of a VAE, the mean."""

    @abstractmethod
    def decode(self, latents: Latents) -> Images:
        """The pictures of latents; near [0, 1], not clamped."""

    @abstractmethod
    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """What the network says, in `schedule.prediction`'s terms; differentiable.

        ValueError for a condition it cannot read, or that it lacks.
        """

    @abstractmethod
    def unconditional(self, condition: Condition) -> Condition:
        """The condition that guidance leads away from."""

    def led(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Latents, Latents]:
        """The predictions with the condition, and with what guidance leads away from."""
        plain = self.unconditional(condition)
        return self.predict(x_t, t, condition), self.predict(x_t, t, plain)

    @abstractmethod
    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """Inner features of the prediction, b c *places each, deepest first; differentiable."""


class Over(Denoiser):
    """A prior laid over another, which does everything that the one above does not do otherwise.

    `led` is not passed on: it asks this one's predictions.
    """

    def __init__(self, inner: Denoiser) -> None:
        self.inner = inner
        self.schedule = inner.schedule

    @property
    def reads(self) -> tuple[str, ...]:
        """As the inner prior does."""
        return self.inner.reads

    def encode(self, images: Images) -> Latents:
        """As the inner prior does."""
        return self.inner.encode(images)

    def decode(self, latents: Latents) -> Images:
        """As the inner prior does."""
        return self.inner.decode(latents)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """As the inner prior does."""
        return self.inner.predict(x_t, t, condition)

    def unconditional(self, condition: Condition) -> Condition:
        """As the inner prior has it."""
        return self.inner.unconditional(condition)

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The inner prior's."""
        return self.inner.features(x_t, t, condition)


def guided(
    prior: Denoiser, x_t: Latents, t: Levels, condition: Condition, guidance_scale: Scale = 1.0
) -> Latents:
    """Classifier-free guidance (Ho and Salimans 2022): u + scale (c - u), u unconditional.

    A scale of 1 is the conditional prediction itself, at half the cost.
    """
    match guidance_scale:
        case float() | int() if guidance_scale == 1:
            return prior.predict(x_t, t, condition)
        case _:
            conditional, plain = prior.led(x_t, t, condition)
            return plain + guidance_scale * (conditional - plain)


@final
class Once:
    """Keeps what was worked out of a part of a condition for as long as that part lives."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[object, object] = WeakKeyDictionary()

    def __call__(self, part: object, work: Callable[[], T]) -> T:
        """What `work` gives, worked out the first time `part` is seen."""
        if part not in self._kept:
            self._kept[part] = work()
        return self._kept[part]  # type: ignore[return-value]
