"""The grammar of captions: what people type, in the words that the embedded priors know.

A caption says who ('a tall slim woman'), with which hair, in which clothes, doing what; then come
HumanNorm's words for framing and side (`conditions.View`) and the domain's. Every value has its
canonical words (`priors.vocabulary`), which are those of the studio's captions, and synonyms.
Phrases are compared word by word, so that hyphens and spaces are the same.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, final

import numpy as np

from incarnate.priors.conditions import FRAMINGS, View
from incarnate.priors.phrases import (
    ADJECTIVES,
    PERSONAL,
    VARIANTS,
    Item,
    Meaning,
    meaning,
    phrases,
    words,
)
from incarnate.priors.vocabulary import (
    AZIMUTHS,
    BREAKS,
    COPULAS,
    DOMAINS,
    DYES,
    NEGATIONS,
    PLACES,
    PLURAL,
    STOP,
    TINTS,
    VOCABULARY,
    Attribute,
)
from incarnate.recipe import Framing, Shows

_FRAMED: dict[str, Framing] = {words: framing for framing, words in FRAMINGS.items()}
_ARTICLE = re.compile(r"\b([Aa])n? (?=(\w))")
_DYE = "|".join(sorted(VOCABULARY["color"], key=len, reverse=True))
_DYED = re.compile(rf"\b(?:(?:{_DYE}) and )?(?:{_DYE}) ")


@final
@dataclass(frozen=True)
class Reading:
    """What was understood of a text."""

    caption: str
    """Who, with which hair, in which clothes, doing what, in the studio's words."""
    framing: Framing | None
    azimuth: float | None
    """Radians, as in `conditions.View`."""
    domain: Shows | None
    replaced: tuple[tuple[str, str], ...]
    """What was typed, and what it was taken for."""
    ignored: tuple[str, ...]
    """Words of content that were not understood."""

    @property
    def view(self) -> View | None:
        """Where it is seen from, if the text says anything of it."""
        if self.framing is None and self.azimuth is None:
            return None
        return View((self.azimuth or 0.0,), (self.framing or "full",))


def understood(text: str) -> Reading:
    """Free wording, mapped to the grammar: each phrase to what it means, or nearest to it.

    Colours and patterns belong to the garment or the hair that they stand before.
    """
    items = phrases(text)
    draft = _Draft()
    for i, item in enumerate(items):
        after = items[i + 1] if i + 1 < len(items) else None
        draft.take(item, meaning(items, i), after is not None and _joins(after))
    return draft.finished()


def _joins(item: "Item") -> bool:
    """Whether adjectives may go on to this."""
    return item.means("garment", "hair", "hairdo", *ADJECTIVES) is not None


def varied(caption: str, rng: np.random.Generator, rate: float = 0.15) -> str:
    """The caption with about `rate` of its canonical phrases replaced by synonyms at random."""
    parts, end = [], 0
    for start, stop, variants in _variable(caption):
        if rng.random() < rate:
            parts += [caption[end:start], variants[rng.integers(len(variants))]]
            end = stop
    return _ARTICLE.sub(_article, "".join((*parts, caption[end:])))


@lru_cache(4096)
def undyed(caption: str) -> str:
    """A caption in the grammar, its clothes without their colours."""
    who, worn, clothes = caption.partition(", in ")
    return who + worn + _ARTICLE.sub(_article, _DYED.sub("", clothes))


@lru_cache(4096)
def _variable(caption: str) -> tuple[tuple[int, int, tuple[str, ...]], ...]:
    """Where the canonical phrases that have synonyms lie, and these."""
    items, found = phrases(caption, corrected=False), []
    for i, item in enumerate(items):
        told = meaning(items, i)
        variants = () if told is None else VARIANTS.get(told, ())
        if told is not None and variants and words(told[1]) == words(item.typed):
            found.append((item.start, item.end, variants))
    return tuple(found)


def _article(found: re.Match[str]) -> str:
    return f"{found[1]}{'n' if found[2].lower() in 'aeiou' else ''} "


@final
@dataclass
class _Draft:
    """A reading in the making."""

    single: dict[Attribute, str] = field(default_factory=dict)
    """Attributes that a person or a picture has one of."""
    clothes: "list[_Cloth]" = field(default_factory=list)
    pending: list[tuple[Item, Meaning]] = field(default_factory=list)
    """Adjectives that wait for their noun."""
    last: Literal["hair", "garment"] | None = None
    negated: bool = False
    copula: bool = False
    """Whether `is` or `are` was just said, so that adjectives go to what stands before it."""
    replaced: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def take(self, item: Item, told: Meaning | None, joined: bool) -> None:
        """One item further; `joined` if what follows it may carry on its adjectives."""
        if item.typed in NEGATIONS:
            self.negated = True
        elif told is None:
            self._pass(item, joined)
        elif told[0] == "background":
            self._scenery(item)
        elif told[0] in ADJECTIVES:
            self.pending.append((item, told))
        elif self.negated:
            self._deny(item)
        else:
            self._name(item, told)

    def finished(self) -> Reading:
        """What was understood, all in all."""
        self._settle()
        side = self.single.get("side")
        told = self.single.get("framing")
        domain = self.single.get("domain")
        return Reading(
            ", ".join(filter(None, (self._person(), self._worn(), self.single.get("action")))),
            None if told is None else _FRAMED[told],
            None if side is None else AZIMUTHS[side],
            None if domain is None else DOMAINS[domain],
            tuple(dict.fromkeys(self.replaced)),
            tuple(dict.fromkeys(self.ignored)),
        )

    def _pass(self, item: Item, joined: bool) -> None:
        """A word that says nothing by itself, or that is not known."""
        if item.typed == "," and not self.copula:
            return
        if item.typed in BREAKS:
            self._settle()
            self.copula = item.typed in COPULAS
        elif item.meanings or item.typed not in STOP:
            behind = [] if joined else [adjective.typed for adjective, _ in self.pending]
            self.pending = self.pending if joined else []
            self.ignored.append(" ".join((*behind, item.typed)))

    def _scenery(self, item: Item) -> None:
        """What is behind people goes without saying; another background is not known."""
        behind = [adjective.typed for adjective, _ in self.pending]
        if behind:
            self.ignored.append(" ".join((*behind, item.typed)))
        self.pending.clear()

    def _deny(self, item: Item) -> None:
        """What the person is said to be without."""
        typed = [adjective.typed for adjective, _ in self.pending]
        self.ignored.append(" ".join(("without", *typed, item.typed)))
        self.pending.clear()
        self.negated = False

    def _name(self, item: Item, told: Meaning) -> None:
        """A noun, or what stands for itself."""
        attribute, value = told
        match attribute:
            case "garment":
                self._wear(item, value)
            case "hair" | "hairdo":
                self._note(item, told)
                self._comb(attribute, item)
                self.last = "hair"
            case "who":
                self._set(item, told)
                shades = [pair for pair in self.pending if pair[1][0] == "shade"]
                self.pending = [pair for pair in self.pending if pair not in shades]
                for adjective, shade in shades:
                    self._set(adjective, shade)
                self._drop(("color", "cut", "fit", "pattern"))
            case _:
                self._set(item, told)

    def _wear(self, item: Item, name: str) -> None:
        fits = [pair for pair in self.pending if pair[1][0] == "fit"]
        for adjective, (_, fit) in fits:
            if f"{fit} {name}" in VOCABULARY["garment"]:
                self._note(item, ("garment", name))
                name = f"{fit} {name}"
                self.pending.remove((adjective, ("fit", fit)))
                break
        else:
            self._note(item, ("garment", name))
        colors, pattern = self._dyes(), self._pattern()
        self._drop(("fit", "cut"))
        cloth = _Cloth(name, colors, "denim" if name == "jeans" and not pattern else pattern)
        self.clothes.append(cloth)
        self.last = "garment"

    def _dyes(self) -> tuple[str, ...]:
        """The colours that wait: one, or two with `and` between them."""
        found = []
        for adjective, (attribute, value) in self.pending:
            if attribute in ("color", "shade"):
                color = DYES.get(value, value)
                self._note(adjective, ("color", color))
                found.append(color)
        self.pending = [pair for pair in self.pending if pair[1][0] not in ("color", "shade")]
        return tuple(dict.fromkeys(found))[-2:]

    def _pattern(self) -> str:
        patterns = [pair for pair in self.pending if pair[1][0] == "pattern"]
        self.pending = [pair for pair in self.pending if pair not in patterns]
        for adjective, told in patterns:
            self._note(adjective, told)
        return patterns[-1][1][1] if patterns else ""

    def _comb(self, attribute: Attribute, item: Item) -> None:
        """Hair gets the cut and the shade that wait."""
        hairdo = item.means("hairdo")
        if attribute == "hairdo" and hairdo is not None:
            self._set(item, hairdo)
        for adjective, (kind, value) in self.pending:
            shade = TINTS.get(value)
            if kind == "cut" and attribute == "hair":
                self._set(adjective, ("cut", value))
            elif kind in ("shade", "color") and shade is not None:
                self._set(adjective, ("shade", shade))
            else:
                self.ignored.append(adjective.typed)
        self.pending.clear()

    def _settle(self) -> None:
        """Adjectives that no noun followed go to the noun before them, or to nobody."""
        if self.last == "hair" and self.pending:
            self._comb("hair", self.pending[0][0])
        elif self.last == "garment" and self.pending and not self.clothes[-1].colors:
            last = self.clothes.pop()
            pattern = self._pattern() or last.pattern
            self.clothes.append(_Cloth(last.name, self._dyes(), pattern))
        for adjective, told in self.pending:
            if told[0] == "shade" and adjective.means("color") is None:
                self._set(adjective, told)
            else:
                self.ignored.append(adjective.typed)
        self.pending.clear()
        self.negated = False

    def _drop(self, kinds: tuple[Attribute, ...]) -> None:
        """Adjectives that do not go with the noun."""
        self.ignored += [item.typed for item, told in self.pending if told[0] in kinds]
        self.pending = [pair for pair in self.pending if pair[1][0] not in kinds]

    def _set(self, item: Item, told: Meaning) -> None:
        """The first value of an attribute stays."""
        attribute, value = told
        if self.single.setdefault(attribute, value) == value:
            self._note(item, told)
        else:
            self.ignored.append(item.typed)

    def _note(self, item: Item, told: Meaning) -> None:
        """Tells what was taken for something else."""
        if words(item.typed) != words(told[1]):
            self.replaced.append((item.typed, told[1]))

    def _person(self) -> str:
        kinds: tuple[Attribute, ...] = (*PERSONAL, "who")
        said = [self.single.get(kind, "person" if kind == "who" else "") for kind in kinds]
        who = _with_article(" ".join(filter(None, said)))
        hair = self._hair()
        return f"{who} with {hair}" if hair else who

    def _hair(self) -> str:
        kinds: tuple[Attribute, ...] = ("shade", "cut", "hairdo")
        shade, cut, hairdo = (self.single.get(kind, "") for kind in kinds)
        match hairdo:
            case "bald head":
                return "a bald head"
            case "afro hair":
                return f"{shade} afro hair".strip()
            case "":
                order = (shade, cut) if cut == "cropped" else (cut, shade)
                return " ".join(filter(None, (*order, "hair"))) if shade or cut else ""
            case _:
                return _with_article(f"{shade} {hairdo}".strip())

    def _worn(self) -> str:
        listed = list(
            dict.fromkeys(
                cloth.words for cloth in sorted(self.clothes, key=lambda c: PLACES.get(c.name, 1))
            )
        )
        if len(listed) < 2:
            return f"in {listed[0]}" if listed else ""
        return f"in {', '.join(listed[:-1])} and {listed[-1]}"


@final
@dataclass(frozen=True)
class _Cloth:
    """A garment with its words."""

    name: str
    colors: tuple[str, ...]
    pattern: str

    @property
    def words(self) -> str:
        """'a red striped shirt'; the studio's clothes of two colours have no pattern."""
        colors = self.colors[-1:] if self.pattern else self.colors
        text = " ".join(filter(None, (" and ".join(colors), self.pattern, self.name)))
        return text if self.name.split()[-1] in PLURAL else _with_article(text)


def _with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
