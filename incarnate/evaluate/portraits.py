"""Measures of pictures of one person alone: silhouettes, steadiness, variety, colours."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import binary_fill_holes
from torch import Tensor
from torch.nn.functional import interpolate

from incarnate.metrics.color import ciede2000, lab
from incarnate.metrics.perceptual import StudioDistance

OTHER = 0.06
"""How far from grey a channel of an rgb picture must be to show a person."""
GREY = 0.5
COARSE = 32
"""Pixels a side at which pictures are compared as a whole."""
BANDS = 6
"""Strips, one above the other, over which a person's colours are averaged."""


def lit(normals: Float[Tensor, "*n h w 3"]) -> Bool[Tensor, "*n h w"]:
    """Where somebody covers half of a normal map's pixel.

    A map holds v = a (n + 1) / 2, a the coverage. Since n has length 1, a^2 - 2 s a + 2 q = 0 with
    s the sum of v and q that of its squares; a is the smaller root where the sum of n exceeds -1.
    """
    total, squares = normals.sum(-1), normals.square().sum(-1)
    return total - (total.square() - 2 * squares).clamp_min(0).sqrt() > 0.5


def colored(rgb: Float[Tensor, "n h w 3"]) -> Bool[Tensor, "n h w"]:
    """Where a picture before grey shows somebody; what is enclosed counts."""
    other = ((rgb - GREY).abs().amax(-1) > OTHER).numpy()
    return torch.from_numpy(np.stack([np.asarray(binary_fill_holes(one)) for one in other]))


def ious(a: Bool[Tensor, "n h w"], b: Bool[Tensor, "n h w"]) -> list[float]:
    """Of each pair; two empty ones are equal."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return [float(x) / float(y) if y else 1.0 for x, y in zip(both, either, strict=True)]


def spread(pictures: Float[Tensor, "n h w c"]) -> float:
    """Mean over all pairs of the root mean square difference of coarse pictures."""
    coarse = interpolate(pictures.movedim(-1, 1), (COARSE, COARSE), mode="area").flatten(1)
    return float(torch.pdist(coarse).mean()) / coarse.shape[1] ** 0.5


def looks_apart(judge: StudioDistance, pictures: Float[Tensor, "n h w 3"]) -> float:
    """Mean over all pairs of the perceptual distance."""
    seen = interpolate(pictures.movedim(-1, 1), (64, 64), mode="area").movedim(1, -1)
    pairs = [(i, j) for j in range(len(seen)) for i in range(j)]
    return float(np.mean([judge.distance(seen[i], seen[j]) for i, j in pairs]))


def jitter(made: Bool[Tensor, "b f h w"], truth: Bool[Tensor, "b f h w"]) -> list[float]:
    """Of each clip: where silhouettes change otherwise than they should, over their area."""
    ours, theirs = made.float().diff(dim=1), truth.float().diff(dim=1)
    area = truth[:, 1:].float().sum((2, 3)).clamp_min(1)
    return ((ours - theirs).abs().sum((2, 3)) / area).mean(1).tolist()


def flicker(
    made: Float[Tensor, "b f h w 3"],
    truth: Float[Tensor, "b f h w 3"],
    inside: Bool[Tensor, "b f h w"],
) -> list[float]:
    """Of each clip: how colours change otherwise than they should."""
    off = (made.diff(dim=1) - truth.diff(dim=1)).abs().mean(-1)
    both = inside[:, 1:] & inside[:, :-1]
    return [float(x[m].mean()) if m.any() else 0.0 for x, m in zip(off, both, strict=True)]


def color_gap(
    made: Float[Tensor, "h w 3"], truth: Float[Tensor, "h w 3"], alpha: Float[Tensor, "h w"]
) -> float:
    """Distance of the colours of head, chest, ... feet: means over bands of the silhouette."""
    inside = alpha > 0.5
    rows = inside.any(1).nonzero()[:, 0]
    if not len(rows):
        return 0.0
    edges = torch.linspace(int(rows[0]), int(rows[-1]) + 1, BANDS + 1).round().int().tolist()
    gaps = []
    for top, bottom in zip(edges, edges[1:], strict=False):
        mask = inside[top:bottom]
        if mask.any():
            means = [x[top:bottom][mask].mean(0)[None].double().numpy() for x in (made, truth)]
            gaps.append(float(ciede2000(lab(means[0]), lab(means[1]))[0]))
    return float(np.mean(gaps))
