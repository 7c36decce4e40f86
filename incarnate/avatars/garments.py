"""What a person wears, read from the photo: which stretch of each limb is skin, which is cloth.

One photo shows half of a body, but sleeves and hems go all the way round: so the questions are
answered once per limb or height, from all the pixels that show it, and hold for the unseen side
too. Coordinates are those of the body at rest. `along` runs down a limb: 0 at the shoulder or
hip, 1 at elbow or knee, 2 at wrist or ankle, beyond it on the hand or foot. Colours are CIE Lab
(L in 0..100).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.avatars import hair
from incarnate.body.anny import Anny
from incarnate.body.body import PARTS, Body
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.scene.mesh import vertex_normals

LABELS = ("skin", "hair", "top", "bottom", "shoes", "eye", "teeth", "tongue", "mouth", "lashes")
SKIN, HAIR, TOP, BOTTOM, SHOES = range(5)

SEGMENTS = ("torso", "neck", "head", "arm", "hand", "leg", "foot")
TORSO, NECK, HEAD, ARM, HAND, LEG, FOOT = range(7)

_SEGMENT_OF = {
    "head": HEAD,
    "jaw": HEAD,
    "left_eye_smplhf": HEAD,
    "right_eye_smplhf": HEAD,
    "neck": NECK,
    "shoulder": ARM,
    "elbow": ARM,
    "wrist": HAND,
    "hip": LEG,
    "knee": LEG,
    "ankle": FOOT,
    "foot": FOOT,
}
_LIMBS = (("shoulder", "elbow", "wrist", ARM, HAND), ("hip", "knee", "ankle", LEG, FOOT))
_FIXED = {"eye_left": 5, "eye_right": 5, "teeth": 6, "tongue": 7, "mouth": 8, "lashes": 9}
NUM_BINS = 40  # Along each limb, 2 to 3 cm each on an adult.


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Where on the body a point lies. Points are vertices or anything interpolated between them."""

    points: Float[ndarray, "n 3"]
    normals: Float[ndarray, "n 3"]
    segments: Int[ndarray, " n"]
    left: Bool[ndarray, " n"]
    along: Float[ndarray, " n"]
    fixed: Int[ndarray, " n"]
    """Label of eyes, teeth, tongue, inner mouth and lashes; -1 elsewhere."""
    scalp: Float[ndarray, " n"]
    """1 where hair grows."""
    lids: Float[ndarray, " n"]
    """1 on what a blink moves: there, iris, lashes and white of the photo's open eye may stray."""
    rim: Float[ndarray, " n"]
    """Metres from the lashes, along the edges of the lids."""
    lips: Float[ndarray, " n"]
    """1 on the red of the lips: there, teeth of a smile may stray."""


def anatomy(body: Anny, rest: Float[Tensor, "v 3"]) -> Anatomy:
    """The anatomy of a body's vertices."""
    own = roles(body)
    segments_of_joint = np.array([_segment(role) for role in own])
    left_of_joint = np.array([role.startswith("left") for role in own])
    main = body.skin_joints.gather(1, body.skin_weights.argmax(1, keepdim=True))[:, 0].numpy()
    segments = segments_of_joint[main]
    points = rest.numpy().astype(np.float64)
    joints = body.joints(rest).numpy()
    head = np.isin(body.part_labels.numpy(), [PARTS.index(p) for p in (*_FIXED, "head")])
    segments[head] = HEAD
    left = np.where(np.isin(segments, (TORSO, NECK, HEAD)), points[:, 0] > 0, left_of_joint[main])
    along = np.zeros(len(points))
    for upper, middle, lower, limb, end in _LIMBS:
        for side in ("left", "right"):
            chain = joints[[body.smplx_joints[f"{side}_{name}"] for name in (upper, middle, lower)]]
            mine = np.isin(segments, (limb, end)) & (left == (side == "left"))
            along[mine] = _along(points[mine], chain)
    names = np.array(PARTS)[body.part_labels.numpy()]
    fixed = np.array([_FIXED.get(name, -1) for name in names])
    normals = vertex_normals(rest, body.faces).numpy()
    return Anatomy(
        points,
        normals,
        segments,
        left,
        along,
        fixed,
        body.region("scalp").numpy() * (segments == HEAD),
        _lids(body, rest),
        np.asarray(KDTree(points[fixed == _FIXED["lashes"]]).query(points)[0]),
        body.region("lips").numpy() * (fixed < 0),
    )


def _lids(body: Body, rest: Float[Tensor, "v 3"]) -> Float[ndarray, " v"]:
    blink = torch.zeros(len(ARKIT_NAMES))
    blink[[ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight")]] = 1
    moved = (body.express(rest, body.arkit(blink)) - rest).norm(dim=1)
    return (moved / 0.003).clamp(0, 1).numpy()


def interpolated(
    vertices: Anatomy, corners: Int[ndarray, "n 3"], barycentrics: Float[ndarray, "n 3"]
) -> Anatomy:
    """The anatomy of points on triangles; what cannot be averaged comes from the nearest corner."""
    nearest = np.take_along_axis(corners, barycentrics.argmax(1)[:, None], 1)[:, 0]

    def mean(values: ndarray) -> ndarray:
        weights = barycentrics.reshape(len(corners), 3, *[1] * (values.ndim - 1))
        return (values[corners] * weights).sum(1)

    limb = np.isin(vertices.segments[corners], (ARM, HAND, LEG, FOOT)).all(1)
    along = np.where(limb, mean(vertices.along), vertices.along[nearest])
    normals = mean(vertices.normals)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    return Anatomy(
        mean(vertices.points),
        normals,
        vertices.segments[nearest],
        vertices.left[nearest],
        along,
        vertices.fixed[nearest],
        mean(vertices.scalp),
        mean(vertices.lids),
        mean(vertices.rim),
        mean(vertices.lips),
    )


@dataclass(frozen=True)
class Outfit:
    """Where cloth ends. Bounds in `along` (2: to the wrist or ankle) and metres of height."""

    sleeve: float
    hem: float
    waist: float
    shod: bool
    hair_end: float
    """Height to which hair falls behind the neck; above the shoulders when it is short."""
    bald: bool
    legs_seen: bool


def outfit(where: Anatomy, lab: Float[ndarray, "n 3"], weight: Float[ndarray, " n"]) -> Outfit:
    """What the seen points (weight > 0) say about the clothes."""
    skin = skin_model(where, lab, weight)
    torso = (where.segments == TORSO) & (weight > 0)
    neck = _height(where, NECK, 0.1)
    crotch = _height(where, LEG, 0.98)
    chest = torso & (where.points[:, 1] > crotch + 0.45 * (neck - crotch))
    arms, legs = where.segments == ARM, where.segments == LEG
    sleeve = _border(where, lab, weight, arms, chest, skin, unseen=2.0)
    cloth = weight * (skin.distance(lab) > 2)  # Arms and hands in front of it are none.
    waist = _waist(where, lab, cloth, crotch, neck)
    hips = (
        (torso | (legs & (where.along < 0.3))) & (weight > 0) & (where.points[:, 1] < waist - 0.03)
    )
    hem = _border(where, lab, weight, legs, hips, skin, unseen=2.0)
    feet = (where.segments == FOOT) & (weight > 0)
    shod = feet.sum() < 30 or np.median(skin.distance(lab[feet])) > 3.0
    color = hair_color(where, lab, weight, skin)
    hair_end = _hair_end(where, lab, weight, color) if color is not None else np.inf
    return Outfit(sleeve, hem, waist, bool(shod), hair_end, color is None, bool(hips.any()))


@dataclass(frozen=True, eq=False)
class SkinModel:
    """Skin colour: a Gaussian in Lab, wide in L, since light falls unevenly on a body."""

    mean: Float[ndarray, "3"]
    inverse: Float[ndarray, "3 3"]

    def distance(self, lab: Float[ndarray, "n 3"]) -> Float[ndarray, " n"]:
        """Mahalanobis distance, in standard deviations."""
        d = lab - self.mean
        return np.sqrt(np.einsum("ni,ij,nj->n", d, self.inverse, d))


def skin_model(
    where: Anatomy, lab: Float[ndarray, "n 3"], weight: Float[ndarray, " n"]
) -> SkinModel:
    """Skin as the middle of the seen face shows it."""
    face = (where.segments == HEAD) & (where.fixed < 0) & (where.scalp < 0.2) & (weight > 0)
    face &= where.normals[:, 2] > 0.4
    if face.sum() < 30:
        return SkinModel(np.array([60.0, 14.0, 16.0]), np.diag([1 / 400.0, 1 / 25.0, 1 / 25.0]))
    seen = lab[face]
    middle = np.median(seen, axis=0)
    close = seen[np.abs(seen - middle).sum(1) < 1.5 * np.median(np.abs(seen - middle).sum(1))]
    covariance = np.cov(close.T) + np.diag([15.0**2, 3.5**2, 3.5**2])
    return SkinModel(close.mean(0), np.linalg.inv(covariance))


def hair_color(
    where: Anatomy, lab: Float[ndarray, "n 3"], weight: Float[ndarray, " n"], skin: SkinModel
) -> Float[ndarray, "3"] | None:
    """Median hair colour, or None where the scalp looks like skin."""
    crown = (where.segments == HEAD) & (where.scalp > 0.6) & (weight > 0)
    if crown.sum() < 30:
        return None
    middle = np.median(lab[crown], axis=0)
    return None if skin.distance(middle[None])[0] < 1.2 else middle


def labelled(
    where: Anatomy, worn: Outfit, lab: Float[ndarray, "n 3"], weight: Float[ndarray, " n"]
) -> Int[ndarray, " n"]:
    """One label a point: by the outfit all round, by the pixel where hair or neckline is seen."""
    labels = np.full(len(where.points), TOP)
    y, segments = where.points[:, 1], where.segments
    skin = skin_model(where, lab, weight)
    labels[(segments == TORSO) & (y < worn.waist)] = BOTTOM
    labels[(segments == ARM) & (where.along > worn.sleeve)] = SKIN
    labels[segments == HAND] = SKIN
    labels[segments == LEG] = np.where(where.along[segments == LEG] > worn.hem, SKIN, BOTTOM)
    labels[(segments == LEG) & (y > worn.waist)] = TOP
    labels[segments == FOOT] = SHOES if worn.shod else SKIN
    labels[(segments == HEAD) | (segments == NECK)] = SKIN
    if not worn.bald:
        _mark_hair(labels, where, worn, lab, weight, skin)
    neck_bottom = _height(where, NECK, 0.1)
    near = (segments == TORSO) & (y > neck_bottom - 0.16) & (labels == TOP)
    near |= (segments == NECK) & (labels == SKIN)
    collar = np.flatnonzero(near & (where.fixed < 0))
    if len(collar):
        cloth = _model_of(lab[(segments == TORSO) & (weight > 0.5) & (labels == TOP)])
        like_skin = skin.distance(lab[collar])
        bare = (like_skin < 2.2) & (like_skin < cloth.distance(lab[collar]))
        square = np.clip(where.normals[collar, 2] / 0.4, 0, 1)  # A slant mixes hair and background.
        seen = np.where(weight[collar] > 0.3, square, 0)
        # Unseen, behind above all, clothes reach a little way up the neck.
        usual = ((y[collar] - neck_bottom - 0.01) / 0.03).clip(0, 1) * (segments[collar] == NECK)
        within = hair.border(where.points[collar], usual, bare, seen)
        labels[collar] = np.where(within, SKIN, TOP)
    return np.where(where.fixed >= 0, where.fixed, labels)


def _mark_hair(labels, where: Anatomy, worn: Outfit, lab, weight, skin: SkinModel) -> None:
    color = hair_color(where, lab, weight, skin)
    head, y = where.segments == HEAD, where.points[:, 1]
    if color is None:
        labels[head & (where.scalp > 0.5)] = HAIR
        return
    like_hair = np.linalg.norm((lab - color) * [0.6, 1, 1], axis=1)
    like_skin = skin.distance(lab)
    bearing = np.flatnonzero(head & (where.fixed < 0) & (where.scalp > 0.02))
    labels[bearing] = np.where(
        hair.border(
            where.points[bearing],
            hair.grown(where.scalp[bearing]),
            like_hair[bearing] / 8 < like_skin[bearing],
            np.clip((weight[bearing] - 0.2) / 0.3, 0, 1),
        ),
        HAIR,
        SKIN,
    )
    labels[hanging(where, worn.hair_end)] = HAIR
    width = np.abs(where.points[head, 0]).max() * 1.15
    falls = np.isin(where.segments, (NECK, TORSO)) & (weight > 0.3) & (y > worn.hair_end - 0.02)
    labels[falls & (like_hair < 14) & (like_skin > 2) & (np.abs(where.points[:, 0]) < width)] = HAIR
    labels[(where.lids > 0.02) | (where.lips > 0.02)] = SKIN  # However dark lashes make them.


def hanging(where: Anatomy, hair_end: float) -> Bool[ndarray, " n"]:
    """Which points long hair covers behind, below where it grows; none if it is short."""
    width = np.abs(where.points[where.segments == HEAD, 0]).max() * 1.15
    behind = (where.normals[:, 2] < 0.2) & np.isin(where.segments, (NECK, TORSO, HEAD, ARM))
    behind &= (where.points[:, 2] < _depth(where)) & (where.along < 0.2) & (where.fixed < 0)
    return behind & (where.points[:, 1] > hair_end) & (np.abs(where.points[:, 0]) < width)


def roles(body: Body) -> list[str]:
    """The SMPL-X joint that each own joint belongs to: its own or its nearest ancestor's."""
    own = {joint: name for name, joint in body.smplx_joints.items()}
    found: list[str] = []
    for joint, parent in enumerate(body.parents.tolist()):
        found.append(own.get(joint, found[parent] if parent >= 0 else "pelvis"))
    return found


def covered(where: Anatomy, worn: Outfit) -> Float[ndarray, " v"]:
    """1 where cloth covers a vertex, by the outfit."""
    cloth = (where.segments == TORSO).astype(float)
    arm, leg = where.segments == ARM, where.segments == LEG
    cloth[arm] = where.along[arm] < worn.sleeve
    cloth[leg] = where.along[leg] < worn.hem
    cloth[where.segments == FOOT] = worn.shod
    cloth[where.fixed >= 0] = 0
    return cloth


def _segment(role: str) -> int:
    if role in _SEGMENT_OF:
        return _SEGMENT_OF[role]
    side, _, name = role.partition("_")
    if side in ("left", "right"):
        if name.rstrip("123") in ("thumb", "index", "middle", "ring", "pinky"):
            return HAND
        return _SEGMENT_OF.get(name, TORSO)
    return TORSO


def _along(points: ndarray, chain: ndarray) -> ndarray:
    upper, lower = chain[1] - chain[0], chain[2] - chain[1]
    first = (points - chain[0]) @ upper / (upper @ upper)
    second = (points - chain[1]) @ lower / (lower @ lower)
    return np.where(second > 0, 1 + second.clip(0), first.clip(None, 1))


def _height(where: Anatomy, segment: int, quantile: float) -> float:
    return float(np.quantile(where.points[where.segments == segment, 1], quantile))


def _depth(where: Anatomy) -> float:
    neck = where.points[where.segments == NECK, 2]
    return float((neck.min() + neck.max()) / 2)


def _model_of(lab: ndarray) -> SkinModel:
    if len(lab) < 10:
        return SkinModel(np.array([50.0, 0, 0]), np.diag([1e-4] * 3))
    covariance = np.cov(lab.T) + np.diag([10.0**2, 3.0**2, 3.0**2])
    return SkinModel(np.median(lab, axis=0), np.linalg.inv(covariance))


def _border(where, lab, weight, limb, garment, skin: SkinModel, unseen: float) -> float:
    """Where along a limb cloth gives way to skin: the split that the bins' colours like best."""
    cloth = _model_of(lab[garment])
    seen = limb & (weight > 0.3)
    score = np.zeros(NUM_BINS)
    edges = np.linspace(0, 2, NUM_BINS + 1)
    last_seen = 0
    for i in range(NUM_BINS):
        mine = seen & (where.along >= edges[i]) & (where.along < edges[i + 1])
        if mine.sum() < 5:
            continue
        middle = np.median(lab[mine], axis=0)[None]
        score[i] = np.clip(cloth.distance(middle)[0] - skin.distance(middle)[0], -2, 2)
        last_seen = i + 1
    if last_seen == 0:
        return unseen
    gain = np.concatenate([[0], np.cumsum(-score)]) + np.concatenate(
        [np.cumsum(score[::-1])[::-1], [0]]
    )
    best = int(gain.argmax())
    return unseen if best >= last_seen else float(edges[best])


def _waist(where: Anatomy, lab, weight, crotch: float, neck: float) -> float:
    """The height at which the colour of the trunk changes most; a default when it does not."""
    trunk = np.isin(where.segments, (TORSO, LEG)) & (weight > 0.3)
    trunk &= (where.along < 0.5) & (where.normals[:, 2] > 0.1)
    low, high = crotch - 0.12, crotch + 0.5 * (neck - crotch)
    edges = np.linspace(low, high, 40)
    row = np.searchsorted(edges, where.points[:, 1], side="right") - 1
    inside = [trunk & (row == k) for k in range(len(edges) - 1)]
    few = max(8, 0.25 * np.median([mine.sum() for mine in inside]))
    none = np.full(3, np.nan)
    rows = np.array([np.median(lab[m], axis=0) if m.sum() > few else none for m in inside])
    default = crotch + 0.2 * (neck - crotch)
    known = ~np.isnan(rows[:, 0])
    if known.sum() < 10:
        return default
    best, gap = default, 8.0
    for i in range(4, len(rows) - 4):
        below, above = rows[max(0, i - 8) : i], rows[i : i + 8]
        if np.isnan(below).all() or np.isnan(above).all():
            continue
        step = np.linalg.norm((np.nanmedian(above, 0) - np.nanmedian(below, 0)) * [0.7, 1, 1])
        local = np.linalg.norm((rows[i] - rows[i - 1]) * [0.7, 1, 1])
        if np.isfinite(local) and step + 0.3 * local > gap:
            best, gap = float(edges[i]), step + 0.3 * local
    return best


def _hair_end(where: Anatomy, lab, weight, color) -> float:
    """How far down beside the neck hair-coloured points go on, in slices of 2 cm from the chin."""
    neck = where.segments == NECK
    chin = float(np.quantile(where.points[neck, 1], 0.75))
    beside = np.isin(where.segments, (NECK, TORSO)) & (weight > 0.3)
    beside &= (np.abs(where.points[:, 0]) > 0.045) & (np.abs(where.points[:, 0]) < 0.14)
    like = np.linalg.norm((lab - color) * [0.6, 1, 1], axis=1) < 13
    end = chin
    while end > chin - 0.7:
        mine = beside & (where.points[:, 1] < end) & (where.points[:, 1] >= end - 0.02)
        if mine.sum() < 6 or like[mine].mean() < 0.3:
            break
        end -= 0.02
    return end if end < chin - 0.05 else np.inf
