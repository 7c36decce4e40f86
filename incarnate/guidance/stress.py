"""Stress: some of what a condition says, louder than the rest.

What a part of the condition does to the prediction c is seen from the same condition without it
(c_0), as in composable diffusion (Liu et al. 2022), and led on, as in SEGA (Brack et al. 2023):

    c' = c + scale (c - c_0)

takes c's place in classifier-free guidance. Where little noise is left guidance does little but
saturate (Kynkaanniemi et al. 2024): there it can be left out.
"""

from collections.abc import Callable
from typing import final

from incarnate.priors import Condition, Denoiser, Latents, Levels
from incarnate.priors.denoiser import Over


@final
class Stressed(Over):
    """A prior that is led (`led`, so in `sample` and all guided predictions) with stress.

    That costs one more prediction a step.
    """

    def __init__(
        self,
        inner: Denoiser,
        without: Callable[[Condition], Condition],
        scale: float,
        unled_below: float = 0.0,
    ) -> None:
        """`without` takes out of a condition what is stressed; what has nothing of it stays itself.

        Below `unled_below`, a share of all levels, the conditional prediction stands alone.
        """
        super().__init__(inner)
        self._without, self._scale, self._unled_below = without, scale, unled_below

    def led(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Latents, Latents]:
        """With stress where a row is noisy enough; the noisiest decides for all."""
        if float(t.max()) < self._unled_below * self.schedule.num_levels:
            said = self.inner.predict(x_t, t, condition)
            return said, said
        said, plain = self.inner.led(x_t, t, condition)
        less = self._without(condition)
        if less is condition:
            return said, plain
        return said + self._scale * (said - self.inner.predict(x_t, t, less)), plain
