"""Noise schedules: how much of the data and how much noise a noisy latent holds.

    x_t = signal(t) x_0 + noise(t) e,    e of unit variance

`t` is a noise level: a number from 0 (almost clean) to `num_levels - 1` (almost noise), a row each.
Between whole numbers the tables are read linearly, so discrete and continuous schedules, variance
preserving or not, are one thing. What the network is told of a level is `told(t)`.

A network predicts one of four things, from which the others follow:

    epsilon   e                        (DDPM, Ho et al. 2020)
    sample    x_0
    v         signal e - noise x_0     (Salimans and Ho 2022)
    flow      e - x_0                  (rectified flow; signal = 1 - noise)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never, final

import torch
from jaxtyping import Float
from torch import Tensor

Levels = Float[Tensor, " b"]
Latents = Float[Tensor, "b *z"]
Prediction = Literal["epsilon", "sample", "v", "flow"]
Spacing = Literal["leading", "trailing", "linspace", "even", "flow"]

_ALMOST_NO_SIGNAL = 1e-12


@final
@dataclass(frozen=True, eq=False)
class Schedule:
    """The tables of a schedule, and the meaning of its network's output."""

    signals: Float[Tensor, " n"]
    """float64, falling."""
    noises: Float[Tensor, " n"]
    tells: Float[Tensor, " n"]
    """What the network is told at each whole level."""
    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"
    offset: int = 0
    """Added to every level of the leading spacing ('steps_offset')."""
    final_signal: float = 1.0
    final_noise: float = 0.0
    """Where sampling ends: below level 0."""
    whole: bool = False
    """Whether the network is told whole numbers only, rounded down."""

    def __post_init__(self) -> None:
        """ValueError for tables that no network of this kind can be trained on."""
        if not len(self.signals) == len(self.noises) == len(self.tells) > 1:
            raise ValueError("a schedule wants signals, noises and tells of one length, 2 or more")
        tables = torch.stack([self.signals, self.noises, self.tells])
        falling = (self.signals.diff() <= 0).all() and (self.noises.diff() >= 0).all()
        if not tables.isfinite().all() or not falling or float(self.signals[-1]) < 0:
            raise ValueError("a schedule's signal falls from level to level and its noise rises")
        if self.prediction == "epsilon" and float(self.signals[-1]) < _ALMOST_NO_SIGNAL:
            raise ValueError(
                "the last level holds no signal (zero-terminal SNR), where a prediction of noise "
                "tells nothing of x_0; predict v or sample"
            )

    @property
    def num_levels(self) -> int:
        """How many whole levels there are."""
        return len(self.signals)

    def signal(self, t: Levels) -> Levels:
        """The factor of x_0."""
        return _read(self.signals, t)

    def noise(self, t: Levels) -> Levels:
        """The factor of the noise."""
        return _read(self.noises, t)

    def told(self, t: Levels) -> Levels:
        """What the network is told of the level."""
        told = _read(self.tells, t)
        return told.floor() if self.whole else told

    def snr(self, t: Levels) -> Levels:
        """The signal-to-noise ratio signal^2 / noise^2."""
        return (self.signal(t) / self.noise(t)) ** 2

    def add_noise(self, x_0: Latents, noise: Latents, t: Levels) -> Latents:
        """x_t."""
        return _along(self.signal(t), x_0) * x_0 + _along(self.noise(t), x_0) * noise

    def target(self, x_0: Latents, noise: Latents, t: Levels) -> Latents:
        """What a network of this kind should have predicted."""
        match self.prediction:
            case "epsilon":
                return noise
            case "sample":
                return x_0
            case "v":
                return _along(self.signal(t), x_0) * noise - _along(self.noise(t), x_0) * x_0
            case "flow":
                return noise - x_0
            case _:
                assert_never(self.prediction)

    def parts(self, x_t: Latents, t: Levels, output: Latents) -> tuple[Latents, Latents]:
        """x_0 and the noise that a network's output stands for."""
        a, s = _along(self.signal(t), x_t), _along(self.noise(t), x_t)
        match self.prediction:
            case "epsilon":
                return (x_t - s * output) / a, output
            case "sample":
                return output, (x_t - a * output) / s
            case "v":
                scale = a * a + s * s
                return (a * x_t - s * output) / scale, (s * x_t + a * output) / scale
            case "flow":
                return (x_t - s * output) / (a + s), (x_t + a * output) / (a + s)
            case _:
                assert_never(self.prediction)

    def step(self, x_0: Latents, noise: Latents, t: Levels | None) -> Latents:
        """DDIM's next point (Song et al. 2021, Eq. 12, eta 0); None is the end, below level 0."""
        if t is None:
            return self.final_signal * x_0 + self.final_noise * noise
        return self.add_noise(x_0, noise, t)

    def weight(self, t: Levels) -> Levels:
        """noise(t)^2, DreamFusion's w(t)."""
        return self.noise(t) ** 2

    def levels(self, steps: int, start: float | None = None) -> Float[Tensor, " steps"]:
        """The falling levels that `steps` steps of sampling visit, float64.

        `start` begins below the noisiest level, evenly down. ValueError if there are fewer levels.
        """
        n = self.num_levels
        if not 1 <= steps <= n:
            raise ValueError(f"{steps} steps of sampling were asked; give 1 to {n}")
        up = torch.arange(1, steps + 1, dtype=torch.float64).flip(0)
        if start is not None:
            return start * up / steps
        match self.spacing:
            case "leading":
                return (up - 1) * (n // steps) + self.offset
            case "trailing":
                return (up * (n / steps)).round() - 1
            case "linspace":
                return ((up - 1) * ((n - 1) / max(steps - 1, 1))).round()
            case "even":
                return (n - 1) * (1 - (steps - up) / max(steps - 1, 1))
            case "flow":
                return up / steps * (n - 1)
            case _:
                assert_never(self.spacing)

    @staticmethod
    def scaled_linear(
        first: float = 0.00085,
        last: float = 0.012,
        num_levels: int = 1000,
        prediction: Prediction = "epsilon",
        zero_terminal_snr: bool = False,
        spacing: Spacing = "leading",
    ) -> "Schedule":
        """Stable Diffusion's: the roots of beta rise evenly."""
        betas = torch.linspace(first**0.5, last**0.5, num_levels, dtype=torch.float64) ** 2
        cumprod = torch.cumprod(1 - betas, 0)
        if zero_terminal_snr:
            cumprod = zero_terminal(cumprod)
        return Schedule.of_cumprod(cumprod, prediction, spacing)

    @staticmethod
    def of_cumprod(
        alphas_cumprod: Float[Tensor, " n"],
        prediction: Prediction,
        spacing: Spacing = "leading",
        offset: int = 0,
        to_one: bool = True,
    ) -> "Schedule":
        """Variance preserving: signal^2 = alphas_cumprod. Without `to_one` sampling ends at 0."""
        cumprod = alphas_cumprod.double()
        last = 1.0 if to_one else float(cumprod[0])
        return Schedule(
            cumprod.sqrt(),
            (1 - cumprod).sqrt(),
            torch.arange(len(cumprod), dtype=torch.float64),
            prediction,
            spacing,
            offset,
            last**0.5,
            (1 - last) ** 0.5,
        )

    @staticmethod
    def karras(
        least: float = 0.002, most: float = 700.0, num_levels: int = 1000, rho: float = 7.0
    ) -> "Schedule":
        """Stable Video's: noise / signal from `least` to `most` (Karras et al. 2022, Eq. 5).

        The variance-preserving view of it: DDIM here is Euler's method there.
        """
        place = torch.linspace(0, 1, num_levels, dtype=torch.float64)
        low, high = least ** (1 / rho), most ** (1 / rho)
        sigmas = (low + place * (high - low)) ** rho
        scale = 1 / (1 + sigmas**2).sqrt()
        return Schedule(scale, sigmas * scale, sigmas.log() / 4, "v", "even")

    @staticmethod
    def flow(shift: float = 1.0, num_levels: int = 1000) -> "Schedule":
        """Rectified flow, shifted towards noise for large pictures (Esser et al. 2024, Eq. 23).

        Wan's, levels as diffusers' UniPCMultistepScheduler visits them: the noisiest keeps a
        millionth of signal, and the network is told whole numbers.
        """
        even = torch.arange(1, num_levels + 1, dtype=torch.float64) / num_levels
        noises = _shifted(even, shift).clamp(max=1 - 1e-6)
        return Schedule(1 - noises, noises, noises * num_levels, "flow", "flow", whole=True)

    @staticmethod
    def flow_matching(shift: float = 1.0, num_levels: int = 1000) -> "Schedule":
        """As diffusers' FlowMatchEulerDiscreteScheduler has it: the least is shifted twice."""
        least = float(_shifted(torch.tensor(1 / num_levels, dtype=torch.float64), shift))
        noises = _shifted(torch.linspace(least, 1, num_levels, dtype=torch.float64), shift)
        return Schedule(1 - noises, noises, noises * num_levels, "flow", "even")


def _shifted(noises: Float[Tensor, "*n"], shift: float) -> Float[Tensor, "*n"]:
    return shift * noises / (1 + (shift - 1) * noises)


def zero_terminal(alphas_cumprod: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Stretched so that the last level holds no signal (Lin et al. 2024, Algorithm 1)."""
    roots = alphas_cumprod.sqrt()
    return ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2


def spread(levels: Sequence[float] | Tensor, count: int, like: Tensor) -> list[Levels]:
    """Each level as one row for each of `count`, or its own rows; on the device of `like`."""
    rows = [torch.as_tensor(t, dtype=torch.float64, device=like.device) for t in levels]
    return [t.expand(count) for t in rows]


def _read(table: Float[Tensor, " n"], t: Levels) -> Levels:
    """The table at `t`, linearly between whole levels."""
    table = table.to(t.device)
    place = t.double().clamp(0, len(table) - 1)
    low = place.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], place - low)


def _along(values: Levels, x: Latents) -> Tensor:
    """A factor a row of `x`, in its precision."""
    return values.to(x).view(-1, *[1] * (x.ndim - 1))
