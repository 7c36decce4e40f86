"""CIE Lab (D65), in which distances are what eyes see: L in 0..100, a and b about -100..100."""

import cv2
import numpy as np
from jaxtyping import Float
from numpy import ndarray


def to_lab(rgb: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
    """Lab of sRGB colours in [0, 1]."""
    return cv2.cvtColor(rgb[None].clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[0].astype(float)


def from_lab(lab: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
    """sRGB in [0, 1] of Lab colours, clipped to what can be shown."""
    rgb = cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    return rgb.clip(0, 1).astype(float)
