"""Whose face it is: the distance of dlib's face embeddings, as an extra.

Needs `dlib-bin` and `face-recognition-models`, whose networks (dlib's ResNet, 128 numbers, and its
5 points) lie in files; that package's own code is not run. On photos of one person distances are
0.2 to 0.45, of two people 0.7 to 0.9; dlib's own line is 0.6.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8

MISSING = (
    "identity needs dlib's face embedding, which is not installed; "
    "pip install 'dlib-bin==20.*' 'face-recognition-models==0.3.0'"
)
RESNET, POINTS = "dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"
MODEL = "dlib resnet v1"


@final
class Identity:
    """dlib's networks. OSError that says what to install if they are not here."""

    def __init__(self) -> None:
        folder = _models()
        if folder is None or importlib.util.find_spec("dlib") is None:
            raise OSError(MISSING)
        dlib: Any = importlib.import_module("dlib")  # an extra: no checker can count on it

        self._dlib = dlib
        self._search = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(str(folder / POINTS))
        self._network = dlib.face_recognition_model_v1(str(folder / RESNET))

    def embedding(
        self, rgb: UInt8[np.ndarray, "h w 3"], box: tuple[float, float, float, float] | None = None
    ) -> Float[np.ndarray, "128"] | None:
        """Of the largest face, or of the one in `box` (left, top, right, bottom); None if none."""
        picture = np.ascontiguousarray(rgb)
        if box is not None:
            face = self._dlib.rectangle(*(round(edge) for edge in box))
        else:
            found = sorted(self._search(picture, 0), key=lambda face: face.area())
            if not found:
                return None
            face = found[-1]
        points = self._points(picture, face)
        return np.array(self._network.compute_face_descriptor(picture, points))

    def distance(
        self, a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "y x 3"]
    ) -> float | None:
        """Between the largest faces of two pictures; None where either shows none."""
        one, other = self.embedding(a), self.embedding(b)
        return None if one is None or other is None else float(np.linalg.norm(one - other))


def available() -> bool:
    """Whether identity can be measured here."""
    return _models() is not None and importlib.util.find_spec("dlib") is not None


def _models() -> Path | None:
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "models"
    return folder if all((folder / name).is_file() for name in (RESNET, POINTS)) else None
