"""A body that evaluates few points, for fitting: some vertices of another body, then its joints.

The joints come last among the points, each skinned to itself alone, so that `vertices` also tells
where the joints go. All shapes lie in one dense table: a matrix product evaluates a person.
"""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.body.body import PARTS, Body
from incarnate.body.gaze import gaze_rotations, turned
from incarnate.body.shapes import Phenotypes, two_sided


@final
class Reduced(Body):
    """m chosen vertices and j joints of Anny: m + j points, same betas, expression and pose."""

    name = "anny, reduced"
    template: Tensor
    basis: Tensor
    face: Tensor
    vertex_ids: Int[Tensor, " m"]
    """The vertices of the whole body that are the first m points."""

    def __init__(
        self,
        whole: Body,
        phenotypes: Phenotypes,
        vertex_ids: Int[Tensor, " m"],
        template: Float[Tensor, "p 3"],
        basis: Float[Tensor, "p 3 c"],
        face: Float[Tensor, "m 3 52"],
    ) -> None:
        super().__init__()
        self.license, self.joint_names = whole.license, whole.joint_names
        self.betas_names, self.expression_names = whole.betas_names, whole.expression_names
        self.smplx_joints = whole.smplx_joints
        self.phenotypes = phenotypes
        self._default_betas = whole.default_betas()
        self._eyes = (self.joint_names.index("eye.L"), self.joint_names.index("eye.R"))
        num_joints = len(self.joint_names)
        for name, tensor in (
            ("vertex_ids", vertex_ids),
            ("template", template),
            ("basis", basis),
            ("face", face),
            ("parents", whole.parents),
            ("faces", whole.faces[:0]),
            ("uvs", whole.uvs[:0]),
            ("face_uvs", whole.face_uvs[:0]),
        ):
            self.register_buffer(name, tensor)
        own = torch.arange(num_joints)
        joints = torch.zeros(num_joints, whole.skin_joints.shape[1]).long()
        joints[:, 0] = own
        weights = torch.eye(1, joints.shape[1]).expand(num_joints, -1)
        labels = torch.zeros(num_joints).long()
        self.register_buffer("skin_joints", torch.cat([whole.skin_joints[vertex_ids], joints]))
        self.register_buffer("skin_weights", torch.cat([whole.skin_weights[vertex_ids], weights]))
        self.register_buffer("part_labels", torch.cat([whole.part_labels[vertex_ids], labels]))
        for side, part in enumerate(("eye_left", "eye_right")):
            ball = whole.part_labels[vertex_ids] == PARTS.index(part)
            self.register_buffer(f"_ball_{side}", ball.nonzero()[:, 0])

    @property
    def num_chosen(self) -> int:
        """How many of the points are vertices of the whole body."""
        return len(self.vertex_ids)

    def default_betas(self) -> Float[Tensor, " s"]:
        """The whole body's."""
        return self._default_betas

    def shaped(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b p 3"]:
        """Points of the person at rest with a neutral face."""
        count = len(self.phenotypes.names)
        weights = torch.cat(
            [self.phenotypes(betas[..., :count]), two_sided(betas[..., count:])], -1
        )
        moved = (weights.to(self.basis) @ self.basis.flatten(0, 1).T).unflatten(-1, (-1, 3))
        return self.template + moved

    def joints(self, rest: Float[Tensor, "*b p 3"]) -> Float[Tensor, "*b j 3"]:
        """The last points."""
        return rest[..., self.num_chosen :, :]

    def express(
        self, rest: Float[Tensor, "*b p 3"], expression: Float[Tensor, "*b 52"]
    ) -> Float[Tensor, "*b p 3"]:
        """Points with an expression on the face, eyeballs turned by its gaze."""
        joints = self.joints(rest)
        moved = (expression.to(self.face) @ self.face.flatten(0, 1).T).unflatten(-1, (-1, 3))
        out = rest[..., : self.num_chosen, :] + moved
        rotations = gaze_rotations(expression)
        for side, joint in enumerate(self._eyes):
            ball = self.get_buffer(f"_ball_{side}")
            if len(ball):
                points, center = out[..., ball, :], joints[..., joint, :]
                points = turned(points, center, rotations[..., side, :, :])
                out = out.index_copy(-2, ball, points)
        return torch.cat([out, joints.expand(*out.shape[:-2], -1, -1)], -2)

    def arkit(self, weights: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 52"]:
        """The weights themselves."""
        return weights
