"""Cloth and hair as geometry: how far they may leave the body, how they hang, where discs go."""

from dataclasses import fields, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.avatars import garments, mouth
from incarnate.avatars.garments import BOTTOM, HAIR, SHOES, SKIN, TOP, Anatomy, Outfit
from incarnate.avatars.surface import Discs, Freedom, picked
from incarnate.body.body import Body
from incarnate.scene.mesh import averaging

UNSEEN_LOOSENESS = 0.012  # Metres of cloth and shoe about legs that the photo does not show.

INNER = [garments.LABELS.index(name) for name in ("tongue", "mouth")]
LASH_LINE, LASH_TINT = 0.003, 0.4  # Metres about lashes; of a channel: dark as the photo says.
LINING, LINING_TINT = 0.006, 0.05  # Metres; of a channel.
LINED = (-0.2, 0.75)  # Cosines to the view between which skin of the head is lined.
CROWDED_TINT, CROWDED_PLAY = 0.1, 0.005  # Of a channel; metres: cloth beside what hides it.
SKIN_PLAY = 0.004  # Metres that discs of the face may stray.
LIP_PLAY, LID_PLAY = 0.0005, 0.001  # Metres that lips and skin about them, lids and eyes may move,
LIP_TINT, LID_TINT = 0.06, 0.1  # and by how much of a channel lips and lids may change colour.
SQUARE = 0.65  # Cosine from which on a picture's view of skin is taken as it is.
SLANTED = (0.25, 0.6)  # Cosines between which trust in skin of the head grows from none to full.


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
    hold[head] = 300 * np.exp(-7.3 * where.scalp[head].clip(0, 1) ** 0.3)
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
    dense += 27 * (where.lids + where.lips) * (where.fixed < 0)
    dense[where.segments == garments.HAND] = 3
    dense[where.fixed == garments.LABELS.index("eye")] = 16
    dense[where.fixed == garments.LABELS.index("mouth")] = 2
    dense[where.fixed == garments.LABELS.index("lashes")] = 0
    forward = np.where(where.normals[:, 2] > -0.2, 1.6, 1.4)
    return torch.tensor(dense * np.where(head | (where.fixed >= 0), 1, forward)).float()


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
    cloth = garments.covered(where, worn)
    mean = averaging(faces, len(points))
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
    mean = averaging(body.faces, len(weights))
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
    facing: Float[ndarray, " n"],
) -> Float[ndarray, " n"]:
    """Confidence, less where a point's colour is not its material's: a hand's skin on the trousers,
    trousers on the hand, eye on a lid, hair or background on a cheek seen at a slant.

    `facing` is the cosine between normal and view.
    """
    skin = garments.skin_model(where, lab, confidence)
    like_skin = skin.distance(lab)
    trusted = confidence.copy()
    trusted[np.isin(where.fixed, INNER)] = 0
    bare = (labels == SKIN) & np.isin(where.segments, (garments.HAND, garments.ARM, garments.LEG))
    trusted[bare] *= np.clip((3.5 - like_skin[bare]) / 1.0, 0, 1)
    _doubt_lids(trusted, where, labels, lab)
    mouth.doubt_lips(trusted, where, labels, lab)
    _doubt_slanted(trusted, where, labels, lab, facing)
    head = (labels == SKIN) & np.isin(where.segments, (garments.HEAD, garments.NECK))
    low, high = SLANTED
    trusted[head] *= np.clip((facing[head] - low) / (high - low), 0, 1)
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


def _doubt_lids(trusted, where: Anatomy, labels, lab) -> None:
    """Lowers trust in lids that are unlike the skin around their eye, which a plane in Lab over
    breadth and height describes: there lie iris, lashes and white of the photo's open eye."""
    for side in (where.left, ~where.left):
        mine = np.flatnonzero((where.lids > 0.02) & (labels == SKIN) & side)
        sure = trusted[mine] > 0.5
        if sure.sum() < 60:
            trusted[mine[where.lids[mine] > 0.3]] = 0
            continue
        ring = mine[sure & (where.lids[mine] < 0.4)]
        plane = np.column_stack([np.ones(len(where.points)), where.points[:, :2]])
        kept, fit = ring, np.zeros((3, 3))
        for _ in range(4):
            fit = np.linalg.lstsq(plane[kept], lab[kept], rcond=None)[0]
            gap = np.linalg.norm((lab[ring] - plane[ring] @ fit) * [0.5, 1, 1], axis=1)
            kept = ring[gap <= np.quantile(gap, 0.7)]
        gap = np.linalg.norm((lab[mine] - plane[mine] @ fit) * [0.5, 1, 1], axis=1)
        doubt = (where.lids[mine] / 0.3).clip(0, 1) * (where.rim[mine] > LASH_LINE)
        trusted[mine] *= 1 - doubt * np.clip((gap - 5) / 3, 0, 1)


def _doubt_slanted(trusted, where: Anatomy, labels, lab, facing) -> None:
    """Lowers trust in skin of head and neck that is seen at a slant and unlike the skin beside it
    that is seen squarely: there lie loose hair, the rim of the matte, a collar."""
    for segment in (garments.HEAD, garments.NECK):
        mine = (where.segments == segment) & (labels == SKIN) & (trusted > 0)
        square = np.flatnonzero(mine & (facing > SQUARE) & (trusted > 0.6))[::4]
        slant = np.flatnonzero(mine & (facing <= SQUARE))
        if len(square) < 60 or len(slant) == 0:
            continue
        near = np.asarray(KDTree(where.points[square]).query(where.points[slant], k=24)[1])
        usual = np.median(lab[square][near], axis=1)
        gap = np.linalg.norm((lab[slant] - usual) * [0.5, 1, 1], axis=1)
        allowed = 8 + 12 * (facing[slant] / SQUARE).clip(0, 1)
        trusted[slant] *= np.clip((1.5 * allowed - gap) / (0.5 * allowed), 0, 1)


def freedom(
    where: Anatomy,
    labels: Int[ndarray, " n"],
    confidence: Float[ndarray, " n"],
    crowded: Bool[ndarray, " n"],
) -> Freedom:
    """How far discs may follow the photo: those it vouches for freely, others hardly.

    Lids that it does not vouch for (but for their edge) and what lies in the mouth stay as they
    are: a blink or an open mouth shows them. Doubted hair of the head hardly shrinks or fades: what
    lies behind would show from the side. Doubted skin may, since it is lined. Cloth beside an arm
    that hides it in part (`crowded`) does not take the arm's colour.
    """
    color = 0.03 + 0.37 * confidence
    offset, shrunk, faded = (np.full(len(labels), value) for value in (0.02, 1.2, 3.0))
    grown = np.full(len(labels), 0.6)
    beside = crowded & np.isin(labels, (TOP, BOTTOM))
    color[beside], offset[beside] = color[beside].clip(0, CROWDED_TINT), CROWDED_PLAY
    head = np.isin(where.segments, (garments.HEAD, garments.NECK))
    offset[head & (labels == SKIN)] = SKIN_PLAY  # Else noses and chins fray, seen from the side.
    doubted = head & (confidence < 0.5)
    for label, least in ((SKIN, (0.012, 1.5, 7.0)), (HAIR, (0.02, 0.6, 1.5))):
        mine = doubted & (labels == label)  # A rim makes way; curls must reach the outline.
        offset[mine], shrunk[mine], faded[mine] = least
    lids = (where.lids > 0.3) & (where.fixed < 0)
    eyes = where.fixed == garments.LABELS.index("eye")
    for mine, rims, play, tint in (
        (mouth.about(where, labels), where.lips > 0.1, LIP_PLAY, LIP_TINT),
        (lids | eyes, lids, LID_PLAY, LID_TINT),
    ):
        offset[mine] = play  # Else discs stray over teeth and eyes,
        grown[rims], color[rims] = 0, color[rims].clip(0, tint)  # or take their colours.
    edge = lids & (where.rim < LASH_LINE)
    color[edge] = LASH_TINT
    still = (lids & (confidence < 0.3) & ~edge) | (where.fixed >= mouth.TEETH)
    for bound in (offset, shrunk, grown, faded):
        bound[still] = 0
    color[still & ~((where.fixed == mouth.TEETH) & (confidence > 0.5))] = 0
    return Freedom(*(torch.tensor(b).float() for b in (color, offset, shrunk, grown, faded)))


def uncrowded(
    labels: Int[ndarray, " n"],
    lab: Float[ndarray, "n 3"],
    confidence: Float[ndarray, " n"],
    crowded: Bool[ndarray, " n"],
) -> Float[ndarray, " n"]:
    """Confidence, none where cloth beside an arm or hand that hides it in part (`crowded`) has not
    the garment's own colour: there lie shadows, and what the hand holds."""
    alone = confidence.copy()
    for label in (TOP, BOTTOM):
        mine = (labels == label) & (confidence > 0.3)
        clear = mine & ~crowded
        if clear.sum() < 200:
            continue
        middle = np.median(lab[clear], axis=0)
        spread = np.median(np.abs(lab[clear] - middle), axis=0) * 1.5 + [12, 2, 2]
        like = np.sqrt((((lab - middle) / spread) ** 2).sum(1))
        alone[mine & crowded] *= np.clip(3.5 - like[mine & crowded], 0, 1)
    return alone


def lining(discs: Discs, where: Anatomy, facing: Float[ndarray, " n"]) -> Discs:
    """Hair once more, a little beneath: where locks leave for the outline it shows, not the sky.
    And the head's skin that the photo shows at a slant: what covers it there leaves holes beside.

    `facing` is the cosine between normal and view.
    """
    head = np.isin(where.segments, (garments.HEAD, garments.NECK)) & (where.fixed < 0)
    slanted = torch.tensor(head & (LINED[0] < facing) & (facing < LINED[1]))
    mine = (discs.labels == HAIR) | ((discs.labels == SKIN) & slanted)
    more = picked(discs, mine.nonzero()[:, 0])
    return replace(more, offsets=more.offsets + discs.offsets.new_tensor([0.0, 0.0, -LINING]))


def held(freedom: Freedom, count: int) -> Freedom:
    """The freedom of discs and of `count` more, which may take a little colour and no more."""
    none = torch.zeros(count)
    bounds = {f.name: torch.cat([getattr(freedom, f.name), none]) for f in fields(Freedom)}
    bounds["color"][len(freedom.color) :] = LINING_TINT
    return Freedom(**bounds)


def sealed(discs: Discs, points: Anatomy) -> Discs:
    """Discs with those of inner mouth, teeth and tongue kept thin, so that none shows through."""
    inner = torch.tensor(points.fixed >= garments.LABELS.index("teeth"))
    log_scales = discs.log_scales - 0.3 * inner[:, None].float()
    return replace(discs, log_scales=log_scales)
