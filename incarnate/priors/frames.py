"""What clips need over pictures: parts that hold for all, and frames worked on a few at a time.

Pictures are b *f h w c, where *f may be left out if one picture holds for every frame.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def each_row(x: Shaped[Tensor, "b ..."], count: int) -> Shaped[Tensor, "n ..."]:
    """One row for each of `count`; ValueError if there are neither one nor `count`."""
    if len(x) not in (1, count):
        raise ValueError(f"a condition of {len(x)} rows came for {count} rows of latents")
    return x.expand(count, *x.shape[1:])


def each_frame(x: Float[Tensor, "b *f h w c"], count: int) -> Float[Tensor, "b n h w c"]:
    """One picture for each of `count` frames; ValueError if there are neither one nor `count`."""
    clip = x if x.ndim == 5 else x[:, None]
    if clip.shape[1] not in (1, count):
        raise ValueError(f"a condition of {clip.shape[1]} frames came for a clip of {count}")
    return clip.expand(-1, count, -1, -1, -1)


def in_chunks(work: Callable[[Tensor], Tensor], frames: Tensor, size: int) -> Tensor:
    """`work` done on `size` frames at a time (axis 0), so that few are in memory at once."""
    return torch.cat([work(part) for part in frames.split(size)])


def check_size(height: int, width: int, factor: int) -> None:
    """ValueError for pictures whose sides `factor` does not divide."""
    if height % factor or width % factor:
        raise ValueError(
            f"pictures of {width} x {height} pixels came; this prior wants sides that {factor} "
            "divides"
        )


def check_like(image: Float[Tensor, "b *f h w c"], name: str, height: int, width: int) -> None:
    """ValueError unless the pictures are of the clip's size."""
    if image.shape[-3:-1] != (height, width):
        raise ValueError(
            f"a {name} of {image.shape[-2]} x {image.shape[-3]} pixels came for pictures of "
            f"{width} x {height}; resize it"
        )
