"""Live: what is recognised from sound as it comes in, and how long frames wait for it."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.speech import (
    LIVE_LOOK_AHEAD,
    Heard,
    Listener,
    Phoneme,
    listened,
    performed,
    say,
    spoken,
)
from incarnate.speech.phonemes import VOWELS

JAW, CLOSE = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("mouthClose")


@cache
def sound() -> tuple[Waveform, tuple[Phoneme, ...]]:
    speech = say("My mother bought five big puppies.")
    samples = resampled(speech.waveform, SPEECH_RATE).samples[: 2 * SPEECH_RATE]
    return Waveform(samples, SPEECH_RATE), speech.phonemes


def blocks(samples: np.ndarray, size: int = 640) -> Iterator[Waveform]:
    for k in range(0, len(samples), size):
        yield Waveform(samples[k : k + size], SPEECH_RATE)


def frames(stream: Iterator[Heard]) -> torch.Tensor:
    """Pose, place and face of every frame, as one row."""
    parts = performed(stream, at_once=1)
    return torch.cat([torch.cat([p.pose.flatten(), p.transl[0], p.expression[0]])[None]
                      for p in parts])  # fmt: skip


@cache
def live() -> tuple[tuple[Heard, ...], torch.Tensor]:
    told = tuple(listened(blocks(sound()[0].samples)))
    return told, frames(iter(told))


@pytest.mark.parametrize("listener", ["hama", "loudness"])
def test_frames_do_not_depend_on_sound_beyond_the_look_ahead(listener: Listener):
    """Up to t they are the same to the last bit whatever is heard after t + 0.2 s."""
    samples = sound()[0].samples
    cut = round(0.81 * SPEECH_RATE)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 6000).astype(np.float32)
    other = np.concatenate([samples[:cut], noise])
    one = live()[1] if listener == "hama" else frames(listened(blocks(samples), listener))
    two = frames(listened(blocks(other), listener))
    same = int((0.81 - LIVE_LOOK_AHEAD) * 30) + 1
    assert torch.equal(one[:same], two[:same])
    assert not torch.equal(one[same : len(two)], two[same:])
    assert LIVE_LOOK_AHEAD <= 0.2


def test_a_frame_comes_as_soon_as_the_look_ahead_is_heard():
    given = 0

    def stream() -> Iterator[Heard]:
        nonlocal given
        for one in live()[0]:
            given += len(one.sound.samples)
            yield one

    late = [
        given / SPEECH_RATE - k / 30
        for k, _ in enumerate(performed(stream(), at_once=1))
        if given < len(sound()[0].samples)
    ]
    assert max(late) <= LIVE_LOOK_AHEAD + 0.04  # And the block in which that ends.


@pytest.mark.parametrize("size", [333, 5000])
def test_frames_do_not_depend_on_how_the_sound_is_cut(size):
    samples = sound()[0].samples
    one, two = (frames(listened(blocks(samples, n), "loudness")) for n in (640, size))
    assert torch.equal(one, two)


def test_what_is_told_too_early_waits_for_its_frame():
    told = [one for one in live()[0] if one.told is not None]
    assert torch.equal(frames(iter([*told, Heard(sound()[0], ())])), live()[1])


def test_the_mouth_moves_as_if_the_sounds_were_known():
    known = spoken(*sound()).expression.numpy()
    face = live()[1][:, -52:].numpy()
    assert np.corrcoef(known[:, JAW], face[:, JAW])[0, 1] > 0.75
    closed = [
        bool((face[at, CLOSE] >= face[at, JAW]).any())
        for p in sound()[1]
        if p.symbol in "mbp" and p.end < 1.9
        for at in [slice(max(0, int(p.start * 30) - 1), int(p.end * 30) + 2)]
    ]
    assert len(closed) >= 5 and np.mean(closed) >= 0.8
    assert np.abs(np.diff(face[:, JAW])).max() < 0.25  # No jump when a sound becomes known.


def test_live_recognition_finds_most_sounds_soon():
    """Within 0.16 s of the beginning of a sound it is known, if it ever is."""
    first: dict[tuple[str, float], float] = {}
    for stretch in live()[0]:
        for p in stretch.phonemes:
            first.setdefault((p.symbol, round(p.start, 3)), stretch.told or 0.0)
    real = [p for p in sound()[1] if p.end < 1.8]
    waits = [
        min((told - p.start for (symbol, start), told in first.items()
             if abs(start - p.start) < 0.08 and symbol == p.symbol), default=np.inf)
        for p in real
    ]  # fmt: skip
    assert np.mean(np.isfinite(waits)) > 0.6
    assert np.median([w for w in waits if np.isfinite(w)]) < 0.16
    assert any(symbol in VOWELS for symbol, _ in first)


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="8000 Hz"):
        list(listened([Waveform(np.zeros(80, np.float32), 8000)], "loudness"))
