"""The avatar file: one zip of `avatar.json`, `tensors.safetensors` and `preview.png`.

    avatar.json          {"format": "incarnate-avatar", "schema": 1, "meta": {...}}
    tensors.safetensors  every tensor of the avatar, by name
    preview.png          a picture for file managers and galleries

The same content gives the same bytes: entries are stored uncompressed, in this order, dated
1980-01-01, keys sorted. Reading trusts nothing: no names but these, sizes capped, no pickle.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from incarnate.io.runs import packed_tensors, replacing

FORMAT = "incarnate-avatar"
SCHEMA = 1
"""Raised whenever an older program could not read what is written."""

Meta = dict[str, Any]
"""JSON: strings, finite numbers, booleans, None, lists, and dicts with string keys."""
Migration = Callable[[Meta, dict[str, Tensor]], tuple[Meta, dict[str, Tensor]]]

MIGRATIONS: dict[int, Migration] = {}
"""What turns an avatar of schema n into one of schema n + 1."""

CAPS = {"avatar.json": 1 << 20, "tensors.safetensors": 1 << 29, "preview.png": 1 << 24}
"""The entries and the most bytes each may unpack to."""
MOST_RATIO = 100  # Real tensors and pictures never shrink this much; zip bombs do.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(path: Path, meta: Meta, tensors: Mapping[str, Tensor], preview_png: bytes) -> None:
    """Writes the avatar file at once or not at all.

    Raises ValueError if `meta` is not JSON or a part is larger than `unpack` accepts.
    """
    head = {"format": FORMAT, "schema": SCHEMA, "meta": meta}
    text = json.dumps(head, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    entries = {
        "avatar.json": text.encode(),
        "tensors.safetensors": packed_tensors(tensors),
        "preview.png": preview_png,
    }
    for name, data in entries.items():
        if len(data) > CAPS[name]:
            raise ValueError(f"{name} has {len(data)} bytes, at most {CAPS[name]} fit an avatar")
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16  # As on Unix, on any system.
            archive.writestr(info, data)


def unpack(path: Path) -> tuple[Meta, dict[str, Tensor]]:
    """Metadata and tensors of an avatar file, brought to the present schema.

    Raises OSError if there is no such file, ValueError if it is foreign, damaged or newer.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not an avatar, or is damaged: {error}") from error
    meta, schema = _head(entries["avatar.json"], path)
    try:
        tensors = safetensors.torch.load(entries["tensors.safetensors"])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}; make the avatar again") from error
    return migrated(meta, tensors, range(schema, SCHEMA), MIGRATIONS)


def migrated(
    meta: Meta,
    tensors: dict[str, Tensor],
    schemas: range,
    migrations: Mapping[int, Migration],
) -> tuple[Meta, dict[str, Tensor]]:
    """An old avatar after the migration of each of `schemas` in turn."""
    for schema in schemas:
        if schema not in migrations:
            raise ValueError(f"avatars of schema {schema} can no longer be read; make it again")
        meta, tensors = migrations[schema](meta, tensors)
    return meta, tensors


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    infos = archive.infolist()
    if sorted(info.filename for info in infos) != sorted(CAPS):
        wanted = ", ".join(CAPS)
        raise ValueError(f"{path} is not an avatar: it must hold exactly {wanted}")
    for info in infos:
        size = max(info.file_size, 1)
        if size > CAPS[info.filename] or size > MOST_RATIO * max(info.compress_size, 1):
            raise ValueError(f"{path} is refused: {info.filename} unpacks to {size} bytes")
    try:
        return {info.filename: archive.read(info) for info in infos}
    except (RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; make the avatar again") from error


def _head(data: bytes, path: Path) -> tuple[Meta, int]:
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: avatar.json is not JSON ({error})") from error
    match head:
        case {"format": "incarnate-avatar", "schema": int(schema), "meta": dict(meta)}:
            pass
        case _:
            raise ValueError(f"{path} is not an avatar: avatar.json is of another format")
    if schema > SCHEMA:
        raise ValueError(
            f"{path} was made by a newer incarnate (schema {schema}, this one reads up to "
            f"{SCHEMA}); upgrade incarnate"
        )
    return meta, schema
