"""Pictures as CLIP's image encoders want them.

Two ways of making a picture square are in use, and networks know the one they were trained with:
Stable Video stretches it, Wan cuts its middle out.
"""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

if TYPE_CHECKING:
    from transformers import CLIPVisionConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures OpenAI's CLIP was trained on; all its relatives kept them."""


def side_of(config: "CLIPVisionConfig") -> int:
    """How many pixels its pictures are wide. ValueError if they are not square."""
    match config.image_size:
        case int() as side:
            return side
        case other:
            raise ValueError(f"an image encoder of {other} pixels came; one of squares was wanted")


def stretched(images: Float[Tensor, "b h w 3"], side: int) -> Float[Tensor, "b 3 s s"]:
    """Blurred as far as they shrink, resized without regard to their shape, normalised."""
    pictures = images.movedim(-1, 1)
    blurred = _blurred(_blurred(pictures, side, 2), side, 3)
    resized = interpolate(blurred, (side, side), mode="bicubic", align_corners=True)
    return _normalised(resized)


def cropped(images: Float[Tensor, "b h w 3"], side: int) -> Float[Tensor, "b 3 s s"]:
    """The shorter side resized to `side`, the middle of the longer one kept, normalised."""
    height, width = images.shape[1:3]
    short = min(height, width)
    size = (height * side // short, width * side // short)
    pictures = images.movedim(-1, 1)
    resized = interpolate(pictures, size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return _normalised(resized[:, :, top : top + side, left : left + side])


def fitted(
    images: Float[Tensor, "b h w 3"], height: int, width: int, fill: float
) -> Float[Tensor, "b y x 3"]:
    """As large as they fit into `height` x `width`, in the middle, `fill` around them."""
    scale = min(height / images.shape[1], width / images.shape[2])
    size = (int(images.shape[1] * scale), int(images.shape[2] * scale))
    resized = interpolate(images.movedim(-1, 1), size, mode="bilinear", antialias=True)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    around = (left, width - size[1] - left, top, height - size[0] - top)
    return pad(resized, around, value=fill).movedim(1, -1)


def _blurred(pictures: Float[Tensor, "b 3 h w"], side: int, axis: int) -> Float[Tensor, "b 3 h w"]:
    """Blurred along one axis, over two standard deviations, the rim mirrored."""
    sigma = max((pictures.shape[axis] / side - 1) / 2, 0.001)
    taps = int(max(4 * sigma, 3)) // 2 * 2 + 1
    reach = taps // 2
    place = torch.arange(-reach, reach + 1, dtype=pictures.dtype, device=pictures.device)
    weights = torch.softmax(-((place / sigma) ** 2) / 2, 0)
    shape = (1, 1, taps, 1) if axis == 2 else (1, 1, 1, taps)
    margin = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    padded = pad(pictures, margin, mode="reflect")
    return conv2d(padded, weights.view(shape).expand(3, -1, -1, -1), groups=3)


def _normalised(pictures: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    mean, std = (pictures.new_tensor(x).view(1, 3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))
    return (pictures - mean) / std
