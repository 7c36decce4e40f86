"""The same person from elsewhere: held-out renders, sides and back of a turnaround sheet."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars import garments
from incarnate.cameras import Camera
from incarnate.io.pictures import finished
from incarnate.metrics import color_gap, silhouette_iou, texture_energy
from incarnate.render import render
from incarnate.render.view import View
from incarnate.scene import Gaussians

COLUMNS = ((0.0282, 0.2304), (0.2743, 0.4773), (0.5227, 0.7249), (0.7696, 0.9726))
ROWS = (0.4884, 0.9160)
"""Where openpeople's character sheets have their full figures: front, left, back and right."""
INSET = 8  # Pixels: the tiles' white frames.
PARTS = {"hair": garments.HAIR, "skin": garments.SKIN, "top": garments.TOP}
PARTS |= {"bottom": garments.BOTTOM, "shoes": garments.SHOES}
LEAST_PART = 150  # Pixels: less of a part says nothing.
TALL, WIDE = 480, 320  # Pixels of the figures compared.
FAR = 9.0  # Lab steps from the backdrop at which a pixel is the person;
SHADOW = 0.33  # but what is only darker may be a shadow.
HOLE = 0.02  # Of the figure: smaller gaps in it are of its own colour, not the backdrop's.
LEAST_SIDE = 640  # Pixels of a held-out photo's longer side, but for the room around it.
ROOM = 0.15  # Of the picture's height, around the figure in a held-out photo.


@dataclass(frozen=True, eq=False)
class Match:
    """An avatar beside one tile: both figures on one pixel grid, over grey."""

    ours: Float[Tensor, "h w 3"]
    theirs: Float[Tensor, "h w 3"]
    iou: float
    gaps: dict[str, float]
    """Median CIEDE2000 by part."""
    textures: tuple[float, float]
    """Fine detail of lightness, ours and theirs."""


def turned(camera: Camera, about: Float[Tensor, "3"], azimuth: float) -> Camera:
    """The camera walked round the upright axis through `about`, to the person's left."""
    cos, sin = math.cos(azimuth), math.sin(azimuth)
    spin = torch.eye(4)
    spin[:3, :3] = torch.tensor([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    spin[:3, 3] = about - spin[:3, :3] @ about
    return replace(camera, world_to_camera=camera.world_to_camera @ spin)


def middle(avatar: Avatar) -> Float[Tensor, "3"]:
    """The middle of the body in the photo's pose."""
    vertices = avatar.surface.vertices(avatar.photo)
    return (vertices.amin(0) + vertices.amax(0)) / 2


def held_out_photo(avatar: Avatar, degrees: float) -> UInt8[np.ndarray, "h w 4"]:
    """The avatar in the photo's pose from beside the photo's camera: a photo for another avatar."""
    camera, room = _large(avatar.camera), _room(avatar)
    wide = camera.cropped(-room, -room, camera.width + 2 * room, camera.height + 2 * room)
    view = avatar.render(avatar.photo, turned(wide, middle(avatar), math.radians(degrees)))
    return finished(view.rgb, view.alpha, None)


def seen_back(again: Avatar, first: Avatar, degrees: float, behind: Float[Tensor, "3"]) -> View:
    """`again`, made of `first`'s held-out photo, from where `first`'s own photo was taken."""
    left, top, right, bottom = (round(edge) for edge in again.meta["window"])
    whole = again.camera.resized(right - left, bottom - top)
    room = _room(first)
    large = _large(first.camera)
    whole = whole.cropped(room - left, room - top, large.width, large.height)
    small = whole.resized(first.camera.width, first.camera.height)
    camera = turned(small, middle(again), math.radians(-degrees))
    return again.render(again.photo, camera, behind)


def _room(avatar: Avatar) -> int:
    return round(ROOM * _large(avatar.camera).height)


def _large(camera: Camera) -> Camera:
    """The camera at a size at which a person can be found."""
    scale = max(1.0, LEAST_SIDE / max(camera.width, camera.height))
    return camera.resized(round(camera.width * scale), round(camera.height * scale))


def tiles(sheet: UInt8[np.ndarray, "h w 3"]) -> list[UInt8[np.ndarray, "y x 3"]]:
    """The full figures of a character sheet: front, left, back, right."""
    height, width = sheet.shape[:2]
    top, bottom = round(ROWS[0] * height) + INSET, round(ROWS[1] * height) - INSET
    return [
        np.ascontiguousarray(sheet[top:bottom, round(a * width) + INSET : round(b * width) - INSET])
        for a, b in COLUMNS
    ]


def figure_mask(tile: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """The person of a tile: what differs from its backdrop, which is alike along every row."""
    lab = cv2.cvtColor(
        cv2.GaussianBlur(tile, (3, 3), 0).astype(np.float32) / 255, cv2.COLOR_RGB2LAB
    )
    edge = tile.shape[1] // 8
    border = np.concatenate([lab[:, :edge], lab[:, -edge:]], 1)
    backdrop = cv2.blur(np.median(border, 1)[:, None], (1, 31))
    low = np.linspace(0, 1, len(tile))[:, None] > 0.9  # Shadows lie on the floor.
    off = lab - backdrop
    light = np.where(off[..., 0] > 0, 1.0, SHADOW) * off[..., 0]
    gap = np.hypot(light, 1.2 * np.hypot(off[..., 1], off[..., 2])) * np.where(low, 0.6, 1)
    mask = cv2.morphologyEx((gap > FAR).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        raise ValueError("the turnaround sheet shows no figure where one is expected")
    figure = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    _, gaps, sizes, _ = cv2.connectedComponentsWithStats((~figure).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(sizes[:, cv2.CC_STAT_AREA] < HOLE * figure.sum())
    return figure | (np.isin(gaps, small) & ~figure)


def matched(avatar: Avatar, tile: UInt8[np.ndarray, "h w 3"], degrees: float) -> Match:
    """The avatar in its photo's pose, turned, beside a tile: both scaled to the same height."""
    mask = figure_mask(tile)
    theirs = np.dstack([tile.astype(np.float32) / 255, mask.astype(np.float32)])
    ours, labels = _drawn(avatar, degrees)
    both = [_upright(picture) for picture in (np.dstack([ours, labels]), theirs)]
    mine, other = (torch.from_numpy(picture) for picture in both)
    solid, cover = mine[..., 3].contiguous(), other[..., 3].contiguous()
    inner = _eroded(cover.numpy() > 0.5, 5)
    gaps = {}
    for i, name in enumerate(PARTS):
        part = torch.from_numpy(_eroded(mine[..., 4 + i].numpy() > 0.9, 3) & inner)
        if int(part.sum()) >= LEAST_PART:
            gaps[name] = color_gap(mine[..., :3][part], other[..., :3][part])
    below = torch.arange(TALL)[:, None] > 0.2 * TALL  # Clothes and limbs, not hair.
    textures = [
        texture_energy(
            p[..., :3], (torch.from_numpy(_eroded(p[..., 3].numpy() > 0.9, 7)) & below).float()
        )
        for p in (mine, other)
    ]
    over = [p[..., :3] * p[..., 3:4] + 0.5 * (1 - p[..., 3:4]) for p in (mine, other)]
    iou = silhouette_iou(solid, cover)
    return Match(over[0], over[1], iou, gaps, (textures[0], textures[1]))


def _drawn(avatar: Avatar, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Straight colours and alpha (h w 4), and what share of each pixel is which part (h w p)."""
    camera = turned(avatar.camera, middle(avatar), math.radians(degrees))
    wide = camera.cropped(-200, -50, camera.width + 400, camera.height + 100)
    cloud = avatar.gaussians(avatar.photo)
    view = render(cloud, wide)
    straight = view.rgb / view.alpha.clamp_min(1e-4)[..., None]
    labels = avatar.surface.discs.labels
    shares = torch.stack([labels == label for label in PARTS.values()], 1).float()
    parts = render(
        Gaussians(cloud.means, cloud.quats, cloud.log_scales, cloud.logit_opacities, shares), wide
    )
    rgba = torch.cat([straight.clamp(0, 1), view.alpha[..., None]], 2)
    return rgba.numpy(), parts.rgb.numpy()


def _upright(picture: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "y x c"]:
    """The figure (channel 3 its alpha) cut out, TALL high, in the middle of a fixed width."""
    solid = picture[..., 3] > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(2, round(cut.shape[1] * TALL / cut.shape[0]))
    way = cv2.INTER_AREA if cut.shape[0] > TALL else cv2.INTER_LINEAR
    layers = [cv2.resize(np.ascontiguousarray(c), (width, TALL), interpolation=way)
              for c in np.moveaxis(cut, -1, 0)]  # fmt: skip
    small = np.stack(layers, -1)[:, :TALL]
    canvas = np.zeros((TALL, WIDE, picture.shape[2]), np.float32)
    if small.shape[1] > WIDE:  # Arms spread wide: their tips are left out.
        small = small[:, (small.shape[1] - WIDE) // 2 :][:, :WIDE]
    left = (WIDE - small.shape[1]) // 2
    canvas[:, left : left + small.shape[1]] = small
    return canvas


def _eroded(mask: Bool[np.ndarray, "h w"], size: int) -> Bool[np.ndarray, "h w"]:
    return cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
