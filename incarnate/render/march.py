"""Signed fields, marched: alpha, depth and normals with gradients to the field's values.

Volume rendering as in NeuS (Wang et al. 2021, Eq. 10-13): with F = sigmoid(f / deviation) at the
ends of a section of the ray, it hides max(1 - F' / F, 0) of what comes behind. Told in logarithms,
light that passes a section is exp(min(log F' - log F, 0)), so that sections add up and alpha does
not depend on their length where f only falls.

Sections are one spacing of the grid long. Only those near the surface are looked at, and of them
only those with a weight are worked out with gradients; where they lie has none. A ray's direction
has z = 1 in camera axes, so that the way along it is depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.scene.field import SignedField

BLOCK = 4  # Sections that are skipped together where the surface is far.
REACH = 7.0  # Deviations from the surface beyond which a sigmoid is 0 or 1.
LEAST = 2e-4  # Weight below which a section counts for nothing.


@dataclass(frozen=True, eq=False)
class Marched:
    """What cameras see of a solid."""

    alpha: Float[Tensor, "b h w"]
    depth: Float[Tensor, "b h w"]
    """Metres along z, blended with the same weights as alpha (not divided by it)."""
    normal: Float[Tensor, "b h w 3"]
    """Unit normals in camera axes (x right, y down, z forward), blended likewise."""

    def pictures(self) -> Float[Tensor, "b h w 3"]:
        """(n + 1) / 2 before black, with x right, y up and z to the viewer, as priors see it."""
        toward = self.normal * self.normal.new_tensor([1.0, -1.0, -1.0])
        return (toward + self.alpha[..., None]) / 2


class _Rays(NamedTuple):
    origins: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3"]
    near: Float[Tensor, " n"]
    """Depth where the ray enters the grid's box."""
    step: Float[Tensor, " n"]
    """Depth of a section."""
    sections: Int[Tensor, " n"]
    """How many sections are in the box; 0 for a ray beside it."""

    def depth(self, ray: Int[Tensor, " k"], steps: Tensor) -> Float[Tensor, " k"]:
        return torch.addcmul(self.near.index_select(0, ray), steps, self.step.index_select(0, ray))

    def at(self, ray: Int[Tensor, " k"], depth: Float[Tensor, " k"]) -> Float[Tensor, "k 3"]:
        # Of rows, index_select is several times as fast as brackets.
        along = self.directions.index_select(0, ray)
        return torch.addcmul(self.origins.index_select(0, ray), depth[:, None], along)


class Sections(NamedTuple):
    """Ends of sections, ray by ray and from near to far; neighbours may be in different places."""

    ray: Int[Tensor, " k"]
    depth: Float[Tensor, " k"]
    joined: Bool[Tensor, " k"]
    """Whether a section leads from this end to the next."""


def march(
    field: SignedField,
    cameras: Sequence[Camera],
    deviation: float,
    gradients: Float[Tensor, "3 nx ny nz"] | None = None,
) -> Marched:
    """What cameras of one size see; `deviation` is how soft the surface is, in metres.

    Silhouettes are blurred by about 1.8 deviations. `gradients` are the field's own, if they are
    known already.
    """
    sizes = {(camera.height, camera.width) for camera in cameras}
    if len(sizes) != 1:
        raise ValueError(f"cameras of sizes {sorted(sizes)} came; give cameras of one size")
    height, width = sizes.pop()
    with torch.no_grad():
        rays = _rays(field, cameras)
        sections = _seen(field, rays, _near(field, rays, deviation), deviation)
    slopes = field.gradients() if gradients is None else gradients
    alpha, depth, normal = _blended(field, rays, sections, deviation, slopes)
    shape = len(cameras), height, width
    turns = torch.stack([camera.world_to_camera[:3, :3] for camera in cameras]).to(normal)
    turned = normal.view(len(cameras), -1, 3) @ turns.transpose(1, 2)
    return Marched(alpha.view(shape), depth.view(shape), turned.view(*shape, 3))


def _rays(field: SignedField, cameras: Sequence[Camera]) -> _Rays:
    origins, directions = zip(*[_through_pixels(camera) for camera in cameras], strict=True)
    o, d = torch.cat(origins).to(field.low), torch.cat(directions).to(field.low)
    safe = torch.where(d.abs() < 1e-9, torch.full_like(d, 1e-9), d)
    sides = torch.stack([(field.low - o) / safe, (field.high - o) / safe])
    near = sides.amin(0).amax(1).clamp(min=0)
    far = sides.amax(0).amin(1)
    step = field.spacing / d.square().sum(1).sqrt()
    count = ((far - near) / step).ceil().clamp(min=0).long()
    return _Rays(o, d, near, step, count)


def _through_pixels(camera: Camera) -> tuple[Tensor, Tensor]:
    """Origins and directions of the rays through the centres of the pixels, row by row."""
    k, turn = camera.intrinsics, camera.world_to_camera[:3, :3]
    x = (torch.arange(camera.width).to(k) + 0.5 - k[0, 2]) / k[0, 0]
    y = (torch.arange(camera.height).to(k) + 0.5 - k[1, 2]) / k[1, 1]
    plane = torch.stack([*torch.meshgrid(x, y, indexing="xy")], -1).flatten(0, 1)
    flat, ahead = torch.zeros_like(plane[:, :1]), torch.ones_like(plane[:, :1])
    if camera.orthographic:
        start, along = torch.cat([plane, flat], 1), torch.cat([flat, flat, ahead], 1)
    else:
        start, along = plane.new_zeros(len(plane), 3), torch.cat([plane, ahead], 1)
    return (start - camera.world_to_camera[:3, 3]) @ turn, along @ turn


def _near(field: SignedField, rays: _Rays, deviation: float) -> Sections:
    """All sections in blocks that may come near the surface."""
    pool = torch.nn.functional.max_pool3d
    band = REACH * deviation + field.spacing
    values = field.values.detach()[None, None]
    # Cells of BLOCK nodes, and their neighbours: a block reaches half of itself from its middle.
    ends = torch.cat([values, -values])
    most = pool(pool(ends, BLOCK, ceil_mode=True), 3, 1, 1)[:, 0]
    near = (most[0] > -band) & (most[1] > -band)
    blocks = (rays.sections + BLOCK - 1) // BLOCK
    ray = torch.repeat_interleave(torch.arange(len(blocks), device=blocks.device), blocks)
    first = blocks.cumsum(0) - blocks
    block = torch.arange(len(ray), device=ray.device) - first.index_select(0, ray)
    middle = rays.depth(ray, (block + 0.5) * BLOCK)
    cells = ((rays.at(ray, middle) - field.low) / (BLOCK * field.spacing)).long()
    cells = cells.clamp(min=0).minimum(cells.new_tensor(near.shape) - 1)
    _, ny, nz = near.shape
    flat = (cells * cells.new_tensor([ny * nz, nz, 1])).sum(1)
    kept = near.flatten().index_select(0, flat).nonzero()[:, 0]
    return _ends(rays, ray.index_select(0, kept), block.index_select(0, kept))


def _ends(rays: _Rays, ray: Int[Tensor, " m"], block: Int[Tensor, " m"]) -> Sections:
    """The ends of the blocks' sections; blocks that follow one another share one."""
    follows = torch.zeros_like(ray, dtype=torch.bool)
    follows[:-1] = (ray[1:] == ray[:-1]) & (block[1:] == block[:-1] + 1)
    place = torch.arange(BLOCK + 1, device=ray.device)
    index = block[:, None] * BLOCK + place
    wanted = (place < BLOCK) | ~follows[:, None]
    joined = (place < BLOCK).expand_as(wanted)[wanted]
    ray = ray[:, None].expand_as(wanted)[wanted]
    return Sections(ray, rays.depth(ray, index[wanted]), joined)


def _seen(field: SignedField, rays: _Rays, near: Sections, deviation: float) -> Sections:
    """The sections with a weight."""
    if len(near.ray) == 0:
        return near
    weights, _ = _weights(field.at(rays.at(near.ray, near.depth)), near, deviation)
    counts = near.joined.clone()
    counts[:-1] &= weights > LEAST
    kept = counts.clone()
    kept[1:] |= counts[:-1]
    return Sections(near.ray[kept], near.depth[kept], counts[kept])


def _weights(
    f: Float[Tensor, " k"], sections: Sections, deviation: float
) -> tuple[Float[Tensor, " j"], Float[Tensor, " j"]]:
    """How much of the picture each section gives, and where in it the surface is, from 0 to 1.

    One for each end but the last; 0 where no section leads on.
    """
    joined = sections.joined[:-1]
    passing = torch.nn.functional.logsigmoid(f.double() / deviation)
    passed = torch.where(joined, (passing[1:] - passing[:-1]).clamp(max=0), 0)
    total = torch.cat([passed.new_zeros(1), passed.cumsum(0)])
    before = total[:-1] - total[_firsts(sections.ray)[:-1]]  # What the same ray met so far.
    weights = before.exp() * -passed.expm1()
    g, h = f[:-1].detach(), f[1:].detach()
    crossing = (g / torch.where(g > h, g - h, 1)).clamp(0, 1)
    # Where it is not crossed, its middle; the place follows the values where it is.
    where = torch.where((g > 0) & (h < 0), _crossing(f), torch.where(g > h, crossing, 0.5))
    return weights.to(f), where


def _crossing(f: Float[Tensor, " k"]) -> Float[Tensor, " j"]:
    fall = f[:-1] - f[1:]
    return f[:-1] / torch.where(fall > 1e-9, fall, 1)


def _firsts(ray: Int[Tensor, " k"]) -> Int[Tensor, " k"]:
    """For each entry the first one of its ray; entries of a ray stand together."""
    begins = torch.ones_like(ray, dtype=torch.bool)
    begins[1:] = ray[1:] != ray[:-1]
    return begins.nonzero()[:, 0][begins.long().cumsum(0) - 1]


def _blended(
    field: SignedField,
    rays: _Rays,
    sections: Sections,
    deviation: float,
    gradients: Float[Tensor, "3 nx ny nz"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Alpha, depth and normals (in world axes) of all rays."""
    count = len(rays.sections)
    if len(sections.ray) == 0:
        nothing = 0 * field.values.sum().expand(count)
        return nothing, nothing, nothing[:, None].expand(-1, 3)
    f = field.at(rays.at(sections.ray, sections.depth))
    weights, where = _weights(f, sections, deviation)
    joined = sections.joined[:-1]
    weights, where, ray = weights[joined], where[joined], sections.ray[:-1][joined]
    depth = sections.depth[:-1][joined] + where * rays.step[ray]
    normals = field.directions(rays.at(ray, depth), gradients)
    values = torch.cat([torch.ones_like(depth)[:, None], depth[:, None], normals], 1)
    blended = values.new_zeros(count, 5).index_add(0, ray, weights[:, None] * values)
    return blended[:, 0], blended[:, 1], blended[:, 2:]
