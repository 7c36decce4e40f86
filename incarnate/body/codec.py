"""Integer tables packed small: each row is predicted from a few earlier rows, the rest kept.

Rows come coarse to fine in `levels` (ends of the levels). A row of a later level is predicted as
(sum_j weights[i, j] * rows[neighbors[i, j]] + 128) >> 8, in integers, so that every machine unpacks
the same table; the residual is zigzag coded and split into a low and a high byte plane, which lets
deflate see runs of zeros.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

SHIFT = 8  # Predictor weights are in units of 1/256.


def predicted(rows: NDArray, neighbors: NDArray, weights: NDArray) -> NDArray:
    """Prediction (m, c) int32 from earlier rows, for neighbors and weights (m, k)."""
    m, k = neighbors.shape
    starts = np.arange(0, m * k + 1, k, dtype=np.int32)
    table = csr_matrix(
        (weights.astype(np.int32).ravel(), neighbors.astype(np.int32).ravel(), starts),
        shape=(m, len(rows)),
    )
    return (table @ rows + (1 << (SHIFT - 1))) >> SHIFT


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
        known = rows[:start].astype(np.int32)
        rows[start:end] += predicted(known, neighbors[start:end], weights[start:end]).astype(
            np.int16
        )
        start = end
    return rows
