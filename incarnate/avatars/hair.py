"""Hair: where it grows and where it hangs, how far it stands off, and what moves it.

Points are those of `incarnate.avatars.garments.Anatomy`: vertices or discs, of the body at rest.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.scene.mesh import averaging

NUM_NODES = 4000  # About one a 6 mm square of head: finer is strands, not hairline.
NEIGHBOURS = 8
SWEEPS = 150
PRIOR = 0.01  # Pull towards what is usual: what is seen reaches a few centimetres beyond itself.
SEEN = 0.3  # Pull towards what is seen, beside 1 towards the neighbours: odd pixels do not fray it.
MIRRORED = 0.1  # Pull towards what is seen on the other side.
CARRIED = 0.04  # Metres over which the outline's height reaches back over the head.
LEVEL, MOST, STEP = 0.012, 0.09, 0.003  # Metres: of height; that hair puffs; of looking outwards.
LIKE = 16.0  # Lab units, lightness at 0.6, within which a pixel is hair.
GROWS = 0.3  # Value of the scalp map on the usual hairline.


def border(
    points: Float[ndarray, "n 3"],
    usual: Float[ndarray, " n"],
    seen: Bool[ndarray, " n"],
    weight: Float[ndarray, " n"],
) -> Bool[ndarray, " n"]:
    """Which points lie within a border: where `weight` > 0 as `seen`, elsewhere by continuity.

    What is seen spreads smoothly over what is not, also to the other side of the body, and fades
    into what is `usual` (1 within, 0 without).
    """
    step = max(1, len(points) // NUM_NODES)
    nodes = points[::step]
    tree = KDTree(nodes)
    owner = np.asarray(tree.query(points)[1])
    votes = np.bincount(owner, weight, len(nodes))
    share = np.bincount(owner, weight * seen, len(nodes)) / np.maximum(votes, 1e-9)
    hold = (votes / np.bincount(owner, minlength=len(nodes)).clip(1)).clip(0, 1)
    across = np.asarray(tree.query(nodes * [-1, 1, 1])[1])
    mirrored = MIRRORED * (1 - hold) * hold[across]
    pulls = np.stack([SEEN * hold, mirrored, np.full(len(nodes), PRIOR)])
    goal = (pulls * np.stack([share, share[across], usual[::step]])).sum(0)
    near = np.asarray(tree.query(nodes, k=min(NEIGHBOURS + 1, len(nodes)))[1])[:, 1:]
    field = goal / pulls.sum(0)
    for _ in range(SWEEPS):
        field = (goal + field[near].mean(1)) / (pulls.sum(0) + 1)
    distance, around = tree.query(points, k=min(4, len(nodes)))
    parts = 1 / (np.asarray(distance) + 1e-4)
    return (field[np.asarray(around)] * parts).sum(1) > 0.5 * parts.sum(1)


def grown(scalp: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """How usual hair is at a value of the scalp map: 0.5 on the hairline."""
    return ((scalp - GROWS) / 0.4 + 0.5).clip(0, 1)


def behind(
    heights: Float[Tensor, " v"],
    facing: Float[Tensor, " v"],
    points: Float[ndarray, "v 3"],
    scalp: Float[ndarray, " v"],
    faces: Int[Tensor, "f 3"],
) -> Float[Tensor, " v"]:
    """Heights with the hair's thickness at the outline carried to the back of the head.

    A front photo shows how far hair stands off at the crown and the sides and nothing of it behind.
    """
    high, hair = heights.numpy().astype(np.float64), scalp > 0.5
    upper = points[:, 1] > np.quantile(points[hair, 1], 0.4) if hair.any() else hair
    rim = np.flatnonzero(hair & (np.abs(facing.numpy()) < 0.45) & upper)
    if len(rim) < 10:
        return heights
    thick = np.quantile(high[rim], 0.65)
    unseen = scalp * ((0.5 - facing.numpy()) / 0.5).clip(0, 1)
    mine = np.flatnonzero(unseen > 0)
    near = ((points[mine, None] - points[rim]) ** 2).sum(2)
    weights = np.exp(-near / (2 * CARRIED**2))
    target = (weights @ high[rim] + thick) / (weights.sum(1) + 1)
    high[mine] += unseen[mine] * (np.maximum(high[mine], target) - high[mine])
    mean = averaging(faces, len(high))
    blend = np.where(scalp > 0.02, 0.5 * (0.4 + 0.6 * (unseen > 0)), 0)
    for _ in range(40):
        high = high + blend * (mean @ high - high)
    return torch.tensor(high).float()


def puffed(
    rest: Float[Tensor, "v 3"],
    offsets: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    scalp: Float[ndarray, " v"],
    extents: Float[ndarray, "k 3"],
) -> Float[Tensor, "v 3"]:
    """Offsets with hair beside and behind the ears as wide as the picture shows it.

    There the head's own outline is ear and cheek, which hair hides or passes behind. `extents` are
    heights at rest and how far hair reaches to the left and to the right of the head's middle.
    """
    points = (rest + offsets).numpy().astype(np.float64)
    hair = scalp > 0.3
    if not hair.any() or not len(extents):
        return offsets
    middle = boxed(points[scalp > 0.5])
    away = (points - middle) * [1, 0, 1]
    radius = np.linalg.norm(away, axis=1).clip(1e-6)
    lift = np.zeros(len(points))
    for side, sign in ((1, 1.0), (2, -1.0)):
        mine = hair & (sign * away[:, 0] > 0)
        level = mine & (np.abs(points[:, 1] - extents[:, :1]) < LEVEL)
        own = np.where(level, sign * away[:, 0], 0).max(1)
        wider = np.where(level.any(1), extents[:, side] - own, 0).clip(0, MOST)
        wider = gaussian_filter1d(wider, 1.5, mode="nearest")
        lift[mine] = np.interp(points[mine, 1], extents[:, 0], wider, left=0)
    back = ((middle[2] + 0.02 - points[:, 2]) / 0.04).clip(0, 1)
    lift = lift * back * scalp * (1 - 0.25 * np.abs(away[:, 2]) / radius)
    mean = averaging(faces, len(points))
    for _ in range(8):
        lift = np.where(scalp > 0.02, lift + 0.5 * (mean @ lift - lift), 0)
    return offsets + torch.tensor(lift[:, None] * away / radius[:, None]).float()


def boxed(points: Float[ndarray, "n 3"]) -> Float[ndarray, "3"]:
    """The middle of the box about points."""
    return (points.min(0) + points.max(0)) / 2


def extents(
    middle: Float[ndarray, "3"],
    heights: Float[ndarray, " k"],
    shown: Callable[[Float[ndarray, "n 3"]], tuple[Float[ndarray, " n"], Float[ndarray, "n 3"]]],
    color: Float[ndarray, "3"],
) -> Float[ndarray, "k 3"]:
    """Heights and how far hair reaches to the left and right of the head's middle there.

    `shown` tells alpha and Lab that the picture has at points of the head at rest.
    """
    reach = np.arange(0.03, 0.22, STEP)
    found = [heights]
    for sign in (1.0, -1.0):
        grid = np.zeros((len(heights), len(reach), 3))
        grid[..., 0], grid[..., 1] = middle[0] + sign * reach, heights[:, None]
        grid[..., 2] = middle[2]
        alpha, lab = shown(grid.reshape(-1, 3))
        like = np.linalg.norm((lab - color) * [0.6, 1, 1], axis=1) < LIKE
        within = (alpha > 0.5).reshape(grid.shape[:2]).cumprod(1).astype(bool)
        like = like.reshape(grid.shape[:2]) & within
        far = np.where(like.any(1), len(reach) - 1 - like[:, ::-1].argmax(1), -1)
        rows = zip(like, far, strict=True)
        steady = [k > 2 and row[k - 3 : k + 1].mean() > 0.7 for row, k in rows]
        found.append(np.where(steady, reach[far], 0))
    return np.stack(found, 1)


def curtain(
    rest: Float[Tensor, "v 3"],
    offsets: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    hanging: Bool[ndarray, " v"],
    scalp: Float[ndarray, " v"],
) -> Float[Tensor, "v 3"]:
    """Offsets with long hair falling straight from where the head is widest, not along the neck.

    `hanging` marks the vertices that it covers. Seen from above, they move out from the neck's axis
    to the outline of the hair above.
    """
    if not hanging.any():
        return offsets
    points = (rest + offsets).numpy().astype(np.float64)
    grown = points[scalp > 0.5]
    center = boxed(grown)
    outward = (points - center) * [1, 0, 1]
    radius = np.linalg.norm(outward, axis=1)
    turn = np.arctan2(outward[:, 0], outward[:, 2])
    angles = np.linspace(-np.pi, np.pi, 49)
    outline = [
        radius[(scalp > 0.5) & (np.cos(turn - angle) > 0.95)].max(initial=0) for angle in angles
    ]
    wanted = np.interp(turn, angles, outline)
    below = (hanging | (scalp > 0.1)) & (points[:, 1] < center[1])
    round_back = ((0.35 - np.cos(turn)) / 0.5).clip(0, 1)
    lift = below * round_back * (wanted - radius).clip(0)
    away = lift[:, None] * outward / radius[:, None].clip(1e-6)
    mean = averaging(faces, len(points))
    near = below.astype(float)
    for _ in range(3):
        near = np.maximum(near, mean @ near)
    for _ in range(8):
        away = away + 0.5 * (near > 0)[:, None] * (mean @ away - away)
    return offsets + torch.tensor(away).float()


def hung(
    weights: Float[Tensor, "v j"],
    faces: Int[Tensor, "f 3"],
    head: int,
    heights: Float[ndarray, " v"],
    hanging: Bool[ndarray, " v"],
    scalp: Float[ndarray, " v"],
) -> Float[Tensor, "v j"]:
    """Skinning weights with long hair following the joint `head` near the scalp, its ends not."""
    if not hanging.any():
        return weights
    low, high = heights[hanging].min(), np.median(heights[scalp > 0.5])
    follow = hanging * ((heights - low) / (0.7 * (high - low) + 1e-9) - 0.3).clip(0, 1)
    mean = averaging(faces, len(heights))
    for _ in range(6):
        follow = mean @ follow
    share = torch.tensor(follow).float()[:, None]
    own = torch.zeros_like(weights)
    own[:, head] = 1
    return weights + share * (own - weights)
