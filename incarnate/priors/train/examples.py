"""What a run shows its network: sample number `i` depends on the seed and `i`, on nothing else.

Which picture it is, its noise, its level, what is left out of it: all comes from one generator
that is seeded with both. So neither the number of processes nor a stop in between matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from incarnate.priors.schedule import Latents, Levels
from incarnate.priors.train.plan import Rounds
from incarnate.priors.train.shards import Shards, place
from incarnate.priors.train.shots import (
    FILES,
    Shot,
    decoded,
    mirrored,
    normal_map,
    picture,
    prompt,
    skeleton,
)
from incarnate.recipe import Recipe, Shows, Task

_PARTS = 16  # Chances for the parts of a caption; longer captions use them over again.


def shows(recipe: Recipe) -> Shows:
    """What the pictures show that a task learns to make."""
    match recipe.task:
        case "text-to-normal":
            return "normal"
        case "text-to-depth":
            return "depth"
        case "text-to-rgb" | "normal-aligned":
            return "rgb"
        case "pose-guider":
            return recipe.shows
        case _:
            assert_never(recipe.task)


def wanted(recipe: Recipe) -> tuple[str, ...]:
    """The files of a sample that a task reads."""
    follows = FILES["normal"] if recipe.task == "normal-aligned" else ()
    return tuple(dict.fromkeys((*FILES[shows(recipe)], *follows)))


@final
@dataclass(frozen=True, eq=False)
class Example:
    """One sample, ready to be learnt from."""

    picture: Float[Tensor, "h w 3"]
    control: Float[Tensor, "height width 3"]
    """What the picture follows; without pixels in tasks that follow nothing."""
    prompt: str
    level: int
    noise: Float[Tensor, "z y x"]


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Examples side by side."""

    pictures: Float[Tensor, "b h w 3"]
    controls: Float[Tensor, "b height width 3"]
    prompts: tuple[str, ...]
    levels: Levels
    noise: Latents

    @staticmethod
    def of(examples: Sequence[Example]) -> "Batch":
        """All of one size."""
        return Batch(
            torch.stack([e.picture for e in examples]),
            torch.stack([e.control for e in examples]),
            tuple(e.prompt for e in examples),
            torch.tensor([e.level for e in examples], dtype=torch.float64),
            torch.stack([e.noise for e in examples]),
        )

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(
            self.pictures.to(device),
            self.controls.to(device),
            self.prompts,
            self.levels.to(device),
            self.noise.to(device),
        )


@final
class Examples(Dataset[Example]):
    """Every sample of a run, by its number."""

    def __init__(
        self, recipe: Recipe, shards: Shards, latents: tuple[int, int, int], num_levels: int
    ) -> None:
        self._recipe, self._shards = recipe, shards
        self._latents, self._num_levels = latents, num_levels

    def __getitem__(self, number: int) -> Example:
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, number])
        level = int(rng.integers(self._num_levels))
        noise = rng.standard_normal(self._latents, dtype=np.float32)
        shared = rng.standard_normal((self._latents[0], 1, 1), dtype=np.float32)
        flip, unsaid, unseen = rng.random(3)  # Drawn whether used or not: all else stays the same.
        kept = rng.random(_PARTS) >= recipe.segment_dropout
        shot = self._shot(place(recipe.seed, number, len(self._shards)))
        if flip < recipe.flip:
            shot = mirrored(shot)
        said = "" if unsaid < recipe.caption_dropout else prompt(shot, shows(recipe), kept)
        control = followed(shot, recipe.task, recipe.size)
        if unseen < recipe.condition_dropout:
            control = torch.zeros_like(control)
        offset = np.float32(recipe.noise_offset) * shared
        seen = torch.from_numpy(picture(shot, shows(recipe), recipe.size).astype(np.float32))
        return Example(seen, control, said, level, torch.from_numpy(noise + offset))

    def plain(
        self, index: int
    ) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "height width 3"], str]:
        """Picture, control and prompt of a sample of the shards, as they are."""
        shot, kind = self._shot(index), shows(self._recipe)
        seen = torch.from_numpy(picture(shot, kind, self._recipe.size).astype(np.float32))
        control = followed(shot, self._recipe.task, self._recipe.size)
        return seen, control, prompt(shot, kind)

    def _shot(self, index: int) -> Shot:
        row = self._shards.rows[index]
        try:
            return decoded(self._shards.files(index), self._shards.joints)
        except Exception as error:  # Whatever libraries say of a stranger's files.
            raise ValueError(f"sample {row.key} of {row.shard} is bad: {error}") from error


def followed(shot: Shot, task: Task, size: int) -> Float[Tensor, "h w 3"]:
    """What the picture is to follow; without pixels if the task knows of nothing."""
    match task:
        case "normal-aligned":
            control = normal_map(shot, size)
        case "pose-guider":
            control = skeleton(shot, size)
        case _:
            control = np.zeros((0, 0, 3))
    return torch.from_numpy(control.astype(np.float32))


def loader(examples: Examples, rounds: Rounds, workers: int) -> DataLoader[Batch]:
    """The micro-batches of a process, one after the other."""
    return DataLoader(
        examples,
        batch_sampler=rounds,  # type: ignore[arg-type]
        collate_fn=Batch.of,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
