import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from incarnate.io.film import film_facts, film_frames
from incarnate.io.video import write_video

WHOLE = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
QUARTER = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def shades(count: int) -> list[np.ndarray]:
    """Frames of 48 x 64, each 8 levels brighter, with a white bar on top."""
    frames = [np.full((64, 48, 3), 8 * i, np.uint8) for i in range(count)]
    for frame in frames:
        frame[:8] = 255
    return frames


def test_every_frame_comes_once_and_in_time(tmp_path: Path):
    path = tmp_path / "film.mp4"
    write_video(path, shades(20), 25)
    frames = list(film_frames(path))
    assert [round(f.seconds * 25, 6) for f in frames] == list(range(20))
    levels = [int(f.rgb[40, 20, 0]) for f in frames]
    # H.264 in limited range is off by a few levels, neighbours are 8 apart.
    assert max(abs(level - 8 * i) for i, level in enumerate(levels)) <= 3
    facts = film_facts(path)
    assert facts.fps == 25 and facts.num_frames == 20


def test_a_film_marked_as_turned_comes_upright(tmp_path: Path):
    path, turned = tmp_path / "film.mp4", tmp_path / "turned.mp4"
    write_video(path, shades(2), 25)
    film, track, matrix = path.read_bytes().partition(b"tkhd")
    turned.write_bytes(film + track + matrix.replace(WHOLE, QUARTER, 1))
    frame = next(film_frames(turned))
    assert frame.rgb.shape == (48, 64, 3)
    # A quarter clockwise: what was on top is at the right.
    assert frame.rgb[:, -4].mean() > 240 and frame.rgb[:, 4].mean() < 20


def test_uneven_stamps_become_even_frames(tmp_path: Path):
    path = tmp_path / "uneven.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        for i, stamp in enumerate((0, 1, 2, 3, 6, 7, 8, 9)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 48, 3), 25 * i, np.uint8), "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    frames = list(film_frames(path))
    fps = film_facts(path).fps
    levels = np.array([f.rgb[30, 20, 0] for f in frames]) / 25
    shown = np.array([0, 1, 2, 3, 3, 3, 4, 5, 6, 7])
    for frame, level in zip(frames, levels, strict=True):
        near = shown[np.clip([round(frame.seconds * 25 + d) for d in (-0.6, 0, 0.6)], 0, 9)]
        assert near.min() - 0.2 < level < near.max() + 0.2
    assert abs(frames[-1].seconds - 9 / 25) <= 1 / fps


def test_what_is_no_film_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        next(film_frames(tmp_path / "nothing.mp4"))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        next(film_frames(tmp_path))
    empty, text, cut = (tmp_path / n for n in ("empty.mp4", "text.mp4", "cut.mp4"))
    empty.touch()
    text.write_text("this is no film " * 50)
    write_video(tmp_path / "film.mp4", shades(10), 25)
    cut.write_bytes((tmp_path / "film.mp4").read_bytes()[:900])
    cases = (empty, "is empty"), (text, "cannot be read"), (cut, "cannot be|no pictures")
    for path, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            list(film_frames(path))
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_sound_is_no_film(tmp_path: Path):
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", 16000)
        samples = np.zeros((1, 1600), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(ValueError, match="has no pictures"):
        next(film_frames(path))
