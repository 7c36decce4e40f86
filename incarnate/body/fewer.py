"""Four bones a vertex in place of many, and in place of centers to turn about: fitted, not cut.

Of the bones that hold a vertex, and over many poses, weights w >= 0 that sum to 1 are those that
bring linear blending nearest to where `skinned` takes the vertex (skinning decomposition with the
bones given: James and Twigg, 2005; Le and Deng, 2012). Bones beyond four leave one by one, the
lightest first.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from incarnate.body.bending import Centers, Hold, skinned

CANDIDATES = 8
STEPS = 50
"""Of descent, for each number of bones."""
FAITH = 0.005
"""Metres of motion that a whole weight's change from the vertex's own must earn."""


def fitted(
    points: Float[Tensor, "v 3"],
    weights: Float[Tensor, "v j"],
    about: Centers,
    poses: Iterable[Float[Tensor, "j 4 4"]],
    count: int = 4,
) -> tuple[Float[Tensor, "v 4"], Int[Tensor, "v 4"]]:
    """Weights of each vertex, which sum to 1, and their joints: 0 where it needs fewer."""
    hold = Hold.of(weights)
    rows = (hold.weights > 0).sum(1)
    kept, joints = hold.weights[:, :CANDIDATES], hold.bones[:, :CANDIDATES]
    kept = torch.nn.functional.pad(kept, (0, max(0, count - kept.shape[1])))
    joints = torch.nn.functional.pad(joints, (0, max(0, count - joints.shape[1])))
    own = (rows > 1).nonzero()[:, 0]
    start = kept[own] / kept[own].sum(1, keepdim=True)
    gram = _gram(points, weights, about, poses, own, joints[own])
    gram, aim = gram + FAITH**2 * torch.eye(start.shape[1]).to(gram), FAITH**2 * start
    free, now = start > 0, start
    while True:
        now = _descended(gram, aim, now, free)
        crowded = free.sum(1) > count
        if not crowded.any():
            break
        lightest = torch.where(free, now, 2).argmin(1)
        leaves = torch.nn.functional.one_hot(lightest, free.shape[1]).bool()
        free = free & ~(leaves & crowded[:, None])
    kept[own] = torch.where(free, now, 0)
    out, order = kept.topk(count)
    out = out / out.sum(1, keepdim=True)
    return out, torch.where(out > 0, joints.gather(1, order), 0)


def _gram(
    points: Float[Tensor, "v 3"],
    weights: Float[Tensor, "v j"],
    about: Centers,
    poses: Iterable[Float[Tensor, "j 4 4"]],
    own: Int[Tensor, " n"],
    joints: Int[Tensor, "n k"],
) -> Float[Tensor, "n k k"]:
    """The mean over poses of |sum_j w_j (M_j x - y)|^2 as a form in w: since weights sum to 1, the
    aim y may be taken from each bone's own place."""
    total, num = torch.zeros(len(own), joints.shape[1], joints.shape[1]), 0
    for bones in poses:
        target = skinned(points, weights, bones, about)[own]
        there = bones[:, :3][joints]
        ends = (there[..., :3] @ points[own, None, :, None])[..., 0] + there[..., 3]
        ends = ends - target[:, None]
        total += ends @ ends.transpose(1, 2)
        num += 1
    return total / num


def _descended(
    gram: Float[Tensor, "n k k"],
    aim: Float[Tensor, "n k"],
    start: Float[Tensor, "n k"],
    free: Bool[Tensor, "n k"],
) -> Float[Tensor, "n k"]:
    """The least of w.G w / 2 - w.a on the simplex: accelerated projected descent (FISTA)."""
    step = 1 / gram.abs().sum(2).amax(1, keepdim=True).clamp_min(1e-12)
    now = ahead = on_simplex(start, free)
    t = 1.0
    for _ in range(STEPS):
        slope = (gram @ ahead[..., None])[..., 0] - aim
        new = on_simplex(ahead - step * slope, free)
        later = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ahead = new + (t - 1) / later * (new - now)
        now, t = new, later
    return now


def on_simplex(values: Float[Tensor, "n k"], free: Bool[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """The nearest rows that sum to 1, none negative, 0 where not free (Held et al., 1974)."""
    falling, order = torch.where(free, values, -torch.inf).sort(1, descending=True)
    over = torch.where(free.gather(1, order), falling, 0).cumsum(1) - 1
    count = torch.arange(1, values.shape[1] + 1)
    last = (falling * count > over).sum(1, keepdim=True)
    shift = over.gather(1, last - 1) / last
    return torch.where(free, (values - shift).clamp_min(0), 0)
