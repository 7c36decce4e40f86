"""Training in stages that may be stopped at any time, by one process or several under torchrun."""

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final, get_args

import numpy as np
import torch
from torch import Tensor, nn

from incarnate import distributed
from incarnate.priors.train.objective import Average

Stage = Literal["vae", "latents", "text", "base", "fine", "motion"]
STAGES: tuple[Stage, ...] = get_args(Stage)
BETAS, WEIGHT_DECAY, LARGEST_STEP = (0.9, 0.99), 0.01, 1.0
WARMUP, LEAST = 100, 0.02  # Steps of a rising rate; the share of the rate that is left at the end.
KEPT_EVERY, TOLD_EVERY = 60.0, 50  # Seconds between checkpoints; steps between lines of the log.
Loss = Callable[[np.random.Generator, int, int], Tensor]
"""Of a generator, the size of the batch and the number of the step."""


@dataclass(frozen=True)
class Run:
    """One stage of training."""

    folder: Path
    stage: Stage
    samples: int
    batch: int
    lr: float

    @property
    def state(self) -> Path:
        """What a stopped stage goes on from."""
        return self.folder / f"{self.stage}.pt"


def fitted(modules: nn.Module, run: Run, loss: Loss, ema: float, falls: float = 0.3) -> None:
    """Adam until the stage has seen its samples; `modules` are then the running mean of themselves.

    In the last share of the samples, `falls`, the rate falls. Step n draws from a generator of its
    own, so a resumed stage goes on as if never stopped. SystemExit if it is stopped.
    """
    fit = _Fit(modules, run, ema)
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(1))
    share, stop = run.batch // distributed.size(), False
    while fit.seen < run.samples and not stop:
        step = fit.seen // run.batch
        rng = np.random.default_rng([STAGES.index(run.stage), step, distributed.rank()])
        fit.optimizer.zero_grad(set_to_none=True)
        error = loss(rng, share, step)
        error.backward()
        told, stop = _agreed(list(fit.learnt.values()), error.detach(), bool(asked))
        left = (run.samples - fit.seen) / (falls * run.samples)
        fit.step(told, min(1.0, (step + 1) / WARMUP, max(left, LEAST)))
    fit.keep()
    distributed.wait()
    if stop:
        raise SystemExit(f"stopped after {fit.seen} samples; start again to go on")
    modules.load_state_dict(fit.average.weights, strict=False)


@final
class _Fit:
    """The weights, their running mean, the optimizer, and how far they are."""

    def __init__(self, modules: nn.Module, run: Run, ema: float) -> None:
        self.modules, self.run, self.seen = modules, run, 0
        self.learnt = dict(modules.requires_grad_(True).named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.learnt.values(), lr=run.lr, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
        )
        self.average = Average(self.learnt, ema)
        if run.state.exists():
            kept = torch.load(run.state, weights_only=True)
            modules.load_state_dict(kept["weights"], strict=False)
            self.optimizer.load_state_dict(kept["optimizer"])
            self.seen, self.average.weights = kept["seen"], kept["average"]
        self.loss, self.first = math.nan, self.seen
        self.began = self.kept = time.time()

    def step(self, error: float, share: float) -> None:
        """One step at this share of the rate."""
        run = self.run
        torch.nn.utils.clip_grad_norm_(self.learnt.values(), LARGEST_STEP)
        for group in self.optimizer.param_groups:
            group["lr"] = run.lr * share
        self.optimizer.step()
        self.seen += run.batch
        number = self.seen // run.batch
        self.average.update(self.learnt, number)
        self.loss = error if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * error
        if number % TOLD_EVERY == 0 and distributed.rank() == 0:
            self._tell()
        if time.time() - self.kept > KEPT_EVERY:
            self.keep()

    def _tell(self) -> None:
        rate = (self.seen - self.first) / (time.time() - self.began)
        line = f"{self.run.stage} {self.seen}/{self.run.samples} loss {self.loss:.4f} {rate:.1f}/s"
        print(line, flush=True)
        with (self.run.folder / "log.txt").open("a") as log:
            log.write(f"{line}\n")

    def keep(self) -> None:
        """Writes what a stopped stage goes on from; one process of all does."""
        self.kept = time.time()
        if distributed.rank() > 0:
            return
        told = {"weights": self.modules.state_dict(), "optimizer": self.optimizer.state_dict()}
        told |= {"seen": self.seen, "average": self.average.weights, "loss": float(self.loss)}
        part = self.run.state.with_suffix(".part")
        torch.save(told, part)
        part.replace(self.run.state)


def _agreed(learnt: list[nn.Parameter], error: Tensor, stop: bool) -> tuple[float, bool]:
    """The loss, and whether to stop, of all processes; gradients become their mean."""
    if distributed.size() == 1:
        return float(error), stop
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learnt]
    told = torch.tensor([float(error), float(stop)])
    flat = distributed.mean(torch.cat([*(g.flatten() for g in grads), told]))
    for p, part in zip(learnt, flat[:-2].split([p.numel() for p in learnt]), strict=True):
        p.grad = part.view_as(p)
    return float(flat[-2]), float(flat[-1]) > 0
