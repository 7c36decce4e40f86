"""How different two pictures look: a small network of our own, and LPIPS for who has its weights.

`StudioDistance` ships: five levels of convolutions, trained on the studio's people to tell which of
two damaged pictures is damaged more (`scripts/train_perceptual.py`). It is not LPIPS, and its
numbers cannot be set against LPIPS'.

`Lpips` (Zhang et al. 2018, version 0.1, VGG16) takes two files in one folder: torchvision's
ImageNet VGG16 (`vgg16*.pth`, the names `features.N.weight`) and the linear heads of the lpips
package (`vgg.pth`, the names `linN.model.1.weight`). Neither ships here.
"""

from pathlib import Path
from typing import final

import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn

from incarnate import weights

OWN = "incarnate-pd v1 (studio)"
OWN_NAME = "perceptual (own)"
WIDTHS = ((16,), (32,), (48, 48), (64, 64), (80, 80))
"""Channels of the convolutions on each level, which is half the size of the one before."""
FLOOR = 0.05  # Below this length features count as weak: a flat place has no direction.
LEAST = 2 ** (len(WIDTHS) - 1)  # Pixels.


@final
class Levels(nn.Module):
    """The network: pictures in [0, 1] become unit features, whose gaps are weighed by channel."""

    def __init__(self) -> None:
        super().__init__()
        wide, levels = 3, []
        for widths in WIDTHS:
            level = []
            for width in widths:
                level.append(nn.Conv2d(wide, width, 3, padding=1, padding_mode="replicate"))
                wide = width
            levels.append(nn.ModuleList(level))
        self.levels = nn.ModuleList(levels)
        self.heads = nn.ParameterList([nn.Parameter(torch.zeros(row[-1])) for row in WIDTHS])

    def features(self, rgb: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """(n c y x) of every level, of length 1 where there is anything to see."""
        x, taken = rgb * 2 - 1, []
        for number, level in enumerate(self.levels):
            x = nn.functional.avg_pool2d(x, 2) if number else x
            for layer in level.children():
                x = nn.functional.relu(layer(x))
            taken.append(x / (x.square().sum(1, keepdim=True) + FLOOR**2).sqrt())
        return taken

    def between(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, " n"]:
        """The distance of features: the same in both orders."""
        rows = [
            ((x - y) ** 2 * head.exp()[:, None, None]).sum(1).mean((1, 2))
            for x, y, head in zip(a, b, self.heads, strict=True)
        ]
        return torch.stack(rows).mean(0)


@final
class StudioDistance:
    """The distance of two pictures by the network that ships: 0 for equal ones, more is worse."""

    def __init__(self) -> None:
        """OSError if the weights are not there."""
        self._network = Levels()
        kept = safetensors.torch.load_file(weights.path("perceptual"))
        self._network.load_state_dict({name: tensor.float() for name, tensor in kept.items()})
        self._network.requires_grad_(False)

    @torch.no_grad()
    def distance(self, a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"]) -> float:
        """Of pictures in [0, 1]; ValueError if they are smaller than 16 pixels."""
        if min(a.shape[:2]) < LEAST:
            raise ValueError(
                f"the perceptual distance came with {a.shape[1]} x {a.shape[0]} pixels and wants "
                f"{LEAST} at least"
            )
        one, other = (self._network.features(x.permute(2, 0, 1)[None].float()) for x in (a, b))
        return float(self._network.between(one, other))


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


def judges(lpips: Path | None) -> "dict[str, tuple[StudioDistance | Lpips, str]]":
    """What judges likeness here, with the model's name: ours, and LPIPS for who has its weights."""
    own: dict[str, tuple[StudioDistance | Lpips, str]] = {OWN_NAME: (StudioDistance(), OWN)}
    return own if lpips is None else own | {"lpips": (Lpips(lpips), MODEL)}
