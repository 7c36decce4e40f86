"""Small networks that say what a picture of the studio shows: judges of what priors make.

They are trained on people that no prior has seen (`scripts/train_readers.py`), and what they get
right on held-out people lies in their file, to be published beside every figure they give. They
read pictures as priors make them: normal maps on black, rgb before grey; any size, resized here.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal, final, get_args

import safetensors
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from incarnate import weights
from incarnate.priors.conditions import side
from incarnate.studio.fabrics import COLORS
from incarnate.studio.wardrobe import OUTER, TOPS

SECTORS = 24
"""Equal parts of a turn that are told apart; a side's quarter is six of them."""
SIDES = ("front view", "left side view", "right side view", "back view")
BASIC = {
    "white": "white", "cream": "white", "black": "black", "grey": "grey", "dark grey": "grey",
    "red": "red", "burgundy": "red", "pink": "pink", "orange": "orange", "yellow": "yellow",
    "green": "green", "olive": "green", "mint": "green", "teal": "blue", "light blue": "blue",
    "blue": "blue", "navy": "blue", "purple": "purple", "lilac": "purple", "brown": "brown",
    "beige": "white",
}  # fmt: skip
"""The eleven basic colour terms of English (Berlin and Kay 1969) for the studio's colours.

Beige is nearer to white than to the studio's brown (CIEDE2000), and in dim light cream is beige.
"""
TERMS = tuple(dict.fromkeys(BASIC.values()))
Shows = Literal["normal", "rgb"]
Task = Literal["side of normal", "side of rgb", "color of rgb"]
TASKS: tuple[Task, ...] = get_args(Task)
"""One network each."""
PIXELS: dict[Task, int] = {"side of normal": 128, "side of rgb": 128, "color of rgb": 64}
"""A side of the pictures that each is shown."""
WIDTHS = (16, 32, 64, 64, 96, 96, 128)
STRIDES = (2, 2, 2, 1, 2, 1, 1)


@final
class SideReader(nn.Module):
    """Convolutions over a picture, then what they found on average and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.seeing = _convolutions(3, WIDTHS, STRIDES)
        self.saying = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * WIDTHS[-1], SECTORS))

    def forward(self, pictures: Float[Tensor, "n 3 128 128"]) -> Float[Tensor, "n sectors"]:
        """Logits of the azimuth; pictures in [0, 1]."""
        x = self.seeing(pictures * 2 - 1)
        return self.saying(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


@final
class ColorReader(nn.Module):
    """First where the garment is, learnt with colours exchanged; then the colour that is there."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = _convolutions(3, (16,), (2,))
        self.middle = _convolutions(16, (32,), (2,))
        self.coarse = _convolutions(32, (48, 48, 48), (2, 1, 1))
        self.back = _convolutions(80, (32,), (1,))
        self.place = nn.Conv2d(48, 1, 3, padding=1)
        self.saying = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, len(TERMS)))

    def forward(self, pictures: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n terms"]:
        """Logits of the basic colours; rgb in [0, 1], before grey."""
        return self.saying(averages(pictures, self.places(pictures).sigmoid()))

    def places(self, pictures: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n 32 32"]:
        """Logits of how much of each 2 x 2 pixels is garment of the upper body."""
        fine = self.fine(pictures * 2 - 1)
        middle = self.middle(fine)
        coarse = interpolate(self.coarse(middle), scale_factor=2)
        middle = interpolate(self.back(torch.cat([middle, coarse], 1)), scale_factor=2)
        return self.place(torch.cat([fine, middle], 1))[:, 0]


def averages(
    pictures: Float[Tensor, "n 3 64 64"], covered: Float[Tensor, "n 32 32"]
) -> Float[Tensor, "n 6"]:
    """Mean and deviation of the colours where garment covers most."""
    share = covered.clamp_min(1e-3).flatten(1) ** 3
    share = share / share.sum(1, keepdim=True)
    colors = avg_pool2d(pictures, 2).flatten(2)
    mean = torch.einsum("np,ncp->nc", share, colors)
    apart = torch.einsum("np,ncp->nc", share, (colors - mean[..., None]).square())
    return torch.cat([mean * 2 - 1, apart.clamp_min(1e-8).sqrt() * 4], 1)


def _convolutions(wide: int, widths: tuple[int, ...], strides: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, stride in zip(widths, strides, strict=True):
        layers += [nn.Conv2d(wide, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU())
        wide = width
    return nn.Sequential(*layers)


def reader(task: Task) -> SideReader | ColorReader:
    """An untrained network."""
    return ColorReader() if task == "color of rgb" else SideReader()


@final
class Readers:
    """All of them, as shipped."""

    def __init__(self) -> None:
        """OSError if the weights are not there."""
        self._nets: dict[Task, SideReader | ColorReader] = {}
        with safetensors.safe_open(weights.path("readers"), "pt") as kept:
            self.held_out: dict[str, float] = json.loads(kept.metadata()["held_out"])
            for task in TASKS:
                net, stem = reader(task), f"{task.replace(' ', '_')}."
                own = {
                    name.removeprefix(stem): name for name in kept.keys() if name.startswith(stem)
                }
                net.load_state_dict({k: _whole(kept.get_tensor(n)) for k, n in own.items()})
                self._nets[task] = net.eval().requires_grad_(False)

    def sides(self, pictures: Float[Tensor, "n h w 3"], shows: Shows) -> tuple[str, ...]:
        """Of each picture, the side of the person that it shows: one of SIDES."""
        task: Task = "side of normal" if shows == "normal" else "side of rgb"
        chances = self._nets[task](sized(pictures, PIXELS[task])).softmax(-1)
        return tuple(SIDES[int(k)] for k in (chances @ _quarters()).argmax(-1))

    def colors(self, pictures: Float[Tensor, "n h w 3"]) -> tuple[str, ...]:
        """Of each rgb picture, the basic colour of what is worn above: one of TERMS."""
        task: Task = "color of rgb"
        said = self._nets[task](sized(pictures, PIXELS[task]))
        return tuple(TERMS[int(k)] for k in said.argmax(-1))


def _whole(kept: Tensor) -> Tensor:
    """Float32 of what is kept as float16."""
    return kept.float() if kept.is_floating_point() else kept


def sized(pictures: Float[Tensor, "n h w 3"], pixels: int) -> Float[Tensor, "n 3 pixels pixels"]:
    """As readers see pictures: means over areas if larger, or else interpolated."""
    channels = pictures.float().movedim(-1, 1)
    mode = "area" if channels.shape[-1] >= pixels else "bilinear"
    return interpolate(channels, (pixels, pixels), mode=mode)


def sector(azimuth: float) -> int:
    """Which of SECTORS an azimuth (radians) lies in; the first begins at the back."""
    turned = (azimuth / (2 * torch.pi) + 0.5) % 1
    return int(turned * SECTORS) % SECTORS


def _quarters() -> Float[Tensor, "sectors 4"]:
    """1 where a sector belongs to a side."""
    middles = [((k + 0.5) / SECTORS - 0.5) * 2 * torch.pi for k in range(SECTORS)]
    return torch.tensor([[float(side(a) == name) for name in SIDES] for a in middles])


@final
@dataclass(frozen=True)
class Cloth:
    """A garment of the upper body as a caption tells it."""

    color: str
    look: str
    """'knitted', 'striped', 'and white', ...; '' for plain cloth."""
    name: str


_ABOVE = ("dress", *(g.name for g in TOPS), *(g.name for g in OUTER))
_OVER = frozenset(g.name for g in OUTER)
_LOOKS = "knitted|striped|pinstriped|checked|plaid|dotted|flowered|printed"


def _longest_first(words: tuple[str, ...]) -> str:
    return "|".join(sorted(dict.fromkeys(words), key=len, reverse=True))


_TINTS = _longest_first(tuple(COLORS))
_CLOTH = re.compile(rf"\b({_TINTS})(?: ({_LOOKS}|and (?:{_TINTS})))? ({_longest_first(_ABOVE)})\b")


def cloths(caption: str) -> tuple[Cloth, ...]:
    """What the studio's caption says is worn above the waist."""
    return tuple(Cloth(*found) for found in _CLOTH.findall(caption))


def top_color(caption: str) -> str | None:
    """The basic colour of the one garment above, if it has one colour and nothing lies over it."""
    worn = cloths(caption)
    if len(worn) != 1 or worn[0].look not in ("", "knitted") or worn[0].name in _OVER:
        return None
    return BASIC[worn[0].color]
