"""Jaw and eyes of SMPL-X as ARKit weights, and back.

Linear and approximate: a weight of 1 stands for the angle below. Angles are axis-angle in SMPL-X's
axes: a jaw about x opens, about y goes to the person's left; an eye about x looks down, about y to
the person's left. SMPL-X cannot push its jaw forward, ARKit cannot roll it: both are dropped.
"""

from jaxtyping import Float
from torch import Tensor

from incarnate.motion.arkit import ARKIT_NAMES

JAW_OPEN = 0.45
JAW_ASIDE = 0.20
EYE_UP_DOWN = 0.45
EYE_ASIDE = 0.60
"""Radians at a weight of 1."""

_PAIRS = (  # Which of jaw, left eye, right eye; which axis; weight for + and for -; radians.
    (0, 0, "jawOpen", None, JAW_OPEN),
    (0, 1, "jawLeft", "jawRight", JAW_ASIDE),
    (1, 0, "eyeLookDownLeft", "eyeLookUpLeft", EYE_UP_DOWN),
    (2, 0, "eyeLookDownRight", "eyeLookUpRight", EYE_UP_DOWN),
    (1, 1, "eyeLookOutLeft", "eyeLookInLeft", EYE_ASIDE),
    (2, 1, "eyeLookInRight", "eyeLookOutRight", EYE_ASIDE),
)


def arkit_from_smplx(jaw_and_eyes: Float[Tensor, "*f 3 3"]) -> Float[Tensor, "*f 52"]:
    """Weights for the axis-angles of jaw, left eye and right eye, cut to [0, 1]."""
    out = jaw_and_eyes.new_zeros(*jaw_and_eyes.shape[:-2], len(ARKIT_NAMES))
    for part, axis, plus, minus, full in _PAIRS:
        weight = jaw_and_eyes[..., part, axis] / full
        out[..., ARKIT_NAMES.index(plus)] = weight.clamp(0, 1)
        if minus is not None:
            out[..., ARKIT_NAMES.index(minus)] = (-weight).clamp(0, 1)
    return out


def smplx_from_arkit(weights: Float[Tensor, "*f 52"]) -> Float[Tensor, "*f 3 3"]:
    """Axis-angles of jaw, left eye and right eye; all other weights are dropped."""
    out = weights.new_zeros(*weights.shape[:-1], 3, 3)
    for part, axis, plus, minus, full in _PAIRS:
        weight = weights[..., ARKIT_NAMES.index(plus)]
        if minus is not None:
            weight = weight - weights[..., ARKIT_NAMES.index(minus)]
        out[..., part, axis] = weight * full
    return out
