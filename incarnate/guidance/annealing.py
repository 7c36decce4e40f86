"""Which noise levels guidance draws, and how they change over a run.

Levels are given as shares: 0 is the cleanest level of a schedule, 1 the noisiest.
"""

import math
from dataclasses import dataclass
from typing import final

import torch

from incarnate.priors import Levels, Schedule


@final
@dataclass(frozen=True)
class Ramp:
    """A number that is `first` up to step `start`, `last` from step `end` on, and even between.

    threestudio writes it [start, first, last, end], as HumanNorm's settings do.
    """

    first: float
    last: float
    start: int = 0
    end: int = 1

    def __post_init__(self) -> None:
        """ValueError for a ramp that ends before it starts."""
        if self.end <= self.start:
            raise ValueError(f"a ramp from step {self.start} to {self.end} came; end it later")

    def at(self, step: int) -> float:
        """The number at a step."""
        done = (step - self.start) / (self.end - self.start)
        return _between(self.first, self.last, min(max(done, 0.0), 1.0))


@final
@dataclass(frozen=True)
class Range:
    """Between which shares levels are drawn."""

    low: float = 0.02
    high: float = 0.98

    def __post_init__(self) -> None:
        """ValueError for shares out of order, or outside [0, 1]."""
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(
                f"levels from {self.low} to {self.high} came; give shares, 0 <= low <= high <= 1"
            )


@final
@dataclass(frozen=True)
class Narrowing:
    """A range whose ends move. HumanNorm's for normals: [.02, .80], [.02, .21] from step 10,000."""

    low: Ramp = Ramp(0.02, 0.02)
    high: Ramp = Ramp(0.80, 0.21, 9_999, 10_000)

    def at(self, step: int) -> Range:
        """The range at a step."""
        return Range(self.low.at(step), self.high.at(step))


def annealed(within: Range, done: float, power: float = 0.5) -> Range:
    """One level, falling from the highest to the lowest as `done` goes from 0 to 1.

    high - (high - low) done^power; a half is HiFA's square root (Zhu et al. 2024), which is soon
    out of the noisiest levels and long at the clean ones, where detail is made; 1 falls evenly.
    """
    if not 0 <= done <= 1:
        raise ValueError(f"{done} of a run is done; give a share from 0 to 1")
    share = _between(within.high, within.low, math.pow(done, power))
    return Range(share, share)


def levels(within: Range, schedule: Schedule, batch: int, rng: torch.Generator) -> Levels:
    """A level a row, drawn evenly; on the device of the generator."""
    drawn = torch.rand(batch, generator=rng, device=rng.device)
    return (within.low + (within.high - within.low) * drawn) * (schedule.num_levels - 1)


def _between(a: float, b: float, share: float) -> float:
    """`a` at 0 and `b` at 1, both exactly."""
    return a * (1 - share) + b * share
