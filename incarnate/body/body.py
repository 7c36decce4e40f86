"""Parametric people behind one interface.

World: y up, the person faces +z, their left is +x; metres. Rotations in `pose` turn a joint and all
below it about the joint's rest position, in the axes of the body at rest (SMPL's convention), so
that an identity pose is the rest pose whatever the model's rest pose is. Parents precede children.

The stages, each linear but `express` (eyeballs turn) and `bones`:

    rest     = body.shaped(betas)                  # the person, neutral face, rest pose
    joints   = body.joints(rest)                   # where they bend
    face     = body.express(rest, expression)      # the expression, still in rest pose
    bones    = body.bones(joints, pose, transl)    # rest -> posed, one matrix a joint
    vertices = skin(face, body.skin_weights, body.skin_joints, bones)
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from incarnate.body.skinning import forward_kinematics, skin

PARTS = (
    "skin", "head", "ear_left", "ear_right", "hand_left", "hand_right", "foot_left", "foot_right",
    "eye_left", "eye_right", "teeth", "tongue", "lashes", "mouth",
)  # fmt: skip
"""Values of `part_labels` index this tuple; `mouth` is the inner mouth, `skin` all the rest."""


class Body(ABC, nn.Module):
    """A parametric person. All tensors are float32 or int64 buffers."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    betas_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    smplx_joints: dict[str, int]
    """Own joint for each of SMPL-X's joint names that has a counterpart."""

    parents: Int[Tensor, " j"]
    faces: Int[Tensor, "f 3"]
    uvs: Float[Tensor, "t 2"]
    face_uvs: Int[Tensor, "f 3"]
    skin_weights: Float[Tensor, "v k"]
    skin_joints: Int[Tensor, "v k"]
    part_labels: Int[Tensor, " v"]

    @abstractmethod
    def default_betas(self) -> Float[Tensor, " s"]:
        """The average adult."""

    @abstractmethod
    def shaped(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b v 3"]:
        """Vertices of the person at rest with a neutral face."""

    @abstractmethod
    def joints(self, rest: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b j 3"]:
        """Joint positions of a body at rest."""

    @abstractmethod
    def express(
        self, rest: Float[Tensor, "*b v 3"], expression: Float[Tensor, "*b e"]
    ) -> Float[Tensor, "*b v 3"]:
        """Rest vertices with an expression on the face, gaze included."""

    @abstractmethod
    def arkit(self, weights: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b e"]:
        """Own expression for the 52 ARKit weights in ARKIT_NAMES order."""

    def bones(
        self,
        joints: Float[Tensor, "*b j 3"],
        pose: Float[Tensor, "*b j 3 3"],
        transl: Float[Tensor, "*b 3"],
    ) -> Float[Tensor, "*b j 4 4"]:
        """Skinning matrices, rest to posed."""
        return forward_kinematics(joints, pose, transl, self.parents)

    def vertices(
        self,
        betas: Float[Tensor, "*b s"],
        expression: Float[Tensor, "*b e"],
        pose: Float[Tensor, "*b j 3 3"],
        transl: Float[Tensor, "*b 3"],
    ) -> Float[Tensor, "*b v 3"]:
        """All stages at once."""
        rest = self.shaped(betas)
        bones = self.bones(self.joints(rest), pose, transl)
        return skin(self.express(rest, expression), self.skin_weights, self.skin_joints, bones)

    def neutral_pose(self) -> Float[Tensor, "j 3 3"]:
        """The rest pose."""
        return torch.eye(3).repeat(len(self.joint_names), 1, 1)
