"""Text to speech with the times of its sounds, by hibari-tts (one American voice, 24 kHz).

The network decides how long each of its letters lasts before it makes any sound. That number is
not among its outputs; `_with_durations` adds it. A stress mark and the space before a word have
lengths too: the mark is the beginning of its vowel, the space the closure of the next consonant.
"""

import unicodedata
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from incarnate.audio import Waveform
from incarnate.speech.phonemes import VOWELS, Phoneme, sounds, split

if TYPE_CHECKING:
    from hibari import Hibari

_UNIT = 0.025  # Seconds: the network counts in steps of 600 samples.
_EARLY = 0.050
"""Seconds by which the sound runs ahead of the network's letters: the median over 197 phonemes that
pocketsphinx aligned, half of them within 15 ms of it."""
_STRESS = {"ˈ": 1.0, "ˌ": 0.5}
_MARKS = "ˈˌː"
_ENDS = b"/CumSum_output_0"
"""hibari 0.2.1's name for the steps at which its letters end."""


class Speech(NamedTuple):
    """Sound and what is said in it."""

    waveform: Waveform
    phonemes: tuple[Phoneme, ...]


def say(text: str, speed: float = 1.0, seed: int = 0) -> Speech:
    """English text as speech; the same text, speed (0.5 to 2) and seed give the same samples.

    Raises ValueError, naming what stands in the way, if the text cannot be read out.
    """
    if not 0.5 <= speed <= 2:
        raise ValueError(f"speed is {speed}; speech can be made at 0.5 to 2 times the usual speed")
    _check_readable(text)
    voice = _voice()
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    phonemes: list[Phoneme] = []
    offset = 0
    for letters in voice.phonemize(text):
        samples, ends = _spoken(voice, letters, speed, rng)
        known = ["", *(c for c in letters if c in voice.vocab), ""]
        phonemes += _timed(known, ends, offset / voice.sample_rate)
        parts.append(samples)
        offset += len(samples)
    if not phonemes:
        raise ValueError(f"there is nothing to say in {_shown(text)}; give a sentence in English")
    return Speech(Waveform(np.concatenate(parts), voice.sample_rate), tuple(phonemes))


def units(text: str) -> list[tuple[tuple[str, ...], float | None]]:
    """The sounds of English text, those of one letter together, with stress; raises as `say` does.

    A diphthong or an affricate is one unit of two sounds.
    """
    _check_readable(text)
    out: list[tuple[tuple[str, ...], float | None]] = []
    for sentence in _voice().phonemize(text):
        stress = None
        for letter in sentence:
            stress = _STRESS.get(letter, stress)
            symbols = sounds(letter)
            if symbols:
                vowel = symbols[0] in VOWELS
                out.append((symbols, (stress or 0.0) if vowel else None))
                stress = None if vowel else stress
    if not out:
        raise ValueError(f"there is nothing to say in {_shown(text)}; give a sentence in English")
    return out


@cache
def _voice() -> "Hibari":
    from hibari import Hibari
    from hibari.voices import voice_path

    with open(voice_path("heart"), "rb") as file:
        return Hibari(model=_with_durations(file.read()))


def _with_durations(model: bytes) -> bytes:
    """The network with one more output: protobuf joins messages that are written one after another.

    ModelProto.graph is field 7, GraphProto.output 12, ValueInfoProto.name 1.
    """
    name = b"\x0a" + bytes([len(_ENDS)]) + _ENDS
    output = b"\x62" + bytes([len(name)]) + name
    return model + b"\x3a" + bytes([len(output)]) + output


def _spoken(
    voice: "Hibari", letters: str, speed: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Samples, and the seconds at which each letter and the pads around them end."""
    from hibari import dsp

    inputs = {
        "ids": np.asarray([voice.ids(letters)], np.int64),
        "speed": np.asarray([speed], np.float32),
    }
    *spectrum, ends = [np.asarray(part) for part in voice.sess.run(None, inputs)]
    harmonics, theta, noise, rest, phase, pitch = (part[0] for part in spectrum)
    samples = dsp.synth(harmonics, theta, noise, rest, phase, pitch, rng)
    return samples.astype(np.float32), np.ravel(ends) * _UNIT


def _timed(letters: list[str], ends: np.ndarray, offset: float) -> list[Phoneme]:
    out: list[Phoneme] = []
    edges = [0.0, *ends.tolist()]
    begun: float | None = None
    stress: float | None = None
    for letter, (start, end) in zip(letters, pairwise(edges), strict=True):
        symbols = sounds(letter)
        if letter in _STRESS:
            stress = _STRESS[letter]
        if letter == "ː" and out:
            out[-1] = Phoneme(out[-1].symbol, out[-1].start, _at(end, offset), out[-1].stress)
        elif letter and letter in " " + _MARKS:
            begun = start if begun is None else begun
        elif not symbols:
            begun = None
        else:
            vowel = symbols[0] in VOWELS
            first = start if begun is None else begun
            own = (stress or 0.0) if vowel else None
            out += split(symbols, _at(first, offset), _at(end, offset), own)
            begun, stress = None, None if vowel else stress
    return out


def _at(seconds: float, offset: float) -> float:
    return max(0.0, offset + seconds - _EARLY)


def _check_readable(text: str) -> None:
    if not any(c.isalnum() for c in text):
        raise ValueError(f"there is nothing to say in {_shown(text)}; give a sentence in English")
    for letter in text:
        foreign = letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN")
        if foreign or unicodedata.category(letter) == "Cc" and letter not in "\n\r\t":
            raise ValueError(
                f"the voice cannot read {letter!r} in {_shown(text)}; it reads English in Latin "
                "letters"
            )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
