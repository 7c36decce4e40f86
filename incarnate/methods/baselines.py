"""What a method has to beat: the same photo and fit, and none of the method's ideas.

`average`: nobody in particular, in plain clothes. `projected`: the fitted bare body with the photo
projected onto it, and what it hides in the colour of the nearest seen place. `symmetric`: the whole
method, but for what the photo hides, which is only mirrored.
"""

from dataclasses import replace

import numpy as np
import torch

from incarnate.avatars import garments, tailor
from incarnate.avatars.color import from_lab
from incarnate.avatars.complete import DEFAULTS, Seen, mirrored, nearest
from incarnate.avatars.garments import BOTTOM, HAIR, LABELS, SHOES, SKIN, TOP, Anatomy
from incarnate.avatars.surface import Drive, SurfaceAvatar, dense_weights
from incarnate.body.anny import Anny
from incarnate.methods.evidence import Pictures, believed, look
from incarnate.methods.one_shot_one_talk import OneShot, one_shot_one_talk, scatter
from incarnate.perception.track import Track
from incarnate.progress import Report

PLAIN = DEFAULTS | {
    "skin": (68.0, 14.0, 17.0),
    "hair": (20.0, 4.0, 6.0),
    "eye": (75.0, 0.0, 0.0),
    "teeth": (82.0, 1.0, 8.0),
    "tongue": (48.0, 26.0, 14.0),
    "mouth": (22.0, 20.0, 10.0),
    "lashes": (15.0, 2.0, 2.0),
}
"""Lab of every material on a person of whom nothing is known."""


def average(
    config: OneShot, track: Track, pictures: Pictures, body: Anny, report: Report
) -> SurfaceAvatar:
    """The average body in plain clothes; of the photo it has only its place (`standing_in`)."""
    betas = body.default_betas()
    surface = _bare(config, replace(track, betas=betas), body)
    points = _points(surface)
    labels = _plain_outfit(points)
    colors = from_lab(np.array([PLAIN[name] for name in LABELS])[labels])
    return _painted(surface, points, labels, colors)


def standing_in(track: Track, body: Anny) -> Drive:
    """The average body in the photo's pose and place, as large in the picture as the person is."""
    pose, transl, center = track.pose, track.transl, track.camera.center
    theirs = body.vertices(track.betas, track.expression, pose, transl)
    plain = torch.zeros_like(track.expression)
    ours = body.vertices(body.default_betas(), plain, pose, transl)
    ratio = (ours[:, 1].amax() - ours[:, 1].amin()) / (theirs[:, 1].amax() - theirs[:, 1].amin())
    place = center + ratio * (theirs.mean(0) - center)
    return Drive(plain, pose, transl + place - ours.mean(0))


def projected(
    config: OneShot, track: Track, pictures: Pictures, body: Anny, report: Report
) -> SurfaceAvatar:
    """The fitted body with the photo projected onto it; nothing is let out, hung or learnt."""
    report.stage("projection")
    surface = _bare(config, track, body)
    drive = Drive(track.expression, track.pose, track.transl)
    where = garments.anatomy(body, surface.rest)
    seen = look(surface, drive, where, pictures, track)
    labels, _ = believed(seen)
    rng = np.random.default_rng(config.seed)
    colors = nearest(seen.points, labels, Seen(seen.rgb, seen.confidence), rng)
    return _painted(surface, seen.points, labels, colors)


def symmetric(
    config: OneShot, track: Track, pictures: Pictures, body: Anny, report: Report
) -> SurfaceAvatar:
    """One Shot, One Talk's stages with the hidden side mirrored."""
    return one_shot_one_talk(config, track, pictures, body, report, mirrored)


def _bare(config: OneShot, track: Track, body: Anny) -> SurfaceAvatar:
    rest = body.shaped(track.betas)
    where = garments.anatomy(body, rest)
    rng = torch.Generator().manual_seed(config.seed)
    discs = scatter(config, body, rest, where, track, rng)
    offsets = torch.zeros_like(rest)
    return SurfaceAvatar(body, track.betas, offsets, dense_weights(body), discs)


def _points(surface: SurfaceAvatar) -> Anatomy:
    where = garments.anatomy(surface.body, surface.rest)
    corners = surface.body.faces[surface.discs.faces].numpy()
    return garments.interpolated(where, corners, surface.discs.barycentrics.numpy())


def _plain_outfit(points: Anatomy) -> np.ndarray:
    """Short hair, a long-sleeved shirt, trousers and shoes, by segment."""
    legs = points.segments == garments.LEG
    waist = np.quantile(points.points[legs, 1], 0.98)
    labels = np.full(len(points.segments), TOP)
    labels[legs | ((points.segments == garments.TORSO) & (points.points[:, 1] < waist))] = BOTTOM
    labels[points.segments == garments.FOOT] = SHOES
    labels[np.isin(points.segments, (garments.HEAD, garments.NECK, garments.HAND))] = SKIN
    labels[(points.segments == garments.HEAD) & (points.scalp > 0.5)] = HAIR
    return np.where(points.fixed >= 0, points.fixed, labels)


def _painted(surface: SurfaceAvatar, points: Anatomy, labels, colors) -> SurfaceAvatar:
    discs = replace(
        surface.discs, colors=torch.tensor(colors).float(), labels=torch.tensor(labels).long()
    )
    return SurfaceAvatar(
        surface.body,
        surface.betas,
        surface.vertex_offsets,
        surface.weights,
        tailor.sealed(discs, points),
    )
