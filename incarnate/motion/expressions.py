"""Named expressions, and faces written as text."""

from difflib import get_close_matches

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.arkit import ARKIT_NAMES


def both(stem: str, weight: float) -> dict[str, float]:
    """The weight on the left and on the right."""
    return {f"{stem}Left": weight, f"{stem}Right": weight}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": both("mouthSmile", 0.75) | both("cheekSquint", 0.4) | both("eyeSquint", 0.25)
    | both("mouthDimple", 0.15),
    "mouth-open": {"jawOpen": 0.7},
    "eyes-closed": both("eyeBlink", 1.0),
    "look-left": {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8},
    "look-right": {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
    "look-up": both("eyeLookUp", 0.8) | both("eyeWide", 0.15),
    "look-down": both("eyeLookDown", 0.8) | both("eyeBlink", 0.2),
    "surprise": {"browInnerUp": 0.8, "jawOpen": 0.45} | both("browOuterUp", 0.8)
    | both("eyeWide", 0.8),
    "angry": both("browDown", 0.9) | both("eyeSquint", 0.4) | both("noseSneer", 0.5)
    | both("mouthPress", 0.5) | both("mouthFrown", 0.3),
    "sad": {"browInnerUp": 0.85, "mouthShrugLower": 0.35} | both("mouthFrown", 0.65)
    | both("eyeLookDown", 0.25) | both("eyeBlink", 0.15),
    "kiss": {"mouthPucker": 0.9, "mouthFunnel": 0.15} | both("eyeBlink", 0.1),
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.5,
             "mouthSmileRight": 0.2},
}  # fmt: skip
"""ARKit weights by name; sides are the person's own."""


def parse_expression(text: str) -> Float[Tensor, "52"]:
    """The weights of `smile`, of `jawOpen=0.5,eyeBlinkLeft=1`, or of both joined by commas.

    Terms add up (`smile,jawOpen=0.3`; `smile=0.5` is half a smile) and the sum is kept in [0, 1].
    ValueError names the nearest valid name.
    """
    weights = torch.zeros(len(ARKIT_NAMES))
    for term in text.split(","):
        name, equals, number = (part.strip() for part in term.partition("="))
        amount = _amount(number, term) if equals else 1.0
        if name in EXPRESSIONS:
            for key, weight in EXPRESSIONS[name].items():
                weights[ARKIT_NAMES.index(key)] += amount * weight
        elif name in ARKIT_NAMES:
            weights[ARKIT_NAMES.index(name)] += amount
        else:
            raise ValueError(_unknown(name))
    return weights.clamp(0, 1)


def _amount(number: str, term: str) -> float:
    try:
        amount = float(number)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= 1:
        raise ValueError(f"expression {term.strip()!r}: the weight must be a number in 0..1")
    return amount


def _unknown(name: str) -> str:
    spelled = {known.lower(): known for known in (*EXPRESSIONS, *ARKIT_NAMES)}
    near = get_close_matches(name.lower(), spelled, n=1, cutoff=0.0)
    return (
        f"no expression is called {name!r}; the nearest is {spelled[near[0]]!r} (give one of "
        f"{', '.join(EXPRESSIONS)}, or ARKit weights such as jawOpen=0.5)"
    )
