"""Talking clips: sound, film and truth are of one length and one cause, and come out alike."""

import io
import json
import tarfile
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.progress import reporter
from incarnate.speech import say
from incarnate.speech.synthesis import units
from incarnate.studio import poses, shards
from incarnate.studio.poses import Voice, talk
from incarnate.studio.sentences import sentence
from incarnate.studio.shards import Order, make

TEXT = "Move up, Bob."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Files of a shard of one clip, by run."""
    patch, runs = pytest.MonkeyPatch(), {}
    patch.setattr(poses, "sentence", lambda rng: TEXT)
    who = shards.person((6, 0))
    patch.setattr(shards, "person", lambda seed: who)
    for run in ("one", "two"):
        folder = tmp_path_factory.mktemp(run) / "out"
        with reporter(quiet=True) as report:
            assert make(Order(1, 16, 6, talking=1), folder, 1, report) == 1
            assert make(Order(1, 16, 6, talking=1), folder, 1, report) == 0
        with tarfile.open(folder / "studio-000000.tar") as tar:
            found = {m.name: tar.extractfile(m) for m in tar.getmembers()}
            runs[run] = {name: f.read() for name, f in found.items() if f is not None}
    patch.undo()
    return runs


def test_the_same_seed_gives_the_same_bytes(data: dict[str, dict[str, bytes]]) -> None:
    assert set(data["one"]) == {f"000000.{s}" for s in ("mp4", "wav", "json", "npz")}
    assert data["one"] == data["two"]


def test_film_sound_and_truth_have_one_length(
    data: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    files = data["one"]
    told, truth = json.loads(files["000000.json"]), np.load(io.BytesIO(files["000000.npz"]))
    (tmp_path / "clip.mp4").write_bytes(files["000000.mp4"])
    with av.open(str(tmp_path / "clip.mp4")) as film:
        count = sum(1 for _ in film.decode(video=0))
        assert film.streams.audio
    with wave.open(io.BytesIO(files["000000.wav"])) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    assert count == told["frames"]
    assert {len(truth[name]) for name in truth.files} == {count}
    assert abs(count / told["fps"] - seconds) < 1.5 / told["fps"]
    ends = [end for _, _, end in told["phonemes"]]
    assert ends == sorted(ends) and ends[-1] <= seconds
    assert told["text"] == TEXT and "talking" in told["caption"]


def test_lips_close_where_the_phonemes_say(data: dict[str, dict[str, bytes]]) -> None:
    files = data["one"]
    told, truth = json.loads(files["000000.json"]), np.load(io.BytesIO(files["000000.npz"]))
    arkit = dict(zip(ARKIT_NAMES, truth["arkit"].T, strict=True))
    gap = arkit["jawOpen"] - arkit["mouthClose"]
    at = (np.arange(len(gap)) + 0.5) / told["fps"]
    shut = np.zeros(len(gap), bool)
    for symbol, start, end in told["phonemes"]:
        shut |= (symbol in "mbp") & (at > start) & (at < end)
    speaking = (at > told["phonemes"][0][1]) & (at < told["phonemes"][-1][2])
    assert shut.any() and gap[shut].mean() < gap[speaking & ~shut].mean() - 0.02


def test_a_deeper_voice_says_the_same_later_and_lower() -> None:
    rng = np.random.default_rng
    low = talk(rng(1), "Bob.", sounding=Voice(0.8, 0.8))
    usual = say("Bob.", 1.0, int(rng(1).integers(2**31)))
    factor = round(usual.waveform.sample_rate * 0.8) / usual.waveform.sample_rate
    for ours, theirs in zip(low.phonemes, usual.phonemes, strict=True):
        assert (ours.start, ours.end) == pytest.approx(
            (theirs.start / factor, theirs.end / factor), abs=1e-9
        )
    assert middle(low.sound.samples) == pytest.approx(
        0.8 * middle(usual.waveform.samples), rel=0.05
    )
    assert low.sound.sample_rate == usual.waveform.sample_rate


def middle(samples: np.ndarray) -> float:
    """The mean bin of the power."""
    power = np.abs(np.fft.rfft(samples, 1 << 17)) ** 2
    return float(np.average(np.arange(len(power)), weights=power))


def test_sentences_are_read_and_many_and_rich_in_lips() -> None:
    rng = np.random.default_rng(0)
    texts = [sentence(rng) for _ in range(40)]
    assert len(set(texts)) == 40
    heard = [s for text in texts[:12] for symbols, _ in units(text) for s in symbols]
    assert np.mean([s in "mbpfvwuoʊɔ" for s in heard]) > 0.3
