"""Published .pth, .ckpt and .bin files as safetensors.

A pickle can name any code to be run while it is read. It is therefore read with torch's
`weights_only` (tensors and plain containers, nothing else), in a process of its own, which writes
the tensors and ends. Everything else in the file is left behind, and said.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from incarnate.io.runs import check_output, replacing
from incarnate.priors.files import PICKLED, header, weight_map
from incarnate.progress import Report

_NAMES = re.compile(r"(?:pytorch_model|diffusion_pytorch_model)[\w.-]*\.bin")


@final
@dataclass(frozen=True)
class Converted:
    """A file that was written."""

    source: Path
    target: Path
    tensors: int
    parameters: int
    left_behind: str
    """What else the file held; '' if nothing."""


def convert(source: Path, target: Path | None, key: str | None, report: Report) -> list[Converted]:
    """Writes safetensors beside `source` (or at `target`); a folder's weight files all at once.

    `key` names the part of the file that holds the weights ('ema.state_dict'), if there are many.
    ValueError for what holds no weights or would run code; files that are there stay as they are.
    """
    if source.is_dir():
        if target is not None or key is not None:
            raise ValueError(f"{source} is a folder: give neither an output nor a key")
        jobs, indices = list(_jobs(source)), list(_indices(source))
        if not jobs:
            raise ValueError(f"{source} has no .bin weights that are not safetensors yet")
    else:
        jobs = [(source, target or source.with_suffix(".safetensors"))]
        indices = []
    report.stage("converting")
    done = []
    for i, (one, other) in enumerate(jobs):
        done.append(_converted(one, other, key))
        report.step(i + 1, len(jobs))
    for path, text in indices:
        with replacing(path) as part:
            part.write_text(text)
    return done


def _jobs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The pickled weight files of a diffusers directory, and where each goes."""
    for path in sorted(folder.rglob("*.bin")):
        target = path.with_name(_renamed(path.name))
        if _NAMES.fullmatch(path.name) and not target.exists():
            yield path, target


def _renamed(name: str) -> str:
    """pytorch_model-00001-of-00002.bin as transformers wants it: model-00001-..."""
    stem = re.sub(r"^pytorch_model", "model", name)
    return re.sub(r"\.bin$", ".safetensors", stem)


def _indices(folder: Path) -> Iterator[tuple[Path, str]]:
    """Indices of shards that name the new files. ValueError for one that is none."""
    for path in sorted(folder.rglob("*.bin.index*.json")):
        target = path.with_name(_renamed(path.name.replace(".bin.", ".safetensors.")))
        if not target.exists():
            names = {weight: _renamed(name) for weight, name in weight_map(path).items()}
            yield target, json.dumps({"metadata": {}, "weight_map": names}, indent=1) + "\n"


def _converted(source: Path, target: Path, key: str | None) -> Converted:
    if not source.is_file():
        raise ValueError(f"there is no file {source}; name a {', '.join(PICKLED)} file or a folder")
    if source.suffix == ".safetensors":
        raise ValueError(f"{source} is safetensors already")
    if target.suffix != ".safetensors":
        raise ValueError(f"the output {target} must end in .safetensors")
    if target.exists():
        raise ValueError(f"{target} exists; remove it, or name another output")
    check_output(target, source.stat().st_size)
    with replacing(target) as part:
        left = _read_apart(source, part, key)
        entries = header(part)
    return Converted(
        source, target, len(entries), sum(entry.numel for entry in entries.values()), left
    )


def _read_apart(source: Path, target: Path, key: str | None) -> str:
    """Runs `unpickle` on one file; what it left behind. ValueError with its reason if it failed."""
    paths = [str(path.resolve()) for path in (source, target)]
    # -P: else modules of the folder we are in, a downloaded one perhaps, would be imported.
    command = [sys.executable, "-P", "-m", "incarnate.priors.unpickle", *paths]
    ended = subprocess.run(
        command + ([] if key is None else [key]), capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines() or [f"the reader ended with {ended.returncode}"]
        raise ValueError(f"{source} was not converted: {lines[-1]}")
    return ended.stdout.strip()
