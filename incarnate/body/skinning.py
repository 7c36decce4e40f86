"""Forward kinematics and linear blend skinning.

Matrices act on columns. `pose` turns a joint about its rest position in rest axes; `bones` map the
body at rest to the posed body. Parents precede their children.
"""

from functools import cache

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
    offsets = joints - _turn(pose, joints)
    levels = _levels(tuple(parents.tolist()))
    roots, _ = levels[0]
    turned = [pose[..., roots, :, :]]
    moved = [offsets[..., roots, :] + transl[..., None, :]]
    for own, above in levels[1:]:
        parent = turned[-1][..., above, :, :]
        moved.append(_turn(parent, offsets[..., own, :]) + moved[-1][..., above, :])
        turned.append(parent @ pose[..., own, :, :])
    order = torch.tensor([j for own, _ in levels for j in own]).argsort()
    top = torch.cat([torch.cat(turned, -3), torch.cat(moved, -2)[..., None]], -1)[..., order, :, :]
    bottom = top.new_tensor([0, 0, 0, 1]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], -2)


@cache
def _levels(parents: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Joints by depth, each level with the places of their parents in the level above."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    levels = [[j for j, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    above = [[], *levels]
    return [
        (own, [before.index(parents[j]) for j in own if parents[j] >= 0])
        for own, before in zip(levels, above, strict=False)
    ]


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


def blend_shapes(
    weights: Float[Tensor, "*b s"],
    moves: Float[Tensor, "m 3"],
    shapes: Int[Tensor, " m"],
    starts: Int[Tensor, " rows"],
) -> Float[Tensor, "*b n 3"]:
    """The offsets of n = rows - 1 points; point i has the moves from starts[i] to starts[i + 1]."""
    own = torch.arange(len(starts) - 1, device=starts.device).repeat_interleave(starts.diff())
    moved = weights[..., shapes, None] * moves
    return moved.new_zeros(*weights.shape[:-1], len(starts) - 1, 3).index_add(-2, own, moved)


def _turn(rotation: Tensor, point: Tensor) -> Tensor:
    return (rotation * point[..., None, :]).sum(-1)  # Far quicker than many 3x3 products.
