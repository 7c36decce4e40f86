"""How somebody speaks: styles as values."""

from dataclasses import dataclass
from typing import Literal

Style = Literal["calm", "lively"]


@dataclass(frozen=True)
class Manner:
    """Sizes and paces; angles in degrees, times in seconds."""

    mouth: float = 1.1
    """Scales how far the mouth opens."""
    brows: float = 0.22
    """ARKit weight of the brows at an ordinary accent."""
    nod: float = 3.0
    """A nod at an ordinary accent."""
    head: float = 1.0
    """Scales how the head turns and tilts as it goes on."""
    sway: float = 1.0
    """Scales how the trunk moves."""
    smile: float = 0.05
    """ARKit weight of a smile that never goes."""
    gesture_chance: float = 0.55
    """How likely a phrase's first accent lifts the hands."""
    gesture_size: float = 0.8
    """How far a beat goes, 1 being all the way."""
    gesture_rest: float = 1.6
    """The least time between two gestures."""
    gesture_longest: float = 4.5
    """The longest that the hands stay up."""
    stroke: float = 8.5
    """Quickness of a beat (see springs)."""


CALM = Manner()
LIVELY = Manner(1.2, 0.36, 4.5, 1.35, 1.5, 0.12, 0.9, 1.0, 0.5, 8.0, 11.0)

MANNERS: dict[Style, Manner] = {"calm": CALM, "lively": LIVELY}
