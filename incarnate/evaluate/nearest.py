"""The training samples that made pictures are nearest to: what was learnt by heart would show."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from incarnate.io.runs import replacing
from incarnate.priors.train.shards import Shards
from incarnate.priors.train.shots import decoded, picture
from incarnate.progress import Report
from incarnate.recipe import Shows

COARSE = 32
"""Pixels a side at which pictures are compared."""
SUFFIXES = ("png", "normal.png", "alpha.png", "depth.png", "json")
DOMAINS: tuple[Shows, ...] = ("rgb", "normal", "depth")


@final
@dataclass(frozen=True, eq=False)
class Nearest:
    """All pictures of a folder of shards, small, in every domain."""

    shards: Shards
    small: UInt8[np.ndarray, "domain n s s 3"]

    @staticmethod
    def of(folder: Path, cache: Path, report: Report) -> "Nearest":
        """Decoded once, then read from `cache`. ValueError for a folder without shards."""
        if find_spec("webdataset") is None:
            raise ValueError("--data needs webdataset; install it: pip install 'incarnate[train]'")
        shards = Shards.of(folder, SUFFIXES)
        path = cache / f"nearest-{shards.fingerprint()[:16]}.npy"
        if not path.exists():
            report.stage("reading the training data")
            rows = []
            for index in range(len(shards)):
                rows.append(_row(shards, index))
                if index % 500 == 0:
                    report.step(index, len(shards))
            cache.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as file:
                np.save(file, np.stack(rows, 1))
        return Nearest(shards, np.load(path))

    def to(self, made: Float[Tensor, "n h w 3"], shows: Shows) -> Float[Tensor, "n h w 3"]:
        """Of each picture, the training sample with the least squared difference, at full size."""
        known = torch.from_numpy(self.small[DOMAINS.index(shows)]).flatten(1)
        coarse = interpolate(made.movedim(-1, 1), (COARSE, COARSE), mode="area")
        ours = coarse.movedim(1, -1).flatten(1) * 255
        gaps = torch.cat([torch.cdist(part.float(), ours) for part in known.split(4096)])
        near = [_picture(self.shards, int(i), shows, made.shape[1]) for i in gaps.argmin(0)]
        return torch.stack(near)


def _row(shards: Shards, index: int) -> UInt8[NDArray, "domain s s 3"]:
    shot = decoded(shards.files(index))
    pictures = [picture(shot, shows, shot.size) for shows in DOMAINS]
    small = [cv2.resize(p, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.stack([np.round(p.clip(0, 1) * 255).astype(np.uint8) for p in small])


def _picture(shards: Shards, index: int, shows: Shows, size: int) -> Float[Tensor, "h w 3"]:
    shown = picture(decoded(shards.files(index)), shows, size)
    return torch.from_numpy(np.ascontiguousarray(shown, np.float32))
