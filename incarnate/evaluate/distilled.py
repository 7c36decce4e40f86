"""Whether a prior of normal maps makes a body of an ellipsoid: distillation towards a known target.

An average body stands in a known pose (`known`). Of it a prior is told the skeleton in each view,
and nothing else; the cameras frame it as the studio's do. A solid that starts as an ellipsoid is
drawn from a ring of cameras, the prior repaints its normal maps (`guidance.repainted`), and the
solid follows them. Then views from between the cameras are held against the body's own. Beside it
stands a control: the same without a prior.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from incarnate.avatars.signed import SignedGrid
from incarnate.cameras import Camera
from incarnate.evaluate.known import Known, KnownPictures, Ring, known
from incarnate.guidance import independent, repainted
from incarnate.metrics import normal_error, silhouette_iou
from incarnate.priors import Denoiser, Images
from incarnate.progress import Report, Silent
from incarnate.render.march import Marched, march
from incarnate.scene.field import SignedField, ellipsoid, stretch, unevenness

HELD = 8
HELD_SIZE = 128
SHARPNESS = 8  # Of a field that is measured: its spacing over the softness of its surface.


@final
@dataclass(frozen=True)
class Stage:
    """A part of the run."""

    iterations: int
    size: int = 64
    """Pixels a side of what the prior sees."""
    high: float = 0.98
    """The share of noise at the stage's begin."""
    low: float = 0.3
    """That at its end; it falls evenly."""
    at_once: int = 4
    """Cameras an iteration."""
    repainted: int = 4
    """How many of them get a new picture to follow; the others keep theirs."""
    softness: tuple[float, float] = (0.03, 0.01)
    """Metres, at the begin and in the end: how soft the surface is."""
    lr: tuple[float, float] = (0.02, 0.002)


@final
@dataclass(frozen=True)
class Settings:
    """How the solid follows the prior."""

    stages: tuple[Stage, ...] = (Stage(100, low=0.95, repainted=2),)
    """Little below pure noise: lower levels keep the ellipsoid's bulk (measured: .73, .79, .81)."""
    cameras: int = 16
    words: str = "a man with a bald head, in a black tank top and black shorts, standing"
    steps: int = 4
    guidance_scale: float = 2.0
    """Stronger words leave worse shapes (IoU at 2, 2.5, 3, 4: .814, .813, .808, .79)."""
    spacing: float = 0.025
    """Metres between nodes."""
    blur: float = 1.5
    """Nodes that move together, as a standard deviation."""
    stretch_weight: float = 0.02
    unevenness_weight: float = 3e-6

    @property
    def iterations(self) -> int:
        """Of all stages."""
        return sum(stage.iterations for stage in self.stages)

    def rings(self, target: Known) -> dict[int, Ring]:
        """The cameras, for each size of picture."""
        sizes = {stage.size for stage in self.stages}
        return {size: Ring.around(target, self.cameras, size) for size in sizes}


TINY = Settings((Stage(30, 40, softness=(0.05, 0.015)),), cameras=6, spacing=0.05)


@final
@dataclass(frozen=True)
class Score:
    """Means over HELD views that were no camera's."""

    iou: float
    normal_error: float
    """Degrees, where both silhouettes are."""


@final
@dataclass(frozen=True, eq=False)
class Distilled:
    """What came of it."""

    start: Score
    control: Score
    """Regularisers alone."""
    prior: Score
    seconds: float
    """Of the prior's run, all told."""
    picture: UInt8[np.ndarray, "h w 3"]
    """Normals in the held views: the prior's, the control's, the truth."""


def distilled(
    prior: Denoiser,
    seed: int = 0,
    settings: Settings | None = None,
    report: Report | None = None,
    pose: str = "rest",
) -> Distilled:
    """Distils towards the average adult in a pose, and measures.

    The prior reads text, view and pose, and makes normal maps before black.
    """
    settings, report, target = settings or Settings(), report or Silent(), known(pose)
    report.stage("regularisers alone")
    control = followed(None, target, settings, seed, report)
    report.stage("distilling")
    began = time.perf_counter()
    solid = followed(prior, target, settings, seed, report)
    seconds = time.perf_counter() - began
    begin = start(target, settings.spacing)
    return Distilled(
        measured(begin, target),
        measured(control, target),
        measured(solid, target),
        seconds,
        pictured((solid, control), target),
    )


def oracle(settings: Settings, pose: str = "rest") -> KnownPictures:
    """The prior that knows what the ring's cameras see: an upper bound."""
    target = known(pose)
    return KnownPictures.of(target, tuple(settings.rings(target).values()))


def start(target: Known, spacing: float) -> SignedField:
    """An ellipsoid as tall as the body, in the middle of its frame."""
    low, high = target.stance.box
    tall = float(high[1] - low[1])
    room, radii = torch.tensor([0.12, 0.06, 0.12]), tall * torch.tensor([0.12, 0.5, 0.08])
    return ellipsoid(low - room, high + room, (low + high) / 2, radii, spacing)


def followed(
    prior: Denoiser | None, target: Known, settings: Settings, seed: int, report: Report
) -> SignedField:
    """The solid that the prior (or, without one, the regularisers alone) makes of the ellipsoid."""
    rng = torch.Generator().manual_seed(seed)
    rings = settings.rings(target)
    grid = SignedGrid(start(target, settings.spacing), settings.blur)
    descent = _Descent(grid.change)
    easels = {size: _Easel(ring, rng) for size, ring in rings.items()}
    step = 0
    for stage in settings.stages:
        for i in range(stage.iterations):
            done = i / max(stage.iterations - 1, 1)
            solid = grid()
            slopes = solid.gradients()
            loss = settings.stretch_weight * stretch(slopes)
            loss = loss + settings.unevenness_weight * unevenness(solid)
            if prior is not None:
                easel = easels[stage.size]
                rows = easel.rows(stage)
                cameras = [easel.ring.cameras[k] for k in rows]
                soft = _falling(stage.softness, done)
                images = march(solid, cameras, soft, slopes).pictures()
                level = _falling((stage.high, stage.low), done, even=True)
                wanted = easel.painted(prior, images, rows, level, stage, settings)
                loss = loss + (images - wanted).square().mean()
            loss.backward()
            descent.step(_falling(stage.lr, done))
            step += 1
            report.step(step, settings.iterations)
    with torch.no_grad():
        return grid()


@final
class _Easel:
    """The pictures of a ring's cameras that the solid follows."""

    def __init__(self, ring: Ring, rng: torch.Generator) -> None:
        self.ring, self._rng = ring, rng
        self._pictures = torch.zeros_like(ring.skeletons)
        self._order: list[int] = []
        self._painted: set[int] = set()
        self._latents: tuple[int, ...] | None = None

    def rows(self, stage: Stage) -> list[int]:
        """Cameras for an iteration: those next in turn to be repainted, then any others."""
        count = len(self.ring.cameras)
        while len(self._order) < stage.repainted:
            self._order += torch.randperm(count, generator=self._rng).tolist()
        turn = list(dict.fromkeys(self._order[: stage.repainted]))
        del self._order[: stage.repainted]
        others = [k for k in torch.randperm(count, generator=self._rng).tolist() if k not in turn]
        return turn + [k for k in others if k in self._painted][: stage.at_once - len(turn)]

    def painted(
        self,
        prior: Denoiser,
        images: Images,
        rows: Sequence[int],
        level: float,
        stage: Stage,
        settings: Settings,
    ) -> Images:
        """What the rows' images should look like; the first of them are repainted."""
        turn = list(rows[: stage.repainted])
        shown = images[: len(turn)].detach()
        condition = self.ring.condition(turn, settings.words)
        t = torch.full((len(turn),), level * (prior.schedule.num_levels - 1), dtype=torch.float64)
        if self._latents is None:
            with torch.no_grad():
                self._latents = tuple(prior.encode(shown[:1]).shape[1:])
        noise = independent((len(turn), *self._latents), self._rng)
        steps, scale = settings.steps, settings.guidance_scale
        self._pictures[turn] = repainted(prior, shown, condition, t, noise, steps, scale)
        self._painted.update(turn)
        return self._pictures[list(rows)]


@final
class _Descent:
    """Adam for one tensor; torch.optim's takes two seconds to import its compiler."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter, self._count = parameter, 0
        self._mean, self._square = torch.zeros_like(parameter), torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Down the gradient, which is cleared."""
        grad = self._parameter.grad
        assert grad is not None
        self._count += 1
        self._mean.lerp_(grad, 1 - _BETAS[0])
        self._square.lerp_(grad.square(), 1 - _BETAS[1])
        mean = self._mean / (1 - _BETAS[0] ** self._count)
        square = self._square / (1 - _BETAS[1] ** self._count)
        self._parameter -= lr * mean / (square.sqrt() + 1e-10)
        self._parameter.grad = None


_BETAS = (0.9, 0.99)


def _falling(ends: tuple[float, float], done: float, even: bool = False) -> float:
    """Between two numbers, evenly or by equal factors."""
    first, last = ends
    return first + (last - first) * done if even else first * (last / first) ** done


def measured(solid: SignedField, target: Known) -> Score:
    """Against the body, from between the ring's cameras."""
    cameras = _held(target)
    ours = _sharp(solid, cameras)
    ious, errors = [], []
    for k, camera in enumerate(cameras):
        alpha, normal = target.seen(camera)
        ious.append(silhouette_iou(ours.alpha[k], alpha))
        both = alpha * (ours.alpha[k] > 0.5)
        errors.append(normal_error(ours.normal[k], normal, both))
    return Score(sum(ious) / HELD, sum(errors) / HELD)


def pictured(solids: Sequence[SignedField], target: Known) -> UInt8[np.ndarray, "h w 3"]:
    """A row for each solid, and the truth's; a column for each held view."""
    cameras = _held(target)
    rows = [_sharp(solid, cameras).pictures() for solid in solids]
    rows.append(torch.stack([target.normal_map(camera) for camera in cameras]))
    whole = torch.cat([torch.cat(list(row), 1) for row in rows])
    return (whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _held(target: Known) -> list[Camera]:
    return [target.camera(math.tau * (k + 0.5) / HELD, HELD_SIZE) for k in range(HELD)]


@torch.no_grad()
def _sharp(solid: SignedField, cameras: Sequence[Camera]) -> Marched:
    return march(solid, cameras, solid.spacing / SHARPNESS)
