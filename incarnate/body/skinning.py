"""Forward kinematics and linear blend skinning.

Matrices act on columns. `pose` turns a joint about its rest position in rest axes; `bones` map the
body at rest to the posed body. Parents precede their children.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def forward_kinematics(
    joints: Float[Tensor, "*b j 3"],
    pose: Float[Tensor, "*b j 3 3"],
    transl: Float[Tensor, "*b 3"],
    parents: Int[Tensor, " j"],
) -> Float[Tensor, "*b j 4 4"]:
    """Skinning matrices: bone_j = bone_parent(j) T(joint_j) R_j T(-joint_j)."""
    rotations: list[Tensor] = []
    offsets: list[Tensor] = []
    for j, parent in enumerate(parents.tolist()):
        rotation, joint = pose[..., j, :, :], joints[..., j, :]
        offset = joint - _turn(rotation, joint)
        if parent < 0:
            offset = offset + transl
        else:
            offset = _turn(rotations[parent], offset) + offsets[parent]
            rotation = rotations[parent] @ rotation
        rotations.append(rotation)
        offsets.append(offset)
    top = torch.cat([torch.stack(rotations, -3), torch.stack(offsets, -2)[..., None]], -1)
    bottom = top.new_tensor([0, 0, 0, 1]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], -2)


def skin(
    points: Float[Tensor, "*b n 3"],
    weights: Float[Tensor, "n k"],
    joints: Int[Tensor, "n k"],
    bones: Float[Tensor, "*b j 4 4"],
) -> Float[Tensor, "*b n 3"]:
    """Linear blend skinning with k weights a point."""
    blended = blend_bones(weights, joints, bones)
    return _turn(blended[..., :3, :3], points) + blended[..., :3, 3]


def blend_bones(
    weights: Float[Tensor, "n k"], joints: Int[Tensor, "n k"], bones: Float[Tensor, "*b j 4 4"]
) -> Float[Tensor, "*b n 4 4"]:
    """One blended matrix a point."""
    dense = weights.new_zeros(len(weights), bones.shape[-3]).scatter_add(1, joints, weights)
    return (dense @ bones.flatten(-2)).unflatten(-1, (4, 4))


def _turn(rotation: Tensor, point: Tensor) -> Tensor:
    return (rotation @ point[..., None]).squeeze(-1)
