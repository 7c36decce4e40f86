"""The photo without its person: kept with the avatar, so that it can stand there again.

What is kept is a WebP with transparency where the person was; what is put into that hole, pieces of
the surroundings themselves (shift-maps, Pritch et al. 2009), is found when it is asked for.
"""

import io

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

LONG_SIDE = 1280
FILL_PIXELS = 10_000  # Of the hole while it is filled: time grows with them, 4 s for these.
MARGIN = 0.012  # Of the long side: hair and shadows just outside the matte go, too.


def surroundings(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]
) -> UInt8[Tensor, " bytes"]:
    """The photo with a hole where the person is, as the bytes of a WebP file."""
    scale = min(1.0, LONG_SIDE / max(alpha.shape))
    size = (max(round(alpha.shape[1] * scale), 1), max(round(alpha.shape[0] * scale), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    person = (cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0.02).astype(np.uint8)
    reach = 2 * round(MARGIN * max(size)) + 1
    hole = cv2.dilate(person, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    small[hole > 0] = 0
    file = io.BytesIO()
    Image.fromarray(np.dstack([small, 255 - 255 * hole])).save(file, "WEBP", quality=85)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def filled(encoded: UInt8[Tensor, " bytes"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of `surroundings` with its hole filled.

    Raises ValueError if the bytes are no such picture, or the person left nothing to be seen.
    """
    try:
        with Image.open(io.BytesIO(encoded.numpy().tobytes()), formats=("WEBP",)) as file:
            rgba = np.array(file.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError("the photo kept with this avatar is damaged; make it again") from error
    known = rgba[..., 3] > 127
    if known.mean() < 0.05:
        raise ValueError("the person fills the whole photo: there is no background to be seen")
    rgb = np.ascontiguousarray(rgba[..., :3])
    if known.all():
        return rgb
    scale = min(1.0, (FILL_PIXELS / max((~known).sum(), 1)) ** 0.5)
    size = (round(known.shape[1] * scale), round(known.shape[0] * scale))
    mask = cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    # What the hole's black seeped into while shrinking is not known either.
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    lab, filling = cv2.cvtColor(small, cv2.COLOR_RGB2Lab), np.zeros_like(small)
    cv2.xphoto.inpaint(lab, mask * 255, filling, cv2.xphoto.INPAINT_SHIFTMAP)
    found = cv2.cvtColor(filling, cv2.COLOR_Lab2RGB)
    left = ((filling == 0).all(2)).astype(np.uint8)  # A wide hole is not filled to its middle.
    found = cv2.inpaint(found, left, 5, cv2.INPAINT_TELEA) if left.any() else found
    coarse = cv2.resize(found, known.shape[::-1], interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 2)[..., None] * known[..., None]
    return (rgb * soft + coarse * (1 - soft)).round().astype(np.uint8)
