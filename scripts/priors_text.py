"""The text encoder's own stage: it learns to tell what captions say before the UNet listens to it.

Learnt together with a UNet of this size, all tokens came out alike but for framing and domain, and
views and colours were never heard. So, as CLIP is for Stable Diffusion, it is trained first, and
frozen then: what follows the caption (the end's token fills the rest) must tell every fact of it.
"""

import re
from collections.abc import Iterable

import numpy as np
import torch
from priors_data import DOMAINS, Domain, Lessons
from priors_nets import Parts
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from incarnate.priors.vocabulary import VOCABULARY

SLOTS = {
    "t-shirt": "top", "long-sleeved shirt": "top", "shirt": "top", "sweater": "top",
    "turtleneck": "top", "tank top": "top", "blouse": "top", "jacket": "outer", "blazer": "outer",
    "cardigan": "outer", "sneakers": "feet", "boots": "feet", "shoes": "feet", "dress": "dress",
    "beanie": "hat", "cap": "hat", "brimmed hat": "hat",
}  # fmt: skip
"""Where garments are worn; all others are worn on legs."""


def _any(names: Iterable[str]) -> re.Pattern[str]:
    longest = sorted(names, key=len, reverse=True)
    return re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest)) + r")(?![\w-])")


_GARMENT, _COLOR = _any(VOCABULARY["garment"] | {"denim jeans": ""}), _any(VOCABULARY["color"])
_PATTERN = _any(VOCABULARY["pattern"])


def facts(parts: Iterable[str]) -> set[str]:
    """What the parts of a canonical caption say: 'top red', 'feet boots', 'hair long', 'waving'."""
    said: set[str] = set()
    for part in parts:
        who, _, hair = part.partition(" with ")
        garments = list(_GARMENT.finditer(part))
        if re.search(r"\b(man|woman|person)\b", who):
            said |= {word for word in who.split() if word not in ("a", "an")}
            said |= {f"hair {word}" for word in hair.split() if word not in ("a", "hair")}
        elif garments:
            end = 0
            for found in garments:
                name = found[1].removeprefix("denim ")
                before, slot, end = part[end : found.start()], SLOTS.get(name, "legs"), found.end()
                told = [name, *_COLOR.findall(before), *_PATTERN.findall(before)]
                said |= {f"{slot} {one}" for one in told}
        else:
            said.add(part)
    return said


class Facts(nn.Module):
    """Reads facts off every state of the text encoder from the end of the caption on."""

    def __init__(self, lessons: Lessons, width: int) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        every: set[str] = set(DOMAINS)
        for i in range(0, len(lessons), 5):
            every |= facts(lessons.parts(i, rng))
        self.names = {name: k for k, name in enumerate(sorted(every))}
        self.read = nn.Linear(width, len(self.names))

    def loss(self, parts: Parts, prompts: list[str], said: list[set[str]]) -> Tensor:
        """Cross-entropy of all facts, said or not."""
        truth = torch.zeros(len(prompts), len(self.names))
        for row, names in zip(truth, said, strict=True):
            row[[self.names[name] for name in names if name in self.names]] = 1
        tokens, states = parts.read(prompts)
        after = tokens.eq(tokens[:, -1:]).float()  # The end fills the rest.
        told = self.read(states.float())
        every = binary_cross_entropy_with_logits(
            told, truth[:, None].expand_as(told), reduction="none"
        )
        return (every.mean(-1) * after).sum() / after.sum() * 30


def spoken(lessons: Lessons, rng: np.random.Generator, domain: Domain) -> tuple[str, set[str]]:
    """A prompt at random, and the facts in it."""
    parts = lessons.parts(int(rng.integers(len(lessons))), rng)
    return lessons.worded(parts, domain, rng), facts(parts) | {domain}
