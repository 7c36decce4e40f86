"""How skin bends: linear blending that turns, and so keeps its volume.

A blend of rotations shrinks what it turns: skin caves in where a joint bends and wrings where one
twists. Skin that hangs on several bones is therefore carried as the linear blend M carries its
center c, and turned about it by R, the normalized sum of the bones' quaternions:

    x' = R (x - c) + M c,    M = sum_j w_j M_j

as by optimized centers of rotation (Le and Hodgins, 2016). Their center is the mean of skin with
similar weights. Ours is a mean over the pairs of the vertex's bones, each with the middle of the
skin that the two share, which moves along the limb as one bone's weight gives way to the other's:
a line fitted to each pair instead of a search through all triangles. That is some ten times as
quick, and raised arms do not fold at the armpit as they do with the paper's means.
Skin of one bone goes with it.
"""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

RIDGE = 0.1
"""Added to the variance of differences of weights (0.2 where they change evenly): less lets skin
fold in a crease, more makes a ball of a bent knee."""


@dataclass(frozen=True, eq=False)
class Hold:
    """What each of n vertices hangs on: at most k bones, the heaviest first, unused weights 0."""

    weights: Float[Tensor, "n k"]
    bones: Int[Tensor, "n k"]

    @staticmethod
    def of(weights: Float[Tensor, "n j"]) -> "Hold":
        """Dense weights, none of them negative."""
        most = int((weights > 0).sum(1).amax()) if len(weights) else 0
        return Hold(*weights.topk(most))

    def turns(self, bones: Float[Tensor, "j _ 4"]) -> Float[Tensor, "n 3 3"]:
        """The normalized sum of unit quaternions, each of the sign nearer to the heaviest's."""
        quats = roma.rotmat_to_unitquat(bones[:, :3, :3])[self.bones]
        same = (quats * quats[:, :1]).sum(2) >= 0
        blend = (torch.where(same, self.weights, -self.weights)[..., None] * quats).sum(1)
        return roma.unitquat_to_rotmat(torch.nn.functional.normalize(blend, dim=1))


@dataclass(frozen=True, eq=False)
class Centers:
    """Which vertices of a skin hang on several bones, on which, and what they turn about at
    rest."""

    vertices: Int[Tensor, " m"]
    points: Float[Tensor, "m 3"]
    hold: Hold


def centers(rest: Float[Tensor, "v 3"], hold: Hold, faces: Int[Tensor, "f 3"]) -> Centers:
    """The centers of a skin."""
    vertices = ((hold.weights > 0).sum(1) > 1).nonzero()[:, 0]
    own, bones = hold.weights[vertices], hold.bones[vertices]
    one, other = torch.triu_indices(own.shape[1], own.shape[1], 1)
    rows, which = (own[:, other] > 0).nonzero(as_tuple=True)
    j, k = bones[rows, one[which]], bones[rows, other[which]]
    heavy, light = own[rows, one[which]].double(), own[rows, other[which]].double()
    pairs = torch.maximum(j, k) * (torch.maximum(j, k) - 1) // 2 + torch.minimum(j, k)
    along = torch.where(j < k, heavy - light, light - heavy)[:, None]
    share = (heavy * light)[:, None]
    areas = _areas(rest, faces)[vertices[rows], None]
    middles = _on_lines(along, rest[vertices[rows]].double(), share * areas, pairs)
    sums = share.new_zeros(len(vertices), 4)
    sums = sums.index_add(0, rows, share * torch.cat([middles, torch.ones_like(share)], 1))
    return Centers(vertices, (sums[:, :3] / sums[:, 3:]).to(rest), Hold(own, bones))


def _on_lines(
    along: Float[Tensor, "n 1"],
    points: Float[Tensor, "n 3"],
    masses: Float[Tensor, "n 1"],
    groups: Int[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Where each would be on the line through its group's points, fitted by ridge regression."""
    count = int(groups.amax()) + 1 if len(groups) else 0
    terms = torch.cat([torch.ones_like(along), along, along**2, points, along * points], 1)
    sums = terms.new_zeros(count, 9).index_add(0, groups, masses * terms)
    _, mean, square, middle, mixed = (sums / sums[:, :1]).split([1, 1, 1, 3, 3], 1)
    slope = (mixed - mean * middle) / (square - mean**2 + RIDGE)
    return middle[groups] + slope[groups] * (along - mean[groups])


def _areas(rest: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, " v"]:
    """Of the triangles around each vertex; never 0, or skin without any would have no middle."""
    a, b, c = rest[faces].double().unbind(1)
    own = torch.linalg.cross(b - a, c - a).norm(dim=1)
    return own.new_full((len(rest),), 1e-12).index_add(0, faces.flatten(), own.repeat_interleave(3))


def skinned(
    points: Float[Tensor, "v 3"],
    weights: Float[Tensor, "v j"],
    bones: Float[Tensor, "j 4 4"],
    about: Centers,
) -> Float[Tensor, "v 3"]:
    """Points carried by bones, turned about their centers where they hang on several."""
    matrices = (weights @ bones[:, :3].flatten(1)).unflatten(1, (3, 4))
    carried = (matrices[:, :, :3] @ points[..., None]).squeeze(-1) + matrices[:, :, 3]
    own = about.vertices
    lost = about.hold.turns(bones) - matrices[own, :, :3]
    return carried.index_add(0, own, (lost @ (points[own] - about.points)[..., None]).squeeze(-1))
