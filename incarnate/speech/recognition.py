"""The sounds of speech from a recording: by hama (English, on one core about six times as fast as
speech), with a transcript or without, or from loudness alone where hama's library does not load.

hama is a CTC network: it names each sound once, in a 20 ms frame some time after the sound began.
`_LAG` is that time, measured against speech whose times are known. What is said for sure is the
order of sounds and roughly their place: a consonant is placed to about 30 ms.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float32, Int

from incarnate.audio import SPEECH_RATE, Waveform
from incarnate.speech.phonemes import VOWELS, Phoneme, sounds, split
from incarnate.speech.prosody import HOP, levels

if TYPE_CHECKING:
    from hama import ASRModel

Listener = Literal["hama", "loudness"]
_FRAME = 320 / SPEECH_RATE
_LAG = {"lips": 0.085, "stop": 0.05, "consonant": 0.06, "vowel": 0.068}
_LONGEST = {"lips": 0.12, "stop": 0.12, "consonant": 0.16, "vowel": 0.28}
"""Seconds that a sound lasts at most before a pause."""


_HOP, _AROUND = 6.0, 1.0
"""Seconds told of at once, and heard on either side without being told of: the network looks both
ways."""


def hama_loads() -> bool:
    """Whether hama is installed and has a library for this machine."""
    try:
        from hama._engine import available
    except ImportError:
        return False
    return available()


def recognized(
    blocks: Iterable[Waveform], listener: Listener = "hama"
) -> Iterator[tuple[Phoneme, ...]]:
    """The sounds in a stream at SPEECH_RATE, a few seconds at a time, in constant memory.

    Raises ValueError if hama is asked for and does not load.
    """
    check_listener(listener)
    hear = heard_by_hama if listener == "hama" else heard_by_loudness
    last = 0.0
    for begin, sound, first, stop in _windows(blocks):
        told = [p for p in hear(sound, begin) if first <= p.start < stop]
        told = [p for p in told if p.start >= last - 1e-9 or not last]
        if told:
            last = told[-1].end
        yield tuple(told)


def check_listener(listener: Listener) -> None:
    """Raises ValueError if hama is asked for and does not load."""
    if listener == "hama" and not hama_loads():
        raise ValueError(
            "hama has no library for this machine, so sounds cannot be told apart; give the "
            "listener 'loudness', which moves the jaw with the voice"
        )


def transcribed(
    blocks: Iterable[Waveform], listener: Listener = "hama", allow_silence: bool = False
) -> tuple[Phoneme, ...]:
    """All sounds of a recording; ValueError if there is no speech in it, unless allowed."""
    found = tuple(p for hop in recognized(blocks, listener) for p in hop)
    if not any(p.symbol in VOWELS for p in found) and not allow_silence:
        raise ValueError("no speech was found in the sound; give a recording of somebody speaking")
    return found


def _windows(
    blocks: Iterable[Waveform],
) -> Iterator[tuple[float, Float32[np.ndarray, " n"], float, float]]:
    """(when the sound begins, the sound, first and last instant to tell of)."""
    hop, around = round(_HOP * SPEECH_RATE), round(_AROUND * SPEECH_RATE)
    held, begin, told = np.zeros(0, np.float32), 0, 0
    for block in blocks:
        if block.sample_rate != SPEECH_RATE:
            raise ValueError(
                f"sound comes at {block.sample_rate} Hz, {SPEECH_RATE} Hz is wanted; resample it"
            )
        held = np.concatenate([held, block.samples])
        while begin + len(held) >= told + hop + around:
            stop = told + hop + around - begin
            yield (begin / SPEECH_RATE, held[:stop], told / SPEECH_RATE, (told + hop) / SPEECH_RATE)
            told += hop
            cut = max(0, told - around - begin)
            held, begin = held[cut:], begin + cut
    if begin + len(held) > told:
        yield begin / SPEECH_RATE, held, told / SPEECH_RATE, (begin + len(held)) / SPEECH_RATE


def heard_by_hama(samples: Float32[np.ndarray, " n"], begin: float) -> list[Phoneme]:
    """The sounds in samples that start at second `begin`."""
    emitted = [(symbols, None, second) for symbols, second in emissions(samples)]
    return timed(emitted, len(samples) / SPEECH_RATE, begin)


def emissions(samples: Float32[np.ndarray, " n"]) -> list[tuple[tuple[str, ...], float]]:
    """What hama names, and at which second of `samples`."""
    frames = log_probabilities(samples)
    blank = frames.shape[1] - 1
    best = frames.argmax(1) if len(frames) else np.zeros(0, int)
    new = np.flatnonzero((best != blank) & (best != np.concatenate([[-1], best[:-1]])))
    return [(_tokens()[best[k]], float(k * _FRAME)) for k in new if _tokens()[best[k]]]


def timed(
    emitted: Sequence[tuple[tuple[str, ...], float | None, float]], end: float, begin: float = 0.0
) -> list[Phoneme]:
    """Phonemes from (sounds, stress, second of emission) in sound that lasts till `end`.

    To all times `begin` is added.
    """
    if not emitted:
        return []
    starts = [max(0.0, second - lag(symbols[0])) for symbols, _, second in emitted]
    starts = np.maximum.accumulate(starts).tolist()
    ends = [*starts[1:], end]
    out: list[Phoneme] = []
    for (symbols, stress, _), start, stop in zip(emitted, starts, ends, strict=True):
        stop = max(start + 0.03, min(stop, start + _LONGEST[_kind(symbols[0])]))
        out += split(symbols, begin + start, begin + stop, stress)
    return out


def log_probabilities(samples: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "f t"]:
    """hama's log probability of each of its tokens, the last of which is none, every 20 ms."""
    if len(samples) < 2 * round(_FRAME * SPEECH_RATE):
        return np.zeros((0, len(_tokens())), np.float32)
    session = _model().session
    feeds = {"waveform": samples[None], "waveform_lengths": np.array([len(samples)], np.int64)}
    frames, lengths = session.run(["log_probs", "out_lengths"], feeds)
    return np.asarray(frames[0][: int(np.ravel(lengths)[0])], np.float32)


def token_scores(symbols: tuple[str, ...]) -> Int[np.ndarray, " k"]:
    """Which of hama's tokens stand for these sounds."""
    return np.array([k for k, own in enumerate(_tokens()) if own == symbols], int)


@cache
def _model() -> "ASRModel":
    from hama import ASRModel

    return ASRModel()


@cache
def _tokens() -> tuple[tuple[str, ...], ...]:
    return tuple(() if t[0] in "<%," else sounds(t) for t in _model().decoder_tokens)


def lag(symbol: str) -> float:
    """Seconds from a sound's beginning to where hama names it."""
    return _LAG[_kind(symbol)]


def _kind(symbol: str) -> str:
    if symbol in VOWELS:
        return "vowel"
    if symbol in "pbm":
        return "lips"
    return "stop" if symbol in "tdkɡ" else "consonant"


def heard_by_loudness(samples: Float32[np.ndarray, " n"], begin: float) -> list[Phoneme]:
    """Syllables in samples that start at second `begin`.

    A vowel at each rise of the voice, a neutral consonant in the dip before it.
    """
    level = levels(samples)
    if not len(level):
        return []
    smooth = np.convolve(level, np.hanning(9) / np.hanning(9).sum(), "same")
    loud = max(np.percentile(smooth, 95) - 25.0, -50.0)
    peaks = [
        k
        for k in range(2, len(smooth) - 2)
        if smooth[k] > loud and smooth[k] == smooth[max(0, k - 6) : k + 7].max()
    ]
    out: list[Phoneme] = []
    for k in peaks:
        start, end = begin + (k - 6) * HOP, begin + (k + 8) * HOP
        out.append(Phoneme("d", max(begin, start - 0.05), start))
        out.append(Phoneme("ɑ" if smooth[k] > loud + 15 else "ə", start, end))
    return out
