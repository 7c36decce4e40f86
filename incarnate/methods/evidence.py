"""What the photo shows: the pictures that are learnt from, and of every disc its colour there, how
sure that is, and how much of it is believed."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from incarnate.avatars import garments, tailor
from incarnate.avatars.color import to_lab
from incarnate.avatars.complete import Seen
from incarnate.avatars.surface import Drive, SurfaceAvatar, carried, placed, triangle_frames
from incarnate.body.anny import Anny
from incarnate.fit import Target, observed
from incarnate.perception.track import Track
from incarnate.scene import Mesh


@dataclass(frozen=True, eq=False)
class Pictures:
    """The photo as the method learns from it."""

    full: Target
    head: Target
    coarse: Target
    """Half the size of `full` at most, for the silhouette."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the photo shows of n discs."""

    points: garments.Anatomy
    rgb: Float[np.ndarray, "n 3"]
    lab: Float[np.ndarray, "n 3"]
    confidence: Float[np.ndarray, " n"]
    facing: Float[np.ndarray, " n"]
    """Cosine between normal and view."""
    crowded: Bool[np.ndarray, " n"]
    """Whether something in front ends close by."""


def pictures_of(
    rgb: Float[Tensor, "h w 3"],
    alpha: Float[Tensor, "h w"],
    track: Track,
    body: Anny,
    long_side: int,
    head_side: int,
) -> Pictures:
    """Targets cut from the photo: `rgb` is foreground colour, free of background.

    `long_side` is the person's longer side, and `head_side` the head's square, in pixels.
    """
    full = _cut(rgb, alpha, track, window(alpha), long_side)
    vertices = body.vertices(track.betas, track.expression, track.pose, track.transl)
    head = (body.part_labels == 1)[:, None]
    pixels = track.camera.project(vertices)
    low = torch.where(head, pixels, 1e9).amin(0)
    high = torch.where(head, pixels, -1e9).amax(0)
    side = float((high - low).max()) * 1.35
    middle = (low + high) / 2
    box = (*(middle - side / 2).tolist(), *(middle + side / 2).tolist())
    return Pictures(
        full,
        _cut(rgb, alpha, track, box, head_side),
        _cut(rgb, alpha, track, window(alpha), min(512, long_side)),
    )


def window(alpha: Float[Tensor, "h w"]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the person in the photo, with a margin."""
    rows, columns = (alpha > 0.1).any(1).nonzero(), (alpha > 0.1).any(0).nonzero()
    margin = 0.03 * max(len(rows), len(columns))
    height, width = alpha.shape
    return (
        max(0.0, columns[0].item() - margin),
        max(0.0, rows[0].item() - margin),
        min(float(width), columns[-1].item() + 1 + margin),
        min(float(height), rows[-1].item() + 1 + margin),
    )


def _cut(
    rgb, alpha, track: Track, box: tuple[float, float, float, float], long_side: int
) -> Target:
    """The window `box` of the photo, its longer side `long_side` pixels, premultiplied."""
    left, top, right, bottom = (round(edge) for edge in box)
    scale = long_side / max(right - left, bottom - top)
    width, height = round((right - left) * scale), round((bottom - top) * scale)
    camera = track.camera.cropped(left, top, right - left, bottom - top).resized(width, height)
    solid = torch.cat([rgb * alpha[..., None], alpha[..., None]], 2)
    small = tailor.resampled(solid, (left, top, right, bottom), (width, height))
    return Target(camera, small[..., :3].contiguous(), small[..., 3].contiguous())


def look(draft: SurfaceAvatar, drive: Drive, where, pictures: Pictures, track: Track) -> Look:
    """What the photo shows of every disc."""
    body, vertices = draft.body, draft.vertices(drive)
    frames = triangle_frames(vertices, body.faces)
    gaussians = placed(carried(draft.discs, draft.rest_frames, frames), frames)
    mesh = Mesh(vertices, body.faces, torch.zeros(len(vertices), 1))
    normals = frames.axes[draft.discs.faces][..., 2]
    height = pictures.full.camera.height
    rgb, sure = observed(gaussians, normals, mesh, pictures.full, max(2, height // 130))
    _, alone = observed(gaussians, normals, mesh, pictures.full, height // 30)
    crowded = alone < 0.5 * sure
    corners = body.faces[draft.discs.faces].numpy()
    points = garments.interpolated(where, corners, draft.discs.barycentrics.numpy())
    near, near_sure = observed(gaussians, normals, mesh, pictures.head, 3)
    head = torch.tensor(points.segments == garments.HEAD) & (near_sure > 0.01)
    rgb = torch.where(head[:, None], near, rgb).numpy().astype(np.float64)
    confidence = torch.where(head, near_sure, sure).numpy().astype(np.float64)
    for seen, mine in zip(track.hands_seen, (points.left, ~points.left), strict=True):
        confidence[(points.segments == garments.HAND) & mine & (not seen)] = 0
    view = torch.nn.functional.normalize(pictures.full.camera.center - gaussians.means, dim=1)
    facing = (normals * view).sum(1).numpy().astype(np.float64)
    return Look(points, rgb, to_lab(rgb), confidence, facing, crowded.numpy())


def believed(seen: Look, doubt: bool = True) -> tuple[Int[np.ndarray, " n"], Seen]:
    """Of every disc its label, and what is believed (without `doubt`, all) of what the photo shows
    there."""
    points, lab = seen.points, seen.lab
    worn = garments.outfit(points, lab, seen.confidence)
    labels = garments.labelled(points, worn, lab, seen.confidence)
    if not doubt:
        return labels, Seen(seen.rgb, seen.confidence)
    confidence = tailor.trusted(points, labels, lab, seen.confidence, seen.facing)
    confidence = tailor.uncrowded(labels, lab, confidence, seen.crowded)
    return labels, Seen(seen.rgb, confidence)
