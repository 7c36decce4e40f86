"""What may be wrong with an avatar that needs no truth to see: holes, faces behind, mixed colours.

And the pictures to look at.
"""

import math

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars import garments
from incarnate.avatars.color import to_lab
from incarnate.avatars.garments import BOTTOM, HEAD, SKIN
from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.evaluate.likeness import to_bytes
from incarnate.metrics import texture_energy
from incarnate.perception.landmarkers import Perception
from incarnate.render import rasterize
from incarnate.scene import Mesh

BEHIND = torch.full((3,), 0.86)
BACKS = (150, 180, 210)  # Degrees from which no face may be seen.
TURNS = 12
FEW = 50  # Discs: fewer of a kind say nothing.


def holes(avatar: Avatar) -> float:
    """The least share, over 16 views, of the mesh's pixels (eroded by 2) with alpha >= 0.99."""
    drive = avatar.posed()
    vertices = avatar.surface.vertices(drive)
    mesh = Mesh(vertices, avatar.surface.body.faces, torch.zeros(len(vertices), 1))
    least = 1.0
    for i in range(16):
        camera = avatar.framed(drive, azimuth=math.tau * i / 16, width=512, height=683)
        alpha = avatar.render(drive, camera).alpha.numpy()
        inside = (rasterize(mesh, camera).face_ids >= 0).numpy().astype(np.uint8)
        inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
        least = min(least, float((alpha[inside] >= 0.99).mean()))
    return least


def faces_behind(avatar: Avatar, perception: Perception) -> float:
    """The share of views of the back of the head in which the face detector finds a face."""
    drive = avatar.posed()
    found = 0
    for turn in BACKS:
        camera = avatar.framed(drive, "head", math.radians(turn), 0.0, 512, 512)
        found += bool(perception.faces(to_bytes(avatar.render(drive, camera, BEHIND).rgb)))
    return found / len(BACKS)


def purity(avatar: Avatar) -> float | None:
    """The least over hands and legs of the share of discs whose colour is their material's.

    A disc is pure if it is nearer to the median of its own material than to that of the other one
    worn beside it: skin on the hands against the trousers, trousers against skin. None without
    trousers.
    """
    surface = avatar.surface
    where = garments.anatomy(surface.body, surface.rest)
    corners = surface.body.faces[surface.discs.faces].numpy()
    points = garments.interpolated(where, corners, surface.discs.barycentrics.numpy())
    colors, labels = to_lab(surface.discs.colors.numpy()), surface.discs.labels.numpy()
    face, bottom = (points.segments == HEAD) & (labels == SKIN), labels == BOTTOM
    if bottom.sum() < FEW or face.sum() < FEW:
        return None
    skin, cloth = np.median(colors[face], 0), np.median(colors[bottom], 0)
    shares = []
    for mine, own, other in (
        (points.segments == garments.HAND, skin, cloth),
        (bottom, cloth, skin),
    ):
        near = np.linalg.norm((colors[mine] - own) * [0.3, 1, 1], axis=1)
        far = np.linalg.norm((colors[mine] - other) * [0.3, 1, 1], axis=1)
        shares.append(float((near < far).mean()))
    return min(shares)


def back_texture(avatar: Avatar) -> float:
    """Fine detail of lightness on the back over that on the front, from the neck down."""
    drive = avatar.posed()
    energies = []
    for turn in (0.0, math.pi):
        camera = avatar.framed(drive, azimuth=turn, width=480, height=640)
        view = avatar.render(drive, camera, BEHIND)
        solid = cv2.erode((view.alpha > 0.99).numpy().astype(np.uint8), np.ones((9, 9), np.uint8))
        neck = avatar.surface.joints[avatar.surface.body.smplx_joints["neck"]]
        lower = torch.from_numpy(solid).float()
        lower[: max(0, round(float(camera.project(neck + drive.transl)[1])))] = 0
        energies.append(texture_energy(view.rgb.clamp(0, 1), lower))
    return energies[1] / max(energies[0], 1e-6)


def contact_sheet(avatar: Avatar, photo: Float[Tensor, "h w 3"]) -> Image.Image:
    """Photo; the figure from four sides and in four poses; the head from three, in four moods."""
    width, height, tall = 300, 420, 380
    sheet = Image.new("RGB", (width * 9, height + tall), (219, 219, 219))
    shown = Image.fromarray(to_bytes(photo))
    shown.thumbnail((width, height + tall))
    sheet.paste(shown, ((width - shown.width) // 2, (height + tall - shown.height) // 2))
    stand = avatar.posed()
    shots = [(stand, 0), (stand, 45), (stand, 90), (stand, 180)]
    poses = (("arms-up", 0), ("crossed", 0), ("sitting", 35), ("walking", 50))
    shots += [(avatar.posed(pose), turn) for pose, turn in poses]
    for i, (drive, turn) in enumerate(shots):
        camera = avatar.framed(drive, "full", math.radians(turn), 0.05, width, height)
        sheet.paste(_picture(avatar, drive, camera), (width * (i + 1), 0))
    faces = [("neutral", 0), ("neutral", 30), ("neutral", 90), ("smile", 0), ("mouth-open", 0)]
    faces += [("eyes-closed", 0), ("look-left", 0)]
    for i, (expression, turn) in enumerate(faces):
        drive = avatar.posed("stand", expression)
        camera = avatar.framed(drive, "head", math.radians(turn), 0.0, 340, tall)
        sheet.paste(_picture(avatar, drive, camera), (width + 340 * i, height))
    return sheet


def turntable(avatar: Avatar) -> Image.Image:
    """The figure from twelve sides, in one strip."""
    drive = avatar.posed()
    strip = Image.new("RGB", (TURNS * 150, 240))
    for i in range(TURNS):
        camera = avatar.framed(drive, azimuth=math.tau * i / TURNS, width=150, height=240)
        strip.paste(_picture(avatar, drive, camera), (i * 150, 0))
    return strip


def _picture(avatar: Avatar, drive: Drive, camera: Camera) -> Image.Image:
    """Drawn at twice the size."""
    large = camera.resized(camera.width * 2, camera.height * 2)
    picture = Image.fromarray(to_bytes(avatar.render(drive, large, BEHIND).rgb))
    return picture.resize((camera.width, camera.height), Image.Resampling.BOX)
