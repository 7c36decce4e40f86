"""The priors on a bench: how much is sampled, of whom, and what is found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.evaluate.figures import Better, Figure
from incarnate.evaluate.heldout import HeldOut
from incarnate.priors.conditions import Condition
from incarnate.priors.denoiser import Denoiser, Images
from incarnate.priors.embedded import Priors
from incarnate.priors.sampling import sample
from incarnate.progress import Report
from incarnate.recipe import Shows


@final
@dataclass(frozen=True)
class Effort:
    """How much is sampled, and how."""

    people: int = 12
    captions: int = 200
    rows: int = 48
    """How many pictures of each role."""
    clips: int = 4
    steps: int = 16
    guidance_scale: float = 3.0
    size: int = 128
    """Pixels a side."""
    at_once: int = 25


EFFORTS = {
    "tiny": Effort(people=1, captions=4, rows=2, clips=1, steps=2, size=32),
    "draft": Effort(),
    "normal": Effort(steps=25),
    "high": Effort(people=24, captions=400, rows=96, clips=12, steps=25),
}
ASKED: dict[str, tuple[float, float | None]] = {
    "view read from normals": (90.0, None),
    "view read from rgb": (90.0, None),
    "colour read": (80.0, None),
    "view read from normals, words drawn as skeletons": (90.0, None),
    "view read from rgb, words drawn as skeletons": (90.0, None),
    "colour read, words drawn as skeletons": (80.0, None),
    "silhouette with pose": (0.79, 0.85),
    "autoencoder, normals": (30.0, None),
    "autoencoder, rgb": (25.0, 27.0),
    "diversity of normals": (0.7, None),
    "diversity of rgb": (0.7, None),
}
"""Of some figures: what was asked at least, and what was aimed at."""
CONTROLS = {
    "silhouette with pose": "silhouette with text alone",
    "depth against truth with pose": "depth against truth with text alone",
    "rgb's silhouette with normals": "rgb's silhouette with text alone",
    "rgb against truth with normals": "rgb against truth with text alone",
    "hole in the person with another view": "hole in the person with text alone",
    "frames' silhouettes, as a clip": "frames' silhouettes, frame by frame",
    "jitter of silhouettes, as a clip": "jitter of silhouettes, frame by frame",
    "flicker, as a clip": "flicker, frame by frame",
    "colours off with a picture": "colours off with nobody's",
    "view read from normals": "view read from the studio's normals",
    "view read from rgb": "view read from the studio's rgb",
    "view read from normals, words drawn as skeletons": "view read from normals",
    "view read from rgb, words drawn as skeletons": "view read from rgb",
    "colour read, words drawn as skeletons": "colour read",
}
"""The same without what a role adds, or what the judge finds of the truth itself."""


@final
@dataclass(frozen=True, eq=False)
class Strip:
    """Pictures made beside what they were to follow and the truth; rows of equal length."""

    name: str
    title: str
    rows: dict[str, Float[Tensor, "n h w 3"]]
    made: str
    """The row that the prior made."""
    shows: Shows


@final
@dataclass(eq=False)
class Findings:
    """What was measured, and what there is to look at."""

    figures: list[Figure] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)

    def add(self, name: str, values: Sequence[float], unit: str, source: str, up: bool = True):
        """The mean of `values` as a figure; nothing if there are none."""
        if len(values):
            better: Better = "up" if up else "down"
            mean = float(np.mean(values))
            self.figures.append(Figure(name, mean, unit, better, source, len(values)))


Told = Callable[[Sequence[int]], Condition]
"""The condition of some rows, by their numbers."""


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """The priors with all that measuring them takes."""

    priors: Priors
    effort: Effort
    truth: HeldOut
    report: Report

    def drawn(self, prior: Denoiser, told: Told, count: int, seed: int, frames: int = 0) -> Images:
        """`count` pictures, or clips of `frames` frames; number k always has the same noise."""
        effort = self.effort
        size = (1, *([frames] if frames else []), effort.size, effort.size, 3)
        shape = prior.encode(torch.zeros(size)).shape[1:]
        rng = torch.Generator().manual_seed(seed)
        noise = torch.randn((count, *shape), generator=rng)
        made = []
        for first in range(0, count, effort.at_once):
            rows = range(first, min(first + effort.at_once, count))
            condition = told(rows)
            made.append(
                sample(prior, noise[list(rows)], condition, effort.steps, effort.guidance_scale)
            )
            self.report.step(rows[-1] + 1, count)
        return torch.cat(made)
