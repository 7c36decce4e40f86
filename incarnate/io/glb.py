"""GLB containers as they are read: the JSON part, and tables out of the binary one."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
MOST = 100_000_000
"""Numbers that an accessor may have: a file may announce more than there is memory."""


@dataclass(frozen=True, eq=False)
class Glb:
    """A file's parts."""

    tree: Any
    """What its JSON says."""
    data: bytes

    def all(self, kind: str) -> list[Any]:
        """The nodes, meshes, animations, ...; none if the file has none."""
        return self.tree.get(kind) or []

    def numbers(self, index: int) -> Float[ndarray, "n w"]:
        """The rows of an accessor, integers that stand for fractions turned into them."""
        accessor = self.tree["accessors"][index]
        kind, width = _KINDS[accessor["componentType"]], _WIDTHS[accessor["type"]]
        if not 0 <= accessor["count"] * width <= MOST:
            raise ValueError(f"it announces more than {MOST:,} numbers at once")
        out = np.zeros((accessor["count"], width))
        if "bufferView" in accessor:
            out[:] = self._rows(accessor, kind, width, accessor["count"])
        if sparse := accessor.get("sparse"):
            where = self._rows(sparse["indices"], _KINDS[sparse["indices"]["componentType"]], 1,
                               sparse["count"])  # fmt: skip
            out[where[:, 0]] = self._rows(sparse["values"], kind, width, sparse["count"])
        if accessor.get("normalized"):
            out = np.maximum(out / np.iinfo(kind).max, -1)
        return out

    def _rows(self, own: Any, kind: str, width: int, count: int) -> ndarray:
        view = self.tree["bufferViews"][own["bufferView"]]
        if view.get("buffer", 0) != 0 or "uri" in self.tree["buffers"][0]:
            raise ValueError("it keeps its numbers in other files; pack all into one .glb")
        size = np.dtype(kind).itemsize * width
        start = view.get("byteOffset", 0) + own.get("byteOffset", 0)
        step = view.get("byteStride") or size
        if start < 0 or count < 0 or start + max(count - 1, 0) * step + size > len(self.data):
            raise ValueError("it ends too soon")
        return np.ndarray((count, width), kind, self.data, start, (step, size // width))


def read_glb(path: Path) -> Glb:
    """A .glb, .vrm or .vrma. OSError if there is none, ValueError if it is foreign or damaged."""
    raw = path.read_bytes()
    if len(raw) < 20 or struct.unpack_from("<I", raw)[0] != _MAGIC:
        raise ValueError(f"{path.name} is no GLB file (glTF 2.0, binary)")
    tree, data, at = None, b"", 12
    while at + 8 <= len(raw):
        size, kind = struct.unpack_from("<II", raw, at)
        part = raw[at + 8 : at + 8 + size]
        if kind == _JSON:
            try:
                tree = json.loads(part)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path.name} is damaged: its JSON part says {error}") from error
        elif kind == _BIN:
            data = part
        at += 8 + size
    if not isinstance(tree, dict) or at > len(raw):
        raise ValueError(f"{path.name} is damaged: it ends too soon")
    return Glb(tree, data)
