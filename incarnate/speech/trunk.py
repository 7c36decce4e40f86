"""Head, trunk and legs of a speaker: nods on accents, turns from phrase to phrase, breath, weight.

Angles are degrees (forward, to the left, turned left), as in `motion.presets`.
"""

from dataclasses import dataclass, replace
from math import pi, sin

from incarnate.speech.cues import Cue
from incarnate.speech.manner import Manner
from incarnate.speech.springs import Spring, bump, chance, wander

Angles = tuple[float, float, float]
_BREATH = 4.1  # Seconds; 15 breaths a minute.


@dataclass(frozen=True)
class Trunk:
    """What the trunk remembers from frame to frame."""

    nods: tuple[tuple[float, float], ...] = ()
    """(when it began, degrees) of nods not yet over."""
    aim: Angles = (0.0, 0.0, 0.0)
    """Where the head is held in this phrase."""
    head: tuple[Spring, Spring, Spring] = (Spring(), Spring(), Spring())
    pitch: Spring = Spring()
    weight: Spring = Spring()
    side: float = 0.6
    """On which leg the weight is, from -1 (right) to 1 (left)."""
    shift: float = 4.0
    """When it changes."""
    phrases: int = 0


@dataclass(frozen=True)
class Bearing:
    """A frame of it."""

    head: Angles
    spine: Angles
    breath: float
    """From -1 (out) to 1 (in)."""
    weight: float
    """Towards the left leg, about -1 to 1."""


def borne(trunk: Trunk, cue: Cue, manner: Manner, seed: int, step: float) -> tuple[Trunk, Bearing]:
    """The next frame."""
    now = cue.seconds
    trunk = _aimed(trunk, cue, manner, seed)
    if cue.accent > 0.55:
        nod = manner.nod * cue.accent * (0.6 + 0.8 * chance(f"{seed}:nod:{now:.3f}"))
        trunk = replace(trunk, nods=(*trunk.nods, (now, nod)))
    trunk = replace(
        trunk,
        nods=tuple(nod for nod in trunk.nods if now - nod[0] < 1.0),
        head=tuple(
            spring.towards(aim, 4.0, step)
            for spring, aim in zip(trunk.head, trunk.aim, strict=True)
        ),
        pitch=trunk.pitch.towards(cue.pitch if cue.speaking else 0.0, 7.0, step),
        weight=trunk.weight.towards(trunk.side, 2.2, step),
    )
    # The strongest of nods that overlap, not their sum: quick accents must not throw the head.
    nod = max((size * bump(now - begun, 0.17, 0.38) for begun, size in trunk.nods), default=0.0)
    held = [spring.value for spring in trunk.head]
    head = (
        held[0]
        + nod
        - 0.22 * trunk.pitch.value
        + manner.head * 0.8 * wander(now, 1.3, f"{seed}:head x"),
        held[1] + manner.head * 1.0 * wander(now, 1.9, f"{seed}:head z"),
        held[2] + manner.head * 1.6 * wander(now, 1.7, f"{seed}:head y"),
    )
    weight = trunk.weight.value + 0.12 * wander(now, 2.7, f"{seed}:weight")
    breath = sin(2 * pi * (now / _BREATH + 0.15 * wander(now, 9.0, f"{seed}:breath")))
    spine = (
        0.8 - 0.5 * breath + 0.12 * nod + manner.sway * 0.7 * wander(now, 2.9, f"{seed}:spine x"),
        -1.3 * weight + manner.sway * 0.7 * wander(now, 3.7, f"{seed}:spine z"),
        manner.sway * 1.4 * wander(now, 3.1, f"{seed}:spine y") + 0.25 * held[2],
    )
    return trunk, Bearing(head, spine, breath, weight)


def _aimed(trunk: Trunk, cue: Cue, manner: Manner, seed: int) -> Trunk:
    now = cue.seconds
    if cue.begins or cue.ends:
        key = f"{seed}:aim:{trunk.phrases}:{cue.begins}"
        draws = [2 * chance(key + axis) - 1 for axis in "xyz"]
        size = manner.head * (1.0 if cue.begins else 0.45)
        aim = (2.0 * size * draws[0], 2.2 * size * draws[1], 4.5 * size * draws[2])
        if cue.ends:  # A phrase closes with the chin a little down.
            aim = (aim[0] + 1.2 * manner.head, aim[1], aim[2])
        trunk = replace(trunk, aim=aim, phrases=trunk.phrases + cue.begins)
    if now >= trunk.shift:
        side = -0.9 if trunk.side > 0 else 0.9
        side *= 0.5 + 0.5 * chance(f"{seed}:side:{now:.3f}")
        wait = 5.0 + 6.0 * chance(f"{seed}:shift:{now:.3f}")
        trunk = replace(trunk, side=side, shift=now + wait)
    return trunk
