"""A text cut into phrases of the vocabulary, each with what it means where it stands."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from incarnate.priors.vocabulary import BREAKS, OTHERS, STOP, VOCABULARY, Attribute

_NOUNS: tuple[Attribute, ...] = ("who", "hair", "hairdo", "garment")
ADJECTIVES: tuple[Attribute, ...] = ("color", "pattern", "fit", "cut", "shade")
PERSONAL: tuple[Attribute, ...] = ("age", "height", "weight")
_ALONE: tuple[Attribute, ...] = (
    "garment", "who", "height", "weight", "age", "color", "shade", "pattern", "cut", "hairdo"
)  # fmt: skip
_HAIRY: tuple[Attribute, ...] = ("cut", "shade", "color")
_ORDERS: dict[Attribute, tuple[Attribute, ...]] = {
    "hair": _HAIRY,
    "hairdo": _HAIRY,
    "garment": ("fit", "color", "pattern", "garment", "shade"),
    "who": ("height", "weight", "age", "who", "shade", "color"),
}
"""As what an adjective is tried first, by the noun that it stands before."""
_WORD = re.compile(r"[^\W_]+|,")
_LONGEST = 6  # Words in a phrase.
_SHORTEST = 4  # Letters of a word that may be misspelt.
_CUTOFF = 0.8

Words = tuple[str, ...]
Meaning = tuple[Attribute, str]


def words(text: str) -> Words:
    """Its words in small letters, without what stands between them."""
    return tuple(word for word in _WORD.findall(text.lower()) if word != ",")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _meanings() -> dict[Words, tuple[Meaning, ...]]:
    """What each phrase may mean, the canonical ones first."""
    found: dict[Words, list[Meaning]] = {}
    for attribute, values in VOCABULARY.items():
        for canonical in values:
            found.setdefault(words(canonical), []).append((attribute, canonical))
    for attribute, values in VOCABULARY.items():
        for canonical, told in values.items():
            for phrase in _listed(told.replace("|", ",")):
                known = found.setdefault(words(phrase), [])
                if attribute not in [kind for kind, _ in known]:
                    known.append((attribute, canonical))
    return {phrase: tuple(known) for phrase, known in found.items()}


_MEANINGS = _meanings()
_SPOKEN = {word for phrase in _MEANINGS for word in phrase}
_LONG = sorted(word for word in _SPOKEN if len(word) > 4)
VARIANTS: dict[Meaning, tuple[str, ...]] = {
    (attribute, canonical): _listed(told.partition("|")[0])
    for attribute, values in VOCABULARY.items()
    for canonical, told in values.items()
    if attribute not in ("domain", "background")
}
"""What training puts in the place of canonical words; never of those for the domain."""


@final
@dataclass(frozen=True)
class Item:
    """Some words of a text, with what they may mean; nothing for those not in the vocabulary."""

    typed: str
    start: int
    end: int
    meanings: tuple[Meaning, ...]

    def means(self, *attributes: Attribute) -> Meaning | None:
        """Its meaning as one of these, if it has one."""
        return next((told for told in self.meanings if told[0] in attributes), None)


def phrases(text: str, corrected: bool = True) -> list[Item]:
    """The text cut into phrases, the longest first."""
    found = list(_WORD.finditer(text))
    typed = [word[0].lower() for word in found]
    told = [_corrected(word) for word in typed] if corrected else typed
    items, i = [], 0
    while i < len(told):
        count = _length(told, i)
        start, end = found[i].start(), found[i + count - 1].end()
        meanings = _MEANINGS.get(tuple(told[i : i + count]), ())
        items.append(Item(text[start:end].lower(), start, end, meanings))
        i += count
    return items


def _length(told: Sequence[str], i: int) -> int:
    """How many words from the i-th on make a phrase; 1 if they make none."""
    for count in range(min(_LONGEST, len(told) - i), 1, -1):
        if tuple(told[i : i + count]) in _MEANINGS:
            return count
    return 1


def _corrected(word: str) -> str:
    """The word of the vocabulary that was misspelt, or the word itself."""
    if word in _SPOKEN or word in STOP or word in OTHERS or word in BREAKS or len(word) < _SHORTEST:
        return word
    alike = [other for other in _LONG if other[0] == word[0]]
    near = difflib.get_close_matches(word, alike, 2, _CUTOFF)
    if not near or (len(near) > 1 and _likeness(word, near[0]) == _likeness(word, near[1])):
        return word
    return near[0]


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, word).ratio()


def meaning(items: list[Item], i: int) -> Meaning | None:
    """What an item means where it stands, by the noun that it stands before."""
    item = items[i]
    if len(item.meanings) < 2 and item.means(*PERSONAL, "fit", "cut", "shade") is None:
        return item.meanings[0] if item.meanings else None
    nouns = list(_nouns_after(items, i))
    orders = [_ORDERS[noun] for noun in nouns] or [_ALONE]
    found = (item.means(kind) for order in orders for kind in order)
    return next((told for told in found if told is not None), None)


def _nouns_after(items: list[Item], i: int) -> Iterator[Attribute]:
    """The kinds of the nouns that an adjective may belong to, the nearest first."""
    for later in items[i + 1 :]:
        if later.typed in BREAKS:
            return
        noun = later.means(*_NOUNS)
        if noun is not None:
            yield noun[0]
