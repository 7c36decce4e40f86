"""Beats of the hands: lifted at an accent, struck at the accents that follow, laid down to rest.

A gesture is a pair of attitudes of an arm, held and struck. Every attitude keeps a hand on its own
side of the body and before the belly or beside the thigh; between two, an arm takes the mean of
their joints' turns, which stays in the space they share (tests measure it on the body).
"""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.presets import RELAXED, Arm, Attitude, Hand, attitude_pose
from incarnate.motion.skeleton import SMPLX_JOINTS
from incarnate.speech.cues import Cue
from incarnate.speech.manner import Manner
from incarnate.speech.springs import chance, wander

_LOOSE = Hand(14.0, 17.0, 21.0, 24.0, 6.0, 8.0, 18.0, 2.0)
_OFFER = Hand(6.0, 8.0, 12.0, 15.0, 4.0, 4.0, 8.0, 5.0)
_PRECISE = Hand(38.0, 26.0, 22.0, 22.0, 26.0, 42.0, 6.0, 2.0)

ARMS: dict[str, Arm] = {
    "side": Arm((0.25, -1.0, -0.03), (0.15, -1.0, 0.26), hand=RELAXED),
    "home": Arm((0.26, -1.0, 0.10), (-0.22, -0.14, 1.0), (-0.85, -0.35, -0.1), hand=_LOOSE),
    "up": Arm((0.26, -1.0, 0.18), (-0.18, 0.26, 1.0), (-0.85, -0.30, 0.1), hand=_LOOSE),
    "down": Arm((0.27, -1.0, 0.16), (-0.10, -0.34, 1.0), (-0.75, -0.62, -0.1), hand=_LOOSE),
    "open": Arm((0.34, -1.0, 0.16), (0.22, -0.06, 1.0), (-0.30, 0.95, 0.15), hand=_OFFER),
    "wide": Arm((0.50, -1.0, 0.12), (0.62, 0.06, 0.85), (-0.30, 0.85, 0.35), hand=_OFFER),
    "pinch": Arm((0.27, -1.0, 0.18), (-0.14, 0.22, 1.0), (-0.92, -0.20, 0.1), hand=_PRECISE),
    "press": Arm((0.28, -1.0, 0.20), (-0.04, -0.12, 1.0), (-0.25, -0.95, 0.1), hand=_OFFER),
}  # fmt: skip
"""Attitudes of the left arm; the right one mirrors them."""
_NAMES = tuple(ARMS)
_PAIRS = (
    ("up", "down", 0.24),
    ("home", "open", 0.6),
    ("pinch", "down", 0.24),
    ("up", "press", 0.3),
    ("home", "wide", 0.7),
)
"""An arm's attitude as it is held and as it is struck, and for how many seconds a beat stays."""
_SIDED = tuple(
    tuple(
        j
        for j, name in enumerate(SMPLX_JOINTS)
        if name.startswith(side)
        and name.split("_")[1].rstrip("123")
        in ("collar", "shoulder", "elbow", "wrist", "index", "middle", "pinky", "ring", "thumb")
    )
    for side in ("left", "right")
)
_RESTING = ("side", "home")
_LOOSENESS = 0.05
"""How far, on average, hands at rest come up, and held ones go down: no hand is ever still."""
_AT_REST = np.array([[float(name == "side") for name in _NAMES]] * 2)
_LIFT, _LOWER = 6.0, 4.2  # Quickness of raising the hands and of laying them down.
_HOVER = 3.0
"""How much more a hand that is held up wanders than one at rest."""
_LIFTING = 0.45
"""Seconds from the decision to lift the hands to the first beat."""
_NEVER = -9.0
_STRONG = 0.75  # The least accent that is beaten.
_SPACED = 0.75  # Seconds from beat to beat, at least; up to as many more.


@dataclass(frozen=True, eq=False)
class Hands:
    """What the hands remember from frame to frame; both sides left first."""

    shares: Float[np.ndarray, "2 k"] = field(default_factory=lambda: _AT_REST.copy())
    """How much of each attitude an arm is in; they sum to 1."""
    speeds: Float[np.ndarray, "2 k"] = field(default_factory=lambda: 0 * _AT_REST)
    pair: int = -1
    """Which of the pairs; -1 while the hands rest."""
    active: tuple[bool, bool] = (True, True)
    since: float = -9.0
    """When the gesture, or the rest, began."""
    struck: float = _NEVER
    size: float = 0.0
    count: int = 0


def beaten(hands: Hands, cue: Cue, manner: Manner, seed: int, step: float) -> Hands:
    """The next frame."""
    hands = _decided(hands, cue, manner, seed)
    now = cue.seconds
    up = hands.pair >= 0
    held, stroke, stays = _PAIRS[hands.pair]
    blow = hands.size if up and now - hands.struck < stays else 0.0
    quick = _LOWER if not up else manner.stroke if now - hands.since > _LIFTING else _LIFT
    target = np.zeros_like(_AT_REST)
    for side, active in enumerate(hands.active):
        loose = _LOOSENESS * (1 + wander(now, 1.8, f"{seed}:hand:{side}"))
        low, high = (held, stroke) if up and active else _RESTING
        share = min(1.0, blow + _HOVER * loose) if up and active else loose
        target[side, _NAMES.index(low)] += 1 - share
        target[side, _NAMES.index(high)] += share
    # The hand that leads a gesture is ahead of the other.
    lead = np.array([1.0, 0.8] if hands.count % 3 == 0 else [0.8, 1.0])[:, None] * quick
    # Springs, as `Spring.towards`, all at once.
    off = hands.shares - target
    push = hands.speeds + lead * off
    fade = np.exp(-lead * step)
    return replace(
        hands,
        shares=target + (off + push * step) * fade,
        speeds=(hands.speeds - lead * push * step) * fade,
    )


def _decided(hands: Hands, cue: Cue, manner: Manner, seed: int) -> Hands:
    now = cue.seconds
    if hands.pair >= 0:
        tired = now - hands.since > manner.gesture_longest * (
            0.6 + 0.4 * chance(f"{seed}:long:{hands.count}")
        )
        if tired or (cue.ends and chance(f"{seed}:lay:{hands.count}:{now:.2f}") < 0.75):
            return replace(hands, pair=-1, since=now)
        lifted = now - hands.since > _LIFTING
        spaced = _SPACED * (1 + chance(f"{seed}:beat:{hands.struck:.3f}"))
        if cue.accent > _STRONG and lifted and now - hands.struck > spaced:
            size = manner.gesture_size * min(1.0, 0.55 + 0.4 * cue.accent)
            return replace(hands, struck=now, size=size)
        return hands
    rested = now - hands.since > manner.gesture_rest
    key = f"{seed}:gesture:{hands.count}"
    if not (cue.accent > 0.6 and rested):
        return hands
    if chance(key + ":do") > manner.gesture_chance:
        return replace(hands, since=now, count=hands.count + 1)
    pair = int(chance(key + ":which") * len(_PAIRS))
    side = chance(key + ":side")
    active = (side < 0.55, side < 0.35 or side >= 0.55)  # Both, the left or the right hand.
    return replace(hands, pair=pair, active=active, since=now, struck=_NEVER, count=hands.count + 1)


def arm_turns(shares: Float[Tensor, "f 2 k"]) -> tuple[tuple[int, ...], Float[Tensor, "f m 3 3"]]:
    """Which joints of the pose the arms own, and their local rotations, left then right."""
    parts = []
    for side, joints in enumerate(_SIDED):
        keys = _key_quats()[:, list(joints)]
        mixed = torch.einsum("fk,kjq->fjq", shares[:, side].to(keys), keys)
        parts.append(roma.unitquat_to_rotmat(mixed / mixed.norm(dim=-1, keepdim=True)))
    return _SIDED[0] + _SIDED[1], torch.cat(parts, 1)


@cache
def _key_quats() -> Float[Tensor, "k 55 4"]:
    poses = torch.stack([attitude_pose(Attitude(arm, arm)) for arm in ARMS.values()])
    quats = roma.rotmat_to_unitquat(poses)
    near = (quats * quats[1:2]).sum(-1, keepdim=True)
    return torch.where(near < 0, -quats, quats)
