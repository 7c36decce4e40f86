"""Cloth and hair as geometry: how far they may leave the body, how they hang, where discs go."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_matrix
from torch import Tensor

from incarnate.avatars import garments
from incarnate.avatars.garments import BOTTOM, SHOES, SKIN, TOP, Anatomy, Outfit
from incarnate.avatars.surface import Discs
from incarnate.body.body import Body

UNSEEN_LOOSENESS = 0.012  # Metres of cloth and shoe about legs that the photo does not show.


def resampled(
    image: Float[Tensor, "h w c"], box: tuple[int, int, int, int], size: tuple[int, int]
) -> Float[Tensor, "y x c"]:
    """The window `box` (left, top, right, bottom) at `size` (width, height); zeros outside."""
    left, top, right, bottom = box
    height, width = image.shape[:2]
    pads = max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width)
    inner = image[max(0, top) : bottom, max(0, left) : right].numpy()
    padded = cv2.copyMakeBorder(inner, *pads, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    smaller = size[0] < right - left
    resized = cv2.resize(
        padded, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return torch.from_numpy(resized).reshape(size[1], size[0], image.shape[2])


def stiffness(where: Anatomy) -> Float[Tensor, " v"]:
    """How hard each vertex holds to the body: cloth 1, hair less, face, hands and feet more."""
    hold = np.ones(len(where.points))
    head = where.segments == garments.HEAD
    hold[head] = 30 - 29.8 * where.scalp[head].clip(0, 1) ** 0.5
    hold[where.segments == garments.HAND] = 40
    hold[where.segments == garments.FOOT] = 2
    hold[where.fixed >= 0] = 1e4
    return torch.tensor(hold).float()


def density(where: Anatomy) -> Float[Tensor, " v"]:
    """Discs per area, relative to the trunk's."""
    dense = np.ones(len(where.points))
    head = where.segments == garments.HEAD
    front = head & (where.normals[:, 2] > 0)
    dense[head] = 3
    dense[front & (where.scalp < 0.5)] = 9
    dense[where.segments == garments.HAND] = 3
    dense[where.fixed == garments.LABELS.index("eye")] = 16
    dense[where.fixed == garments.LABELS.index("mouth")] = 2
    dense[where.fixed == garments.LABELS.index("lashes")] = 0
    forward = np.where(where.normals[:, 2] > -0.2, 1.6, 0.8)
    return torch.tensor(dense * np.where(head | (where.fixed >= 0), 1, forward)).float()


def hair_behind(
    heights: Float[Tensor, " v"],
    facing: Float[Tensor, " v"],
    where: Anatomy,
    faces: Int[Tensor, "f 3"],
) -> Float[Tensor, " v"]:
    """Heights with the hair's thickness at the outline carried to the back of the head.

    A front photo shows how far hair stands off at the crown and the sides and nothing of it behind.
    """
    scalp = torch.tensor(where.scalp).float()
    tall = torch.tensor(where.points[:, 1]).float()
    upper = tall > tall[scalp > 0.5].quantile(0.4) if (scalp > 0.5).any() else scalp > 2
    rim = (scalp > 0.5) & (facing.abs() < 0.45) & upper
    if rim.sum() < 10:
        return heights
    thick = heights[rim].quantile(0.65)
    unseen = scalp * ((0.5 - facing) / 0.5).clamp(0, 1)
    target = torch.maximum(heights, thick)
    raised = heights + unseen * (target - heights)
    mean = _averaging(faces.numpy(), len(heights))
    smooth = raised.numpy()
    blend = (scalp.numpy() > 0.02).astype(float)
    for _ in range(20):
        smooth = smooth + blend * 0.5 * (mean @ smooth - smooth)
    return torch.tensor(smooth).float()


def shaped_clothes(
    rest: Float[Tensor, "v 3"],
    offsets: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    where: Anatomy,
    worn: Outfit,
) -> Float[Tensor, "v 3"]:
    """Offsets with cloth bridging the body's hollows, and shoes closed over toes.

    Cloth spans where skin dips: the mesh is smoothed and each clothed vertex moves along its normal
    to the smooth surface, far outwards if need be, inwards by a few millimetres at most.
    """
    points = (rest + offsets).numpy().astype(np.float64)
    cloth = _worn(where, worn)
    mean = _averaging(faces.numpy(), len(points))
    smooth = points.copy()
    sweeps = np.where(where.segments == garments.FOOT, 40, 12) * (cloth > 0)
    for sweep in range(40):
        smooth = smooth + ((sweeps > sweep) * 0.6)[:, None] * (mean @ smooth - smooth)
    lift = ((smooth - points) * where.normals).sum(1).clip(-0.004, 0.03) + 0.002
    if not worn.legs_seen:
        lift = lift + UNSEEN_LOOSENESS * np.isin(where.segments, (garments.LEG, garments.FOOT))
    for _ in range(6):
        lift = mean @ lift
    return offsets + torch.tensor((cloth * lift)[:, None] * where.normals).float()


def hung(weights: Float[Tensor, "v j"], body: Body, where: Anatomy) -> Float[Tensor, "v j"]:
    """Skinning weights; the body's own, smoothed a little where cloth bridges a joint."""
    mean = _averaging(body.faces.numpy(), len(weights))
    cloth = np.isin(where.segments, (garments.TORSO, garments.LEG)) & (where.fixed < 0)
    smooth = weights.numpy().astype(np.float64)
    for _ in range(6):
        smooth = smooth + (cloth * 0.5)[:, None] * (mean @ smooth - smooth)
    return torch.tensor(smooth / smooth.sum(1, keepdims=True)).float()


def trusted(
    where: Anatomy,
    labels: Int[ndarray, " n"],
    lab: Float[ndarray, "n 3"],
    confidence: Float[ndarray, " n"],
) -> Float[ndarray, " n"]:
    """Confidence, less where a point's colour is not its material's: a hand's skin on the trousers,
    trousers on the hand, eye on a lid."""
    skin = garments.skin_model(where, lab, confidence)
    like_skin = skin.distance(lab)
    trusted = confidence.copy()
    bare = (labels == SKIN) & np.isin(where.segments, (garments.HAND, garments.ARM, garments.LEG))
    trusted[bare] *= np.clip((3.5 - like_skin[bare]) / 1.0, 0, 1)
    dirty = (where.lids > 0.3) & (labels == SKIN)
    trusted[dirty] *= np.clip((1.9 - like_skin[dirty]) / 0.6, 0, 1)
    for label in (TOP, BOTTOM, SHOES):
        mine = (labels == label) & (confidence > 0.3)
        if mine.sum() < 50:
            continue
        middle = np.median(lab[mine], axis=0)
        spread = np.median(np.abs(lab[mine] - middle), axis=0) * 1.5 + [6, 2.5, 2.5]
        like = np.sqrt((((lab - middle) / spread) ** 2).sum(1))
        alien = (labels == label) & (like_skin < 2.5) & (like > 2 * like_skin + 1)
        if label == BOTTOM:
            alien |= mine & (like > 5)  # Trousers are plain; what hides them is not.
        trusted[alien] = 0
    return trusted


def sealed(discs: Discs, points: Anatomy) -> Discs:
    """Discs with those of inner mouth, teeth and tongue kept thin, so that none shows through."""
    inner = torch.tensor(points.fixed >= garments.LABELS.index("teeth"))
    log_scales = discs.log_scales - 0.3 * inner[:, None].float()
    return replace(discs, log_scales=log_scales)


def _worn(where: Anatomy, worn: Outfit) -> Float[ndarray, " v"]:
    """1 where cloth covers a vertex, by the outfit."""
    cloth = (where.segments == garments.TORSO).astype(float)
    arm, leg = where.segments == garments.ARM, where.segments == garments.LEG
    cloth[arm] = where.along[arm] < worn.sleeve
    cloth[leg] = where.along[leg] < worn.hem
    cloth[where.segments == garments.FOOT] = worn.shod
    cloth[where.fixed >= 0] = 0
    return cloth


def _averaging(faces: Int[ndarray, "f 3"], count: int):
    """Sparse matrix that gives each vertex the mean of its neighbours (itself if it has none)."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count)).tocsr()
    degree = np.asarray(links.sum(1)).ravel()
    lonely = coo_matrix(((degree == 0) * 1.0, (np.arange(count),) * 2), shape=(count, count))
    scale = coo_matrix((1 / np.maximum(degree, 1), (np.arange(count),) * 2), shape=(count, count))
    return (scale.tocsr() @ links + lonely).tocsr()
