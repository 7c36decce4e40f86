"""Sound beside pictures: in time, and nothing of the film is lost."""

from pathlib import Path

import av
import numpy as np
import pytest

from incarnate.audio import Waveform
from incarnate.io.sounds import read_sound
from incarnate.io.soundtrack import RATE, add_sound, sounding
from incarnate.io.video import write_video

FPS = 25


def flashed(path: Path) -> None:
    """Two seconds of dark frames but for a white one at second 1."""
    frames = [np.full((64, 64, 3), 255 if k == FPS else 8, np.uint8) for k in range(2 * FPS)]
    write_video(path, frames, FPS)


def clicked(seconds: float = 2.0) -> list[Waveform]:
    """Silence but for a click at second 1, in blocks."""
    samples = np.zeros(round(seconds * RATE), np.float32)
    samples[RATE : RATE + 400] = 0.9
    return [Waveform(block, RATE) for block in np.array_split(samples, 5)]


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_click_and_a_flash_stay_together(tmp_path: Path, kind: str):
    flashed(tmp_path / f"still.{kind}")
    add_sound(tmp_path / f"still.{kind}", clicked(), tmp_path / f"talking.{kind}")
    with av.open(str(tmp_path / f"talking.{kind}")) as film:
        frames = [(f.time, f.to_ndarray(format="gray").mean()) for f in film.decode(video=0)]
    assert len(frames) == 2 * FPS
    flash = max(frames, key=lambda pair: pair[1])[0]
    heard = read_sound(tmp_path / f"talking.{kind}", RATE).samples
    click = np.abs(heard).argmax() / RATE
    assert flash is not None and abs(click - flash) < 0.5 / FPS
    assert abs(len(heard) / RATE - 2) < 0.05


def test_what_cannot_hold_sound_says_so(tmp_path: Path):
    flashed(tmp_path / "still.mp4")
    with pytest.raises(ValueError, match="films with sound are .mp4 or .webm"):
        add_sound(tmp_path / "still.mp4", clicked(), tmp_path / "talking.gif")
    with pytest.raises(ValueError, match="comes at 8000 Hz"):
        add_sound(
            tmp_path / "still.mp4",
            [Waveform(np.zeros(100, np.float32), 8000)],
            tmp_path / "talking.mp4",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["still.mp4"]


@pytest.mark.parametrize("sound", [None, clicked()])
def test_a_film_takes_its_place_with_its_sound_and_nothing_else_stays(tmp_path: Path, sound):
    out = tmp_path / "a.mp4"
    with sounding(out, sound) as film:
        flashed(film)
        assert (film == out) == (sound is None)
    assert list(tmp_path.iterdir()) == [out]
    with av.open(str(out)) as film:
        assert len(film.streams.audio) == (0 if sound is None else 1)


def test_a_film_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(RuntimeError), sounding(tmp_path / "a.mp4", clicked()) as film:
        flashed(film)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
