"""What `create` says of its avatar: how alike, what was guessed, and what would help.

For the one who took the photo; `review_page` makes a page of it. Scores are at the photo's own
camera: they say how well the photo was explained, not how true the guessed sides are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from incarnate import metrics
from incarnate.avatar import Avatar
from incarnate.avatars import garments
from incarnate.evaluate.likeness import GREY
from incarnate.fit import Target
from incarnate.perception.track import BAD_FACE, BAD_JOINTS
from incarnate.render import rasterize, render
from incarnate.scene import Gaussians, Mesh
from incarnate.scene.mesh import vertex_normals

PARTS = ("face", "hair", "hands", "skin", "top", "bottom", "shoes")
EDGE_ON = 0.1  # Cosine: what is turned away more is not seen.
BEHIND = 0.015  # Metres behind what the photo shows first: still the same surface.
LEAST_PIXELS = 150  # Of a part: fewer make no score.
SMALL_FACE = 120  # Pixels from chin to crown: smaller ones lose lashes, lips and teeth.
TURNED = 20  # Degrees of a head that hides one cheek.
FRINGE = 0.12  # Share of the face under hair, beyond which brows and eyes are guessed.
HELD = {
    "jawOpen": "a closed mouth", "mouthSmileLeft": "a relaxed mouth", "eyeBlinkLeft": "open eyes",
}  # fmt: skip
HELD_AT = 0.35
BARS = {"iou": 0.985, "psnr": 28.0}  # Below these the photo was explained badly.


@dataclass(frozen=True)
class Part:
    """One part of the person."""

    name: str
    seen: float
    """The share of its surface that the photo shows."""
    psnr: float | None
    """dB at the photo; None where the photo shows hardly any of it."""
    gap: float | None
    """Median CIEDE2000 at the photo."""


@dataclass(frozen=True)
class Review:
    """How alike an avatar is at its photo, and what one should know of it."""

    psnr: float
    """dB within the matte."""
    iou: float
    """Of the outlines."""
    landmarks: float
    """How far face points were from the fitted face's, over the distance of the irises."""
    parts: tuple[Part, ...]
    guessed: tuple[str, ...]
    """What the photo does not show."""
    advice: tuple[str, ...]
    """What another photo should do better; nothing to say is good."""


def review(avatar: Avatar, photo: Target) -> Review:
    """Compares a finished avatar with its photo, given at the avatar's own camera."""
    view = avatar.render(avatar.photo, avatar.camera, torch.full((3,), GREY))
    truth = photo.rgb + (1 - photo.alpha[..., None]) * GREY
    rgb = view.rgb.clamp(0, 1)
    labels, seen = _labelled(avatar), seen_discs(avatar)
    parts = tuple(_parts(avatar, labels, seen, (rgb, truth), photo.alpha))
    alike = _decibels(metrics.mse(rgb, truth, photo.alpha))
    iou = metrics.silhouette_iou(view.alpha, photo.alpha)
    guessed = tuple(_guessed(avatar, parts))
    advice = tuple(_advice(avatar, labels, seen, alike, iou))
    return Review(alike, iou, avatar.meta["fit"]["face"], parts, guessed, advice)


def seen_discs(avatar: Avatar) -> Bool[NDArray, " n"]:
    """Whether the photo shows the place where each disc sits."""
    surface, camera = avatar.surface, avatar.camera
    vertices = surface.vertices(avatar.photo)
    corners = surface.body.faces[surface.discs.faces]
    share = surface.discs.barycentrics[..., None]
    at = (vertices[corners] * share).sum(1)
    normal = (vertex_normals(vertices, surface.body.faces)[corners] * share).sum(1)
    facing = torch.nn.functional.cosine_similarity(normal, camera.center - at, dim=1)
    mesh = Mesh(vertices, surface.body.faces, torch.zeros(len(vertices), 1))
    first = rasterize(mesh, camera).depth
    where, depth = camera.project(at), camera.local(at)[:, 2]
    inside = (where >= 0).all(1) & (where[:, 0] < camera.width) & (where[:, 1] < camera.height)
    column, row = torch.where(inside[:, None], where, 0.0).long().unbind(1)
    return (inside & (facing > EDGE_ON) & (depth < first[row, column] + BEHIND)).numpy()


def summary(review: Review) -> str:
    """One line."""
    parts = [f"at the photo {review.psnr:.1f} dB, outline {review.iou:.3f}"]
    if review.advice:
        plural = "s" if len(review.advice) > 1 else ""
        parts.append(f"{len(review.advice)} thing{plural} would help")
    return "; ".join(parts)


def _decibels(error: float) -> float:
    return min(100.0, -10 * math.log10(max(error, 1e-10)))


def _labelled(avatar: Avatar) -> dict[str, Bool[NDArray, " n"]]:
    """Which discs belong to each of PARTS, and to the front of the face (`fringe`: its hair)."""
    surface = avatar.surface
    where = garments.anatomy(surface.body, surface.rest)
    corners = surface.body.faces[surface.discs.faces].numpy()
    at = garments.interpolated(where, corners, surface.discs.barycentrics.numpy())
    label = surface.discs.labels.numpy()
    skin = label == garments.SKIN
    face = (at.segments == garments.HEAD) & (at.scalp < 0.5) & (at.normals[:, 2] > 0.5)
    return {
        "face": face & (at.fixed < 0) & skin,
        "hair": label == garments.HAIR,
        "hands": skin & (at.segments == garments.HAND),
        "skin": skin & ~np.isin(at.segments, (garments.HAND, garments.HEAD)),
        "top": label == garments.TOP,
        "bottom": label == garments.BOTTOM,
        "shoes": label == garments.SHOES,
        "fringe": face & (label == garments.HAIR),
    }


def _parts(
    avatar: Avatar,
    labels: dict[str, Bool[NDArray, " n"]],
    seen: Bool[NDArray, " n"],
    pictures: tuple[Tensor, Tensor],
    alpha: Float[Tensor, "h w"],
) -> Iterator[Part]:
    cloud = avatar.gaussians(avatar.photo)
    shares = torch.from_numpy(np.stack([labels[name] for name in PARTS], 1)).float()
    drawn = render(colored(cloud, shares), avatar.camera).rgb * (alpha > 0.5)[..., None]
    area = _areas(avatar)
    for i, name in enumerate(PARTS):
        mine = labels[name]
        if not mine.any():
            continue
        pixels = (drawn[..., i] > 0.8).float()
        shown = float(area[mine & seen].sum() / area[mine].sum())
        if int(pixels.sum()) < LEAST_PIXELS:
            yield Part(name, shown, None, None)
            continue
        ours, theirs = (picture[pixels > 0] for picture in pictures)
        error = _decibels(metrics.mse(*pictures, pixels))
        yield Part(name, shown, error, metrics.color_gap(ours, theirs))


def _areas(avatar: Avatar) -> Float[NDArray, " n"]:
    """How much of the skin or cloth each disc stands for, in square metres."""
    surface = avatar.surface
    a, b, c = (surface.rest + surface.vertex_offsets)[surface.body.faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    count = torch.bincount(surface.discs.faces, minlength=len(area)).clamp_min(1)
    return (area / count)[surface.discs.faces].numpy()


def _guessed(avatar: Avatar, parts: tuple[Part, ...]) -> Iterator[str]:
    framing, known = avatar.meta["framing"], {part.name: part.seen for part in parts}
    if framing == "head":
        yield "everything below the shoulders: build, clothes, arms and legs"
    elif framing == "half":
        yield "everything below the hips: legs, what they wear, and shoes"
    for side, shown in zip(("left", "right"), avatar.meta["hands_seen"], strict=True):
        if not shown:
            yield f"the {side} hand: the body's own shape, in the colour of the skin that is seen"
    if known.get("hair", 0) > 0:
        yield f"the hair behind: strands as in front ({100 * known['hair']:.0f} % of it is seen)"
    clothes = [part for part in ("top", "bottom", "shoes") if known.get(part, 0) > 0]
    if clothes:
        yield f"the back of {' and '.join(clothes)}: the texture of the front goes on"
    yield "stature, and whatever clothes hide of the build: a photo does not tell them"
    yield "teeth and tongue, where the mouth was closed"


def _advice(
    avatar: Avatar,
    labels: dict[str, Bool[NDArray, " n"]],
    seen: Bool[NDArray, " n"],
    psnr: float,
    iou: float,
) -> Iterator[str]:
    yield from _loose(avatar)
    tall = _face_pixels(avatar)
    if tall < SMALL_FACE:
        yield (f"the head is {tall:.0f} pixels tall: {SMALL_FACE} or more would keep lashes, lips "
               "and teeth; come closer, or take a larger photo")  # fmt: skip
    if avatar.meta["framing"] != "full":
        yield "a photo from head to toe would show what the rest of the body wears"
    yield from _hidden_hands(avatar)
    turn = _head_turn(avatar)
    if abs(turn) > TURNED:
        side = "left" if turn > 0 else "right"
        yield f"the head is turned {abs(turn):.0f} degrees to its {side}: look into the camera"
    under = (labels["fringe"] & seen).sum() / max(
        1, ((labels["face"] | labels["fringe"]) & seen).sum()
    )
    if under > FRINGE:
        yield f"hair covers {100 * under:.0f} % of the face: brush it aside"
    names = avatar.surface.body.expression_names
    for name, better in HELD.items():
        if float(avatar.photo.expression[names.index(name)]) > HELD_AT:
            yield f"{better} would be a better face to start from"
    if avatar.meta["quality"] in ("tiny", "draft"):
        yield "a draft is coarse: without --quality draft outline and detail are followed closer"
        return
    if iou < BARS["iou"]:
        yield (f"the outline is matched to {100 * iou:.1f} % only: a plain background, arms off "
               "the body and hair that is not blown about would help")  # fmt: skip
    if psnr < BARS["psnr"]:
        yield "the photo is matched loosely: more light and a sharper photo would help"


def _loose(avatar: Avatar) -> Iterator[str]:
    fit = avatar.meta["fit"]
    if fit["face"] > BAD_FACE:
        yield (f"the face fits loosely ({100 * fit['face']:.1f} % of the irises' distance): a "
               "sharp photo from the front would help")  # fmt: skip
    if fit["joints"] > BAD_JOINTS:
        yield (f"the body fits loosely ({100 * fit['joints']:.1f} % of its height): a plainer pose "
               "would help")  # fmt: skip


def _face_pixels(avatar: Avatar) -> float:
    """From chin to crown, in the photo's own pixels."""
    head = avatar.surface.body.region("head") > 0.5
    rows = avatar.camera.project(avatar.surface.vertices(avatar.photo)[head])[:, 1]
    left, _, right, _ = avatar.meta["window"]
    return float(rows.max() - rows.min()) * (right - left) / avatar.camera.width


def _hidden_hands(avatar: Avatar) -> Iterator[str]:
    body, camera = avatar.surface.body, avatar.camera
    bones = body.bones(avatar.surface.joints, avatar.photo.pose, avatar.photo.transl)
    left, top, right, bottom = avatar.meta["window"]
    wide, high = avatar.meta["photo_pixels"]
    for side, shown in zip(("left", "right"), avatar.meta["hands_seen"], strict=True):
        if shown or avatar.meta["framing"] == "head":
            continue
        at = body.smplx_joints[f"{side}_wrist"]
        wrist = bones[at, :3, :3] @ avatar.surface.joints[at] + bones[at, :3, 3]
        x, y = camera.project(wrist[None])[0].tolist()
        x = left + x / camera.width * (right - left)
        y = top + y / camera.height * (bottom - top)
        cut = not (0 <= x < wide and 0 <= y < high)
        why = "is cut off" if cut else "is hidden (in a pocket, or behind something)"
        yield f"the {side} hand {why}: a photo that shows it would give its shape and colour"


def _head_turn(avatar: Avatar) -> float:
    """Degrees by which the face looks past the camera; positive to the person's left."""
    body, head = avatar.surface.body, avatar.surface.body.smplx_joints["head"]
    bone = body.bones(avatar.surface.joints, avatar.photo.pose, avatar.photo.transl)[head]
    at = bone[:3, :3] @ avatar.surface.joints[head] + bone[:3, 3]
    away, ahead = avatar.camera.center - at, bone[:3, 2]
    return math.degrees(math.atan2(ahead[0], ahead[2]) - math.atan2(away[0], away[2]))


def colored(cloud: Gaussians, colors: Float[Tensor, "n c"]) -> Gaussians:
    """The same discs in other colours."""
    return Gaussians(cloud.means, cloud.quats, cloud.log_scales, cloud.logit_opacities, colors)
