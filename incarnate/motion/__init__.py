"""Motion: what a person does, told without a body. Files: `incarnate.io.motions`."""

from incarnate.motion.cycles import idle, walk_cycle
from incarnate.motion.expressions import EXPRESSIONS, parse_expression
from incarnate.motion.motion import (
    Motion,
    blended,
    concatenated,
    grounded,
    load_motion,
    looped,
    resampled,
    save_motion,
)
from incarnate.motion.presets import POSES, pose_preset
from incarnate.motion.skeleton import LEG_LENGTH, SMPLX_JOINTS

__all__ = [
    "EXPRESSIONS",
    "LEG_LENGTH",
    "POSES",
    "SMPLX_JOINTS",
    "Motion",
    "blended",
    "concatenated",
    "grounded",
    "idle",
    "load_motion",
    "looped",
    "parse_expression",
    "pose_preset",
    "resampled",
    "save_motion",
    "walk_cycle",
]
