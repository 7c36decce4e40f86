"""Random fields that repeat at their edges, made once and dealt out in pieces."""

from functools import cache

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

BANK = 12
SIDE = 512


@cache
def bank(roughness: float) -> Float[NDArray, "n s s"]:
    """Fields of mean 0 and deviation 1 whose amplitude falls with frequency^-roughness."""
    rng = np.random.default_rng(np.random.SeedSequence([7, round(100 * roughness)]))
    x, y = np.fft.rfftfreq(SIDE)[None] * SIDE, np.fft.fftfreq(SIDE)[:, None] * SIDE
    frequency = np.maximum(np.hypot(x, y), 1.0)
    frequency[0, 0] = np.inf
    shape = (BANK, *frequency.shape)
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    fields = np.fft.irfft2(spectrum * frequency**-roughness, (SIDE, SIDE))
    return (fields / fields.std((1, 2), keepdims=True)).astype(np.float32)


def field(
    rng: np.random.Generator, roughness: float, shape: tuple[int, int] = (SIDE, SIDE)
) -> Float[NDArray, "h w"]:
    """One field of the bank from a random place on, repeated to fill `shape`."""
    chosen = bank(roughness)[rng.integers(BANK)]
    rows, columns = (np.arange(n) + rng.integers(SIDE) for n in shape)
    return chosen.take(rows % SIDE, 0).take(columns % SIDE, 1)


def at(
    texture: Float[NDArray, "h w"], u: Float[NDArray, " n"], v: Float[NDArray, " n"]
) -> Float[NDArray, " n"]:
    """Bilinear values of a field that repeats, at places in units of its sides."""
    height, width = texture.shape
    x, y = u * width - 0.5, v * height - 0.5
    left, low = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    a, b = x - left, y - low
    rows, columns = (low % height, (low + 1) % height), (left % width, (left + 1) % width)
    top = texture[rows[0], columns[0]] * (1 - a) + texture[rows[0], columns[1]] * a
    bottom = texture[rows[1], columns[0]] * (1 - a) + texture[rows[1], columns[1]] * a
    return top * (1 - b) + bottom * b
