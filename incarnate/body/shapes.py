"""Coefficients and tables of the blend shapes of Anny.

Letters: r rows of the phenotype table, n vertices, c columns (shapes) of a sparse table.
"""

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from incarnate.body.codec import unpacked, unzigzag

ANCHORS = (
    ("gender", (0.0, 1.0)),
    ("age", (-1 / 3, 0.0, 1 / 3, 2 / 3, 1.0)),
    ("muscle", (0.0, 0.5, 1.0)),
    ("weight", (0.0, 0.5, 1.0)),
    ("height", (0.0, 1.0)),
    ("proportions", (0.0, 1.0)),
    ("cupsize", (0.0, 0.5, 1.0)),
    ("firmness", (0.0, 0.5, 1.0)),
)
"""Where each phenotype's variations lie; the three ancestries come before them, normalised."""


@final
class Phenotypes(nn.Module):
    """The multilinear map from 11 phenotypes to the coefficients of the spanning rows."""

    mixing: Tensor
    factors: Tensor

    def __init__(self, asset: Mapping[str, NDArray]) -> None:
        super().__init__()
        self.names = tuple(str(name) for name in asset["phenotype_names"])
        self.register_buffer("mixing", torch.from_numpy(asset["mixing"]))
        self.register_buffer("factors", torch.from_numpy(asset["factors"].astype(np.int64)))

    def forward(self, phenotypes: Float[Tensor, "*b 11"]) -> Float[Tensor, "*b r"]:
        """Each row's coefficient is the product of its factors; `mixing` spans all rows."""
        value = dict(zip(self.names, phenotypes.unbind(-1), strict=True))
        parts = [_shares(torch.stack([value[n] for n in ("african", "asian", "caucasian")], -1))]
        parts += [_interpolation(value[name].clamp(0, 1), anchors) for name, anchors in ANCHORS]
        parts.append(torch.ones_like(phenotypes[..., :1]))
        table = torch.cat(parts, -1)
        weights = table[..., self.factors[:, 0]]
        for column in self.factors.unbind(1)[1:]:
            weights = weights * table[..., column]
        return weights @ self.mixing.to(weights)


def _shares(values: Tensor) -> Tensor:
    total = values.sum(-1, keepdim=True)
    return torch.where(total > 0, values / torch.where(total > 0, total, 1), 1 / 3)


def _interpolation(value: Tensor, anchors: tuple[float, ...]) -> Tensor:
    # On an anchor the lower interval answers, so that the slope is never zero there.
    knots = value.new_tensor(anchors)
    upper = torch.searchsorted(knots, value.detach().contiguous()).clamp(1, len(anchors) - 1)
    share = (value - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
    hot = nn.functional.one_hot
    low, high = hot(upper - 1, len(anchors)), hot(upper, len(anchors))
    return low * (1 - share[..., None]) + high * share[..., None]


@final
class Sparse(nn.Module):
    """A linear map from c coefficients to n points of which each coefficient moves few."""

    columns: Tensor
    points: Tensor
    moves: Tensor

    def __init__(self, table: tuple[Tensor, Tensor, Tensor], first: int, num_points: int) -> None:
        super().__init__()
        self.num_points = num_points
        columns, points, moves = table
        inside = ((points >= first) & (points < first + num_points)).nonzero()[:, 0]
        self.register_buffer("columns", columns.index_select(0, inside))
        self.register_buffer("points", points.index_select(0, inside) - first)
        self.register_buffer("moves", moves.index_select(0, inside))

    def forward(self, weights: Float[Tensor, "*b c"]) -> Float[Tensor, "*b n 3"]:
        """Displacements; shapes of weight zero cost nothing unless a gradient is wanted."""
        columns, points, moves = self.columns, self.points, self.moves
        if not weights.requires_grad:
            active = weights.reshape(-1, weights.shape[-1]).ne(0).any(0)
            chosen = active[columns].nonzero()[:, 0]
            columns, points, moves = columns[chosen], points[chosen], moves[chosen]
        moved = weights[..., columns, None] * moves.to(weights)
        out = moved.new_zeros(*weights.shape[:-1], self.num_points, 3)
        return out.index_add(-2, points, moved)

    def dense(self, points: Int[Tensor, " m"], num_columns: int) -> Float[Tensor, "m 3 c"]:
        """The table written out at some points."""
        place = self.points.new_full((self.num_points,), -1)
        place[points] = torch.arange(len(points), device=points.device)
        chosen = (place[self.points] >= 0).nonzero()[:, 0]
        out = self.moves.new_zeros(len(points), num_columns, 3)
        out[place[self.points[chosen]], self.columns[chosen]] = self.moves[chosen]
        return out.mT.contiguous()


def two_sided(values: Float[Tensor, "*b l"]) -> Float[Tensor, "*b c"]:
    """Weights of the upward and the downward shape of each change in turn.

    At zero both answer with slope, so that no change is dead there.
    """
    up, down = values * (values >= 0), -values * (values <= 0)
    return torch.stack([up, down], -1).flatten(-2)


def integers(asset: Mapping[str, NDArray], name: str) -> tuple[NDArray, NDArray]:
    """A packed table (n, c) int16, and where in it each of the asset's vertices lies."""
    parts = ("low", "high", "neighbors", "weights", "levels")
    rows = unpacked(*(asset[f"{name}_{part}"] for part in parts))
    place = np.empty(len(rows), np.int64)
    place[asset[f"{name}_order"]] = np.arange(len(rows))
    return rows, place


def sparse_rows(asset: Mapping[str, NDArray], name: str) -> tuple[NDArray, NDArray, NDArray]:
    """Shapes (m,), vertices (m,) and moves (m, 3) in units, of a table packed sparsely."""
    members = np.unpackbits(asset[f"{name}_members"], axis=1, count=len(asset["template"]))
    columns, vertices = np.divmod(np.flatnonzero(members), members.shape[1])
    steps = unzigzag(asset[f"{name}_low"], asset[f"{name}_high"])
    running = np.cumsum(steps, axis=0, dtype=np.int32)
    starts = np.searchsorted(columns, np.arange(len(members)))
    before = np.concatenate([np.zeros((1, 3), running.dtype), running])[starts]
    return columns, vertices, running - before[columns]
