"""What leads pictures towards a prior: pure functions of prior, noise and pictures.

A loss takes its noise as an argument and keeps nothing between calls. How noise is shared over
frames, carried between views or kept over iterations is the business of its source (`noises`,
`warp`, `anchors`); how levels fall over a run, that of `annealing`.
"""

from incarnate.guidance.anchors import Anchor, agreement, retained
from incarnate.guidance.annealing import Narrowing, Ramp, Range, annealed, levels
from incarnate.guidance.clips import Framewise, sds_of_clip
from incarnate.guidance.features import feature_distance
from incarnate.guidance.multistep import (
    Closeness,
    denoised,
    multi_step_latent,
    multi_step_pixel,
    repainted,
)
from incarnate.guidance.noises import independent, projected, resampled, shared
from incarnate.guidance.perpneg import PerpNeg, Weighted, perp_neg, view_weights
from incarnate.guidance.sds import sds
from incarnate.guidance.stress import Stressed
from incarnate.guidance.warp import Warp, reprojection

__all__ = [
    "Anchor",
    "Closeness",
    "Framewise",
    "Narrowing",
    "PerpNeg",
    "Ramp",
    "Range",
    "Stressed",
    "Warp",
    "Weighted",
    "agreement",
    "annealed",
    "denoised",
    "feature_distance",
    "independent",
    "levels",
    "multi_step_latent",
    "multi_step_pixel",
    "perp_neg",
    "projected",
    "repainted",
    "reprojection",
    "resampled",
    "retained",
    "sds",
    "sds_of_clip",
    "shared",
    "view_weights",
]
