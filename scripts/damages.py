"""Damages of known strength that the perceptual distance learns from.

A strength of 0 leaves a picture as it is (nearly), 1 spoils it. The strengths of different damages
were put on one scale by eye: nobody was asked. With one seed, more strength is more of the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate, pad

Damage = Callable[[Tensor, Tensor, float, torch.Generator], Tensor]
"""Takes (3 h w) in [0, 1], another picture of this size, a strength and randomness."""


def damaged(patch: Tensor, other: Tensor, kind: str, strength: float, seed: int) -> Tensor:
    """The patch under one damage, in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return KINDS[kind](patch, other, strength, rng).clamp(0, 1)


def blur(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Gaussian, sigma up to 3 pixels."""
    return _blurred(patch, 0.2 + 2.8 * strength)


def noise(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Of every channel, a deviation up to 0.25."""
    return patch + 0.25 * strength * torch.randn(patch.shape, generator=rng)


def shift(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Up to 12 pixels."""
    angle = 2 * torch.pi * torch.rand(1, generator=rng)
    moved = torch.cat([angle.cos(), angle.sin()]) * 12 * strength
    return _moved(patch, moved[:, None, None].expand(2, *patch.shape[1:]))


def warp(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """A smooth bending by some 8 pixels at most."""
    coarse = torch.randn(1, 2, 5, 5, generator=rng) * 4 * strength
    field = interpolate(coarse, patch.shape[1:], mode="bicubic", align_corners=True)[0]
    return _moved(patch, field)


def color(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Another lightness, contrast and tint."""
    gain = 1 + 0.5 * strength * (2 * torch.rand(1, generator=rng) - 1)
    tint = 0.25 * strength * (2 * torch.rand(3, generator=rng) - 1)
    tint = tint + 0.05 * strength * torch.sign(tint)
    return ((patch - 0.5) * gain + 0.5) + tint[:, None, None]


def blocks(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Cosine transforms of 8 x 8 pixels in coarse steps, as JPEG has them."""
    n = torch.arange(8)
    basis = torch.cos(torch.pi * (n[None] + 0.5) * n[:, None] / 8) * 0.5
    basis[0] *= 0.5**0.5
    height, width = patch.shape[1:]
    tiles = patch.reshape(3, height // 8, 8, width // 8, 8).permute(0, 1, 3, 2, 4)
    coefficients = basis @ (tiles - 0.5) @ basis.T
    step = (0.02 + 0.6 * strength**1.5) * (1 + 0.25 * (n[:, None] + n[None]))
    step[0, 0] *= 0.4
    coarse = (coefficients / step).round() * step
    tiles = basis.T @ coarse @ basis + 0.5
    return tiles.permute(0, 1, 3, 2, 4).reshape(patch.shape)


def swap(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """A blob of another picture in its place, up to 60 % of the patch."""
    return torch.where(_blob(patch, 0.02 + 0.58 * strength, rng), other, patch)


def repaint(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Fine texture that fades into that of another picture; the coarse picture stays."""
    own, theirs = patch - _blurred(patch, 3.0), other - _blurred(other, 3.0)
    return patch - strength * own + strength * theirs * 0.9


def mosaic(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Squares of one colour, up to 8 pixels wide."""
    side = 1 + 7 * strength
    size = [max(4, round(n / side)) for n in patch.shape[1:]]
    small = interpolate(patch[None], size, mode="area")
    return interpolate(small, patch.shape[1:], mode="nearest")[0]


def turn(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """About its middle, up to 20 degrees."""
    sign = 1.0 if torch.rand(1, generator=rng) < 0.5 else -1.0
    angle = torch.tensor(sign * strength * 0.35)
    y, x = _grid(patch)
    field = torch.stack(
        [x * angle.cos() - y * angle.sin() - x, x * angle.sin() + y * angle.cos() - y]
    )
    return _moved(patch, field)


def zoom(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Larger, up to 1.5 times."""
    y, x = _grid(patch)
    share = 1 / (1 + 0.5 * strength) - 1
    return _moved(patch, torch.stack([x * share, y * share]))


def posters(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Few tones, down to two."""
    tones = 2 + 30 * (1 - strength) ** 2
    return (patch * (tones - 1)).round() / (tones - 1)


def smear(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Blur along one line, up to 17 pixels long."""
    reach = 8 * strength
    angle = torch.pi * torch.rand(1, generator=rng)
    way = torch.cat([angle.cos(), angle.sin()])[:, None, None].expand(2, *patch.shape[1:])
    steps = torch.linspace(-reach, reach, 13).tolist()
    return torch.stack([_moved(patch, way * t) for t in steps]).mean(0)


def holes(patch: Tensor, other: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """White where there was something, up to half of the patch."""
    return torch.where(_blob(patch, 0.01 + 0.49 * strength, rng), torch.ones_like(patch), patch)


KINDS: dict[str, Damage] = {
    f.__name__: f
    for f in (blur, noise, shift, warp, color, blocks, swap, repaint,
              mosaic, turn, zoom, posters, smear, holes)
}  # fmt: skip
HELD_OUT = ("mosaic", "turn", "zoom", "posters", "smear", "holes")
TRAINED = tuple(kind for kind in KINDS if kind not in HELD_OUT)


def _blurred(patch: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    x = torch.arange(-reach, reach + 1.0)
    window = torch.softmax(-(x**2) / (2 * sigma**2), 0)
    wide = pad(patch[:, None], (reach,) * 4, mode="replicate")
    return conv2d(conv2d(wide, window[None, None, None]), window[None, None, :, None])[:, 0]


def _moved(patch: Tensor, field: Tensor) -> Tensor:
    """Each pixel from `field` (2 h w: x and y) pixels aside."""
    height, width = patch.shape[1:]
    y, x = _grid(patch)
    at = torch.stack([(x + field[0]) / (width / 2), (y + field[1]) / (height / 2)], -1)
    return grid_sample(patch[None], at[None], padding_mode="reflection", align_corners=False)[0]


def _grid(patch: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels below and right of the middle."""
    height, width = patch.shape[1:]
    rows, columns = torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return y, x


def _blob(patch: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """A connected-looking mask of this share of the patch; with one seed, nested in its share."""
    coarse = torch.randn(1, 1, 6, 6, generator=rng)
    field = interpolate(coarse, patch.shape[1:], mode="bicubic", align_corners=True)[0, 0]
    return field >= field.flatten().quantile(1 - share)
