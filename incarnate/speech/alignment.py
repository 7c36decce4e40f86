"""A transcript laid onto its recording: the best path through hama's CTC lattice."""

import numpy as np
from jaxtyping import Float32, Int

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.speech.phonemes import VOWELS, Phoneme
from incarnate.speech.recognition import log_probabilities, timed, token_scores
from incarnate.speech.synthesis import units

_FLOOR = -9.0
"""Log probability of a sound the network has no token for or did not hear."""
_STRANGER = -3.0
"""Taken off when one vowel answers for another."""
_FRAME = 320 / SPEECH_RATE
_WINDOW = 20 * SPEECH_RATE
_MARGIN = SPEECH_RATE
_MOST = 4e8
"""Cells of the lattice: about ten minutes of speech."""


def aligned(waveform: Waveform, text: str) -> tuple[Phoneme, ...]:
    """The sounds of `text`, which is English, with the times at which they are said.

    Raises ValueError if the text cannot be read, or is too long for the sound.
    """
    said = units(text)
    samples = resampled(waveform, SPEECH_RATE).samples
    lattice = _lattice(samples, [symbols for symbols, _ in said])
    if lattice.shape[0] * lattice.shape[1] > _MOST:
        raise ValueError("the recording is too long to lay a text onto; cut it into parts")
    if len(lattice) < len(said):
        raise ValueError(
            f"the text has {len(said)} sounds, too many for {waveform.seconds:.1f} s of speech; "
            "give what is said in the recording"
        )
    first = ctc_path(lattice)
    emitted = [
        (symbols, stress, int(frame) * _FRAME)
        for (symbols, stress), frame in zip(said, first, strict=True)
    ]
    return tuple(timed(emitted, len(samples) / SPEECH_RATE))


def ctc_path(lattice: Float32[np.ndarray, "f s"]) -> Int[np.ndarray, " n"]:
    """The frame in which each unit is first named, along the likeliest path.

    Columns of `lattice` are log probabilities: of no unit, then of each unit in order. Between two
    units there may be frames of none; a unit may last several frames.
    """
    count = lattice.shape[1] - 1
    states = np.zeros(2 * count + 1, int)  # Even: none. Odd: a unit.
    states[1::2] = np.arange(1, count + 1)
    score = np.full(len(states), -np.inf)
    score[:2] = lattice[0, states[:2]]
    came = np.zeros((len(lattice), len(states)), np.int8)
    may_skip = np.zeros(len(states), bool)
    may_skip[3::2] = True  # From one unit straight to the next.
    for k in range(1, len(lattice)):
        options = np.full((3, len(states)), -np.inf)
        options[0] = score
        options[1, 1:] = score[:-1]
        options[2, 2:] = np.where(may_skip[2:], score[:-2], -np.inf)
        came[k] = options.argmax(0)
        score = options.max(0) + lattice[k, states]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    first = np.zeros(count, int)
    for k in range(len(lattice) - 1, -1, -1):
        if state % 2:
            first[state // 2] = k
        state -= int(came[k, state])
    return first


def _lattice(
    samples: Float32[np.ndarray, " n"], said: list[tuple[str, ...]]
) -> Float32[np.ndarray, "f s"]:
    frames = _frames(samples)
    vowels = [k for v in VOWELS for k in token_scores((v,))]
    any_vowel = frames[:, vowels].max(1) + _STRANGER
    columns: dict[tuple[str, ...], np.ndarray] = {}
    for symbols in set(said):
        own = token_scores(symbols)
        own = own if len(own) else token_scores(symbols[:1])
        column = np.full(len(frames), _FLOOR, np.float32)
        if len(own):
            column = np.maximum(column, frames[:, own].max(1))
        columns[symbols] = np.maximum(column, any_vowel) if symbols[0] in VOWELS else column
    return np.stack([frames[:, -1], *(columns[s] for s in said)], 1)


def _frames(samples: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, "f t"]:
    """`log_probabilities` of a long recording, in windows that overlap."""
    step, parts = round(_FRAME * SPEECH_RATE), []
    for start in range(0, max(1, len(samples)), _WINDOW):
        low = max(0, start - _MARGIN)
        frames = log_probabilities(samples[low : start + _WINDOW + _MARGIN])
        skip = (start - low) // step
        parts.append(frames[skip : skip + _WINDOW // step])
    return np.concatenate(parts)
