"""Outfits at random, and the words for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from incarnate.studio.clothes import Garment
from incarnate.studio.fabrics import COLORS, Fabric, Pattern

if TYPE_CHECKING:
    from incarnate.studio.people import Person

PLAIN = Fabric()

TOPS = (
    Garment("t-shirt", "top", PLAIN, None, 0.00, 0.62, "crew", ease=0.5),
    Garment("t-shirt", "top", PLAIN, None, -0.02, 0.55, "v", ease=0.35),
    Garment("long-sleeved shirt", "top", PLAIN, None, -0.01, 1.92, "crew", ease=0.45),
    Garment("shirt", "top", PLAIN, None, -0.03, 1.95, "collar", ease=0.6),
    Garment("sweater", "top", PLAIN, None, 0.01, 1.95, "crew", thickness=0.012, ease=0.9),
    Garment("turtleneck", "top", PLAIN, None, 0.02, 1.95, "high", thickness=0.007, ease=0.35),
    Garment("tank top", "top", PLAIN, None, 0.02, 0.0, "wide", ease=0.25),
    Garment("blouse", "top", PLAIN, None, 0.01, 1.3, "v", ease=0.8, gloss=0.06),
)
TROUSERS = (
    Garment("trousers", "bottom", PLAIN, 0.10, -0.80, thickness=0.005, ease=0.45,
            leg_radius=0.085),
    Garment("jeans", "bottom", PLAIN, 0.09, -0.82, thickness=0.005, ease=0.35, leg_radius=0.07),
    Garment("wide trousers", "bottom", PLAIN, 0.11, -0.83, thickness=0.006, ease=0.6,
            leg_radius=0.115),
    Garment("leggings", "bottom", PLAIN, 0.10, -0.80, thickness=0.003, ease=0.05),
    Garment("sweatpants", "bottom", PLAIN, 0.10, -0.79, thickness=0.008, ease=0.9,
            leg_radius=0.09),
    Garment("shorts", "bottom", PLAIN, 0.09, -0.36, thickness=0.006, ease=0.6, leg_radius=0.105),
)  # fmt: skip
SKIRTS = (
    Garment("short skirt", "bottom", PLAIN, 0.13, -0.33, thickness=0.008, ease=0.5, flare=0.16),
    Garment("skirt", "bottom", PLAIN, 0.13, -0.48, thickness=0.008, ease=0.5, flare=0.22),
    Garment("pleated skirt", "bottom", PLAIN, 0.13, -0.42, thickness=0.008, flare=0.3, pleats=22),
    Garment("long skirt", "bottom", PLAIN, 0.13, -0.74, thickness=0.008, ease=0.5, flare=0.2),
)
OUTER = (
    Garment("jacket", "outer", PLAIN, None, -0.04, 1.98, "collar", 0.17, 0.016, 0.7),
    Garment("blazer", "outer", PLAIN, None, -0.06, 1.98, "v", 0.13, 0.014, 0.55, gloss=0.04),
    Garment("cardigan", "outer", PLAIN, None, -0.05, 1.9, "v", 0.19, 0.014, 0.8),
)
SHOES = (
    Garment("sneakers", "shoes", PLAIN, None, 0.095, thickness=0.006, gloss=0.08),
    Garment("boots", "shoes", PLAIN, None, 0.19, thickness=0.006, gloss=0.16),
    Garment("shoes", "shoes", PLAIN, None, 0.085, thickness=0.005, gloss=0.25),
)
HATS = ("beanie", "cap", "brimmed hat")
PATTERNS: tuple[Pattern, ...] = (
    "plain", "plain", "plain", "striped", "striped", "pinstriped", "checked", "plaid", "dotted",
    "flowered", "mottled", "printed", "printed", "logo", "two-coloured",
)  # fmt: skip
SIZES = {"striped": (0.025, 0.09), "pinstriped": (0.018, 0.05), "checked": (0.02, 0.06),
         "plaid": (0.06, 0.14), "dotted": (0.025, 0.06)}  # fmt: skip
WIDTH_OF_NAMES = ("trousers", "jeans", "leggings", "sweatpants", "shorts", "sneakers", "boots",
                  "shoes")  # fmt: skip


@dataclass(frozen=True)
class Hat:
    """A hat by its name and cloth."""

    kind: str
    fabric: Fabric


@dataclass(frozen=True)
class Outfit:
    """Garments from the innermost on, and a hat."""

    garments: tuple[Garment, ...]
    hat: Hat | None


def outfit(rng: np.random.Generator, woman: bool) -> Outfit:
    """What this person wears."""
    skirt = woman and rng.random() < 0.45
    garments: list[Garment] = []
    if skirt and rng.random() < 0.5:
        garments += _dress(rng)
    else:
        lower = SKIRTS if skirt else TROUSERS
        count = len(lower) if woman or skirt else len(lower)
        bottom = lower[rng.integers(count)]
        while not woman and bottom.name == "leggings":
            bottom = lower[rng.integers(count)]
        garments.append(replace(bottom, fabric=_fabric(rng, bottom)))
        tops = TOPS if woman else TOPS[:-1]
        top = tops[rng.integers(len(tops))]
        top = replace(top, fabric=_fabric(rng, top))
        tucked = skirt or (top.name in ("shirt", "t-shirt", "tank top") and rng.random() < 0.3)
        if tucked:
            top = replace(top, ease=0.15 * top.ease, thickness=0.003)
            garments.insert(0, top)
            garments[-1] = replace(garments[-1], clear=0.010)
        else:
            garments.append(replace(top, clear=0.013))
    if rng.random() < 0.25:
        coat = OUTER[rng.integers(len(OUTER))]
        garments.append(replace(coat, fabric=_fabric(rng, coat), clear=0.018))
    shoe = SHOES[rng.integers(len(SHOES))]
    if rng.random() < 0.92:
        garments.insert(0, replace(shoe, fabric=_fabric(rng, shoe)))
    hat = None
    if rng.random() < 0.14:
        hat = Hat(str(rng.choice(HATS)), Fabric("plain", color(rng), weave=0.05))
    return Outfit(tuple(garments), hat)


def _dress(rng: np.random.Generator) -> list[Garment]:
    necks = ("crew", "v", "wide")
    top = Garment("dress", "dress", PLAIN, None, 0.02, float(rng.choice([0.0, 0.5, 1.9])),
                  necks[rng.integers(3)], ease=0.3, thickness=0.004)  # fmt: skip
    fabric = _fabric(rng, top)
    while fabric.pattern in ("logo", "two-coloured"):
        fabric = _fabric(rng, top)
    below = SKIRTS[rng.integers(len(SKIRTS))]
    below = replace(below, name="dress", label="dress", fabric=fabric, thickness=0.004)
    return [replace(top, fabric=fabric), below]


def _fabric(rng: np.random.Generator, garment: Garment) -> Fabric:
    first, second = color(rng), color(rng)
    while abs(sum(COLORS[first]) - sum(COLORS[second])) < 120:
        second = color(rng)
    match garment.name:
        case "jeans":
            first = str(rng.choice(["navy", "blue", "light blue", "black", "dark grey"]))
            return Fabric("denim", first, "white", weave=0.06)
        case "sneakers" | "boots" | "shoes":
            dark = ["black", "brown", "burgundy", "dark grey"]
            first = first if garment.name == "sneakers" else str(rng.choice(dark))
            return Fabric("plain", first, weave=0.01, seams=False)
        case "sweater" | "cardigan":
            kind = "knit" if rng.random() < 0.6 else "striped"
            size = float(rng.uniform(0.04, 0.1))
            return Fabric(kind, first, second, size, 0.05)
        case "trousers" | "leggings" | "sweatpants" | "wide trousers" | "shorts" | "blazer":
            if rng.random() < 0.75:
                return Fabric("plain", first, second)
            return Fabric("pinstriped", first, second, float(rng.uniform(0.02, 0.05)))
        case _:
            pattern = PATTERNS[rng.integers(len(PATTERNS))]
            if garment.label != "top" and pattern in ("printed", "logo", "two-coloured"):
                pattern = "plain"
            low, high = SIZES.get(pattern, (0.03, 0.03))
            return Fabric(pattern, first, second, float(rng.uniform(low, high)))


def color(rng: np.random.Generator) -> str:
    """The name of a colour at random."""
    return str(rng.choice(list(COLORS)))


def description(person: "Person") -> str:
    """'a tall woman with long brown hair in a red striped shirt and black trousers'."""
    names = person.figure.body.betas_names
    value = dict(zip(names, person.figure.betas.tolist(), strict=True))
    build = "tall " if value["height"] > 0.55 else "short " if value["height"] < 0.28 else ""
    if value["weight"] > 0.68:
        build += "heavy "
    elif value["weight"] < 0.33:
        build += "slim "
    elif value["muscle"] > 0.68:
        build += "muscular "
    age = "old " if value["age"] > 0.9 else "young " if value["age"] < 0.68 else ""
    noun = "woman" if person.woman else "man"
    worn = worn_words([w.garment for w in person.worn], person.hat)
    who = f"{age}{build}{noun}"
    article = "an" if who[0] in "aeiou" else "a"
    return f"{article} {who} with {person.hair_words}, in {worn}"


def worn_words(garments: Sequence[Garment], hat: Hat | None) -> str:
    """'a red striped shirt and black trousers'."""
    things = [_words(garment.name, garment.fabric) for garment in garments]
    if hat is not None:
        things.append(_words(hat.kind, hat.fabric))
    seen = list(dict.fromkeys(sorted(things, key=lambda t: t[1])))
    listed = [t[0] for t in seen]
    return ", ".join(listed[:-1]) + " and " + listed[-1] if len(listed) > 1 else listed[0]


ORDER = ("dress", "jacket", "blazer", "cardigan")


def _words(name: str, fabric: Fabric) -> tuple[str, int]:
    text = f"{fabric.words} {name}"
    place = 0 if name == "dress" else 1
    place = 4 if name in HATS else place
    place = 3 if name in ("sneakers", "boots", "shoes") else place
    place = 2 if name.endswith(("trousers", "jeans", "leggings", "sweatpants", "shorts", "skirt"))\
        else place  # fmt: skip
    place = 2 if name in ORDER[1:] else place
    if name.split()[-1] not in WIDTH_OF_NAMES:
        text = ("an " if text[0] in "aeiou" else "a ") + text
    return text, place
