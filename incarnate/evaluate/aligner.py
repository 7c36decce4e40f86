"""Sounds and their times by pocketsphinx, an aligner foreign to what moves the lips.

A development tool (`pip install pocketsphinx`), not needed by anything else.
"""

import importlib
import importlib.util
import re
from typing import Any

import numpy as np

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.metrics.mouths import Phone
from incarnate.speech.phonemes import VOWELS, Phoneme, split

MISSING = "pocketsphinx is not installed; pip install pocketsphinx"
MODEL = "pocketsphinx en-us"
SPELLED = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h",
    "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ",
    "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""ARPABET in the symbols of `incarnate.speech`."""


def available() -> bool:
    """Whether pocketsphinx is here."""
    return importlib.util.find_spec("pocketsphinx") is not None


def phones(sound: Waveform, text: str) -> list[Phone]:
    """The sounds of `text` as pocketsphinx hears them, silences among them.

    OSError without pocketsphinx; ValueError for words that it does not know, or a sound in which it
    does not find them.
    """
    if not available():
        raise OSError(MISSING)
    sphinx: Any = importlib.import_module("pocketsphinx")  # No checker can count on it.
    samples = resampled(sound, SPEECH_RATE).samples
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    # `bestpath` makes a lattice of the words and may then lose the last of them, on which the
    # second pass fails; narrow beams lose a long text on the way.
    wide = {"beam": 1e-100, "pbeam": 1e-100, "wbeam": 1e-100}
    decoder = sphinx.Decoder(loglevel="FATAL", bestpath=False, **wide)
    words = re.sub("[^a-z' ]", " ", text.lower()).split()
    unknown = [word for word in words if decoder.lookup_word(word) is None]
    if unknown:
        raise ValueError(
            f"pocketsphinx' dictionary lacks {' '.join(unknown)}; spell them otherwise"
        )
    decoder.set_align_text(" ".join(words))
    for second in (False, True):
        if second:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        if not second and decoder.hyp() is None:
            raise ValueError(f"pocketsphinx does not hear {text!r} in the sound")
    alignment = decoder.get_alignment()
    if alignment is None:
        raise ValueError(f"pocketsphinx cannot align the sound with {text!r}")
    found = [phone for word in alignment for phone in word]
    return [(p.name or "", p.start / 100, (p.start + p.duration) / 100) for p in found]


def phonemes(found: list[Phone]) -> list[Phoneme]:
    """The same in the symbols that drive a mouth, without stress."""
    out: list[Phoneme] = []
    for symbol, start, end in found:
        symbols = tuple(SPELLED.get(symbol, ""))
        stress = 0.5 if symbols and symbols[0] in VOWELS else None
        out += split(symbols, start, end, stress)
    return out
