"""Models written into one directory in diffusers' manner, for `priors.hub` to open."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import diffusers


@final
@dataclass(frozen=True, eq=False)
class Piece:
    """One folder of the directory."""

    name: str
    model: Any
    """Of diffusers, of transformers or ours: it has `save_pretrained`. None: there is none."""


def save(folder: Path, kind: str, pieces: tuple[Piece, ...]) -> Path:
    """The folder, with weights as safetensors and an index that names `kind` and every class."""
    index: dict[str, Any] = {"_class_name": kind, "_diffusers_version": diffusers.__version__}
    for piece in pieces:
        index[piece.name] = [None, None]
        if piece.model is not None:
            piece.model.save_pretrained(folder / piece.name)
            cls = type(piece.model)
            index[piece.name] = [cls.__module__.split(".")[0], cls.__name__]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder
