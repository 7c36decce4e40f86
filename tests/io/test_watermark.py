"""The watermark lasts through encoders, is not seen, and is not found where it is not."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import binom
from skimage.data import astronaut, chelsea, coffee

from incarnate.io import watermark
from incarnate.io.film import film_frames
from incarnate.io.video import write_video
from incarnate.io.watermark import CHECKS, Watermark, false_alarms, read
from tests.io.encoders import jpeg, x264

MARK = Watermark(0xC0FFEE42)
GREY = 232


def clip(width: int, height: int, count: int, background: int = GREY) -> list[np.ndarray]:
    """Somebody before a plain wall, gliding a little from frame to frame, as our films are."""
    person = cv2.resize(astronaut(), (width, width), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:width, :width] / width - 0.5
    alpha = np.clip((0.42 - np.hypot(x, y)) * 60, 0, 1)[..., None]
    frames = []
    for k in range(count):
        frame = np.full((height, width, 3), background, np.uint8)
        top = (height - width) // 2
        there = frame[top : top + width]
        there[:] = np.rint(alpha * np.roll(person, 3 * k, 1) + (1 - alpha) * there)
        frames.append(frame)
    return frames


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(one.astype(float) - other).mean())


@pytest.mark.parametrize(
    ("width", "height", "background"), [(768, 1024, GREY), (512, 512, 255), (256, 256, GREY)]
)
def test_it_lasts_through_h264_at_crf_23(width: int, height: int, background: int):
    frames = clip(width, height, 6, background)
    marked = [MARK.marked(frame) for frame in frames]
    found = read(x264(marked, 23))
    assert found is not None and found.identity == MARK.identity
    assert read(x264(frames, 23)) is None


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_it_lasts_in_our_own_films(name: str, tmp_path: Path):
    frames = [MARK.marked(frame) for frame in clip(512, 512, 6)]
    write_video(tmp_path / name, frames, 30)
    found = read(frame.rgb for frame in film_frames(tmp_path / name))
    assert found is not None and found.identity == MARK.identity and found.frames == 6


@pytest.mark.parametrize("picture", [astronaut(), coffee(), clip(768, 1024, 1)[0]])
def test_one_picture_lasts_as_jpeg_and_smaller(picture: np.ndarray):
    marked = MARK.marked(picture)
    height, width = picture.shape[:2]
    small = cv2.resize(marked, (width * 3 // 5, height * 3 // 5), interpolation=cv2.INTER_AREA)
    for seen in (marked, jpeg(marked, 85), small):
        found = read([seen])
        assert found is not None and found.identity == MARK.identity


@pytest.mark.parametrize("level", [0, 128, GREY, 255])
def test_a_flat_picture_changes_by_a_few_levels_of_blue_alone(level: int):
    flat = np.full((1024, 768, 3), level, np.uint8)
    marked = MARK.marked(flat)
    assert (marked[..., :2] == flat[..., :2]).all()
    assert np.abs(marked[..., 2].astype(int) - level).max() <= (5 if 0 < level < 255 else 8)
    assert psnr(marked, flat) >= 44
    found = read([marked])
    assert found is not None and found.identity == MARK.identity


@pytest.mark.parametrize("picture", [astronaut(), coffee(), chelsea(), *clip(512, 512, 1)])
def test_pictures_keep_40_db(picture: np.ndarray):
    assert psnr(MARK.marked(picture), picture) >= 40


def test_frames_that_say_nothing_alone_are_read_together():
    rng = np.random.default_rng(0)
    marked = MARK.marked(clip(512, 512, 1)[0]).astype(float)
    noisy = [
        np.clip(marked + rng.normal(0, 90, marked.shape), 0, 255).astype(np.uint8)
        for _ in range(24)
    ]
    assert all(read([frame]) is None for frame in noisy)
    found = read(noisy)
    assert found is not None and found.identity == MARK.identity
    assert found.alone == 0 and 0.5 < found.agreement < 1


def test_what_is_not_marked_shows_nothing():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for picture in (astronaut(), coffee(), chelsea(), noise, np.zeros((64, 64, 3), np.uint8)):
        assert read([picture]) is None
    assert read(clip(512, 512, 4)) is None
    assert read([]) is None


def test_check_bits_of_unmarked_pictures_are_fair_as_the_closed_form_says():
    photos = [cv2.resize(photo, (300, 300)) for photo in (astronaut(), coffee(), chelsea())]
    right = []
    for photo in photos:
        for top in range(0, 100, 10):
            told = watermark._told(photo[top : top + 200, top : top + 200], 32) < 0
            number = int.from_bytes(np.packbits(told[:32]).tobytes(), "big")
            right.append((watermark._message(number) == told)[32:].sum())
    # Of 32 fair bits 16 are right, give or take sqrt(32) / 2; of the mean of 30, sqrt(30) less.
    assert abs(np.mean(right) - 16) < 4 * np.sqrt(32) / 2 / np.sqrt(len(right))
    assert false_alarms() == pytest.approx(2 * 9 * binom.cdf(1, CHECKS, 0.5))
    assert false_alarms() < 1e-6


def test_transparency_stays_as_it_is():
    rng = np.random.default_rng(0)
    alpha = np.zeros((1024, 768), np.uint8)
    alpha[200:900, 200:600] = 255
    alpha[200:210] = rng.integers(0, 256, (10, 768))
    picture = np.dstack([cv2.resize(astronaut(), (768, 1024)), alpha])
    marked = MARK.marked(picture)
    assert (marked[..., 3] == alpha).all()
    assert (marked[alpha == 0] == picture[alpha == 0]).all()
    assert (marked[alpha == 255] != picture[alpha == 255]).any()
    straight = np.where(alpha[..., None] > 0, marked[..., :3], 0).astype(np.uint8)
    found = read([straight])
    assert found is not None and found.identity == MARK.identity


def test_what_is_marked_stays_apart():
    picture = astronaut()
    before = picture.copy()
    MARK.marked(picture)
    assert (picture == before).all()


def test_one_doubtful_bit_of_the_identity_is_put_right():
    told = np.where(watermark._message(MARK.identity), -1.0, 1.0)[None]
    told[0, 5] *= -0.1
    found = watermark._voted(told)
    assert found is not None and found.identity == MARK.identity and found.alone == 0
    told[0, 6] *= -0.1
    assert watermark._voted(told) is None


def test_the_table_is_the_one_that_marked_earlier_films():
    bits, signs = watermark._layout(64)
    digest = hashlib.sha256(bits.astype("<i4").tobytes() + signs.astype("<f4").tobytes())
    assert digest.hexdigest().startswith("ada72a16ac03d2cf")
