"""An avatar back in its photo: the camera that sees it there, and what stands behind it."""

import math
from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.avatar import Avatar, Framing
from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.perception.surroundings import filled
from incarnate.rotations import axis_angle_to_matrix

ROOM = 1.12  # As in `Avatar.framed`.


def in_photo(
    avatar: Avatar, drive: Drive, framing: Framing, width: int, height: int
) -> tuple[Camera, Float[Tensor, "h w 3"]]:
    """A camera on the avatar as `drive` puts it, and the part of the photo that it then sees.

    The head is where it was in the photo. In full the person stands upright and faces the way
    they stood; closer, the head faces the way it did. What lies beyond the photo's edge is its
    reflection. Raises ValueError for an avatar that keeps no surroundings.
    """
    if avatar.surroundings is None:
        raise ValueError(
            "this avatar keeps no photo: it was made by an older incarnate, or of a cut-out "
            "picture; create it again, or give another background"
        )
    picture = filled(avatar.surroundings)
    camera = photo_camera(avatar, picture.shape[1], picture.shape[0])
    camera = replace(
        camera, world_to_camera=camera.world_to_camera @ _to_photo(avatar, drive, framing)
    )
    left, top, wide, tall = _window(avatar, drive, camera, framing, width / height)
    scale = width / wide
    around = camera.cropped(left, top, round(wide), round(tall)).resized(width, height)
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        left, top, scale = left * scale, top * scale, 1.0
    move = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    behind = cv2.warpAffine(
        picture, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return around, torch.from_numpy(behind).float() / 255


def photo_camera(avatar: Avatar, width: int, height: int) -> Camera:
    """The camera of the whole photo at this size; the avatar's own sees a window of it."""
    left, top, right, _ = (round(edge) for edge in avatar.meta["window"])
    wide, tall = avatar.meta["photo_pixels"]
    scale = avatar.camera.width / (right - left)
    whole = avatar.camera.cropped(
        -left * scale, -top * scale, round(wide * scale), round(tall * scale)
    )
    return whole.resized(width, height)


def _to_photo(avatar: Avatar, drive: Drive, framing: Framing) -> Float[Tensor, "4 4"]:
    """Takes where `drive` puts the person to where the photo shows them, head to head."""
    shown, now = _bones(avatar, avatar.photo), _bones(avatar, drive)
    joint = avatar.surface.body.smplx_joints["head"]
    out = torch.eye(4)
    if framing == "full":
        turn = torch.tensor(_heading(shown) - _heading(now))
        out[:3, :3] = axis_angle_to_matrix(torch.stack([0 * turn, turn, 0 * turn]))
    else:
        out[:3, :3] = shown[joint, :3, :3] @ now[joint, :3, :3].T
    place, here = (b[joint] @ torch.cat([avatar.surface.joints[joint], torch.ones(1)])
                   for b in (shown, now))  # fmt: skip
    out[:3, 3] = place[:3] - out[:3, :3] @ here[:3]
    return out


def _bones(avatar: Avatar, drive: Drive) -> Float[Tensor, "j 4 4"]:
    surface = avatar.surface
    with torch.no_grad():
        return surface.body.bones(surface.joints, drive.pose, drive.transl)


def _heading(bones: Float[Tensor, "j 4 4"]) -> float:
    """Radians about y by which the root is turned from facing +z."""
    return math.atan2(float(bones[0, 0, 2]), float(bones[0, 2, 2]))


def _window(
    avatar: Avatar, drive: Drive, camera: Camera, framing: Framing, aspect: float
) -> tuple[float, float, float, float]:
    """Left, top, width and height, in the photo's pixels, of what the framing shows."""
    with torch.no_grad():
        vertices = avatar.surface.vertices(drive)
    head = avatar.surface.body.region("head") > 0.5
    pixels = camera.project(vertices if framing == "full" else vertices[head])
    low, high = pixels.amin(0), pixels.amax(0)
    (x, y), (wide, tall) = ((low + high) / 2).tolist(), (high - low).tolist()
    match framing:
        case "full":
            span = (wide, tall)
        case "upper":
            y, span = y + 0.9 * tall, (2.6 * tall, 3.2 * tall)
        case "head":
            span = (1.1 * tall, 1.25 * tall)
    tall = ROOM * max(span[1], span[0] / aspect)
    return x - tall * aspect / 2, y - tall / 2, tall * aspect, tall
