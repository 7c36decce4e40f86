"""Depth of clothes and shoes, which one view does not show, and skirts, which no leg has.

A front photo shows how far cloth stands off at the outline. Cloth that hangs round a limb stands
off all the way round: so the outline's looseness is carried round each limb, by a share that was
measured on clothed people of the studio. Points are of the body at rest, as in
`incarnate.avatars.garments.Anatomy`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.spatial import ConvexHull
from torch import Tensor

from incarnate.avatars import garments
from incarnate.avatars.garments import Anatomy, Outfit
from incarnate.body.body import Body
from incarnate.cameras import Camera
from incarnate.scene.mesh import averaging

ROUND = {garments.LEG: 0.85, garments.ARM: 0.7, garments.TORSO: 0.5}
"""Share of the looseness at the outline that cloth has in front and behind."""
NODES, SMOOTH = 64, 2.5  # Places along a limb, and over how many of them profiles are smoothed.
SHOE = 0.005  # Metres of leather about a foot.
SKIRT_FOLD = 1.75  # Radians from outwards at which a leg's surface meets the other leg's.
HIPS = 0.12  # Metres of trunk that count as hips.
HEM_RING = 0.05  # Along the leg: vertices nearer to a skirt's hem are moved onto it.
DEEPENS = 0.9  # By which a skirt gets deeper where it gets wider by 1.
SKIRT_TOP = (0.02, 0.2)  # Along the thigh: from where to where a skirt leaves the legs.
SHORTEST = 0.6  # Along the leg: hems above it make shorts, whose thighs may touch as well.
FREE_GAP = 4.0  # Pixels between bare legs from which the picture says whether cloth closes it.
FLARED = 0.05  # Metres off the leg at the hem from which cloth over closed legs is a skirt.


@dataclass(frozen=True, eq=False)
class Round:
    """Points round one limb, or the trunk."""

    mine: Int[ndarray, " n"]
    """Of all points."""
    along: Float[ndarray, " n"]
    """The way down the limb; of the trunk, the height."""
    angle: Float[ndarray, " n"]
    """0 outwards (of the trunk: to the left), pi/2 in front."""
    radius: Float[ndarray, " n"]
    """Metres from the limb's core."""
    row: Float[ndarray, " n"]
    """Metres upwards along it."""

    def profile(
        self, values: Float[ndarray, " n"], weights: Float[ndarray, " n"]
    ) -> Float[ndarray, " n"]:
        """Weighted means of `values` near each point's place along the limb."""
        low, high = self.along.min(), self.along.max()
        place = (self.along - low) / max(high - low, 1e-9) * (NODES - 1)
        node = place.round().astype(int)
        sums = np.stack(
            [np.bincount(node, w, NODES) for w in (weights * values, weights)]
        ) + 1e-9 * np.array([[values.mean()], [1.0]])
        smooth = gaussian_filter1d(sums, SMOOTH, axis=1, mode="nearest")
        return np.interp(place, range(NODES), smooth[0] / smooth[1])


def round_limb(where: Anatomy, segments: int | tuple[int, ...], left: bool | None) -> Round:
    """The points of a limb, or of the trunk (`left` is None)."""
    inside = np.isin(where.segments, segments) & (where.fixed < 0)
    if left is not None:
        inside &= where.left == left
    mine = np.flatnonzero(inside)
    points = where.points[mine]
    along = points[:, 1] if left is None else where.along[mine]
    even, none = np.ones(len(mine)), np.zeros(len(mine))
    plain = Round(mine, along, none, none, none)
    center = np.stack([plain.profile(points[:, c], even) for c in range(3)], 1)
    top, end = (center[[k]] for k in (along.argmin(), along.argmax()))
    down = (end - top) / np.linalg.norm(end - top)
    down = -down if left is None else down
    ahead = np.array([0.0, 0, 1]) - down * down[:, 2:]
    out = np.cross(down, ahead) if left is False else np.cross(ahead, down)
    away = points - center
    x, z = (away * out).sum(1), (away * ahead).sum(1)
    up = points @ -down[0] if left is not None else along
    return Round(mine, along, np.arctan2(z, x), np.hypot(x, z), up)


def thickened(
    offsets: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], where: Anatomy, worn: Outfit
) -> Float[Tensor, "v 3"]:
    """Offsets with cloth as loose in front and behind as the outline shows it at the sides."""
    height = (offsets.numpy() * where.normals).sum(1)
    wanted = height.copy()
    cloth = garments.covered(where, worn)
    for segment, share in ROUND.items():
        for left in (None,) if segment == garments.TORSO else (True, False):
            some = round_limb(where, segment, left)
            need = share * _loose(some, height) * np.abs(np.sin(some.angle))
            wanted[some.mine] = np.maximum(wanted[some.mine], need)
    lift = cloth * (wanted - height)
    mean = averaging(faces, len(lift))
    for _ in range(10):
        lift = lift + 0.5 * (mean @ lift - lift)
    return offsets + torch.tensor((cloth * lift)[:, None] * where.normals).float()


def _loose(some: Round, height: Float[ndarray, " v"]) -> Float[ndarray, " n"]:
    """How far cloth stands off at the outline near each point."""
    return some.profile(height[some.mine], np.abs(np.cos(some.angle)) ** 8).clip(0)


def shod(
    rest: Float[Tensor, "v 3"], offsets: Float[Tensor, "v 3"], where: Anatomy, worn: Outfit
) -> Float[Tensor, "v 3"]:
    """Offsets with shoes: feet as their convex hulls, on a flat sole, without toes."""
    if not worn.shod:
        return offsets
    points = (rest + offsets).numpy().astype(np.float64)
    moved = points.copy()
    for left in (True, False):
        foot = np.flatnonzero((where.segments == garments.FOOT) & (where.left == left))
        if len(foot) < 20:
            continue
        hull = ConvexHull(points[foot]).equations  # n.x + d <= 0 inside.
        gap = -(points[foot] @ hull[:, :3].T + hull[:, 3]).clip(None, 0)
        steep = (where.normals[foot] @ hull[:, :3].T).clip(1e-3)
        reach = (gap / steep).min(1)
        ankle = np.quantile(points[foot, 1], 0.85)
        low = ((ankle - points[foot, 1]) / 0.03).clip(0, 1)
        moved[foot] += (low * (reach.clip(0, 0.03) + SHOE))[:, None] * where.normals[foot]
    return torch.tensor(moved).float() - rest


def is_skirt(
    posed: Float[Tensor, "v 3"],
    offsets: Float[Tensor, "v 3"],
    where: Anatomy,
    worn: Outfit,
    camera: Camera,
    alpha: Float[Tensor, "h w"],
) -> bool:
    """Whether cloth closes the gap between the legs in the picture, or flares over closed ones.

    `posed` is the bare body in the picture's pose, `alpha` the picture's matte.
    """
    if worn.hem < SHORTEST or not worn.legs_seen:
        return False
    height = (offsets.numpy() * where.normals).sum(1)
    heights = np.arange(0.3, worn.hem - 0.1, 0.04)
    inner, flare = [], []
    for left in (True, False):
        some = round_limb(where, garments.LEG, left)
        facing = (np.abs(some.angle) > 2.4).astype(float)
        order = some.along.argsort()
        ends = [some.profile(posed[some.mine, c].numpy(), facing)[order] for c in range(3)]
        inner.append([np.interp(heights, some.along[order], end) for end in ends])
        flare.append(_loose(some, height)[(some.along < worn.hem) & (some.along > 0.6 * worn.hem)])
    a, b = (camera.project(torch.tensor(np.stack(ends, 1)).float()) for ends in inner)
    between = a + torch.linspace(0, 1, 11)[:, None, None] * (b - a) - 0.5
    least = map_coordinates(alpha.numpy(), between.flip(2).permute(2, 0, 1), order=1).min(0)
    free = (a - b).norm(dim=1).numpy() > FREE_GAP
    if free.sum() < 3:
        return float(np.concatenate(flare).mean()) > FLARED
    return float((least[free] > 0.9).mean()) > (0.6 if worn.hem < 1.6 else 0.85)


def skirted(
    rest: Float[Tensor, "v 3"], offsets: Float[Tensor, "v 3"], where: Anatomy, worn: Outfit
) -> Float[Tensor, "v 3"]:
    """Offsets with the legs' surface above the hem as one skirt round both.

    Seen from above each leg's surface is unrolled onto half an ellipse, as wide as the outline;
    what faces the other leg becomes a wall between the halves, which nobody sees.
    """
    points = (rest + offsets).numpy().astype(np.float64)
    moved = points.copy()
    middle = points[where.segments == garments.LEG, 0].mean()
    trunk = points[(where.segments == garments.TORSO) & (where.fixed < 0)]
    hips = trunk[trunk[:, 1] < trunk[:, 1].min() + HIPS, 2]
    deep, ahead = (hips.max() - hips.min()) / 2, (hips.max() + hips.min()) / 2
    for left, sign in ((True, 1.0), (False, -1.0)):
        some = round_limb(where, garments.LEG, left)
        local, share = points[some.mine], _skirt(where, worn)[some.mine]
        above = where.along[some.mine] < worn.hem
        wide, flare = _outline(some, sign * (local[:, 0] - middle), above)
        fold = (np.abs(some.angle) / SKIRT_FOLD).clip(0, 1)
        wall = 1 - ((np.abs(some.angle) - SKIRT_FOLD) / (np.pi - SKIRT_FOLD)).clip(0, 1)
        turn = np.sign(some.angle) * fold * np.pi / 2
        x, z = middle + sign * wide * np.cos(turn), ahead + (deep + flare) * np.sin(turn) * wall
        near = np.abs(where.along[some.mine] - worn.hem) < HEM_RING
        down = _slope(local[near], where.along[some.mine][near])
        level = near * (worn.hem - where.along[some.mine])  # So that the hem is no zigzag.
        goal = np.stack([x, local[:, 1], z], 1)
        moved[some.mine] += share[:, None] * (goal - local) + level[:, None] * down
    return torch.tensor(moved).float() - rest


def _slope(points: Float[ndarray, "n 3"], along: Float[ndarray, " n"]) -> Float[ndarray, "3"]:
    """Metres by which points move on per unit of the way along."""
    if len(points) < 3:
        return np.zeros(3)
    off = along - along.mean()
    return (off[:, None] * points).sum(0) / (off**2).sum().clip(1e-9)


def _outline(some: Round, aside: ndarray, above: ndarray) -> tuple[ndarray, ndarray]:
    """Half the width of a skirt near each point, and by how much it is deeper there than hips."""
    wide = some.profile(aside, above * np.cos(some.angle).clip(0) ** 12)
    flare = (wide - np.median(wide[(some.along > 0.05) & (some.along < 0.25)])).clip(0)
    return wide, DEEPENS * flare


def skirt_weights(
    weights: Float[Tensor, "v j"],
    points: Float[Tensor, "v 3"],
    body: Body,
    where: Anatomy,
    worn: Outfit,
) -> Float[Tensor, "v j"]:
    """Skinning weights with a skirt hung from both thighs, by breadth, and not from the shins."""
    roles = garments.roles(body)
    moved = weights.clone()
    thighs = [body.smplx_joints[f"{side}_hip"] for side in ("left", "right")]
    for side, thigh in zip(("left", "right"), thighs, strict=True):
        legs = [j for j, role in enumerate(roles) if role in _leg_of(side)]
        total = moved[:, legs].sum(1)
        moved[:, legs] = 0
        moved[:, thigh] = total
    aside = points[:, 0] - points[torch.tensor(where.segments == garments.LEG), 0].mean()
    breadth = (aside / aside[torch.tensor(_skirt(where, worn) > 0.5)].abs().amax() + 1) / 2
    total = moved[:, thighs].sum(1)
    moved[:, thighs[0]], moved[:, thighs[1]] = total * breadth, total * (1 - breadth)
    share = torch.tensor(_skirt(where, worn)).float()[:, None]
    return weights + share * (moved - weights)


def _leg_of(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot"))


def _skirt(where: Anatomy, worn: Outfit) -> Float[ndarray, " v"]:
    """1 on what hangs free of the legs, from a little below the hips to the hem."""
    low, high = SKIRT_TOP
    leg = (where.segments == garments.LEG) & (where.fixed < 0) & (where.along < worn.hem)
    return leg * ((where.along - low) / (high - low)).clip(0, 1)
