"""What a listener notices in a voice, frame by frame, hearing LOOK_AHEAD into the future.

The sound and the phonemes come in stretches of any length; the cues are the same, to the last bit,
however they are cut. Memory does not grow with length.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from jaxtyping import Float32

from incarnate.audio import SPEECH_RATE, Waveform
from incarnate.speech.phonemes import VOWELS, Phoneme
from incarnate.speech.prosody import HALF, HOP, STEP, levels_of, pitches
from incarnate.speech.visemes import REACH

LOOK_AHEAD = REACH
"""Seconds of sound after a frame that the frame depends on, where the phonemes are known."""
LIVE_LOOK_AHEAD = 0.2
"""The same where the phonemes are recognized as the sound comes in."""
PAUSE = 0.2
"""Seconds without a sound that end a phrase."""
_SLICE = 1600  # Samples heard before frames are told: the ear forgets after a second.
_BATCH = 4  # Hops analysed together, always the same ones.
_MEMORY = 4.0  # Seconds over which a speaker's ordinary loudness and pitch are learnt.
_EARLY = 0.05  # Seconds before a vowel at which its accent is judged.


@dataclass(frozen=True, eq=False)
class Heard:
    """A stretch of sound and the phonemes that begin in it."""

    sound: Waveform
    """At SPEECH_RATE."""
    phonemes: tuple[Phoneme, ...]
    told: float | None = None
    """For phonemes recognized live: the second up to which sound was needed to tell them. They take
    the place of all told before that start no earlier than the first of them."""


@dataclass(frozen=True)
class Cue:
    """What is heard at one frame."""

    seconds: float
    loudness: float
    """Decibels above the speaker's ordinary level, smoothed over a syllable."""
    pitch: float
    """Semitones above the speaker's ordinary pitch, smoothed; falls to 0 where unvoiced."""
    accent: float
    """Above 0 at the frame where a vowel begins: 1 for an ordinary stressed syllable."""
    speaking: bool
    begins: bool
    """A phrase begins with this frame."""
    ends: bool
    """A phrase has ended with this frame."""
    phonemes: tuple[Phoneme, ...]
    """Those near enough to move the mouth."""


def heard(blocks: Iterable[Waveform], phonemes: Iterable[Phoneme]) -> Iterator[Heard]:
    """Sound whose phonemes are known, in blocks at SPEECH_RATE."""
    waiting, count = deque(phonemes), 0
    for block in blocks:
        count += len(block.samples)
        now: list[Phoneme] = []
        while waiting and waiting[0].start < count / SPEECH_RATE:
            now.append(waiting.popleft())
        yield Heard(block, tuple(now))


def cues(stream: Iterable[Heard], fps: float) -> Iterator[Cue]:
    """The cues of a stream at `fps`, from second 0 to the end of the sound."""
    ear, talk, count, live = _Ear(), _Talk(), 0, False
    for stretch in stream:
        if stretch.told is None:
            talk.waiting += stretch.phonemes
        else:
            live = True
            talk.news.append((stretch.told, stretch.phonemes))
        samples = stretch.sound.samples
        for start in range(0, len(samples), _SLICE):
            ear.listen(samples[start : start + _SLICE])
            while count / fps + LOOK_AHEAD <= ear.seconds and not (
                live and count / fps + LIVE_LOOK_AHEAD > ear.total / SPEECH_RATE
            ):
                yield _cue(ear, talk, count / fps)
                count += 1
    total = ear.total / SPEECH_RATE
    ear.listen(np.zeros(round((LOOK_AHEAD + 2 / fps + 0.2) * SPEECH_RATE), np.float32))
    while count / fps < total - 1e-9:
        yield _cue(ear, talk, count / fps)
        count += 1


@dataclass
class _Ear:
    """Loudness and pitch of the last second."""

    tail: Float32[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(HALF, np.float32))
    """Samples from HALF before the next hop on."""
    total: int = 0
    hops: int = 0
    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=100))
    level: float = -30.0
    pitch: float = 0.0
    """The ordinary ones, as decibels and log2 of hertz."""
    weights: tuple[int, int] = (0, 0)
    top: float = -60.0

    @property
    def seconds(self) -> float:
        """Up to where loudness and pitch are known."""
        return (self.hops - 1) * HOP

    def listen(self, samples: Float32[np.ndarray, " n"]) -> None:
        self.tail = np.concatenate([self.tail, samples])
        self.total += len(samples)
        whole = (_BATCH - 1) * STEP + 2 * HALF
        while len(self.tail) >= whole:
            frames = np.stack([self.tail[k * STEP : k * STEP + 2 * HALF] for k in range(_BATCH)])
            found, _ = pitches(frames)
            for level, pitch in zip(levels_of(frames).tolist(), found.tolist(), strict=True):
                self._learn(level, pitch)
            self.tail = self.tail[_BATCH * STEP :].copy()
            self.hops += _BATCH

    def _learn(self, level: float, pitch: float) -> None:
        self.top = max(self.top - HOP, level)
        spoken, voiced = self.weights
        if level > max(self.top - 25, -55):
            spoken += 1
            self.level += (level - self.level) * max(1 / spoken, HOP / _MEMORY)
        if pitch:
            voiced += 1
            self.pitch += (math.log2(pitch) - self.pitch) * max(1 / voiced, HOP / _MEMORY)
        self.weights = (spoken, voiced)
        above = 12 * (math.log2(pitch) - self.pitch) if pitch else 0.0
        self.recent.append((max(level - self.level, -30.0), min(max(above, -12.0), 12.0)))

    def around(self, start: float, stop: float) -> list[tuple[float, float]]:
        """(decibels, semitones) above the ordinary at the hops from `start` to `stop`."""
        first = self.hops - len(self.recent)
        low = min(max(round(start / HOP) - first, 0), len(self.recent) - 1)
        high = min(max(round(stop / HOP) - first, low + 1), len(self.recent))
        return [self.recent[k] for k in range(low, high)]


@dataclass
class _Talk:
    """Phonemes not yet over, and where in a phrase we are."""

    waiting: tuple[Phoneme, ...] = ()
    news: deque[tuple[float, tuple[Phoneme, ...]]] = field(default_factory=deque)
    """What was told live, and when, and is not yet known to a frame."""
    speaking: bool = False
    last_end: float = -1.0
    judged: float = -1.0


def _cue(ear: _Ear, talk: _Talk, seconds: float) -> Cue:
    # Whether later news is here already depends on how the sound was cut: it is left aside.
    while talk.news and talk.news[0][0] < seconds + LIVE_LOOK_AHEAD:
        _, told = talk.news.popleft()
        if told:
            talk.waiting = (*(p for p in talk.waiting if p.start < told[0].start - 1e-9), *told)
    talk.waiting = tuple(p for p in talk.waiting if p.end + 0.3 > seconds)
    near = tuple(p for p in talk.waiting if p.start < seconds + LOOK_AHEAD)
    talk.last_end = max([talk.last_end, *(p.end for p in near)])
    was, talk.speaking = talk.speaking, seconds < talk.last_end + PAUSE - LOOK_AHEAD
    accent = 0.0
    for phoneme in near:
        due = phoneme.start - _EARLY
        if phoneme.symbol in VOWELS and talk.judged < due <= seconds:
            talk.judged = due
            accent = max(accent, _accent(ear, phoneme, seconds))
    window = ear.around(seconds - 0.06, seconds + 0.08)
    power = sum(s * 10 ** (w[0] / 10) for s, w in zip(_shares(len(window)), window, strict=True))
    loudness = 10 * math.log10(power)
    broad = ear.around(seconds - 0.12, seconds + LOOK_AHEAD)
    pitch = sum(s * w[1] for s, w in zip(_shares(len(broad)), broad, strict=True))
    return Cue(
        seconds,
        loudness,
        pitch,
        accent,
        talk.speaking,
        talk.speaking and not was,
        was and not talk.speaking,
        tuple(p for p in near if p.end + REACH > seconds),
    )


@cache
def _shares(count: int) -> tuple[float, ...]:
    """Weights of a smooth mean, which sum to 1."""
    window = np.hanning(count + 2)[1:-1]
    return tuple((window / window.sum()).tolist())


def _accent(ear: _Ear, vowel: Phoneme, seconds: float) -> float:
    """Stress of the text if known, as far as the voice bears it out; else the voice alone."""
    window = ear.around(vowel.start, seconds + LOOK_AHEAD)
    loud = max(level for level, _ in window)
    high = max(pitch for _, pitch in window)
    heard_as = 0.5 + 0.10 * (loud - 2) + 0.12 * (high - 1)
    if vowel.stress is not None:
        heard_as = vowel.stress * (0.7 + 0.3 * min(max(heard_as, 0.0), 2.0))
    long = min(1.2, 0.7 + 3 * (vowel.end - vowel.start))
    return float(min(max(heard_as * long, 0.0), 1.6))
