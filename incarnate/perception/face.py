"""Faces: found in a head's surroundings at full resolution, for small ones are missed in a photo.

Coordinates as in `landmarkers`; boxes are (left, top, right, bottom) in pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from incarnate.perception.landmarkers import Perception, RawFace

CROP_SIDES = (2.6, 1.8, 4.0)  # Of the head's size; the first usually does.
MIN_CROP, MAX_CROP = 256, 1024  # Pixels of a crop's side: smaller ones are enlarged.
IRISES = (468, 473)  # The middle of the person's right and left iris.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The face's outline among the 478 points, from the forehead clockwise in the picture."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in the photo.

    `landmarks`: 478 points, pixels of the photo. `arkit`: the 52 weights in `ARKIT_NAMES` order.
    `head_pose`: MediaPipe's 4x4, from its canonical face (x right, y up, z towards the viewer, cm)
    to a camera that looks along -z with 63 degrees upright over the *crop*: its rotation is of use,
    its translation is not the photo's. `box`: left, top, right, bottom.
    """

    landmarks: Float32[np.ndarray, "478 3"]
    arkit: Float32[np.ndarray, " 52"]
    head_pose: Float32[np.ndarray, "4 4"]
    box: Float32[np.ndarray, "4"]

    @property
    def iris_distance(self) -> float:
        """Pixels between the eyes' irises: the face's yardstick."""
        right, left = self.landmarks[list(IRISES), :2]
        return float(np.linalg.norm(right - left))


@dataclass(frozen=True, eq=False)
class Crop:
    """A window of a photo, resized: photo pixel = `corner` + crop pixel / `scale`."""

    rgb: UInt8[np.ndarray, "h w 3"]
    corner: Float32[np.ndarray, "2"]
    scale: float

    def to_photo(self, points: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Points (x, y, z) of the crop, all three in pixels, as pixels of the photo."""
        moved = points / np.float32(self.scale)
        moved[:, :2] += self.corner
        return moved


def crop(
    rgb: UInt8[np.ndarray, "h w 3"], box: Float32[np.ndarray, "4"], smallest: int, largest: int
) -> Crop | None:
    """The part of the box inside the photo, its long side between `smallest` and `largest` pixels.

    None if fewer than 8 pixels of the box lie inside.
    """
    height, width = rgb.shape[:2]
    left, top = np.floor(np.clip(box[:2], 0, [width, height])).astype(int)
    right, bottom = np.ceil(np.clip(box[2:], 0, [width, height])).astype(int)
    if min(right - left, bottom - top) < 8:
        return None
    window = rgb[top:bottom, left:right]
    side = max(right - left, bottom - top)
    scale = float(np.clip(side, smallest, largest)) / side
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = (max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1))
        window = cv2.resize(window, size, interpolation=how)
    return Crop(window, np.asarray([left, top], np.float32), scale)


def square(center: Float32[np.ndarray, "2"], side: float) -> Float32[np.ndarray, "4"]:
    """The box of that side around a point."""
    half = np.float32(side / 2)
    return np.concatenate([center - half, center + half])


def face_near(
    rgb: UInt8[np.ndarray, "h w 3"],
    center: Float32[np.ndarray, "2"],
    size: float,
    perception: Perception,
) -> Face | None:
    """The face whose middle lies within `size` pixels (a head's height) of a point, or None."""
    for factor in CROP_SIDES:
        window = crop(rgb, square(center, factor * size), MIN_CROP, MAX_CROP)
        if window is None:
            continue
        faces = [_placed(face, window) for face in perception.faces(window.rgb)]
        faces = [face for face in faces if np.hypot(*(_middle(face) - center)) < size]
        if faces:
            return min(faces, key=lambda face: np.hypot(*(_middle(face) - center)))
    return None


def faces_in(rgb: UInt8[np.ndarray, "h w 3"], perception: Perception) -> list[Face]:
    """All faces large enough to be found in one look at the photo, each at full resolution."""
    height, width = rgb.shape[:2]
    whole = crop(rgb, np.asarray([0, 0, width, height], np.float32), MIN_CROP, MAX_CROP)
    if whole is None:
        return []
    found = [_placed(face, whole) for face in perception.faces(whole.rgb)]
    sharp = [
        face_near(rgb, _middle(face), float(face.box[3] - face.box[1]), perception)
        for face in found
    ]
    return [again or face for again, face in zip(sharp, found, strict=True)]


def _placed(face: RawFace, window: Crop) -> Face:
    landmarks = window.to_photo(face.points)
    flat = landmarks[:, :2]
    return Face(
        landmarks, face.arkit, face.head_pose, np.concatenate([flat.min(axis=0), flat.max(axis=0)])
    )


def _middle(face: Face) -> Float32[np.ndarray, "2"]:
    return (face.box[:2] + face.box[2:]) / 2
