"""How alike an avatar and a photo of the person are, from the photo's camera."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from incarnate import metrics
from incarnate.avatar import Avatar
from incarnate.avatars.tailor import resampled
from incarnate.create import MOST_PIXELS, PRESETS, cut_out
from incarnate.evaluate import fingers
from incarnate.io.images import read_photo
from incarnate.perception.face import OVAL
from incarnate.perception.keypoints import NoPersonError, keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.render.view import View

INNER = [i for i in range(468) if i not in OVAL]
KEPT = ("rgb", "alpha", "points", "box", "hands")
GREY = 0.5  # Behind both, where either is transparent.


@dataclass(frozen=True, eq=False)
class Truth:
    """The photo on the pixels of an avatar's camera."""

    rgb: Float[Tensor, "h w 3"]
    """Premultiplied, free of background."""
    alpha: Float[Tensor, "h w"]
    points: Float[Tensor, "n 2"]
    """The face's inner points; none where no face was found."""
    box: Float[Tensor, "4"]
    """The face's: left, top, right, bottom."""
    iris_distance: float
    hands: Float[Tensor, "2 21 2"]
    """Points of the left and the right one; NaN where the tracker saw none."""

    @property
    def shown(self) -> Float[Tensor, "h w 3"]:
        """Over grey."""
        return self.rgb + (1 - self.alpha[..., None]) * GREY

    @property
    def face(self) -> Float[Tensor, "h w"]:
        """1 on the face's box, within the matte."""
        inside = torch.zeros_like(self.alpha)
        left, top, right, bottom = (max(0, round(edge)) for edge in self.box.tolist())
        inside[top:bottom, left:right] = 1
        return inside * (self.alpha > 0.5)

    def tensors(self) -> dict[str, Tensor]:
        """To be kept in a file."""
        iris = {"iris_distance": torch.tensor([self.iris_distance])}
        return iris | {name: getattr(self, name) for name in KEPT}

    @staticmethod
    def of(kept: dict[str, Tensor]) -> "Truth":
        """From what was kept."""
        iris = kept["iris_distance"].item()
        return Truth(iris_distance=iris, **{name: kept[name] for name in KEPT})


@dataclass(frozen=True)
class Likeness:
    """How alike an avatar and a photo are; NaN where there is no face to compare."""

    psnr: float
    """dB over the matte (alpha > 0.5)."""
    face_psnr: float
    """dB over the face's box in the matte."""
    ssim: float
    """Over the matte."""
    iou: float
    landmarks: float
    """Mean distance of the face's points, found again on the render, over the iris distance."""
    fingers: float
    """Median distance of hand points found on both, in pixels of a picture 1024 tall."""
    hands: float
    """The share of the photo's hands whose points are found on both."""


def truth_of(avatar: Avatar, photo: Path, perception: Perception) -> Truth:
    """The photo as the avatar's own camera sees it."""
    image = read_photo(photo).resized(MOST_PIXELS)
    person = keypoints(image.rgb, perception)[int(avatar.meta["person"]) - 1]
    cut = cut_out(image, person, None, PRESETS["normal"].matte_pixels)
    camera, box = avatar.camera, avatar.meta["window"]
    left, top, right, bottom = (round(edge) for edge in box)
    alpha = torch.from_numpy(cut.alpha)[..., None]
    solid = torch.cat([torch.from_numpy(cut.foreground) * alpha, alpha], 2)
    small = resampled(solid, (left, top, right, bottom), (camera.width, camera.height))
    rgb, cover = small[..., :3].contiguous(), small[..., 3].contiguous()
    scale = camera.width / (box[2] - box[0])
    corner = torch.tensor(box[:2])
    hands = fingers.of_photo(person, corner, scale)
    if person.face is None:
        return Truth(rgb, cover, torch.zeros(0, 2), torch.zeros(4), 1.0, hands)
    points = (torch.from_numpy(person.face.landmarks[INNER, :2]) - corner) * scale
    face = (torch.from_numpy(person.face.box) - corner.repeat(2)) * scale
    return Truth(rgb, cover, points, face, person.face.iris_distance * scale, hands)


def compared(view: View, truth: Truth, perception: Perception) -> Likeness:
    """Figures of a render over GREY beside the truth."""
    landmarks, rgb = float("nan"), view.rgb.clamp(0, 1)
    if len(truth.points):
        try:
            face = keypoints(to_bytes(rgb), perception)[0].face
        except NoPersonError:
            face = None
        if face is not None:
            found = torch.from_numpy(face.landmarks[INNER, :2])
            landmarks = float((found - truth.points).norm(dim=1).mean() / truth.iris_distance)
    has_face = bool(truth.face.any())
    pictures = to_bytes(rgb), to_bytes(truth.shown)
    return Likeness(
        metrics.psnr(rgb, truth.shown, truth.alpha),
        metrics.psnr(rgb, truth.shown, truth.face) if has_face else float("nan"),
        metrics.ssim(rgb, truth.shown, truth.alpha),
        metrics.silhouette_iou(view.alpha, truth.alpha),
        landmarks,
        *fingers.shown(*pictures, truth.hands, perception),
    )


def likeness(avatar: Avatar, photo: Path) -> Likeness:
    """Figures of an avatar beside the photo it was made from; nothing is held out."""
    with Perception() as perception:
        truth = truth_of(avatar, photo, perception)
        view = avatar.render(avatar.photo, avatar.camera, torch.full((3,), GREY))
        return compared(view, truth, perception)


def to_bytes(rgb: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """As 8-bit pictures hold it."""
    return (rgb.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
