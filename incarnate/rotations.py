"""Thin names over roma: rotations as matrices, axis-angles, quaternions and six numbers.

Matrices act on columns. Quaternions are wxyz and may have any length but zero. An axis-angle is the
axis times the angle in radians. Six numbers are a matrix's first two columns, one after the other
(Zhou et al. 2019).
"""

import roma
import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(rotation: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Matrices of axis-angles."""
    return roma.rotvec_to_rotmat(rotation)


def matrix_to_axis_angle(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Axis-angles, of angles in [0, pi], of matrices."""
    return roma.rotmat_to_rotvec(rotation)


def quat_to_matrix(quats: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Matrices of quaternions of any length."""
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(_xyzw(quats), dim=-1))


def matrix_to_quat(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternions of matrices."""
    return _wxyz(roma.rotmat_to_unitquat(rotation))


def six_to_matrix(numbers: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3 3"]:
    """Matrices by Gram-Schmidt from two columns that need not be orthonormal."""
    return roma.special_gramschmidt(numbers.unflatten(-1, (2, 3)).mT)


def matrix_to_six(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 6"]:
    """The first two columns of matrices."""
    return rotation[..., :2].mT.flatten(-2)


def between(a: Float[Tensor, "*b 3"], b: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """The smallest rotation that turns the direction of a into that of b.

    Opposite directions have no smallest one: half a turn about some axis across them.
    """
    a, b = torch.nn.functional.normalize(a, dim=-1), torch.nn.functional.normalize(b, dim=-1)
    cosine = (a * b).sum(-1, keepdim=True)
    quats = torch.cat([1 + cosine, torch.linalg.cross(a, b)], -1)
    # An axis across a: the cross product with the coordinate axis farthest from it.
    aside = torch.nn.functional.one_hot(a.abs().argmin(-1), 3).to(a)
    half_turn = torch.cat([torch.zeros_like(cosine), torch.linalg.cross(a, aside)], -1)
    return quat_to_matrix(torch.where(cosine < -1 + 1e-6, half_turn, quats))


def slerp(
    a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"], share: Float[Tensor, " n"]
) -> Float[Tensor, "n *b 4"]:
    """Unit quaternions on the shorter arc from a (share 0) to b (share 1)."""
    start, end = (torch.nn.functional.normalize(_xyzw(q), dim=-1) for q in (a, b))
    return _wxyz(roma.unitquat_slerp(start, end, share, shortest_arc=True))


def _xyzw(quats: Tensor) -> Tensor:
    return quats.roll(-1, -1)


def _wxyz(quats: Tensor) -> Tensor:
    return quats.roll(1, -1)
