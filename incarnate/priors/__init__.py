"""Diffusion models behind one interface, without any 3D.

`Denoiser` is all that guidance and sampling know of a model: encode, decode, predict.
"""

from incarnate.priors.conditions import (
    Audio,
    Condition,
    Depth,
    Normal,
    Pose,
    Projection,
    Reference,
    Text,
    View,
)
from incarnate.priors.denoiser import Denoiser, Images, guided
from incarnate.priors.gaussian import GaussianPrior
from incarnate.priors.sampling import ddim, inverted, sample
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.windows import Windowed, Windows

__all__ = [
    "Audio",
    "Condition",
    "Denoiser",
    "Depth",
    "GaussianPrior",
    "Images",
    "Latents",
    "Levels",
    "Normal",
    "Pose",
    "Projection",
    "Reference",
    "Schedule",
    "Text",
    "View",
    "Windowed",
    "Windows",
    "ddim",
    "guided",
    "inverted",
    "sample",
]
