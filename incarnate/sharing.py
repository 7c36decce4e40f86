"""An avatar as the page of web/ plays it: the same rig, its numbers small.

Quantized arrays are unsigned integers that spread evenly between the two values that
`facts["ranges"]` has for them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Discs
from incarnate.io.page import Page
from incarnate.io.soundtrack import mp3
from incarnate.motion import (
    EXPRESSIONS,
    POSES,
    Motion,
    idle,
    parse_expression,
    walk_cycle,
)
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.origins import consent
from incarnate.sources import Source, joined, still

STILL = 1e-3
"""Radians: joints that turn less throughout a motion are left out of it."""
UNIT = 32767
"""What a quaternion's 1 is written as."""
Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Fidelity:
    """How far the page is from the avatar, at most."""

    position: float
    """Metres by which a Gaussian is off at rest."""
    expression: float
    """Metres by which a shape at weight 1 moves skin otherwise."""
    scale: float
    """Share by which a Gaussian's extent is off."""


@dataclass(frozen=True, eq=False)
class _Used:
    """The triangles that carry Gaussians, their vertices, and the order of the Gaussians."""

    vertices: Int[Tensor, " v"]
    faces: Int[Tensor, "f 3"]
    counts: Int[Tensor, " f"]
    order: Int[Tensor, " n"]
    place: Int[Tensor, " all"]
    """The number of each of the body's vertices among the used ones, or -1."""


def shared(
    avatar: Avatar, title: str, clips: Sequence[tuple[str, Source]], up: Float[Tensor, "3"]
) -> tuple[Page, Fidelity]:
    """The page of an avatar that may do these motions, `up` bringing its soles to y = 0."""
    used = _used(avatar)
    ranges: Ranges = {}
    arrays = _skin(avatar, used, ranges, up)
    arrays |= _discs(avatar.surface.discs, used, ranges)
    poses = [*POSES, "photo"]
    arrays |= _presets(avatar, poses)
    speaking = avatar.speaking()
    bases = torch.stack([avatar.photo.expression, speaking.photo.expression])
    arrays["bases"] = bases.numpy()
    clips = [*clips, *_own({name for name, _ in clips})]
    moved, told, sounds = _clips(avatar, clips, ranges)
    arrays |= moved
    facts = {
        "title": title,
        "notice": notice(avatar),
        "shapes": list(ARKIT_NAMES),
        "ranges": ranges,
        "poses": poses,
        "expressions": list(EXPRESSIONS),
        "clips": told,
        "views": _views(avatar, up),
        "view": "upper" if sounds else "full",
    }
    return Page(title, arrays, facts, sounds), _fidelity(avatar, used, arrays, ranges)


def notice(avatar: Avatar) -> str:
    """What whoever sees the page should know."""
    words = consent(avatar.meta)
    return (
        f"A computed likeness, made from one photo by incarnate {version('incarnate')}, a "
        "generative tool. What the photo did not show is guessed. "
        + ("Consent: not stated." if words is None else f"Consent: {words}")
    )


def _own(taken: set[str]) -> Iterable[tuple[str, Source]]:
    """Motions that every page has."""
    for name, motion in (("idle", idle(8.0)), ("walk", walk_cycle())):
        if name not in taken:
            yield name, still(motion)


def _used(avatar: Avatar) -> _Used:
    surface = avatar.surface
    carrying, own = surface.discs.faces.unique(return_inverse=True)
    corners = surface.body.faces[carrying]
    vertices, faces = corners.unique(return_inverse=True)
    place = torch.full((len(surface.rest),), -1)
    place[vertices] = torch.arange(len(vertices))
    return _Used(vertices, faces, torch.bincount(own), own.argsort(stable=True), place)


def _skin(
    avatar: Avatar, used: _Used, ranges: Ranges, up: Float[Tensor, "3"]
) -> dict[str, NDArray]:
    surface, body = avatar.surface, avatar.surface.body
    weights = surface.weights[used.vertices]
    # The heaviest first: it tells the sign of the others' quaternions.
    heavy, order = weights.sort(dim=1, descending=True, stable=True)
    held = heavy > 0
    centers = torch.full_like(surface.rest, torch.nan)
    centers[surface.centers.vertices] = surface.centers.points
    shapes, points, moves = _moves(avatar, used)
    eyes = torch.zeros(len(surface.rest), dtype=torch.uint8)
    eyes[body.num_skin : body.num_skin + body.num_eye] = 1
    eyes[body.num_skin + body.num_eye :] = 2
    return {
        "points": ((surface.rest + surface.vertex_offsets)[used.vertices] + up).numpy(),
        "centers": (centers[used.vertices] + up).numpy(),
        "weight_starts": _starts(held.sum(1)),
        "bones": order[held].numpy().astype(np.uint8),
        "weights": _quantized("weights", heavy[held], np.uint16, ranges),
        "joints": (surface.joints + up).numpy(),
        "parents": body.parents.numpy().astype(np.int32),
        "eyes": eyes[used.vertices].numpy(),
        "eye_centers": (body.joints(surface.rest)[list(body.eye_joints)] + up).numpy(),
        "move_starts": _starts(torch.bincount(shapes, minlength=len(ARKIT_NAMES))),
        "move_points": points.numpy().astype(np.uint16),
        "moves": _quantized("moves", moves, np.uint16, ranges),
        "faces": used.faces.numpy().astype(np.uint16),
        "counts": used.counts.numpy().astype(np.uint16),
    }


def _moves(avatar: Avatar, used: _Used) -> tuple[Tensor, Tensor, Tensor]:
    """What each shape moves, shape by shape: its number, the vertex, the way."""
    face = avatar.surface.body.face
    inside = (used.place[face.points] >= 0).nonzero()[:, 0]
    inside = inside[face.columns[inside].argsort(stable=True)]
    return face.columns[inside], used.place[face.points[inside]], face.moves[inside]


def _discs(discs: Discs, used: _Used, ranges: Ranges) -> dict[str, NDArray]:
    order = used.order
    spins = torch.remainder(discs.spins[order], torch.pi)  # Half a turn changes no disc.
    return {
        "barycentrics": _quantized(
            "barycentrics", discs.barycentrics[order, 1:], np.uint16, ranges
        ),
        "offsets": _quantized("offsets", discs.offsets[order], np.uint16, ranges),
        "spins": _quantized("spins", spins, np.uint16, ranges),
        "log_scales": _quantized("log_scales", discs.log_scales[order], np.uint8, ranges),
        "colors": _quantized("colors", discs.colors[order], np.uint8, ranges),
        "opacities": _quantized(
            "opacities", discs.logit_opacities[order].sigmoid(), np.uint8, ranges
        ),
    }


def _presets(avatar: Avatar, poses: Sequence[str]) -> dict[str, NDArray]:
    drives = [avatar.posed(name) for name in poses]
    faces = torch.stack([parse_expression(name) for name in EXPRESSIONS])
    return {
        "pose_quats": _quats(torch.stack([drive.pose for drive in drives])),
        "pose_transl": torch.stack([drive.transl for drive in drives]).numpy(),
        "expressions": faces.numpy(),
    }


def _clips(
    avatar: Avatar, clips: Sequence[tuple[str, Source]], ranges: Ranges
) -> tuple[dict[str, NDArray], list[dict[str, str | float | bool]], list[bytes]]:
    """What moves and sounds, and what `facts` says of each clip."""
    arrays: dict[str, NDArray] = {}
    told, sounds = [], []
    for number, (name, source) in enumerate(clips):
        motion = joined(source.parts())
        arrays |= _clip(avatar, motion, f"clip{number}", ranges)
        told.append(
            {
                "name": name,
                "fps": source.fps,
                "frames": len(motion),
                "speaks": source.speaks,
                "sound": len(sounds) if source.sound else -1,
            }
        )
        if source.sound:
            sounds.append(mp3(source.sound()))
    return arrays, told, sounds


def _clip(avatar: Avatar, motion: Motion, name: str, ranges: Ranges) -> dict[str, NDArray]:
    """A motion's frames; its face is what comes on top of the photo's."""
    drives = list(avatar.drives(motion))
    pose = torch.stack([drive.pose for drive in drives])
    turns = roma.rotmat_to_rotvec(pose).norm(dim=-1)
    moving = (turns.amax(0) > STILL).nonzero()[:, 0]
    face = f"{name}_weights"
    return {
        f"{name}_joints": moving.numpy().astype(np.uint8),
        f"{name}_quats": _quats(pose[:, moving]),
        f"{name}_transl": torch.stack([drive.transl for drive in drives]).numpy(),
        face: _quantized(face, motion.expression, np.uint8, ranges),
    }


def _views(avatar: Avatar, up: Float[Tensor, "3"]) -> dict[str, dict[str, list[float]]]:
    drive = avatar.posed()
    views = {}
    for framing in ("full", "upper", "head"):
        center, span = avatar.subject(drive, framing)
        views[framing] = {"center": (center + up).tolist(), "span": span.tolist()}
    return views


def _quats(pose: Float[Tensor, "*b 3 3"]) -> NDArray:
    """xyzw, of 16 bits."""
    return (roma.rotmat_to_unitquat(pose) * UNIT).round().numpy().astype(np.int16)


def _starts(numbers: Int[Tensor, " n"]) -> NDArray:
    return torch.cat([numbers.new_zeros(1), numbers.cumsum(0)]).numpy().astype(np.int32)


def _quantized(
    name: str, values: Float[Tensor, "..."], kind: type[np.unsignedinteger], ranges: Ranges
) -> NDArray:
    low, high = values.amin().item(), values.amax().item()
    ranges[name] = low, high if high > low else low + 1
    steps = (values - low) / (ranges[name][1] - low) * np.iinfo(kind).max
    return steps.round().numpy().astype(kind)


def restored(name: str, array: NDArray, ranges: Ranges) -> Tensor:
    """What a quantized array stands for."""
    low, high = ranges[name]
    return torch.from_numpy(
        low + array.astype(np.float64) / np.iinfo(array.dtype).max * (high - low)
    )


def _fidelity(avatar: Avatar, used: _Used, arrays: dict[str, NDArray], ranges: Ranges) -> Fidelity:
    surface, discs = avatar.surface, avatar.surface.discs
    back = {name: restored(name, arrays[name], ranges) for name in ranges if name in arrays}
    frames, own = surface.rest_frames, discs.faces[used.order]
    edges = frames.origins[:, 1:] - frames.origins[:, :1]
    along = (
        edges[own] * (back["barycentrics"] - discs.barycentrics[used.order, 1:])[..., None]
    ).sum(1)
    aside = (frames.axes[own] * (back["offsets"] - discs.offsets[used.order])[:, None]).sum(2)
    moves = back["moves"] - _moves(avatar, used)[2]
    scales = (back["log_scales"] - discs.log_scales[used.order]).abs().amax()
    return Fidelity(
        (along + aside).norm(dim=1).amax().item(),
        moves.norm(dim=1).amax().item(),
        scales.expm1().item(),
    )
