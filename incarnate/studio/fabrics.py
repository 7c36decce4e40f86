"""What clothes are made of: colours and patterns in metres, for trunk, arms and legs alike."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from incarnate.studio import noise
from incarnate.studio.piece import Texture

Pattern = Literal[
    "plain", "striped", "pinstriped", "checked", "plaid", "dotted", "flowered", "mottled", "denim",
    "knit", "printed", "logo", "two-coloured",
]  # fmt: skip

COLORS: dict[str, tuple[int, int, int]] = {
    "white": (236, 236, 232), "black": (32, 32, 35), "grey": (128, 129, 132),
    "dark grey": (70, 72, 76), "red": (178, 36, 40), "burgundy": (98, 26, 42),
    "pink": (224, 150, 166), "orange": (216, 112, 38), "yellow": (226, 188, 62),
    "olive": (98, 100, 56), "green": (44, 116, 70), "mint": (156, 206, 184),
    "teal": (28, 116, 122), "light blue": (150, 190, 222), "blue": (46, 88, 166),
    "navy": (32, 42, 82), "purple": (104, 62, 134), "lilac": (184, 164, 210),
    "brown": (104, 70, 46), "beige": (206, 186, 154), "cream": (236, 224, 196),
}  # fmt: skip
"""sRGB of the colours that captions name."""

SIDE = 384
GIRTHS = (0.95, 0.34, 0.5)
"""Metres round trunk, arms and legs that textures assume."""
LENGTHS = (0.9, 0.62, 1.0)


@dataclass(frozen=True)
class Fabric:
    """A cloth by the names of its colours."""

    pattern: Pattern = "plain"
    color: str = "grey"
    second: str = "white"
    size: float = 0.03
    """Metres after which the pattern repeats."""
    weave: float = 0.025
    """Contrast of the finest grain."""
    seams: bool = True

    @property
    def words(self) -> str:
        """What a caption says of it."""
        match self.pattern:
            case "plain" | "mottled":
                return self.color
            case "knit":
                return f"{self.color} knitted"
            case "denim":
                return f"{self.color} denim"
            case "logo":
                return self.color
            case "two-coloured":
                return f"{self.color} and {self.second}"
            case _:
                return f"{self.color} {self.pattern}"


def textures(
    fabric: Fabric, parts: set[int], rng: np.random.Generator
) -> tuple[Texture, Texture, Texture]:
    """Textures of trunk, arms and legs; a grey texel for those not in `parts`."""
    none = np.full((1, 1, 3), 128, np.uint8)
    trunk, arms, legs = (_texture(fabric, k, rng) if k in parts else none for k in range(3))
    return trunk, arms, legs


def _texture(fabric: Fabric, part: int, rng: np.random.Generator) -> Texture:
    across = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    u, v = across * np.float32(GIRTHS[part]), across * np.float32(LENGTHS[part])
    first, second = (np.array(COLORS[c], np.float32) for c in (fabric.color, fabric.second))
    square = (SIDE, SIDE)
    share = np.asarray(_share(fabric, u[None], v[:, None], part, rng), np.float32).clip(0, 1)
    grain = fabric.weave * noise.field(rng, 0.3, square) + 1
    grain += 0.03 * noise.field(rng, 1.6, square)
    if fabric.seams:
        grain *= _seams(part)
    out = np.empty((*square, 3), np.float32)
    for c in range(3):
        np.multiply(grain, first[c] + share * (second[c] - first[c]), out=out[..., c])
    if part == 0 and fabric.pattern in ("printed", "logo"):
        out = _printed(out, fabric, rng)
    return np.clip(out, 0, 255).astype(np.uint8)


def _share(
    fabric: Fabric, u: NDArray, v: NDArray, part: int, rng: np.random.Generator
) -> Float[NDArray, "h w"]:
    """How much of the second colour there is."""
    ones = np.ones((SIDE, SIDE), np.float32)
    count = max(1, round(GIRTHS[part] / fabric.size))  # Whole repeats, so that seams close.
    x, y = u * count / GIRTHS[part] % 1, v / fabric.size % 1

    def noisy(roughness: float) -> NDArray:
        return noise.field(rng, roughness, (SIDE, SIDE))

    match fabric.pattern:
        case "striped" | "pinstriped" | "checked" | "plaid" | "dotted":
            return _ruled(fabric.pattern, x, y, ones)
        case "flowered":
            return (noisy(1.1) > 0.9) + np.float32(0.5) * (noisy(1.3) > 1.1)
        case "mottled":
            return 0.25 * (1 + noisy(1.4))
        case "denim":
            twill = np.sin(2 * np.pi * (u * 300 / GIRTHS[part] + v * 400))
            return 0.12 + 0.08 * noisy(1.8) + 0.06 * twill * ones
        case "knit":
            wales = round(GIRTHS[part] / 0.01)
            rows = np.sin(2 * np.pi * v / 0.008) * np.cos(2 * np.pi * u * wales / GIRTHS[part])
            return 0.10 + 0.10 * rows * ones
        case "two-coloured":
            return ones * (v > 0.52) if part == 0 else ones * (part == 1)
        case _:
            return 0 * ones


def _ruled(pattern: Pattern, x: NDArray, y: NDArray, ones: NDArray) -> Float[NDArray, "h w"]:
    """Patterns of lines and dots, whose places in their repeat are x across and y along."""
    match pattern:
        case "striped":
            return ones * (y < 0.45)
        case "pinstriped":
            return 0.7 * ones * (x < 0.16)
        case "checked":
            return 0.5 * ones * (x < 0.5) + 0.5 * (y < 0.5)
        case "plaid":
            bands = 0.45 * (x < 0.45) + 0.45 * (y < 0.45)
            return ones * bands + 0.5 * (np.abs(x - 0.75) < 0.03) + 0.5 * (np.abs(y - 0.75) < 0.03)
        case _:
            return ones * (np.hypot(x - 0.5, y - 0.5) < 0.24)


def _seams(part: int) -> Float[NDArray, "h w"]:
    """Factors that darken the lines along which parts are sewn together."""
    turn = (np.arange(SIDE) + 0.5) / SIDE
    lines = {0: (0.25, 0.75), 1: (0.0, 1.0), 2: (0.2, 0.8)}[part]
    near = np.min([np.abs(turn - line) for line in lines], 0) * GIRTHS[part]
    return (1 - 0.28 * np.exp(-((near / 0.0025) ** 2)))[None].astype(np.float32)


def _printed(rgb: NDArray, fabric: Fabric, rng: np.random.Generator) -> NDArray:
    """A shape or letters on the chest."""
    picture = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    large = fabric.pattern == "printed"
    x, y = (192, 232) if large else (164, 262)
    r = int(rng.integers(32, 48)) if large else 9
    color = COLORS[fabric.second]
    third = COLORS[list(COLORS)[rng.integers(len(COLORS))]]
    box = (x - r, y - r, x + r, y + r)
    match int(rng.integers(5)):
        case 0:
            draw.ellipse(box, fill=color)
            draw.ellipse((x - r // 2, y - r // 2, x + r // 2, y + r // 2), fill=third)
        case 1:
            draw.regular_polygon((x, y, r), int(rng.integers(3, 7)), fill=color)
            draw.regular_polygon((x, y, r // 2), 4, fill=third)
        case 2:
            draw.rectangle((x - r, y - r // 2, x + r, y + r // 2), fill=color)
            draw.rectangle((x - r, y - r // 8, x + r, y + r // 8), fill=third)
        case 3:
            points = [
                (x + r * (1 if k % 2 else 0.45) * np.sin(np.pi * k / 5 + np.pi / 5),
                 y + r * (1 if k % 2 else 0.45) * np.cos(np.pi * k / 5 + np.pi / 5))
                for k in range(10)
            ]  # fmt: skip
            draw.polygon(points, fill=color)
        case _:
            word = "".join(chr(65 + int(k)) for k in rng.integers(0, 26, 4))
            small = Image.new("L", (26, 11), 0)
            ImageDraw.Draw(small).text((0, 0), word, fill=255)
            mask = small.resize((2 * r, r), Image.Resampling.LANCZOS)
            # Rows run upwards from the hem, columns from the wearer's left to the right.
            mask = mask.transpose(Image.Transpose.ROTATE_180)
            picture.paste(color, (x - r, y - r // 2), mask)
    return np.asarray(picture, np.float32)
