"""Finished pictures: a render before its backdrop, as 8-bit sRGB, in a file."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

from incarnate import _native
from incarnate.io.runs import replacing

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def backdrop(text: str, width: int, height: int) -> Float[Tensor, "h w 3"] | None:
    """What stands behind the person: None for 'none', a plain colour, or a picture that fills it.

    Raises ValueError if `text` is neither a colour ('white', '#e8e8e8') nor a readable picture.
    """
    if text == "none":
        return None
    if Path(text).is_file():
        try:
            with Image.open(text) as file:
                upright = ImageOps.exif_transpose(file).convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"the background {text} cannot be read as a picture") from error
        fitted = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(fitted)).float() / 255
    try:
        color = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise ValueError(
            f"the background {text!r} is neither a picture nor a colour; "
            "give a file, a colour (white, #e8e8e8) or none"
        ) from error
    return (torch.tensor(color) / 255).expand(height, width, 3)


def finished(
    rgb: Float[Tensor, "h w 3"],
    alpha: Float[Tensor, "h w"],
    behind: Float[Tensor, "h w 3"] | None,
    backend: Literal["torch", "native"] = "native",
) -> UInt8[np.ndarray, "h w c"]:
    """The picture as files hold it: rgb before `behind`, or rgba with straight alpha without.

    `rgb` is premultiplied by `alpha`, as renderers give it. The native backend takes float32 on the
    CPU; where a value lies between two bytes to rounding, it may choose the other.
    """
    if backend == "native":
        out = np.empty((*alpha.shape, 4 if behind is None else 3), np.uint8)
        back = None if behind is None else behind.contiguous()
        _native.finished(rgb.contiguous(), alpha.contiguous(), back, out)
        return out
    if behind is None:
        straight = rgb / alpha.clamp_min(1e-6)[..., None]
        picture = torch.cat([straight, alpha[..., None]], -1)
    else:
        picture = rgb + (1 - alpha[..., None]) * behind
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def picture_format(path: Path, transparent: bool) -> str:
    """Pillow's name for the format of `path`; ValueError if it cannot hold such a picture."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: pictures are {', '.join(FORMATS)}, not '{path.suffix}'")
    kind = FORMATS[path.suffix.lower()]
    if kind == "JPEG" and transparent:
        raise ValueError(f"{path}: JPEG has no transparency; use .png, or give a background")
    return kind


def write_picture(path: Path, pixels: UInt8[np.ndarray, "h w c"]) -> None:
    """Writes rgb or straight rgba; the file is whole or absent."""
    kind = picture_format(path, transparent=pixels.shape[2] == 4)
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, format=kind, quality=95)
