"""Speech recognized as it comes in: sound goes in, sound with phonemes comes out.

hama looks at a whole window at once, both ways, and cannot be continued; so every HOP it hears the
last second anew. It names a sound 50 to 85 ms after the sound began (`recognition._LAG`), and what
it says of the window's last frame is a guess: _MARGIN is left aside. What has been told stays told;
a window may only add to it. So a sound is known about 0.11 s after it began, at the latest about
0.15 s: of the LIVE_LOOK_AHEAD that frames wait, lips get about 0.08 s to prepare themselves, where
0.12 are wanted.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32

from incarnate.audio import SPEECH_RATE, Waveform
from incarnate.speech.cues import Heard
from incarnate.speech.phonemes import Phoneme
from incarnate.speech.recognition import (
    Listener,
    check_listener,
    emissions,
    heard_by_loudness,
    lag,
    timed,
)

HOP = 0.04
"""Seconds between two looks. hama takes 0.1 s of one core for each where this was written: where
that is too slow, the same frames come, later."""
_WINDOW = 1.0
_MARGIN = 0.02
_UNSURE = 0.10
"""Seconds at a window's beginning of which the network makes little."""
_APART, _SAME_APART = 0.03, 0.08
"""The least time between two sounds; nearer ones are one that two windows place differently."""
_RISE = 0.09
"""Seconds after which it shows that the voice has stopped to rise."""
_KEPT = 3
_OPEN = 0.03
"""Seconds from where a sound was named to its end, while that is not known."""

Named = tuple[tuple[str, ...], float | None, float]


def listened(blocks: Iterable[Waveform], listener: Listener = "hama") -> Iterator[Heard]:
    """A stream at SPEECH_RATE and, every HOP, the phonemes in it so far; in constant memory.

    What is told does not depend on how the sound is cut. Raises ValueError if hama is asked for and
    does not load, or if the sound comes at another rate.
    """
    check_listener(listener)
    hop, most = round(HOP * SPEECH_RATE), round(_WINDOW * SPEECH_RATE)
    window, count = np.zeros(0, np.float32), 0
    known: list[Named] = []
    empty = Waveform(window, SPEECH_RATE)
    yield Heard(empty, (), 0.0)
    for block in blocks:
        if block.sample_rate != SPEECH_RATE:
            raise ValueError(
                f"sound comes at {block.sample_rate} Hz, {SPEECH_RATE} Hz is wanted; resample it"
            )
        samples = block.samples
        while len(samples):
            now, samples = np.split(samples, [hop - count % hop])
            window, count = np.concatenate([window, now])[-most:], count + len(now)
            yield Heard(Waveform(now, SPEECH_RATE), ())
            if count % hop == 0:
                second = count / SPEECH_RATE
                known, told = _told(window, second, known, listener)
                yield Heard(empty, told, second)


def _told(
    window: Float32[np.ndarray, " n"], second: float, known: list[Named], listener: Listener
) -> tuple[list[Named], tuple[Phoneme, ...]]:
    """The last names by now, and phonemes that take the place of those told of them."""
    begin = second - len(window) / SPEECH_RATE
    first = begin + _UNSURE if begin > 0 else 0.0
    last = second - (_MARGIN if listener == "hama" else _RISE)
    names = list(known)
    for symbols, at in _named(window, listener):
        if not first <= begin + at < last - 1e-6:
            continue
        if names:
            apart = _SAME_APART if symbols == names[-1][0] else _APART
            if begin + at - names[-1][2] < apart - 1e-6:
                continue
        names.append((symbols, None, begin + at))
    if not names:
        return names, ()
    # The first of those known only keeps the next from being placed before it.
    skip = len(known[0][0]) if len(known) == _KEPT else 0
    return names[-_KEPT:], tuple(timed(names, max(second, names[-1][2] + _OPEN))[skip:])


def _named(
    window: Float32[np.ndarray, " n"], listener: Listener
) -> list[tuple[tuple[str, ...], float]]:
    """Sounds, and when hama would name them, in seconds of the window."""
    if listener == "hama":
        return emissions(window)
    return [((p.symbol,), p.start + lag(p.symbol)) for p in heard_by_loudness(window, 0.0)]
