"""Weight files on disk: read as far as their headers, and refused before anything is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

HEADER_LIMIT = 100_000_000  # The format's own limit, bytes.
PICKLED = (".bin", ".pth", ".pt", ".ckpt", ".pkl")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@final
@dataclass(frozen=True)
class Entry:
    """A tensor in a file."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """How many numbers."""
        return torch.Size(self.shape).numel()


def header(path: Path) -> dict[str, Entry]:
    """The tensors of a safetensors file, by name, without reading them.

    ValueError if the file is not whole, or is something else; it says what it is and what to do.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= HEADER_LIMIT:
            raise ValueError(f"{path} is no safetensors file: {_looks_like(path)}")
        text = file.read(length)
    if len(text) < length:
        if text[:1] != b"{":
            raise ValueError(f"{path} is no safetensors file: {_looks_like(path)}")
        raise ValueError(f"{path} is cut off within its header; download or copy it again")
    try:
        told = json.loads(text)
        told.pop("__metadata__", None)
        entries = {k: _entry(v["shape"], DTYPES[v["dtype"]]) for k, v in told.items()}
        ends = [_end(entries[k], *v["data_offsets"]) for k, v in told.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no safetensors file: {_looks_like(path)}") from error
    if not entries:
        raise ValueError(f"{path} holds no weights; download it again")
    end = max(ends)
    if size < 8 + length + end:
        raise ValueError(
            f"{path} is cut off: it has {size} of {8 + length + end} bytes; "
            "download or copy it again"
        )
    return entries


def _entry(shape: list[int], dtype: torch.dtype) -> Entry:
    """ValueError for what is no shape."""
    if type(shape) is not list or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{shape} is no shape")
    return Entry(tuple(shape), dtype)


def _end(entry: Entry, start: int, end: int) -> int:
    """Where a tensor ends; ValueError if its shape does not fill its place."""
    if not 0 <= start <= end or end - start != entry.numel * entry.dtype.itemsize:
        raise ValueError(f"{entry.shape} does not fill bytes {start} to {end}")
    return end


def _looks_like(path: Path) -> str:
    """What a file that is not safetensors is, and what to do."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run `git lfs pull` where it was cloned"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return (
            f"it is a pickle under another name; rename it to {path.stem}.pth and run "
            "`incarnate weights convert` on that"
        )
    if start.lstrip().startswith((b"<", b"{")):
        return "it is a text (a web page?); download it again"
    return "its first bytes are no header; download it again"


@final
@dataclass(frozen=True)
class Files:
    """The weight files of one model's folder."""

    folder: Path
    paths: tuple[Path, ...]
    entries: dict[str, Entry]

    @property
    def parameters(self) -> int:
        """How many numbers are stored."""
        return sum(entry.numel for entry in self.entries.values())

    def bytes_as(self, dtype: torch.dtype) -> int:
        """The size in memory, with numbers turned into `dtype`."""
        return self.parameters * dtype.itemsize

    @property
    def stored(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths)


def weight_files(folder: Path) -> tuple[Files, str | None]:
    """The safetensors files of a model in diffusers' or transformers' manner, and their variant.

    Files without a variant are taken before fp16 ones. ValueError if there are none, or if one is
    pickled, missing or cut off.
    """
    for variant in (None, "fp16"):
        for stem in ("diffusion_pytorch_model", "model"):
            found = _named(folder, stem, variant)
            if found:
                entries: dict[str, Entry] = {}
                for path in found:
                    entries |= header(path)
                return Files(folder, found, entries), variant
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
    if pickles:
        raise ValueError(
            f"{folder} has its weights pickled ({pickles[0]}), which can run code when read; "
            f"run `incarnate weights convert {folder}` and try again"
        )
    raise ValueError(
        f"{folder} has no weights (diffusion_pytorch_model.safetensors or model.safetensors); "
        "download the missing files"
    )


def _named(folder: Path, stem: str, variant: str | None) -> tuple[Path, ...]:
    """One file, or the shards of an index; ValueError if a shard is missing."""
    middle = f".{variant}" if variant else ""
    whole = folder / f"{stem}{middle}.safetensors"
    if whole.exists():
        return (whole,)
    index = folder / f"{stem}.safetensors.index{middle}.json"
    if not index.exists():
        return ()
    names = sorted(set(weight_map(index).values()))
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ValueError(f"{folder} lacks {missing[0]}, which its index names; download it")
    return tuple(folder / name for name in names)


def weight_map(index: Path) -> dict[str, str]:
    """The file of each weight, as an index of shards tells. ValueError if it is none."""
    told = read_json(index).get("weight_map")
    match told:
        case dict() if told and all(type(v) is str and Path(v).name == v for v in told.values()):
            return told
        case _:
            raise ValueError(
                f"{index} is no index of weights: it names no files beside it; download it again"
            )


def read_json(path: Path) -> dict[str, object]:
    """A configuration file; ValueError if it is not one, FileNotFoundError if it is not there."""
    try:
        told = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}; download it again") from error
    if type(told) is not dict:
        raise ValueError(f"{path} holds no configuration; download it again")
    return told
