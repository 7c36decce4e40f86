"""The photo laid over the picture of its avatar, to be wiped across."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from incarnate.avatar import Avatar
from incarnate.cameras import Camera
from incarnate.io.images import read_photo
from incarnate.stage import photo_camera
from incarnate.viewer.views import photo_distance


@dataclass(frozen=True, eq=False)
class Overlay:
    """The photo as a screen that stands where the person stands, facing the photo's camera."""

    rgb: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    """Of the whole photo."""
    distance: float
    """Metres from that camera to the screen."""

    @staticmethod
    def of(path: Path, avatar: Avatar) -> "Overlay":
        """The avatar's photo, read again.

        Raises ValueError or OSError if it cannot be read, or has another shape than the avatar's.
        """
        rgb = read_photo(path).rgb
        (tall, wide), (width, height) = rgb.shape[:2], avatar.meta.get("photo_pixels", (0, 0))
        if abs(tall * width - wide * height) > width + height:  # More than rounding.
            raise ValueError(
                f"{path} is {wide}x{tall}, the photo of this avatar was {width}x{height}; give the "
                "photo that it was made from"
            )
        if not width:
            raise ValueError("this avatar does not know its photo: create it again")
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        camera = photo_camera(avatar, width, height)
        return Overlay(rgb, camera, photo_distance(avatar, camera))

    def onto(self, camera: Camera) -> Float64[np.ndarray, "3 3"]:
        """The photo's pixels to a camera's.

        A point of the screen is R^T (z K^-1 p - t); the other camera sees it at
        K' (R' R^T (z K^-1 p - t) + t').
        """
        mine, other = (c.world_to_camera.double().numpy() for c in (self.camera, camera))
        turn = other[:3, :3] @ mine[:3, :3].T
        shift = other[:3, 3] - turn @ mine[:3, 3]
        rays = np.linalg.inv(self.camera.intrinsics.double().numpy())
        last = np.array([0.0, 0.0, 1.0])
        return camera.intrinsics.double().numpy() @ (
            self.distance * turn @ rays + np.outer(shift, last)
        )

    def over(
        self, picture: UInt8[np.ndarray, "h w 3"], camera: Camera, wipe: float, opacity: float
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The picture that `camera` sees, under the photo: from the left to the share `wipe`."""
        height, width = picture.shape[:2]
        onto = self.onto(camera)
        photo = cv2.warpPerspective(self.rgb, onto, (width, height), flags=cv2.INTER_AREA)
        there = np.full(self.rgb.shape[:2], 255, np.uint8)
        there = cv2.warpPerspective(there, onto, (width, height)) / 255.0
        there[:, round(wipe * width) :] = 0
        share = (opacity * there)[..., None]
        return (picture + share * (photo - picture.astype(np.float32))).round().astype(np.uint8)
