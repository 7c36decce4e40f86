"""CIEDE2000: the distance of colours as eyes see it; about 1 is just noticed, 10 is another colour.

After Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula: implementation notes,
supplementary test data, and mathematical observations", Color Research and Application 30 (2005).
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

FAR = 25.0**7
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)  # IEC 61966-2-1, relative to D65.


def ciede2000(a: Float[ndarray, "*n 3"], b: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n"]:
    """The difference of Lab colours (weights k_L = k_C = k_H = 1)."""
    light_a, light_b = a[..., 0], b[..., 0]
    chroma = (np.hypot(a[..., 1], a[..., 2]) + np.hypot(b[..., 1], b[..., 2])) / 2
    gain = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + FAR))  # Eqs. 2 to 5.
    chroma_a, hue_a = _polar(a, gain)
    chroma_b, hue_b = _polar(b, gain)
    product = chroma_a * chroma_b
    turn = (hue_b - hue_a + 180) % 360 - 180  # Eq. 10: the shorter way round.
    turn = np.where(np.abs(hue_b - hue_a) == 180, hue_b - hue_a, turn)
    d_light, d_chroma = light_b - light_a, chroma_b - chroma_a
    d_hue = 2 * np.sqrt(product) * np.sin(np.radians(turn) / 2)
    light, chroma = (light_a + light_b) / 2, (chroma_a + chroma_b) / 2
    total = hue_a + hue_b
    far = np.abs(hue_a - hue_b) > 180
    hue = np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2
    hue = np.where(product == 0, total, hue)  # Eq. 14.
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    spin = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    turned = -np.sin(spin) * 2 * np.sqrt(chroma**7 / (chroma**7 + FAR))
    l_term, c_term, h_term = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    square = l_term**2 + c_term**2 + h_term**2 + turned * c_term * h_term
    return np.sqrt(np.maximum(square, 0))


def lab(rgb: Float[ndarray, "*n 3"]) -> Float[ndarray, "*n 3"]:
    """CIE Lab (D65) of sRGB in [0, 1]. OpenCV's interpolates a table and is off by up to 0.5."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clip(0) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / TO_XYZ.sum(1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def color_gap(a: Float[Tensor, "n 3"], b: Float[Tensor, "n 3"]) -> float:
    """The median CIEDE2000 of sRGB colours in [0, 1], one against one. ValueError for none."""
    if not len(a):
        raise ValueError("there are no colours to compare")
    return float(np.median(ciede2000(lab(a.double().numpy()), lab(b.double().numpy()))))


def _polar(color: ndarray, gain: ndarray) -> tuple[ndarray, ndarray]:
    """Chroma and hue (degrees, 0 for greys) with a stretched (Eqs. 5 to 7)."""
    red = gain * color[..., 1]
    return np.hypot(red, color[..., 2]), np.degrees(np.arctan2(color[..., 2], red)) % 360
