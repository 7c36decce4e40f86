"""Alpha and foreground colours from a rough outline: algorithms that know nothing of people.

Images are float32, rgb in [0, 1]. A trimap is 1 where surely foreground, 0 where surely background,
0.5 where unknown.
"""

import cv2
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float32
from scipy.sparse.linalg import cg

EPSILON = 1e-5  # Colour-line regularisation (squared colour), as usual for the closed form.
BLURS = (91, 91, 25, 7)  # Pixels, at about a megapixel.
TOLERANCE, MAX_ROUNDS = 1e-3, 200  # Of the solver: alpha is 8 bits fine at best.


def closed_form(
    rgb: Float32[np.ndarray, "h w 3"],
    trimap: Float32[np.ndarray, "h w"],
    guess: Float32[np.ndarray, "h w"],
    trust: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """Alpha by Levin, Lischinski and Weiss's closed form (CVPR 2006) in the unknown pixels.

    `guess` is an alpha to lean on with weight `trust` (0: not at all). Written on the unknowns and
    the pixels around them only, solved by conjugate gradients.
    """
    unknown = (trimap > 0) & (trimap < 1)
    alpha = np.where(unknown, guess, trimap).astype(np.float32)
    if not unknown.any():
        return alpha
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    number = np.full(unknown.shape, -1)
    number[near] = np.arange(near.sum())
    laplacian = _laplacian(rgb, cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3))) > 0, number)
    free = np.flatnonzero(unknown[near])
    rows = laplacian[free]
    system = (rows[:, free] + sparse.diags(trust[unknown].astype(np.float64))).tocsr()
    known = np.where(unknown, 0, trimap)[near].astype(np.float64)
    wanted = trust[unknown] * guess[unknown] - rows @ known
    jacobi = sparse.diags(1 / np.maximum(system.diagonal(), 1e-9))
    start = guess[unknown].astype(np.float64)
    solved, _ = cg(system, wanted, x0=start, rtol=TOLERANCE, maxiter=MAX_ROUNDS, M=jacobi)
    alpha[unknown] = np.clip(solved, 0, 1)
    return alpha


def _laplacian(
    rgb: Float32[np.ndarray, "h w 3"], centers: Bool[np.ndarray, "h w"], number: np.ndarray
) -> sparse.csr_array:
    """The matting Laplacian (their eq. 12) of all 3x3 windows around `centers`.

    `number` gives each pixel its row; all pixels of these windows must have one.
    """
    centers = centers.copy()
    centers[[0, -1]] = centers[:, [0, -1]] = False
    rows, columns = np.nonzero(centers)
    offsets = np.arange(-1, 2)
    at_rows = rows[:, None] + np.repeat(offsets, 3)
    at_columns = columns[:, None] + np.tile(offsets, 3)
    colors = rgb[at_rows, at_columns].astype(np.float64)
    centered = colors - colors.mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", centered, centered) / 9
    covariance += EPSILON / 9 * np.eye(3)
    affinity = (1 + centered @ np.linalg.solve(covariance, centered.transpose(0, 2, 1))) / 9
    indices = number[at_rows, at_columns]
    first = np.repeat(indices, 9, axis=1).ravel()
    second = np.tile(indices, (1, 9)).ravel()
    size = int(number.max()) + 1
    values = (np.eye(9) - affinity).ravel()
    return sparse.coo_array((values, (first, second)), (size, size)).tocsr()


def foreground(
    rgb: Float32[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w 3"]]:
    """Colours of foreground and background behind a known alpha.

    After Forte's blur-fusion (ICIP 2021), from wide to narrow: colours are averaged over their
    surroundings, weighted by how much they are seen there, and the rest of the compositing equation
    is given to the foreground. Ten times faster than the multi-level solver, and as clean.
    """
    front = back = rgb
    seen = alpha[..., None]
    for size in BLURS:
        window = (size, size)
        cover = cv2.blur(alpha, window)[..., None]
        mean_front = cv2.blur(front * seen, window) / (cover + 1e-5)
        back = cv2.blur(back * (1 - seen), window) / (1 - cover + 1e-5)
        rest = rgb - seen * mean_front - (1 - seen) * back
        front = np.clip(mean_front + seen * rest, 0, 1)
    return front.astype(np.float32), np.clip(back, 0, 1).astype(np.float32)
