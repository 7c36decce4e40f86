"""Speech sounds with times.

Symbols are those of the IPA for English, diphthongs and affricates taken apart, stress apart:

    vowels      i ɪ ɛ æ ɑ ɔ ʌ ə ɝ ʊ u o a e
    consonants  p b m f v θ ð t d n l s z ʃ ʒ k ɡ ŋ h w j ɹ

`sounds` spells out what others write: misaki's letters (hibari-tts) and hama's IPA.
Time is in seconds; between phonemes there may be silence; none begins before the one before it.
"""

from dataclasses import dataclass

VOWELS = frozenset("iɪɛæɑɔʌəɝʊuoae")
CONSONANTS = frozenset("pbmfvθðtdnlszʃʒkɡŋhwjɹ")


@dataclass(frozen=True)
class Phoneme:
    """One speech sound."""

    symbol: str
    start: float
    end: float
    stress: float | None = None
    """0 none, 0.5 secondary, 1 primary, if known: from the text, never from the sound."""


def sounds(symbol: str) -> tuple[str, ...]:
    """The symbols above for one of another alphabet; nothing for a mark or an unknown one."""
    if symbol in VOWELS or symbol in CONSONANTS:
        return (symbol,)
    if symbol in _SPELLED:
        return tuple(_SPELLED[symbol])
    out: list[str] = []
    for letter in symbol:
        letter = _SPELLED.get(letter, letter)
        out += [part for part in letter if part in VOWELS or part in CONSONANTS]
    return tuple(out)


def split(
    symbols: tuple[str, ...], start: float, end: float, stress: float | None
) -> list[Phoneme]:
    """Sounds that share a stretch of time, in turn; the first takes half of it or a little more."""
    if not symbols:
        return []
    if len(symbols) == 1:
        return [Phoneme(symbols[0], start, end, stress)]
    first = start + (end - start) * 0.55
    rest = split(symbols[1:], first, end, None if stress is None else 0.0)
    return [Phoneme(symbols[0], start, first, stress), *rest]


_SPELLED = {
    # misaki
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ᵊ": "ə", "T": "d", "ᵻ": "ɪ",
    "ʧ": "tʃ", "ʤ": "dʒ", "g": "ɡ", "r": "ɹ", "ɾ": "d", "ʔ": "", "x": "k", "ɐ": "ə", "ɒ": "ɑ",
    "ɜ": "ɝ", "ɚ": "ɝ", "ɫ": "l", "ɬ": "l", "ʍ": "w", "ɱ": "m", "ɲ": "n", "ɨ": "ɪ", "ʉ": "u",
    "y": "u", "ø": "o", "œ": "ɔ", "ɵ": "o", "ɯ": "u", "β": "v", "ɸ": "f", "ʋ": "v", "ɥ": "w",
    "c": "k", "ɟ": "ɡ", "q": "k", "χ": "h", "ħ": "h", "ɦ": "h", "ç": "h", "ɣ": "ɡ", "ʁ": "ɹ",
    "ɻ": "ɹ", "ɽ": "ɹ", "ʂ": "ʃ", "ʐ": "ʒ", "ɕ": "ʃ", "ʑ": "ʒ", "ʈ": "t", "ɖ": "d", "ɳ": "n",
    "ʎ": "l", "ɘ": "ə", "ɤ": "ʌ",
}  # fmt: skip
