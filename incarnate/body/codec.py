"""Integer tables packed small: each row is predicted from a few earlier rows, the rest kept.

Rows come coarse to fine in `levels` (ends of the levels). A row of a later level is predicted as
(sum_j weights[i, j] * rows[neighbors[i, j]] + 128) >> 8, in integers, so that every machine unpacks
the same table; the residual is zigzag coded and split into a low and a high byte plane, which lets
deflate see runs of zeros.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag

SHIFT = 8  # Predictor weights are in units of 1/256.


def predicted(rows: NDArray, neighbors: NDArray, weights: NDArray) -> NDArray:
    """Prediction (m, c) int32 from earlier rows, for neighbors and weights (m, k)."""
    # Sums of floats are exact, in any order, while no partial sum needs more bits than there are.
    most = np.abs(weights, dtype=np.int64).sum(1).max(initial=0)
    most *= max(int(rows.max(initial=0)), -int(rows.min(initial=0)))
    dtype = torch.float32 if most < 2**24 else torch.float64
    sums = embedding_bag(
        torch.from_numpy(neighbors.astype(np.int64)),
        torch.from_numpy(rows).to(dtype),
        mode="sum",
        per_sample_weights=torch.from_numpy(weights).to(dtype),
    )
    return sums.to(torch.int32).add_(1 << (SHIFT - 1)).bitwise_right_shift_(SHIFT).numpy()


def zigzag(values: NDArray) -> NDArray:
    """Signed integers as unsigned 16 bits, small magnitudes first."""
    return ((values << 1) ^ (values >> 31)).astype(np.uint16)


def unzigzag(low: NDArray, high: NDArray) -> NDArray:
    """int16 values (n, c) from their two byte planes (c, n); high bytes are rare."""
    low, high = np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)
    # In 8 bits, the two's complement of a small value comes out right by itself.
    values = ((low >> 1) ^ -(low & 1)).view(np.int8).astype(np.int16)
    rare = np.flatnonzero(high.ravel() != 0)
    coded = low.ravel()[rare].astype(np.int32) | (high.ravel()[rare].astype(np.int32) << 8)
    values.ravel()[rare] = (coded >> 1) ^ -(coded & 1)  # ravel of a contiguous array is a view
    return values


def unpacked(
    low: NDArray, high: NDArray, neighbors: NDArray, weights: NDArray, levels: NDArray
) -> NDArray:
    """The table (n, c) int16 whose residual planes are (c, n) uint8."""
    rows = unzigzag(low, high)
    start = int(levels[0])
    for end in levels[1:].tolist():
        made = predicted(rows[:start], neighbors[start:end], weights[start:end])
        rows[start:end] += made.astype(np.int16)
        start = end
    return rows
