"""Curves and turns over time without lag: what is ahead counts as much as what is behind.

The filter is Whittaker's: the curve z with the least sum of w (z - y)^2 + k |second differences|^2.
It is the two-sided (Rauch-Tung-Striebel) Kalman smoother of a point whose speed wanders, and leaves
of a sinusoid the share 1 / (1 + k (2 - 2 cos(2 pi hertz / fps))^2). Weights of 0 are gaps. Letters:
f frames, c curves.
"""

import math

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

EASE = 0.6  # Seconds from the last that was seen to rest, and back.


def smoothed(
    values: Float[Tensor, "f c"], weights: Float[Tensor, " f"], fps: float, hertz: float
) -> Float[Tensor, "f c"]:
    """Curves of which half is left at `hertz`; where weights are 0 they are as even as can be."""
    from scipy.linalg import solveh_banded

    count = len(values)
    if count < 3 or hertz >= fps / 2:
        return values
    strength = 1 / (2 - 2 * math.cos(2 * math.pi * hertz / fps)) ** 2
    banded = np.zeros((3, count))
    for row, terms in enumerate(((1.0, 4.0, 1.0), (-2.0, -2.0), (1.0,))):
        for k, term in enumerate(terms):  # Row r holds the r-th diagonal of D^T D.
            banded[row, k : k + count - 2] += strength * term
    weight = weights.double().clamp_min(1e-6).numpy()
    banded[0] += weight
    out = solveh_banded(banded, weight[:, None] * values.double().numpy(), lower=True)
    return torch.from_numpy(np.ascontiguousarray(out)).to(values)


def smoothed_turns(
    turns: Float[Tensor, "f *j 3 3"], weights: Float[Tensor, " f"], fps: float, hertz: float
) -> Float[Tensor, "f *j 3 3"]:
    """Rotations filtered as matrices, and the nearest rotation of each taken."""
    flat = smoothed(turns.flatten(1), weights, fps, hertz)
    return nearest_turns(flat.view_as(turns))


def bridged(
    values: Float[Tensor, "f c"],
    seen: Bool[Tensor, " f"],
    rest: Float[Tensor, " c"],
    fps: float,
    longest: float = 1.0,
) -> Float[Tensor, "f c"]:
    """Gaps of up to `longest` seconds run evenly from side to side; longer ones ease to `rest`.

    What comes before the first or after the last sighting eases likewise.
    """
    count, known = len(values), seen.nonzero()[:, 0].tolist()
    out = values.clone()
    if not known:
        return rest.expand(count, -1).clone()
    ease = max(1, round(EASE * fps))
    for start, stop in zip([-1, *known], [*known, count], strict=True):
        gap = torch.arange(start + 1, stop)
        if not len(gap):
            continue
        if start >= 0 and stop < count and stop - start <= longest * fps + 1:
            share = ((gap - start) / (stop - start)).to(values)[:, None]
            out[gap] = torch.lerp(values[start], values[stop], share)
            continue
        before = _eased(gap - start, ease) if start >= 0 else torch.zeros(len(gap))
        after = _eased(stop - gap, ease) if stop < count else torch.zeros(len(gap))
        total = (before + after).clamp_min(1.0)[:, None]
        before, after = before[:, None] / total, after[:, None] / total
        out[gap] = (1 - before - after) * rest
        if start >= 0:
            out[gap] += before * values[start]
        if stop < count:
            out[gap] += after * values[stop]
    return out


def bridged_turns(
    turns: Float[Tensor, "f j 3 3"],
    seen: Bool[Tensor, " f"],
    rest: Float[Tensor, "j 3 3"],
    fps: float,
    longest: float = 1.0,
) -> Float[Tensor, "f j 3 3"]:
    """As `bridged`, for rotations: along the shorter arc (by the nearest rotation of the mean)."""
    known = torch.where(seen[:, None, None, None], turns, torch.eye(3))
    flat = bridged(known.flatten(1), seen, rest.flatten(), fps, longest)
    return nearest_turns(flat.view_as(turns))


def nearest_turns(matrices: Float[Tensor, "*f 3 3"]) -> Float[Tensor, "*f 3 3"]:
    """The rotation nearest each matrix."""
    out = roma.special_procrustes(matrices)
    assert isinstance(out, Tensor)
    return out


def _eased(frames: Tensor, ease: int) -> Tensor:
    """1 at a sighting, 0 from `ease` frames away."""
    return 0.5 + 0.5 * torch.cos(math.pi * (frames / ease).clamp(0, 1))
