"""Files that are whole or absent, and work that survives being stopped."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

RUN_FILE = "run.json"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place when the block ends well, else goes.

    Ctrl-C and SIGTERM (which the command line turns into an exception) count as not well. The
    file reaches the disk before it takes the name, so a power cut leaves the old or the new one.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_output(path: Path, bytes_wanted: int) -> None:
    """Raises OSError now if `path` could not be written after minutes of work.

    `bytes_wanted` is a generous guess of the size of everything the job writes there.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the output folder {folder} does not exist; create it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the output folder {folder} cannot be written to; choose another")
    free = shutil.disk_usage(folder).free
    if free < bytes_wanted:
        raise OSError(
            ENOSPC,
            f"{free / 1e6:.0f} MB free for {path}, {bytes_wanted / 1e6:.0f} MB wanted; make room",
        )


@final
@dataclass(frozen=True)
class Run:
    """The finished stages of a job, kept in a folder until the job is done."""

    folder: Path
    settings: str
    """What the result depends on; work begun with other settings is not continued."""

    def stage(self, name: str, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What stage `name` yields: read if an earlier, stopped run finished it, else worked out.

        Both ways give the same bits, so a resumed job ends as an undisturbed one does.
        """
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            try:
                return safetensors.torch.load(path.read_bytes())
            except safetensors.SafetensorError as error:
                raise ValueError(f"{path} is damaged; start again without --resume") from error
        tensors = work()
        self.folder.mkdir(exist_ok=True)
        for file, data in (
            (RUN_FILE, self.settings.encode()),
            (path.name, packed_tensors(tensors)),
        ):
            with replacing(self.folder / file) as part:
                part.write_bytes(data)
        return tensors

    def done(self) -> None:
        """Forgets the stages: the result is written, or there can be none."""
        shutil.rmtree(self.folder, ignore_errors=True)


def open_run(output: Path, settings: Mapping[str, str | int | None], resume: bool) -> Run:
    """The run that makes `output`: begun anew, or continued if it was stopped behind a stage.

    `settings` is everything the result depends on (photo hash, seed, ...). Raises ValueError if
    the stopped run had other settings. Nothing is written before the first stage is finished.
    """
    run = Run(output.with_name(f".{output.name}.run"), json.dumps(dict(settings), sort_keys=True))
    begun = run.folder / RUN_FILE
    if not resume:
        run.done()
    elif begun.exists() and begun.read_text() != run.settings:
        raise ValueError(
            f"the stopped work for {output} began with another photo or other settings; "
            "repeat them, or start again without --resume"
        )
    return run


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packed_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The tensors as safetensors; equal tensors give equal bytes."""
    return safetensors.torch.save(
        {
            k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
            for k, v in tensors.items()
        }
    )
