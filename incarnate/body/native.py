"""Skinning by the compiled core, for float32 tensors on the CPU.

Values and gradients are those of `incarnate.body.skinning`; they do not depend on the number of
threads. For programs that fit or move whole bodies of their own. Nothing in the package calls it:
playback poses by a kernel of its own (`incarnate.avatars.playback`), avatars bend about centers
(`incarnate.body.bending`), and `create` spends 0.4 % of its time on what these could take over.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate import _native
from incarnate.core import check

TWIN = "incarnate.body.skinning"  # For what the core does not take.


def skin(
    points: Float[Tensor, "*b n 3"],
    weights: Float[Tensor, "n k"],
    joints: Int[Tensor, "n k"],
    bones: Float[Tensor, "*b j 4 4"],
) -> Float[Tensor, "*b n 3"]:
    """Linear blend skinning with k weights a point, differentiable in points, weights and bones.

    ValueError for other types or devices, and for joints that have no bone.
    """
    check(TWIN, points=points, weights=weights, bones=bones)
    count = points.shape[:-2].numel()
    flat = _Skin.apply(
        points.reshape(count, *points.shape[-2:]),
        weights,
        joints,
        bones.reshape(count, *bones.shape[-3:]),
    )
    return flat.reshape(points.shape)


def blend_shapes(
    weights: Float[Tensor, "*b s"],
    moves: Float[Tensor, "m 3"],
    shapes: Int[Tensor, " m"],
    starts: Int[Tensor, " rows"],
) -> Float[Tensor, "*b n 3"]:
    """The offsets of n = rows - 1 points, differentiable in weights and moves.

    Point i has the moves from starts[i] to starts[i + 1]. ValueError for other types or devices,
    and for starts or shapes that point nowhere.
    """
    check(TWIN, weights=weights, moves=moves)
    count = weights.shape[:-1].numel()
    flat = _Shapes.apply(weights.reshape(count, weights.shape[-1]), moves, shapes, starts)
    return flat.reshape(*weights.shape[:-1], len(starts) - 1, 3)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous()


class _Skin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, weights: Tensor, joints: Tensor, bones: Tensor) -> Tensor:  # type: ignore[override]
        inputs = _plain(points), _plain(weights), _plain(joints.int()), _plain(bones)
        ctx.save_for_backward(*inputs)
        out = torch.empty_like(inputs[0])
        _native.blended(_native.Blending(*inputs), out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        points, weights, joints, bones = ctx.saved_tensors
        out = torch.empty_like(points), torch.empty_like(weights), torch.empty_like(bones)
        blending = _native.Blending(points, weights, joints, bones)
        _native.blended_backward(blending, _plain(gradient), *out)
        return out[0], out[1], None, out[2]


class _Shapes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, moves: Tensor, shapes: Tensor, starts: Tensor) -> Tensor:  # type: ignore[override]
        inputs = _plain(starts.int()), _plain(shapes.int()), _plain(moves), _plain(weights)
        ctx.save_for_backward(*inputs)
        out = weights.new_empty(len(weights), len(starts) - 1, 3)
        _native.shaped(_native.Shaping(*inputs), out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        starts, shapes, moves, weights = ctx.saved_tensors
        d_moves, d_weights = torch.empty_like(moves), torch.empty_like(weights)
        shaping = _native.Shaping(starts, shapes, moves, weights)
        _native.shaped_backward(shaping, _plain(gradient), d_moves, d_weights)
        return d_weights, d_moves, None, None
