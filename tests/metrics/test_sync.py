"""Lip sync: the search in closed form, and what the shipped embedding says of a damaged film.

`mouth.npz`: a made-up person who says "This woman brought home a purple umbrella while we were
asleep." (clip 10 of scripts/sync_clips.py, held out from training).
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from incarnate.audio import SPEECH_RATE, Waveform
from incarnate.metrics import sync
from incarnate.weights import path


@pytest.fixture(scope="module")
def film() -> tuple[np.ndarray, np.ndarray]:
    kept = np.load(Path(__file__).parent / "mouth.npz", allow_pickle=False)
    return kept["mouths"], kept["sound"].astype(np.float32) / 32767


def judged(mouths: np.ndarray, sound: np.ndarray) -> sync.Sync:
    return sync.synchrony(mouths, Waveform(sound.astype(np.float32), SPEECH_RATE))


def test_the_search_is_syncnets_definition():
    rng = torch.Generator().manual_seed(0)
    sound = torch.nn.functional.normalize(torch.randn(60, 8, generator=rng), dim=1)
    seen = sound.roll(-4, 0)  # Lips show at frame k what is heard at frame k + 4.
    found = sync.searched(seen[:50], sound[:50])
    means = [
        np.mean([float((seen[k] - sound[k + s]).norm()) for k in range(50) if 0 <= k + s < 50])
        for s in range(-15, 16)
    ]
    assert found.offset == 4 and found.distance == pytest.approx(0, abs=1e-6)
    assert found.confidence == pytest.approx(np.median(means) - min(means), abs=1e-5)
    assert found.at_zero == pytest.approx(means[15], abs=1e-5)


def test_a_film_in_time_is_known_as_such(film: tuple[np.ndarray, np.ndarray]):
    found = judged(*film)
    assert abs(found.offset) <= 1 and found.confidence > 0.12


@pytest.mark.parametrize("frames", [-8, -3, 5, 10])
def test_a_delay_of_the_sound_is_found(film: tuple[np.ndarray, np.ndarray], frames: int):
    mouths, sound = film
    samples = abs(frames) * SPEECH_RATE // 25
    silence = np.zeros(samples, np.float32)
    moved = np.concatenate([silence, sound]) if frames > 0 else sound[samples:]
    intime, late = judged(mouths, sound), judged(mouths, moved)
    assert abs(late.offset - frames) <= 1
    assert late.at_zero > intime.at_zero + 0.1


def test_what_does_not_belong_together_has_less_confidence(film: tuple[np.ndarray, np.ndarray]):
    mouths, sound = film
    own = judged(mouths, sound)
    order = np.random.default_rng(0).permutation(len(mouths))
    frozen = np.repeat(mouths[30:31], len(mouths), 0)
    for other in (
        judged(mouths[order], sound),
        judged(frozen, sound),
        judged(mouths, sound[::-1].copy()),
    ):
        assert other.confidence < 0.6 * own.confidence
        assert other.distance > own.distance + 0.05


def test_half_the_rate_of_pictures_or_little_film_is_refused(film: tuple[np.ndarray, np.ndarray]):
    with pytest.raises(ValueError, match="too few; 2 s are wanted"):
        judged(film[0][:30], film[1])


def test_a_tone_lies_in_the_band_of_its_pitch():
    at = np.arange(SPEECH_RATE) / SPEECH_RATE
    for hertz in (250.0, 1000.0, 4000.0):
        spectrum = sync.log_mel(np.sin(2 * np.pi * hertz * at).astype(np.float32))
        assert spectrum.shape == (101, sync.BANDS)
        mel = 2595 * np.log10(1 + np.array([60.0, hertz, 7600.0]) / 700)
        wanted = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (sync.BANDS + 1) - 1
        assert abs(int(spectrum[50].argmax()) - wanted) <= 1


def test_a_window_of_sound_is_about_its_frame():
    spectrum = torch.arange(200.0)[:, None].expand(-1, sync.BANDS)
    window = sync.heard_window(spectrum, 20)  # 0.8 s: step 80.
    assert window[0].tolist() == list(range(70, 90))
    assert sync.heard_window(spectrum, 2).shape == window.shape


def test_the_file_is_small():
    assert path("sync").stat().st_size <= 1_000_000
