"""Mouth, eyes and brows of a speaker.

Blinks come 2 to 6 seconds apart (Bentivoglio et al. 1997: 17 a minute at rest, 26 in talk), some at
the ends of phrases. The eyes rest on the listener and leave now and then, in jumps; they stay where
they look while the head turns. Brows rise with accents and pitch.
"""

from dataclasses import dataclass, replace
from math import exp

import numpy as np
from jaxtyping import Float

from incarnate.body.gaze import PITCH, YAW
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.speech.cues import Cue
from incarnate.speech.manner import Manner
from incarnate.speech.springs import Spring, chance, wander
from incarnate.speech.visemes import ARTICULATORS, articulation, face_weights, reached

_AT = {name: k for k, name in enumerate(ARKIT_NAMES)}
_CLOSING, _SHUT, _OPENING = 0.07, 0.04, 0.16  # Seconds of a blink.
_SOONEST = 1.6
_SACCADE = 60.0  # Quickness: an eye arrives within two frames.


@dataclass(frozen=True)
class Face:
    """What a face remembers from frame to frame."""

    blink: float = -1.0
    """When the last blink began."""
    next_blink: float = 1.2
    look_until: float = 0.8
    look: tuple[float, float] = (0.0, 0.0)
    """Degrees to the left and down of the listener."""
    eyes: tuple[Spring, Spring] = (Spring(), Spring())
    brows: Spring = Spring()
    lift: float = 0.0
    """What is left of the last accent's lift of the brows."""
    opening: Spring = Spring(1.0)
    mouth: tuple[float, ...] = (0.0,) * len(ARTICULATORS)
    count: int = 0


def faced(
    face: Face,
    cue: Cue,
    head: tuple[float, float],
    manner: Manner,
    seed: int,
    step: float,
) -> tuple[Face, Float[np.ndarray, "52"]]:
    """The next frame's weights; `head` is its turn to the left and nod, degrees."""
    face = _blinking(face, cue, seed)
    face = _looking(face, cue, seed, step)
    lift = max(face.lift * exp(-step / 0.22), min(1.5, cue.accent))
    raised = manner.brows * (lift + 0.06 * max(0.0, cue.pitch)) if cue.speaking else 0.0
    loud = min(1.22, max(0.72, 1 + 0.03 * cue.loudness))
    mouth = reached(np.array(face.mouth), articulation(cue.phonemes, cue.seconds), step)
    face = replace(
        face,
        mouth=tuple(mouth.tolist()),
        lift=lift,
        brows=face.brows.towards(raised, 14.0, step),
        opening=face.opening.towards(loud if cue.speaking else 1.0, 25.0, step),
    )
    out = face_weights(mouth, manner.mouth * face.opening.value)
    out[[_AT["mouthSmileLeft"], _AT["mouthSmileRight"]]] += manner.smile
    brow = face.brows.value + 0.04 * (1 + wander(cue.seconds, 2.3, f"{seed}:brow"))
    out[_AT["browInnerUp"]] = max(0.0, 0.8 * brow)
    for side, share in (("Left", 1.0), ("Right", 0.85)):
        out[_AT[f"browOuterUp{side}"]] = max(0.0, share * brow)
    _turn_eyes(out, face, head)
    lid = _lid(cue.seconds - face.blink)
    for side in ("Left", "Right"):
        down = out[_AT[f"eyeLookDown{side}"]]
        out[_AT[f"eyeBlink{side}"]] = max(lid, 0.25 * down)
        out[_AT[f"eyeSquint{side}"]] = 0.3 * lid + 0.3 * manner.smile
    return face, out.clip(0, 1)


def _blinking(face: Face, cue: Cue, seed: int) -> Face:
    now = cue.seconds
    due = now >= face.next_blink
    tired = now - face.blink > _SOONEST and chance(f"{seed}:pause:{now:.3f}") < 0.55
    if not due and not (cue.ends and tired):
        return face
    wait = 2.2 + 4.0 * chance(f"{seed}:blink:{face.count}")
    return replace(face, blink=now, next_blink=now + wait, count=face.count + 1)


def _lid(since: float) -> float:
    if since < 0 or since > _CLOSING + _SHUT + _OPENING:
        return 0.0
    if since < _CLOSING:
        x = since / _CLOSING
    else:
        x = min(1.0, 1 - (since - _CLOSING - _SHUT) / _OPENING)
    return x * x * (3 - 2 * x)


def _looking(face: Face, cue: Cue, seed: int, step: float) -> Face:
    now = cue.seconds
    key = f"{seed}:look:{now:.3f}"
    away = face.look != (0.0, 0.0)
    if now >= face.look_until or (cue.begins and not away and chance(key + "b") < 0.35):
        if away or chance(key) < 0.25:
            look, wait = (0.0, 0.0), 1.2 + 2.6 * chance(key + "t")
        else:
            aside = (1 if chance(key + "s") < 0.5 else -1) * (3 + 6 * chance(key + "x"))
            look, wait = (aside, 6 * chance(key + "y") - 3.5), 0.35 + 0.6 * chance(key + "t")
        face = replace(face, look=look, look_until=now + wait)
    eyes = (
        face.eyes[0].towards(face.look[0], _SACCADE, step),
        face.eyes[1].towards(face.look[1], _SACCADE, step),
    )
    return replace(face, eyes=eyes)


def _turn_eyes(out: Float[np.ndarray, "52"], face: Face, head: tuple[float, float]) -> None:
    left = np.deg2rad(face.eyes[0].value - head[0]) / YAW
    down = np.deg2rad(face.eyes[1].value - head[1]) / PITCH
    out[_AT["eyeLookOutLeft"]] = out[_AT["eyeLookInRight"]] = max(0.0, left)
    out[_AT["eyeLookInLeft"]] = out[_AT["eyeLookOutRight"]] = max(0.0, -left)
    for side in ("Left", "Right"):
        out[_AT[f"eyeLookDown{side}"]] = max(0.0, down)
        out[_AT[f"eyeLookUp{side}"]] = max(0.0, -down)
