"""Photos of every kind come in the same."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from incarnate.io.images import read_photo

PICTURE = np.zeros((40, 60, 3), np.uint8)  # Red left top, green right top, blue below.
PICTURE[:20, :30], PICTURE[:20, 30:], PICTURE[20:] = (230, 20, 30), (10, 200, 40), (20, 40, 220)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "bmp"])
def test_lossless_kinds_come_in_exactly(tmp_path: Path, kind: str):
    path = tmp_path / f"photo.{kind}"
    Image.fromarray(PICTURE).save(path, lossless=True)
    photo = read_photo(path)
    assert (photo.rgb == PICTURE).all() and photo.alpha is None and photo.focal_35mm is None


UPRIGHT_BY = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""EXIF orientation -> Pillow's transposition that stores an upright picture so (its inverse)."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_in_upright(tmp_path: Path, orientation: int):
    image = Image.fromarray(PICTURE)
    step = UPRIGHT_BY[orientation]
    stored = image if step is None else image.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    assert (read_photo(tmp_path / "photo.png").rgb == PICTURE).all()


def test_focal_length_is_read_and_turned_into_pixels(tmp_path: Path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    Image.new("RGB", (600, 400)).save(tmp_path / "photo.jpg", exif=exif)
    photo = read_photo(tmp_path / "photo.jpg")
    assert photo.focal_35mm == 50
    assert photo.focal_pixels() == pytest.approx(50 / 36 * 600)  # 3:2, as film: the width will do.


def test_cmyk_comes_in_as_rgb(tmp_path: Path):
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "photo.tiff")
    assert np.abs(read_photo(tmp_path / "photo.tiff").rgb.astype(int) - PICTURE).max() <= 2


def test_sixteen_bits_keep_their_shades(tmp_path: Path):
    deep = np.linspace(0, 40000, 2400).astype(np.uint16).reshape(40, 60)
    Image.fromarray(deep).save(tmp_path / "photo.png")
    rgb = read_photo(tmp_path / "photo.png").rgb
    np.testing.assert_allclose(rgb[..., 0], deep / 257.0, atol=0.51)
    assert (rgb[..., 0] == rgb[..., 2]).all()


def test_grey_comes_in_as_rgb(tmp_path: Path):
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / "photo.png")
    assert (read_photo(tmp_path / "photo.png").rgb == PICTURE[..., :1]).all()


def test_palette_and_its_transparency_come_in(tmp_path: Path):
    Image.fromarray(PICTURE).quantize(3).save(tmp_path / "photo.png", transparency=0)
    photo = read_photo(tmp_path / "photo.png")
    assert (photo.rgb == PICTURE).all()
    assert photo.alpha is not None and set(np.unique(photo.alpha)) == {0, 1}


def test_alpha_comes_in_beside_the_colours(tmp_path: Path):
    alpha = np.linspace(0, 255, 2400).astype(np.uint8).reshape(40, 60)
    Image.fromarray(np.dstack([PICTURE, alpha])).save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    assert (photo.rgb == PICTURE).all()
    assert photo.alpha is not None
    np.testing.assert_allclose(photo.alpha, alpha / 255, atol=1e-6)


def test_resized_keeps_the_shape_of_things():
    from incarnate.io.images import Photo

    small = Photo(PICTURE, np.ones((40, 60), np.float32), 35.0).resized(600)
    assert small.rgb.shape == (20, 30, 3) and small.alpha is not None
    assert small.alpha.shape == (20, 30)
    assert (small.rgb == PICTURE[::2, ::2]).all()


def png_head(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims that size."""
    import zlib

    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 0) + b"IDAT" + b"\x35\xaf\x06\x1e"


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_decompression_bomb_is_refused_by_its_size(tmp_path: Path, side: int):
    (tmp_path / "bomb.png").write_bytes(png_head(side, side))
    with pytest.raises(ValueError, match="at most 100 million are read; make it smaller"):
        read_photo(tmp_path / "bomb.png")


def test_a_jpeg_cut_off_is_told_from_no_image(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    whole = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_photo(tmp_path / "photo.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ValueError, match="not a photo that can be read; wanted is JPEG, PNG"):
        read_photo(tmp_path / "text.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "animation.gif")
    with pytest.raises(ValueError, match="not a photo that can be read"):
        read_photo(tmp_path / "animation.gif")


def test_missing_files_and_folders_are_told_apart(tmp_path: Path):
    with pytest.raises(OSError, match="does not exist; name a photo file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="is a folder; name one photo in it"):
        read_photo(tmp_path)
