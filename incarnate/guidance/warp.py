"""Where the latents of one view lie in another (Portrait Diffusion, Sec. 3, the operator R).

The pixels of a depth map are points; each carries the texel of the latents that it lies in. The
other view takes, for each of its texels, one of the points that fall into it: of those that nothing
hides, the one nearest to the texel's centre. Nothing is blended, since means of noise have too
small a variance. Texels into which nothing falls are void.

A depth map of the size of the latents gives every texel to one other at most: warped noise is white
again. A finer one leaves fewer voids where the view magnifies, but gives some texels twice; of a
coarse one, steep surfaces count as edges, too.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from incarnate.cameras import Camera

EDGE = 0.02  # Share of depth: a larger jump between neighbours is an edge, where depth is unsure.
_NONE = torch.iinfo(torch.int64).max


@final
@dataclass(frozen=True, eq=False)
class Warp:
    """What each texel of a view takes from another view."""

    source: Int[Tensor, "h w"]
    """Texels of the other view, counted row by row; 0 where void."""
    void: Bool[Tensor, "h w"]


def reprojection(
    depth: Float[Tensor, "y x"], source: Camera, target: Camera, size: tuple[int, int]
) -> Warp:
    """What `target` takes from `source`, both with latents of `size` (height, width).

    `depth` is what `source` sees, metres along z, 0 where it sees nothing; points at edges of more
    than 2 % are dropped. ValueError if it is not the source camera's picture.
    """
    if depth.shape != (source.height, source.width):
        raise ValueError(
            f"a depth map of {depth.shape[1]} x {depth.shape[0]} pixels came for a camera of "
            f"{source.width} x {source.height}; resize one of them"
        )
    height, width = size
    depth = depth.to(source.world_to_camera)
    kept = (depth > 0) & ~_edges(depth)
    world = _unprojected(depth, source)[kept]
    view = target.resized(width, height)
    z = view.local(world)[:, 2]
    ahead = z > 0
    place, z = view.project(world[ahead]), z[ahead]
    inside = ((place >= 0) & (place < place.new_tensor([width, height]))).all(-1)
    texels = _texels(depth, size)[kept][ahead][inside]
    return _splatted(place[inside], z[inside], texels, size)


def _splatted(
    place: Float[Tensor, "n 2"],
    z: Float[Tensor, " n"],
    texels: Int[Tensor, " n"],
    size: tuple[int, int],
) -> Warp:
    height, width = size
    column, row = place.floor().long().unbind(-1)
    cells = row * width + column
    unhidden = z <= (1 + EDGE) * _least(z, cells, height * width)[cells]
    place, cells, texels = place[unhidden], cells[unhidden], texels[unhidden]
    off = (place - place.floor() - 0.5).square().sum(-1)
    central = off <= _least(off, cells, height * width)[cells]
    # Of points that are as near as one another the first texel is taken, so that chance has no say.
    first = torch.full((height * width,), _NONE, device=cells.device)
    first = first.scatter_reduce(0, cells[central], texels[central], "amin").view(size)
    void = first == _NONE
    return Warp(first.masked_fill(void, 0), void)


def _least(
    values: Float[Tensor, " n"], cells: Int[Tensor, " n"], count: int
) -> Float[Tensor, " k"]:
    """The least value in each cell, infinite where there is none."""
    return values.new_full((count,), torch.inf).scatter_reduce(0, cells, values, "amin")


def _unprojected(depth: Float[Tensor, "y x"], camera: Camera) -> Float[Tensor, "y x 3"]:
    """World points at the centres of the pixels."""
    rows = torch.arange(camera.height).to(depth) + 0.5
    columns = torch.arange(camera.width).to(depth) + 0.5
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    flat = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(camera.intrinsics).T
    across = flat[..., :2] if camera.orthographic else flat[..., :2] * depth[..., None]
    local = torch.cat([across, depth[..., None]], -1)
    return (local - camera.world_to_camera[:3, 3]) @ camera.world_to_camera[:3, :3]


def _edges(depth: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"]:
    """Pixels whose depth jumps towards a neighbour that has one; both sides of the jump."""
    edges = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        n = depth.shape[axis] - 1
        a, b = depth.narrow(axis, 0, n), depth.narrow(axis, 1, n)
        jump = (a > 0) & (b > 0) & ((a - b).abs() > EDGE * torch.minimum(a, b))
        edges.narrow(axis, 0, n).logical_or_(jump)
        edges.narrow(axis, 1, n).logical_or_(jump)
    return edges


def _texels(depth: Float[Tensor, "y x"], size: tuple[int, int]) -> Int[Tensor, "y x"]:
    """The texel of latents of `size` that each pixel lies in."""
    height, width = size
    rows = torch.arange(depth.shape[0], device=depth.device) * height // depth.shape[0]
    columns = torch.arange(depth.shape[1], device=depth.device) * width // depth.shape[1]
    return rows[:, None] * width + columns
