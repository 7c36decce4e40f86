"""What follows from a recipe alone: whether it makes sense, learning rates, who takes what."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import final

from incarnate.recipe import Recipe

EXTRA = ("peft", "tensorboard", "webdataset")
FREE = (
    "base",
    "data",
    "output",
    "micro_batch",
    "save_memory",
    "checkpoint_every",
    "sample_every",
    "workers",
    "device",
    "resume",
)
"""Settings that a resumed run may have otherwise; of base and data the content must be the same."""
ADAPTABLE = ("text-to-normal", "text-to-depth", "text-to-rgb")


def checked(recipe: Recipe) -> Recipe:
    """The recipe; ValueError if it cannot be followed, ModuleNotFoundError for what it needs."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"training needs {' and '.join(missing)}; install them: pip install 'incarnate[train]'"
        )
    _check_numbers(recipe)
    if recipe.task not in ADAPTABLE and (recipe.lora is not None or recipe.text_encoder):
        raise ValueError(f"--lora and --text-encoder are for text-to- tasks, not {recipe.task}")
    if recipe.lora is not None and recipe.text_encoder:
        raise ValueError("--lora trains adapters of the UNet alone; leave out --text-encoder")
    if recipe.shows != "rgb" and recipe.task != "pose-guider":
        raise ValueError(f"--shows is for pose-guider; what {recipe.task} shows is in its name")
    return recipe


def _check_numbers(recipe: Recipe) -> None:
    least = {
        "lora": 1,
        "size": 8,
        "samples": 1,
        "batch": 1,
        "micro_batch": 1,
        "warmup": 0,
        "checkpoint_every": 1,
        "sample_every": 0,
        "workers": 0,
        "seed": 0,
    }
    for name, low in least.items():
        value = getattr(recipe, name)
        if value is not None and value < low:
            raise ValueError(f"{_flag(name)} is {value}; give {low} or more")
    for name in ("ema", "caption_dropout", "segment_dropout", "condition_dropout", "flip"):
        value = getattr(recipe, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{_flag(name)} is {value}; give 0 to 1")
    if recipe.seed >= 2**63:
        raise ValueError(f"--seed is {recipe.seed}; give less than 2**63")
    if not 0 < recipe.lr < math.inf:
        raise ValueError(f"--lr is {recipe.lr}; give a number above 0")
    if recipe.min_snr_gamma is not None and not recipe.min_snr_gamma > 0:
        raise ValueError(f"--min-snr-gamma is {recipe.min_snr_gamma}; give a number above 0")
    if not 0 <= recipe.noise_offset < math.inf:
        raise ValueError(f"--noise-offset is {recipe.noise_offset}; give 0 or more")


def learning_rate(recipe: Recipe, seen: int) -> float:
    """That of the step which ends with sample number `seen`."""
    rising = min(1.0, seen / recipe.warmup) if recipe.warmup else 1.0
    if recipe.falls == "constant":
        return recipe.lr * rising
    done = max(0.0, (seen - recipe.warmup) / max(1, recipe.samples - recipe.warmup))
    return recipe.lr * rising * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def differing(now: dict[str, object], known: dict[str, object], falls: str) -> list[str]:
    """Flags by which settings differ from a stopped run's; with a constant rate, it may go on."""
    free = ("samples",) if falls == "constant" else ()
    return [_flag(name) for name in now if name not in free and known.get(name) != now[name]]


def settings(recipe: Recipe) -> dict[str, object]:
    """What the weights depend on, but for the content of base and data."""
    return {name: value for name, value in asdict(recipe).items() if name not in FREE}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@final
@dataclass(frozen=True)
class Rounds:
    """Which samples a process takes: a list of numbers for each of its micro-batches."""

    batch: int
    micro_batch: int
    rank: int
    size: int
    seen: int
    samples: int

    @staticmethod
    def of(recipe: Recipe, seen: int, rank: int, size: int) -> "Rounds":
        """ValueError if the batch cannot be shared out evenly."""
        if recipe.batch % size:
            raise ValueError(
                f"a batch of {recipe.batch} cannot be shared by {size} processes; "
                f"give a multiple of {size}"
            )
        own = recipe.batch // size
        micro = recipe.micro_batch or own
        if own % micro:
            raise ValueError(
                f"each of {size} processes takes {own} of the batch, which is no multiple of "
                f"--micro-batch {micro}"
            )
        return Rounds(recipe.batch, micro, rank, size, seen, recipe.samples)

    @property
    def per_step(self) -> int:
        """Micro-batches a step."""
        return self.batch // self.size // self.micro_batch

    def __len__(self) -> int:
        return max(0, -(-(self.samples - self.seen) // self.batch)) * self.per_step

    def __iter__(self) -> Iterator[list[int]]:
        own = self.batch // self.size
        for start in range(self.seen, self.samples, self.batch):
            first = start + self.rank * own
            for low in range(first, first + own, self.micro_batch):
                yield list(range(low, low + self.micro_batch))
