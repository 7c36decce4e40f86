"""Checkpoints of a run: whole or absent, written by all processes together.

    RUN/recipe.json             what the weights depend on
    RUN/checkpoints/000012800   torch's distributed checkpoint, after so many samples
    RUN/checkpoints/latest      the name of the newest whole one

A checkpoint is written under another name, which it gives up when all of it is on the disk, and
`latest` is replaced after that: whenever a process is killed, the last whole one is found.
"""

import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)

from incarnate import distributed
from incarnate.io.runs import replacing
from incarnate.priors.train.objective import Average

KEPT = 2
_LATEST = "latest"
_METADATA = "torch.distributed.checkpoint.metadata"
_NAMES = {
    _METADATA: (
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.serialization": ("_get_layout",),
    "torch": ("Size", "bfloat16", "float16", "float32", "float64", "int64"),
    "pathlib": ("PosixPath", "WindowsPath"),
}
"""All that the pickle beside a checkpoint of torch has to name; none of it does anything."""
_PART = ".part"
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)


@final
class Checkpoints:
    """Those of one run."""

    def __init__(
        self, folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer, average: Average
    ) -> None:
        self._folder = folder
        self._net, self._optimizer, self._average = net, optimizer, average

    def save(self, seen: int) -> None:
        """Keeps the state after `seen` samples; of older ones only the last stays."""
        name = f"{seen:012d}"
        part, whole = self._folder / (name + _PART), self._folder / name
        if distributed.rank() == 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in (part, whole):  # Of a run that was killed, and never named by `latest`.
                shutil.rmtree(left, ignore_errors=True)
        distributed.wait()
        with _alone() as alone:
            state_dict_saver.save(self._state(seen), checkpoint_id=part, no_dist=alone)
        if distributed.rank() == 0:
            part.rename(whole)
            _to_disk(self._folder)
            with replacing(self._folder / _LATEST) as file:
                file.write_text(name)
            self._prune()
        distributed.wait()

    def load(self) -> int:
        """Takes up the newest checkpoint; how many samples it had seen, 0 if there is none.

        ValueError if it cannot be read.
        """
        name = latest(self._folder)
        if name is None:
            return 0
        state = self._state(0)
        path = self._folder / name
        try:
            with (path / ".metadata").open("rb") as file:
                _Harmless(file).load()
            with _alone() as alone:
                state_dict_loader.load(state, checkpoint_id=path, no_dist=alone)
        except Exception as error:  # Whatever a damaged file brings up.
            raise ValueError(
                f"the checkpoint {path} cannot be read; put the name of another into {_LATEST}"
            ) from error
        set_state_dict(
            self._net,
            self._optimizer,
            model_state_dict=state["net"],  # type: ignore[arg-type]
            optim_state_dict=state["optimizer"],  # type: ignore[arg-type]
            options=_TRAINED,
        )
        return int(state["seen"])  # type: ignore[arg-type]

    def _state(self, seen: int) -> "dict[str, object]":
        net, optimizer = get_state_dict(self._net, self._optimizer, options=_TRAINED)
        average = self._average.weights  # Read in place.
        return {"net": net, "optimizer": optimizer, "average": average, "seen": torch.tensor(seen)}

    def _prune(self) -> None:
        names = sorted(path.name for path in self._folder.iterdir() if path.name.isdecimal())
        for name in names[:-KEPT]:
            shutil.rmtree(self._folder / name)


def latest(folder: Path) -> str | None:
    """The name of the newest whole checkpoint of a folder of them."""
    path = folder / _LATEST
    if not path.is_file():
        return None
    name = path.read_text().strip()
    if not name.isdecimal() or not (folder / name).is_dir():
        raise ValueError(f"{path} names no checkpoint beside it: {name[:40]!r}")
    return name


@final
class _Harmless(pickle.Unpickler):
    """Reads what torch would read, and refuses names that could run code."""

    def find_class(self, module: str, name: str) -> object:
        """The thing of that name. UnpicklingError if a checkpoint has no need of it."""
        if name not in _NAMES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint")
        return super().find_class(module, name)


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether there is only one process; torch then warns of what we mean to do."""
    alone = distributed.size() == 1
    with warnings.catch_warnings():
        if alone:
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield alone


def _to_disk(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
