"""The few points of the body that a photo speaks of, and how each unknown moves them.

A point is a mixture of vertices (or a joint, with an offset in rest axes), skinned with the mixture
of their weights. Letters: p points, j joints, q both, n unknowns. Derivatives are written out, for
Gauss-Newton needs them whole and autograd gives a row at a time:

    x_p          = sum_b w_pb (G_b r_p + t_b)
    dx / d angle = axis x (sum_{b below a} w_pb (x_pb - c_a))
    dx / d shape = (sum_b w_pb G_b) dr_p + sum_b w_pb dt_b
    dt_b         = sum_{a above b} G_parent(a) (1 - R_a) dc_a,    c_a the place of joint a
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.body.gaze import gaze_rotations, turned
from incarnate.body.shapes import two_sided
from incarnate.body.skinning import forward_kinematics


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Points as mixtures of three vertices each; joints as their own."""

    vertices: Int[Tensor, "q 3"]
    weights: Float[Tensor, "q 3"]
    joints: Int[Tensor, " i"]


@dataclass(frozen=True, eq=False)
class Posed:
    """All points of one guess, with what their derivatives need."""

    points: Float[Tensor, "p 3"]
    rest: Float[Tensor, "p 3"]
    joints: Float[Tensor, "j 3"]
    """Of the body at rest."""
    bones: Float[Tensor, "j 4 4"]

    @property
    def centers(self) -> Float[Tensor, "j 3"]:
        """Where the joints are in the pose."""
        return (self.bones[:, :3, :3] @ self.joints[..., None])[..., 0] + self.bones[:, :3, 3]


@final
class Points:
    """Tables of the points: mixtures first, then joints."""

    def __init__(self, body: Anny, mixtures: Mixtures) -> None:
        chosen, places = mixtures.vertices.unique(return_inverse=True)
        reduced = body.reduced(chosen)
        first = len(chosen)
        own = first + mixtures.joints
        blank = reduced.face.new_zeros(len(own), *reduced.face.shape[1:])

        def mixed(table: Tensor) -> Tensor:
            corners = table[places] * mixtures.weights.view(*places.shape, *[1] * (table.ndim - 1))
            return corners.sum(1)

        bare = reduced.template
        self.template = torch.cat([mixed(bare), bare[own], bare[first:]])
        self.table = torch.cat([mixed(reduced.basis), reduced.basis[own], reduced.basis[first:]])
        self.face = torch.cat([mixed(reduced.face), blank])
        weights = torch.zeros(len(reduced.skin_weights), len(body.joint_names))
        weights = weights.scatter_add(1, reduced.skin_joints, reduced.skin_weights)
        self.weights = torch.cat([mixed(weights), weights[own]])
        self.phenotypes, self.parents = body.phenotypes, body.parents
        self.num_phenotypes = len(body.phenotypes.names)
        self.num_points = len(self.weights)
        self.below = _below(body.parents)
        eyes = (body.joint_names.index("eye.L"), body.joint_names.index("eye.R"))
        self._balls = [
            (side, joint, (self.weights[:, joint] > 0.5).nonzero()[:, 0])
            for side, joint in enumerate(eyes)
        ]
        self.gaze = [i for i, n in enumerate(body.expression_names) if n.startswith("eyeLook")]

    def posed(
        self,
        betas: Float[Tensor, " s"],
        expression: Float[Tensor, "52"],
        pose: Float[Tensor, "j 3 3"],
        transl: Float[Tensor, "3"],
    ) -> Posed:
        """The points of a person."""
        count = self.num_phenotypes
        columns = torch.cat([self.phenotypes(betas[:count]), two_sided(betas[count:])])
        moved = (self.table.flatten(0, 1) @ columns).unflatten(0, (-1, 3))
        rest = self.template + moved
        points, joints = rest[: self.num_points], rest[self.num_points :]
        points = self._looking(points + self.face @ expression, joints, expression)
        bones = forward_kinematics(joints, pose, transl, self.parents)
        blended = (self.weights @ bones.flatten(1)).unflatten(1, (4, 4))
        out = (blended[:, :3, :3] @ points[..., None])[..., 0] + blended[:, :3, 3]
        return Posed(out, points, joints, bones)

    def turning(
        self, at: Posed, owners: Int[Tensor, " n"], axes: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "p 3 n"]:
        """Derivatives by turns of joints about axes in the world."""
        joints, columns = owners.unique(return_inverse=True)
        placed = torch.einsum("jab,pb->pja", at.bones[:, :3, :3], at.rest) + at.bones[:, :3, 3]
        below = self.below[joints]
        arms = torch.einsum("aj,pjc->pac", below, placed * self.weights[..., None])
        arms = arms - (self.weights @ below.T)[..., None] * at.centers[joints]
        arms = arms[:, columns]
        return torch.linalg.cross(axes.expand_as(arms), arms).mT

    def shaping(
        self,
        at: Posed,
        pose: Float[Tensor, "j 3 3"],
        rest: Float[Tensor, "q 3 n"],
    ) -> Float[Tensor, "p 3 n"]:
        """Derivatives by shapes that move points and joints at rest (in this order) by `rest`."""
        points, joints = rest[: self.num_points], rest[self.num_points :]
        turns = at.bones[:, :3, :3]
        above = turns[self.parents.clamp_min(0)]
        above = torch.where((self.parents < 0)[:, None, None], torch.eye(3), above)
        shift = above @ (joints - pose @ joints)
        shift = (self.below.T @ shift.flatten(1)).unflatten(1, (3, -1))
        blended = (self.weights @ turns.flatten(1)).unflatten(1, (3, 3))
        return blended @ points + (self.weights @ shift.flatten(1)).unflatten(1, (3, -1))

    def shapes(
        self, betas: Float[Tensor, " s"], slopes: Float[Tensor, " s"], active: Int[Tensor, " n"]
    ) -> Float[Tensor, "q 3 n"]:
        """How active betas, each times its slope, move points and joints at rest."""
        count = self.num_phenotypes
        step = 1e-3
        base = self.phenotypes(betas[:count])
        rows = len(base)
        big, small = active[active < count], active[active >= count]
        signs = torch.where(betas[:count] > 0.5, -step, step)
        ahead = betas[:count] + torch.diag(signs)[big]
        weights = (self.phenotypes(ahead) - base) / signs[big, None]
        below = betas[small] < 0
        changes = self.table[..., rows + 2 * (small - count) + below.long()]
        changes = changes * torch.where(below, -1.0, 1.0)
        grown = self.table[..., :rows] @ weights.T
        return torch.cat([grown, changes], -1) * slopes[active]

    def expressing(
        self, at: Posed, expression: Float[Tensor, "52"], slopes: Float[Tensor, "52"]
    ) -> Float[Tensor, "p 3 52"]:
        """Derivatives by the expression, the gaze's by differences."""
        moves = self.face * slopes
        step = 1e-2
        straight = self._looking(at.rest, at.joints, expression, back=True)
        for i in self.gaze:
            ahead = expression.clone()
            ahead[i] += step
            turn = (self._looking(straight, at.joints, ahead) - at.rest) / step
            moves[..., i] += turn * slopes[i]
        blended = (self.weights @ at.bones[:, :3, :3].flatten(1)).unflatten(1, (3, 3))
        return blended @ moves

    def _looking(
        self, points: Tensor, joints: Tensor, expression: Tensor, back: bool = False
    ) -> Tensor:
        rotations = gaze_rotations(expression)
        for side, joint, ball in self._balls:
            rotation = rotations[side].T if back else rotations[side]
            points = points.index_copy(0, ball, turned(points[ball], joints[joint], rotation))
        return points


def _below(parents: Int[Tensor, " j"]) -> Float[Tensor, "j j"]:
    """1 where the column's joint is the row's or hangs on it."""
    below = torch.eye(len(parents))
    for joint, parent in enumerate(parents.tolist()):
        while parent >= 0:
            below[parent, joint] = 1
            parent = int(parents[parent])
    return below
