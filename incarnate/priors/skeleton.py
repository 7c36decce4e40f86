"""Skeletons as pictures, for models that follow poses.

Each limb has a colour of its own by the joint it leads to, so left and right differ. Joints carry
SMPL-X's names; whatever else is named, and the face, is not drawn.
"""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from incarnate.motion.skeleton import INDEX, PARENTS, SMPLX_JOINTS

_FACE = ("jaw", "left_eye_smplhf", "right_eye_smplhf")
_GOLDEN = 0.6180339887  # Of the colour wheel: neighbours on the list lie far apart on it.
_THICKNESS = 1 / 64  # Of the picture's shorter side; fingers a third.
_FIRST_FINGER = INDEX["left_index1"]
_SHIFT = 4  # cv2 takes sixteenths of pixels.


def drawn(
    joints: Float[np.ndarray, "j 2"], names: Sequence[str], height: int, width: int
) -> Float[np.ndarray, "h w 3"]:
    """The skeleton on black. Joints in pixels, first pixel centre at 0.5; nan where unknown."""
    canvas = np.zeros((height, width, 3), np.uint8)
    where = {name: joint for name, joint in zip(names, joints, strict=True) if name in INDEX}
    thick = min(height, width) * _THICKNESS
    for name in SMPLX_JOINTS:
        parent = PARENTS[INDEX[name]]
        if parent < 0 or name in _FACE:
            continue
        ends = [where.get(SMPLX_JOINTS[parent]), where.get(name)]
        points = [end for end in ends if end is not None and np.isfinite(end).all()]
        if len(points) < 2:
            continue
        a, b = (_sixteenths(point) for point in points)
        width_here = thick / 3 if INDEX[name] >= _FIRST_FINGER else thick
        cv2.line(canvas, a, b, color(name), max(1, round(width_here)), cv2.LINE_AA, _SHIFT)
    return canvas.astype(np.float32) / 255


def color(name: str) -> tuple[int, int, int]:
    """Of the limb that leads to a joint, rgb in 0..255."""
    turn = INDEX[name] * _GOLDEN % 1
    pale = 0.45 if name.startswith("right") else 1.0
    r, g, b = colorsys.hsv_to_rgb(turn, pale, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def _sixteenths(point: Float[np.ndarray, " 2"]) -> tuple[int, int]:
    # cv2 has the first pixel's centre at 0; far outside, its 16 bits would run over.
    x, y = np.clip((point - 0.5) * 2**_SHIFT, -30_000, 30_000).round().astype(int)
    return int(x), int(y)
