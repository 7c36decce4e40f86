"""The training itself: steps, and what is kept of them.

RUN/result       what was trained, as diffusers opens it: the running mean of the weights
RUN/checkpoints  to continue from
RUN/curves       for tensorboard: loss, learning rate, gradient norm, samples a second, grids
RUN/grids        the same pictures again and again
"""

import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, final

import torch
from torch.nn.parallel import DistributedDataParallel

from incarnate import distributed
from incarnate.io.pictures import write_picture
from incarnate.io.runs import replacing
from incarnate.priors.train.base import Base, load_base
from incarnate.priors.train.checkpoints import Checkpoints
from incarnate.priors.train.examples import Batch, Examples, loader, wanted
from incarnate.priors.train.grids import Grid
from incarnate.priors.train.nets import Net, built, save_result, trained
from incarnate.priors.train.objective import Average, loss
from incarnate.priors.train.plan import Rounds, checked, differing, learning_rate, settings
from incarnate.priors.train.shards import Shards
from incarnate.progress import Report, Silent
from incarnate.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.01
LARGEST_STEP = 1.0  # The gradient's norm is cut here.
RECIPE_FILE = "recipe.json"
RESULT = "result"
_IMPATIENT = 1.0  # Seconds: torchrun repeats the terminal's Ctrl-C at once.


def train(recipe: Recipe, report: Report) -> Path:
    """Trains, or goes on training, and returns the folder of the result.

    Under torchrun all processes call this. ValueError or OSError, in one line, for what cannot
    be done; KeyboardInterrupt, once a checkpoint is written, if the run was asked to stop.
    """
    with distributed.group(), _stopping() as asked:
        report = report if distributed.rank() == 0 else Silent()
        run, known = distributed.together(lambda: _opened(checked(recipe), report))
        seen = run.checkpoints.load() if known else 0
        if not known and distributed.rank() == 0:
            _begin(run)
        report.stage("training")
        _go_on(run, seen, report, asked)
        return _finished(run)


@final
@dataclass(frozen=True, eq=False)
class _Run:
    """All that a training holds."""

    recipe: Recipe
    base: Base
    shards: Shards
    examples: Examples
    net: Net
    optimizer: torch.optim.Optimizer
    average: Average
    checkpoints: Checkpoints
    device: torch.device

    @staticmethod
    def of(recipe: Recipe, report: Report) -> "_Run":
        """ValueError or OSError for what cannot be trained."""
        Rounds.of(recipe, 0, distributed.rank(), distributed.size())
        device = _device(recipe)
        shards = Shards.of(recipe.data, wanted(recipe), recipe.task == "pose-guider")
        base = load_base(recipe.base, report)
        latents = base.latents(recipe.size)
        net = built(recipe, base).to(device)
        base.vae.vae.to(device)  # type: ignore[arg-type]
        learnt = trained(net)
        optimizer = torch.optim.AdamW(
            learnt.values(), lr=recipe.lr, betas=BETAS, weight_decay=WEIGHT_DECAY
        )
        average = Average(learnt, recipe.ema)
        return _Run(
            recipe,
            base,
            shards,
            Examples(recipe, shards, latents, base.schedule.num_levels),
            net,
            optimizer,
            average,
            Checkpoints(recipe.output / "checkpoints", net, optimizer, average),
            device,
        )

    @property
    def settings(self) -> dict[str, object]:
        """What the weights depend on, told by content where it is files."""
        told = settings(self.recipe)
        return {**told, "base": self.base.fingerprint(), "data": self.shards.fingerprint()}


def _device(recipe: Recipe) -> torch.device:
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: there is no GPU that torch can use; leave it out")
    if recipe.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(distributed.local_rank())
    return torch.device("cuda", distributed.local_rank())


def _opened(recipe: Recipe, report: Report) -> tuple[_Run, bool]:
    """The run, and whether it was begun before. ValueError if that does not fit the recipe."""
    path = recipe.output / RECIPE_FILE
    # torchrun repeats the command when a process of the group was lost.
    resume = recipe.resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if recipe.output.exists() and not recipe.output.is_dir():
        raise ValueError(f"{recipe.output} is a file; name a folder for the run")
    if path.exists() and not resume:
        raise ValueError(
            f"{recipe.output} holds a run; continue it with --resume, or name another folder"
        )
    run = _Run.of(recipe, report)
    if not path.exists():
        return run, False
    try:
        known = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged; name another folder") from error
    if type(known) is not dict:
        raise ValueError(f"{path} is damaged; name another folder")
    others = differing(run.settings, known, recipe.falls)
    if others:
        raise ValueError(
            f"the run in {recipe.output} had other {', '.join(others)}; repeat it, or name "
            "another folder"
        )
    return run, True


def _begin(run: _Run) -> None:
    run.recipe.output.mkdir(parents=True, exist_ok=True)
    with replacing(run.recipe.output / RECIPE_FILE) as part:
        part.write_text(json.dumps(run.settings, indent=1) + "\n")


def _go_on(run: _Run, seen: int, report: Report, asked: threading.Event) -> None:
    """Steps until all samples were seen; KeyboardInterrupt if it is `asked` to stop."""
    recipe = run.recipe
    rounds = Rounds.of(recipe, seen, distributed.rank(), distributed.size())
    batches = iter(loader(run.examples, rounds, recipe.workers))
    parallel = DistributedDataParallel(run.net) if distributed.size() > 1 else None
    with _diary(run, seen) as diary:
        while seen < recipe.samples:
            began, before = time.monotonic(), seen
            seen += recipe.batch
            error, norm = _step(run, parallel, batches, rounds.per_step, seen)
            if diary is not None:
                diary.step(seen, error, norm, recipe.batch / (time.monotonic() - began))
            report.step(min(seen, recipe.samples), recipe.samples)
            stop = distributed.agreed(asked.is_set())
            if stop or _due(recipe, before, seen, recipe.checkpoint_every):
                run.checkpoints.save(seen)
            drawing = recipe.sample_every > 0 and _due(recipe, before, seen, recipe.sample_every)
            if diary is not None and drawing:
                diary.grid(seen)
            if stop and seen < recipe.samples:
                raise KeyboardInterrupt


def _due(recipe: Recipe, before: int, after: int, every: int) -> bool:
    """Whether a multiple of `every` was passed, or the end."""
    return after >= recipe.samples or before // every < after // every


def _step(
    run: _Run,
    parallel: DistributedDataParallel | None,
    batches: Iterator[Batch],
    count: int,
    seen: int,
) -> tuple[float, float]:
    """One step of the optimizer on `count` micro-batches: its loss and its gradient's norm.

    ValueError if the gradient is not a number: nothing is changed then.
    """
    recipe, learnt = run.recipe, trained(run.net)
    run.optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=run.device)
    for k in range(count):
        batch = next(batches).to(run.device)
        # Gradients travel once a step, with the last micro-batch.
        alone = nullcontext() if parallel is None or k == count - 1 else parallel.no_sync()
        with alone:
            with _precision(recipe, run.device):
                part = loss(parallel or run.net, run.base, batch, recipe.min_snr_gamma) / count
            part.backward()
        total += part.detach()
    norm = float(torch.nn.utils.clip_grad_norm_(learnt.values(), LARGEST_STEP))
    error = float(distributed.mean(total))
    if not math.isfinite(norm):
        raise ValueError(
            f"the gradient is not a number after {seen} samples; the last checkpoint is kept. "
            "Begin another run with a lower --lr, or with --precision float32"
        )
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, seen)
    run.optimizer.step()
    run.average.update(learnt, seen // recipe.batch)
    return error, norm


def _precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


@final
class _Diary:
    """Curves for tensorboard, and grids."""

    def __init__(self, run: _Run, writer: "SummaryWriter") -> None:
        self._run, self._writer = run, writer
        latents = run.base.latents(run.recipe.size)
        self._grid = Grid.of(run.examples, len(run.shards), latents, run.recipe.seed)

    def step(self, seen: int, error: float, norm: float, speed: float) -> None:
        """One point of each curve."""
        rate = learning_rate(self._run.recipe, seen)
        told = {"loss": error, "gradient_norm": norm, "samples_a_second": speed, "lr": rate}
        for name, value in told.items():
            self._writer.add_scalar(name, value, seen)

    def grid(self, seen: int) -> None:
        """What the mean weights make now."""
        run = self._run
        with _precision(run.recipe, run.device):
            pixels = self._grid.drawn(run.base, run.net, run.average.weights, run.device)
        folder = run.recipe.output / "grids"
        folder.mkdir(exist_ok=True)
        write_picture(folder / f"{seen:012d}.png", pixels)
        self._writer.add_image("grid", pixels, seen, dataformats="HWC")


@contextmanager
def _diary(run: _Run, seen: int) -> Iterator[_Diary | None]:
    """The first process keeps one."""
    if distributed.rank() != 0:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    # Points behind the checkpoint, of a run that was killed, are told to be forgotten.
    with SummaryWriter(str(run.recipe.output / "curves"), purge_step=seen + 1) as writer:
        yield _Diary(run, writer)


def _finished(run: _Run) -> Path:
    """The folder of the result: whole or absent."""
    result = run.recipe.output / RESULT
    if distributed.rank() == 0:
        run.net.load_state_dict(run.average.weights, strict=False)
        part = result.with_name(f".{RESULT}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        save_result(run.net, run.recipe, run.base, part)
        shutil.rmtree(result, ignore_errors=True)
        part.rename(result)
    distributed.wait()
    return result


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Inside, SIGINT and SIGTERM only set the event; a second one, later, interrupts at once."""
    asked, first = threading.Event(), 0.0
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal first
        if asked.is_set() and time.monotonic() - first > _IMPATIENT:
            raise KeyboardInterrupt
        first = first if asked.is_set() else time.monotonic()
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
