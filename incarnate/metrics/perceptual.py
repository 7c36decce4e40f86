"""LPIPS (Zhang et al. 2018, version 0.1, VGG16), with the official weights that the user has.

Two files in one folder: torchvision's ImageNet VGG16 (`vgg16*.pth`, the names `features.N.weight`)
and the linear heads of the lpips package (`vgg.pth`, the names `linN.model.1.weight`). Neither
ships here, and no other network's distance is called LPIPS.
"""

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

MISSING = (
    "LPIPS needs the official weights: torchvision's vgg16-397923af.pth and vgg.pth of lpips 0.1.4 "
    "in one folder; name it with --lpips"
)
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Convolutions of VGG16 by block, as torchvision numbers them; features are taken behind each."""
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # Of pictures in [-1, 1] (lpips).
MODEL = "LPIPS 0.1 (vgg)"


@final
class Lpips:
    """The distance of two pictures: 0 for equal ones, about 0.1 alike, 0.6 another picture."""

    def __init__(self, folder: Path) -> None:
        """OSError if the files are not there, ValueError if they are something else."""
        trunk = sorted(folder.glob("vgg16*.pth"))
        heads = folder / "vgg.pth"
        if not trunk or not heads.is_file():
            raise OSError(f"{MISSING}; {folder} lacks them")
        try:
            weights = torch.load(trunk[0], weights_only=True, map_location="cpu")
            lines = torch.load(heads, weights_only=True, map_location="cpu")
            self._layers = [
                [(weights[f"features.{i}.weight"], weights[f"features.{i}.bias"]) for i in block]
                for block in BLOCKS
            ]
            self._heads = [lines[f"lin{i}.model.1.weight"] for i in range(len(BLOCKS))]
        except (KeyError, RuntimeError, EOFError, TypeError) as error:
            raise ValueError(f"{folder} holds no LPIPS weights ({error}); {MISSING}") from error

    @torch.no_grad()
    def distance(self, a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"]) -> float:
        """Of pictures in [0, 1]; ValueError if they are smaller than 32 pixels."""
        if min(a.shape[:2]) < 32:
            raise ValueError(f"LPIPS came with {a.shape[1]} x {a.shape[0]} pixels and wants 32")
        pairs = zip(self._features(a), self._features(b), self._heads, strict=True)
        return float(sum(nn.functional.conv2d((x - y) ** 2, head).mean() for x, y, head in pairs))

    def _features(self, rgb: Float[Tensor, "h w 3"]) -> list[Tensor]:
        x = ((rgb * 2 - 1 - rgb.new_tensor(MEAN)) / rgb.new_tensor(STD)).permute(2, 0, 1)[None]
        taken = []
        for number, block in enumerate(self._layers):
            x = nn.functional.max_pool2d(x, 2) if number else x
            for weight, bias in block:
                x = nn.functional.relu(nn.functional.conv2d(x, weight, bias, padding=1))
            taken.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return taken
