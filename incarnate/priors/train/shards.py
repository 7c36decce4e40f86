"""Samples of a folder of webdataset shards, in any order, without unpacking them.

The files of a sample share their name up to the first dot, as webdataset has it. An index of
places in the tar files gives every sample at once, so that data may come in an order that is
shuffled across all shards, and a resumed run is at its sample without reading those before.
"""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

LISTING = "studio.json"
Place = tuple[int, int]
"""Where a file begins in its shard, and its length."""


@final
@dataclass(frozen=True)
class Row:
    """One sample: its shard, its key and where its files lie."""

    shard: Path
    key: str
    places: dict[str, Place]


@final
@dataclass(frozen=True, eq=False)
class Shards:
    """All samples, in the order of the shards."""

    rows: tuple[Row, ...]
    suffixes: tuple[str, ...]
    joints: tuple[str, ...]
    """Names of the joints in the samples' json; none if the folder does not list them."""

    @staticmethod
    def of(folder: Path, suffixes: tuple[str, ...], named_joints: bool = False) -> "Shards":
        """ValueError if there are none, or if a sample lacks a file that is asked for."""
        paths = sorted(folder.glob("*.tar"))
        if not paths:
            raise ValueError(
                f"{folder} holds no shards (.tar); make some: incarnate studio {folder}"
            )
        rows = tuple(row for path in paths for row in _rows(path, suffixes))
        return Shards(rows, suffixes, _joints(folder) if named_joints else ())

    def __len__(self) -> int:
        return len(self.rows)

    def files(self, index: int) -> dict[str, bytes]:
        """The files asked for, of one sample."""
        row, found = self.rows[index], {}
        with row.shard.open("rb") as shard:
            for suffix in self.suffixes:
                begin, length = row.places[suffix]
                shard.seek(begin)
                found[suffix] = shard.read(length)
        return found

    def fingerprint(self) -> str:
        """Tells sets of samples apart by the names and sizes of their files."""
        told = hashlib.sha256()
        for row in self.rows:
            sizes = sorted((suffix, length) for suffix, (_, length) in row.places.items())
            told.update(json.dumps([row.shard.name, row.key, sizes]).encode())
        return told.hexdigest()


def place(seed: int, number: int, count: int) -> int:
    """Which of `count` samples is number `number` of the run: each once an epoch."""
    return int(_shuffled(seed, number // count, count)[number % count])


@lru_cache(maxsize=2)  # A batch may lie in two epochs.
def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch, 1]).permutation(count)


def _rows(path: Path, suffixes: tuple[str, ...]) -> list[Row]:
    from webdataset.tariterators import base_plus_ext

    places: dict[str, dict[str, Place]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                key, suffix = base_plus_ext(entry.name)
                if entry.isreg() and key is not None and suffix in suffixes:
                    places.setdefault(key, {})[suffix] = (entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a shard (tar): {error}") from error
    if not places:
        raise ValueError(f"{path} has no sample with any of {', '.join(suffixes)}")
    for key, found in places.items():
        missing = [suffix for suffix in suffixes if suffix not in found]
        if missing:
            raise ValueError(
                f"sample {key} of {path} lacks {key}.{missing[0]}, which is learnt from"
            )
    return [Row(path, key, found) for key, found in places.items()]


def _joints(folder: Path) -> tuple[str, ...]:
    path = folder / LISTING
    try:
        return tuple(str(name) for name in json.loads(path.read_text())["joints"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not list the names of the samples' joints, which skeletons need"
        ) from error
