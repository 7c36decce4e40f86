"""What the mouth does for each speech sound, and how neighbours share it.

Coarticulation as of Cohen and Massaro (1993). Each sound i pulls each articulator c towards a
target T_ic with a dominance that falls off on both sides of its middle:

    D_ic(t) = a_ic exp(-(|t - m_i| / w_ic)^2),    value_c(t) = sum_i D_ic T_ic / sum_i D_ic

(their exponent is 1 and leaves a kink at the middle; 2 is smooth). A sound that does not care has
a small a; a closure has a large one and is reached whatever stands beside it. Silence is a sound of
its own with all targets 0. Every D is cut to 0 at REACH by a smooth window, so a face depends on
nothing further ahead.

Articulators become ARKit weights in `face_weights`. On our body mouthClose undoes jawOpen at the
lips weight for weight, so sealed lips are mouthClose = jawOpen and a little more for pressure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.speech.phonemes import VOWELS, Phoneme

REACH = 0.12
"""Seconds before and after a sound's edges in which it moves the mouth."""
ARTICULATORS = ("jaw", "seal", "funnel", "pucker", "wide", "lower", "upper", "tuck", "tongue")
"""Opening of the jaw; lips sealed, funnelled, protruded, spread; lower lip down, upper lip up;
lower lip under the upper teeth; tongue between the teeth."""
_PRESSURE = 0.04
"""More mouthClose than jawOpen, by which sealed lips press."""


@dataclass(frozen=True)
class Target:
    """Where a sound wants the mouth; what is not named is 0 but weakly meant."""

    jaw: float
    strength: float = 1.0
    """How much it insists on its jaw and lips, a vowel in a stressed syllable being 1."""
    seal: float = 0.0
    funnel: float = 0.0
    pucker: float = 0.0
    wide: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0


_LIPS = Target(0.05, 0.8, seal=1.0)
_TEETH = Target(0.09, 1.0, tuck=1.0)
_TONGUE_TIP = Target(0.10, 0.6, lower=0.10, tongue=0.1)
_HISS = Target(0.05, 1.2, wide=0.30, lower=0.42, upper=0.20)
_HUSH = Target(0.06, 1.4, funnel=0.50, pucker=0.35, lower=0.15, upper=0.12)

TARGETS: dict[str, Target] = {
    "p": _LIPS, "b": _LIPS, "m": _LIPS,
    "f": _TEETH, "v": _TEETH,
    "θ": Target(0.12, 1.2, lower=0.12, tongue=1.0), "ð": Target(0.11, 0.9, lower=0.1, tongue=0.85),
    "t": _TONGUE_TIP, "d": _TONGUE_TIP, "n": _TONGUE_TIP,
    "l": Target(0.15, 0.6, lower=0.10, tongue=0.25),
    "s": _HISS, "z": _HISS, "ʃ": _HUSH, "ʒ": _HUSH,
    "k": Target(0.14, 0.4), "ɡ": Target(0.14, 0.4), "ŋ": Target(0.13, 0.4), "h": Target(0.16, 0.15),
    "w": Target(0.07, 2.2, funnel=0.45, pucker=0.95),
    "ɹ": Target(0.10, 1.1, funnel=0.40, pucker=0.30),
    "j": Target(0.09, 0.8, wide=0.45, lower=0.10),
    "i": Target(0.15, 1.0, wide=0.75, lower=0.34, upper=0.16),
    "ɪ": Target(0.19, 0.8, wide=0.35, lower=0.22, upper=0.08),
    "e": Target(0.25, 1.0, wide=0.45, lower=0.28, upper=0.10),
    "ɛ": Target(0.30, 0.9, wide=0.30, lower=0.28, upper=0.10),
    "æ": Target(0.38, 1.1, wide=0.35, lower=0.32, upper=0.12),
    "a": Target(0.40, 1.1, wide=0.10, lower=0.25, upper=0.08),
    "ɑ": Target(0.42, 1.1, lower=0.20, upper=0.05),
    "ʌ": Target(0.30, 0.8, lower=0.18, upper=0.05), "ə": Target(0.19, 0.4, lower=0.15),
    "ɝ": Target(0.17, 0.9, funnel=0.38, pucker=0.25, lower=0.10),
    "ɔ": Target(0.34, 1.2, funnel=0.55, pucker=0.30),
    "o": Target(0.25, 1.3, funnel=0.65, pucker=0.50),
    "ʊ": Target(0.15, 1.1, funnel=0.50, pucker=0.60),
    "u": Target(0.09, 1.4, funnel=0.50, pucker=0.90),
}  # fmt: skip
"""For a voice of ordinary loudness; opening scales with loudness, closures do not."""

_TABLE = {
    symbol: np.array([getattr(target, name) for name in ARTICULATORS])
    for symbol, target in TARGETS.items()
}
_REST = 0.12
"""How much silence insists on a closed mouth while a sound beside it fades."""

_SPREAD = np.array([0.035, 0.004, 0.070, 0.070, 0.060, 0.040, 0.040, 0.012, 0.020])
"""Seconds beyond half a sound's length over which it holds each articulator."""
_CLOSURE = {"seal": 9.0, "tuck": 7.0, "tongue": 4.0}
"""How much a sound that closes something insists on it."""
_CARELESS = 0.15
"""How much a consonant insists on lips that it leaves to its neighbours."""
_SHORTEST = 0.05
"""Seconds: a closure shorter than this would fall between two frames."""


def _insistence(symbol: str) -> Float[np.ndarray, "9"]:
    target = TARGETS[symbol]
    out = np.full(len(ARTICULATORS), target.strength)
    for c, name in enumerate(ARTICULATORS):
        value = _TABLE[symbol][c]
        if name in _CLOSURE:
            out[c] = _CLOSURE[name] * value if value > 0 else 1.5
        elif name in ("funnel", "pucker", "wide") and not value and symbol not in VOWELS:
            out[c] = _CARELESS
    return out


_DOMINANCE = {symbol: _insistence(symbol) for symbol in TARGETS}


def dominances(phonemes: Sequence[Phoneme], seconds: float) -> Float[np.ndarray, "i 9"]:
    """D_ic of sounds at an instant; exactly 0 from REACH beyond their edges on."""
    starts = np.array([p.start for p in phonemes])
    ends = np.array([p.end for p in phonemes])
    widths = np.maximum(ends - starts, _SHORTEST)[:, None] / 2 + _SPREAD
    fall = np.exp(-(((seconds - (starts + ends) / 2)[:, None] / widths) ** 2))
    beyond = np.clip(np.maximum(starts - seconds, seconds - ends) / REACH, 0, 1)
    stress = np.array([1 + 0.4 * (p.stress or 0.0) for p in phonemes])
    insistence = np.stack([_DOMINANCE[p.symbol] for p in phonemes])
    return insistence * fall * (stress * (1 - beyond**2) ** 2)[:, None]


def articulation(phonemes: Sequence[Phoneme], seconds: float) -> Float[np.ndarray, "9"]:
    """The articulators at an instant; phonemes further than REACH away make no difference."""
    near = [p for p in phonemes if p.start - REACH < seconds < p.end + REACH]
    if not near:
        return np.zeros(len(ARTICULATORS))
    dominance = dominances(near, seconds)
    targets = np.stack([_TABLE[p.symbol] for p in near])
    return (dominance * targets).sum(0) / (_REST + dominance.sum(0))


_FASTEST = np.array([4.5, 40.0, 12.0, 12.0, 9.0, 10.0, 10.0, 40.0, 20.0])
"""Weight a second. The jaw is the slowest; it binds where a sound is known late (live), when its
curve would jump."""


def reached(
    mouth: Float[np.ndarray, "9"], target: Float[np.ndarray, "9"], seconds: float
) -> Float[np.ndarray, "9"]:
    """Articulators after so many seconds on their way to a target."""
    return mouth + np.clip(target - mouth, -_FASTEST * seconds, _FASTEST * seconds)


_PLACES: dict[str, list[int]] = {}
for _place, _name in enumerate(ARKIT_NAMES):
    _PLACES.setdefault(_name.removesuffix("Left").removesuffix("Right"), []).append(_place)
MOUTH: tuple[int, ...] = tuple(
    k for k, name in enumerate(ARKIT_NAMES) if name.startswith(("jaw", "mouth", "tongue", "cheekP"))
)
"""ARKIT_NAMES' places that speech commands: a smile held in a photo keeps lips from closing."""


def face_weights(
    articulators: Float[np.ndarray, "9"], opening: float = 1.0
) -> Float[np.ndarray, "52"]:
    """ARKit weights of a mouth; `opening` scales how far it opens, not how tight it shuts."""
    jaw, seal, funnel, pucker, wide, lower, upper, tuck, tongue = articulators.tolist()
    jaw, lower, upper = jaw * opening, lower * opening, upper * opening
    seal, tuck = _saturated(seal), _saturated(tuck)
    free = 1 - seal
    # Where the jaw is held open by vowels around an f, the lower lip goes up to the teeth alone.
    raised = free * tuck * max(0.0, jaw - TARGETS["f"].jaw)
    weights = {
        "jawOpen": jaw,
        "mouthClose": seal * (jaw + _PRESSURE) + raised,
        "mouthRollUpper": 0.24 * seal,
        "mouthRollLower": 0.26 * seal + 0.9 * tuck,
        "mouthPress": 0.10 * seal,
        "mouthFunnel": funnel * free * (1 - tuck),
        "mouthPucker": pucker * (1 - 0.5 * seal),
        "mouthStretch": 0.45 * wide * (1 - 0.4 * seal),
        "mouthSmile": 0.22 * wide * (1 - 0.4 * seal),
        "mouthLowerDown": lower * free * (1 - tuck),
        "mouthUpperUp": upper * free + 0.65 * tuck,
        "tongueOut": 0.42 * tongue * free,
    }
    out = np.zeros(len(ARKIT_NAMES))
    for name, weight in weights.items():
        out[_PLACES[name]] = min(1.0, max(0.0, weight))
    return out


def _saturated(closure: float) -> float:
    """From a mixture of dominances to a closure that is complete before its sound is alone."""
    x = min(1.0, max(0.0, (closure - 0.12) / 0.62))
    return x * x * (3 - 2 * x)
