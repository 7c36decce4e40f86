"""The pose, hand and face networks (MediaPipe Tasks), opened at first use, closed by their owner.

Images are uint8, rows x columns x rgb. Points come out in pixels of the image given, x right and y
down, the first pixel's centre at (0.5, 0.5); their z is in the same pixels, towards the viewer
negative. World points are metres, x right, y down, z away from the viewer: for the body from the
middle of the hips, for a hand from its middle.
"""

import contextlib
import ctypes
import os
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.weights import path

POSE_CONFIDENCE = 0.5
HAND_CONFIDENCE = 0.3  # Of the palm detector; low, since every hand is checked against its wrist.
FACE_CONFIDENCE = 0.5
MAX_PEOPLE = 8


@dataclass(frozen=True, eq=False)
class Pose:
    """One body: 33 points (x, y, visibility), the same in metres, a soft mask if asked for."""

    points: Float32[np.ndarray, "33 3"]
    world: Float32[np.ndarray, "33 3"]
    mask: Float32[np.ndarray, "h w"] | None


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand: 21 points (x, y, z), the same in metres, how sure the network is of its side."""

    points: Float32[np.ndarray, "21 3"]
    world: Float32[np.ndarray, "21 3"]
    score: float
    is_left: bool


@dataclass(frozen=True, eq=False)
class RawFace:
    """One face: 478 points (x, y, z), 52 ARKit weights, the head's pose in centimetres."""

    points: Float32[np.ndarray, "478 3"]
    arkit: Float32[np.ndarray, " 52"]
    head_pose: Float32[np.ndarray, "4 4"]


@final
class Perception:
    """The networks. Use as a context, or call `close`; forgotten ones close at exit."""

    def __init__(self) -> None:
        self._opened: list[Any] = []
        weakref.finalize(self, _close_all, self._opened)

    def __enter__(self) -> "Perception":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; the object is of no use afterwards."""
        _close_all(self._opened)

    def poses(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Pose]:
        """The bodies found, without masks: the fast search."""
        return _poses(_detected(self._search, rgb), rgb.shape)

    def posed(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Pose]:
        """The bodies found, with masks the size of the image."""
        return _poses(_detected(self._pose, rgb), rgb.shape)

    def hands(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Hand]:
        """Up to two hands; `is_left` is the network's opinion; a mirrored photo confuses it."""
        found = _detected(self._hand, rgb)
        size = _scale(rgb.shape)
        return [
            Hand(_xyz(points) * size, _xyz(world), side[0].score, side[0].category_name == "Left")
            for points, world, side in zip(
                found.hand_landmarks, found.hand_world_landmarks, found.handedness, strict=True
            )
        ]

    def faces(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[RawFace]:
        """The faces found."""
        found = _detected(self._face, rgb)
        size = _scale(rgb.shape)
        return [
            RawFace(_xyz(points) * size, _arkit(scores), np.asarray(pose, np.float32))
            for points, scores, pose in zip(
                found.face_landmarks,
                found.face_blendshapes,
                found.facial_transformation_matrixes,
                strict=True,
            )
        ]

    @cached_property
    def _search(self) -> Any:
        return self._open_pose(masks=False)

    @cached_property
    def _pose(self) -> Any:
        return self._open_pose(masks=True)

    def _open_pose(self, masks: bool) -> Any:
        with _silenced():
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.PoseLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(path("pose"))),
                num_poses=MAX_PEOPLE,
                min_pose_detection_confidence=POSE_CONFIDENCE,
                output_segmentation_masks=masks,
            )
            return self._kept(vision.PoseLandmarker.create_from_options(options))

    @cached_property
    def _hand(self) -> Any:
        with _silenced():
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.HandLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(path("hand"))),
                num_hands=2,
                min_hand_detection_confidence=HAND_CONFIDENCE,
            )
            return self._kept(vision.HandLandmarker.create_from_options(options))

    @cached_property
    def _face(self) -> Any:
        with _silenced():
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(path("face"))),
                num_faces=MAX_PEOPLE,
                min_face_detection_confidence=FACE_CONFIDENCE,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
            return self._kept(vision.FaceLandmarker.create_from_options(options))

    def _kept(self, network: Any) -> Any:
        self._opened.append(network)
        return network


def _detected(network: Any, rgb: UInt8[np.ndarray, "h w 3"]) -> Any:
    with _silenced():
        from mediapipe import Image, ImageFormat

        image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        return network.detect(image)


def _poses(found: Any, shape: tuple[int, ...]) -> list[Pose]:
    masks = found.segmentation_masks or [None] * len(found.pose_landmarks)
    poses = []
    for points, world, mask in zip(
        found.pose_landmarks, found.pose_world_landmarks, masks, strict=True
    ):
        seen = np.asarray([p.visibility for p in points], np.float32)
        flat = (_xyz(points) * _scale(shape))[:, :2]
        soft = None if mask is None else mask.numpy_view().reshape(shape[:2]).copy()
        poses.append(Pose(np.concatenate([flat, seen[:, None]], 1), _xyz(world), soft))
    return poses


def _scale(shape: tuple[int, ...]) -> Float32[np.ndarray, "3"]:
    height, width = shape[:2]
    return np.asarray([width, height, width], np.float32)


def _xyz(points: Any) -> Float32[np.ndarray, "n 3"]:
    return np.asarray([[p.x, p.y, p.z] for p in points], np.float32)


def _arkit(scores: Any) -> Float32[np.ndarray, " 52"]:
    """By name: MediaPipe adds `_neutral` and lacks `tongueOut`, which stays 0."""
    by_name = {score.category_name: score.score for score in scores}
    return np.asarray([by_name.get(name, 0.0) for name in ARKIT_NAMES], np.float32)


def _close_all(opened: list[Any]) -> None:
    """Close what is open. At interpreter exit the networks' threads may be gone already; then the
    objects are kept alive for good: their destructor would complain on the user's terminal."""
    while opened:
        network = opened.pop()
        try:
            with _silenced():
                network.close()
        except RuntimeError:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(network))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Standard error closed to the networks' C++ logs, which obey no option or variable."""
    sys.stderr.flush()
    kept, void = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(void)
