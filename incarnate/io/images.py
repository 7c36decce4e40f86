"""Photos in: uint8 rgb, upright (their EXIF orientation applied), whatever the file held."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS = 100_000_000
TOO_LARGE = f"at most {MAX_PIXELS // 1_000_000} million are read; make it smaller"
EXIF_IFD, FOCAL_35MM = 0x8769, 0xA405
LIBRARY_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError)
"""What Pillow's decoders raise on broken files."""


@dataclass(frozen=True, eq=False)
class Photo:
    """`rgb` upright, `alpha` in [0, 1] if the file had any transparency, the focal length in
    35 mm terms if the camera wrote it (a 36 mm wide, 24 mm high frame, or that turned)."""

    rgb: UInt8[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"] | None
    focal_35mm: float | None

    def focal_pixels(self) -> float | None:
        """The focal length in pixels: 35 mm equivalents keep the frame's diagonal, 43.27 mm."""
        if self.focal_35mm is None:
            return None
        return float(self.focal_35mm * np.hypot(*self.rgb.shape[:2]) / np.hypot(36.0, 24.0))

    def resized(self, max_pixels: int) -> "Photo":
        """The photo with at most so many pixels; itself if it is small enough."""
        height, width = self.rgb.shape[:2]
        scale = (max_pixels / (height * width)) ** 0.5
        if scale >= 1:
            return self
        size = (max(int(width * scale), 1), max(int(height * scale), 1))
        rgb = Image.fromarray(self.rgb).resize(size, Image.Resampling.BOX)
        alpha = None
        if self.alpha is not None:
            small = Image.fromarray(np.asarray(self.alpha, np.float32))
            alpha = np.asarray(small.resize(size, Image.Resampling.BOX), np.float32)
        return Photo(np.asarray(rgb), alpha, self.focal_35mm)


def read_photo(path: Path | str) -> Photo:
    """The photo of a file. ValueError or OSError, in one line, if it is none of use."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name one photo in it")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; name a photo file")
    with _opened(path) as image:
        return _photo(image, path)


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns below our limit, and refuses above twice its own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"{path} has too many pixels: {TOO_LARGE}") from None
    except UnidentifiedImageError:
        wanted = ", ".join(FORMATS)
        raise ValueError(f"{path} is not a photo that can be read; wanted is {wanted}") from None
    except PermissionError:
        raise
    except LIBRARY_ERRORS as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from None


def _photo(image: Image.Image, path: Path) -> Photo:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{path} has {width} x {height} pixels: {TOO_LARGE}")
    try:
        image.load()
    except LIBRARY_ERRORS as error:
        raise ValueError(f"{path} is cut off or damaged ({error}); copy it again") from None
    focal = _focal(image)
    upright = ImageOps.exif_transpose(image)
    alpha = _alpha(upright)
    return Photo(_rgb(upright), alpha, focal)


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit rgb. Deeper greys are scaled by their own range: files differ in what white is."""
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.asarray(image, np.float64)
        white = 65535.0 if image.mode.startswith("I;16") or deep.max() > 255 else 255.0
        white = 1.0 if image.mode == "F" and deep.max() <= 1 else max(white, float(deep.max()))
        grey = np.clip(np.round(255 * deep / white), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _alpha(image: Image.Image) -> Float[np.ndarray, "h w"] | None:
    """The transparency in [0, 1]; None where the file has none or all of it is opaque."""
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.float32) / 255
    return None if alpha.min() == 1 else alpha


def _focal(image: Image.Image) -> float | None:
    try:
        value = float(image.getexif().get_ifd(EXIF_IFD).get(FOCAL_35MM, 0))
    except (*LIBRARY_ERRORS, TypeError, ZeroDivisionError):
        return None
    return value if 5 <= value <= 2000 else None  # 0 means unknown; others are nonsense.
