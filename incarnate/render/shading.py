"""What a mesh under a z-buffer looks like, with gradients, in plain torch.

`rasterize` says which triangle a pixel shows. From there, `located` gives barycentrics and depth as
functions of the vertices, `interpolate` carries attributes to pixels, `texture` looks them up, and
`antialias` makes outlines move with the vertices (Laine et al. 2020, Sections 3.3 to 3.5).
Pixels that show nothing are 0 throughout.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render.raster import Fragments
from incarnate.render.splat import NEAR


def located(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
    fragments: Fragments,
) -> Fragments:
    """The fragments with barycentrics and depth that follow the vertices and the camera.

    Which triangle is seen has no gradient; `antialias` stands in for it.
    """
    seen = _seen(fragments)
    width = fragments.face_ids.shape[1]
    x, y = (seen % width).to(vertices), (seen // width).to(vertices)
    k = camera.intrinsics
    across = (x + 0.5 - k[0, 2]) / k[0, 0]
    rays = torch.stack([across, (y + 0.5 - k[1, 2]) / k[1, 1], torch.ones_like(across)], -1)
    a, b, c = _corners(camera.local(vertices), faces, fragments, seen).unbind(1)
    one, other = b - a, c - a
    normal = torch.linalg.cross(one, other)
    depth = (a * normal).sum(-1) / (rays * normal).sum(-1)
    arm = depth[:, None] * rays - a
    area = (normal * normal).sum(-1)
    second = (torch.linalg.cross(arm, other) * normal).sum(-1) / area
    third = (torch.linalg.cross(one, arm) * normal).sum(-1) / area
    own = torch.stack([1 - second - third, second, third], -1)
    shape = fragments.face_ids.shape
    depth = _spread(depth[:, None], seen, shape)[..., 0]
    return Fragments(fragments.face_ids, _spread(own, seen, shape), depth)


def interpolate(
    attributes: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], fragments: Fragments
) -> Float[Tensor, "h w c"]:
    """Attributes of vertices at the pixels, right in perspective.

    Differentiable in the attributes, and through `located` fragments in the vertices.
    """
    seen = _seen(fragments)
    corners = _corners(attributes, faces, fragments, seen)
    shares = fragments.barycentrics.flatten(0, 1).index_select(0, seen)
    own = (shares[..., None] * corners).sum(-2)
    return _spread(own, seen, fragments.face_ids.shape)


# By flat indices throughout: gradients of index_select and index_copy are far quicker than those
# of indexing by masks or by rows and columns.
def _seen(fragments: Fragments) -> Int[Tensor, " n"]:
    return (fragments.face_ids.flatten() >= 0).nonzero()[:, 0]


def _corners(
    values: Float[Tensor, "v c"],
    faces: Int[Tensor, "f 3"],
    fragments: Fragments,
    seen: Int[Tensor, " n"],
) -> Float[Tensor, "n 3 c"]:
    own = faces[fragments.face_ids.flatten()[seen]]
    return values.index_select(0, own.flatten()).unflatten(0, (-1, 3))


def _spread(
    values: Float[Tensor, "n c"], seen: Int[Tensor, " n"], shape: torch.Size
) -> Float[Tensor, "h w c"]:
    empty = values.new_zeros(shape.numel(), values.shape[1])
    return empty.index_copy(0, seen, values).unflatten(0, shape)


def texture(
    image: Float[Tensor, "h w c"],
    uv: Float[Tensor, "y x 2"],
    edge: Literal["wrap", "clamp"] = "wrap",
) -> Float[Tensor, "y x c"]:
    """The image at uv, trilinear between its mip levels; differentiable in both.

    (0, 0) is the outer corner of the image's first texel, (1, 1) that of its last. How far uv moves
    from a pixel to the next picks the level, on the side where it moves less, so that outlines
    and seams do not blur.
    """
    texels, sizes = _pyramid(image)
    level = _level(uv, image.shape).clamp(0, len(sizes) - 1)
    low = level.detach().floor().clamp(max=max(len(sizes) - 2, 0))
    share = (level - low)[..., None]
    own = low.long()
    fine = _bilinear(texels, sizes[own], uv, edge)
    coarse = _bilinear(texels, sizes[(own + 1).clamp(max=len(sizes) - 1)], uv, edge)
    return fine + share * (coarse - fine)


def _pyramid(image: Float[Tensor, "h w c"]) -> tuple[Float[Tensor, "t c"], Int[Tensor, "l 3"]]:
    """The texels of all levels down to one texel, and each level's height, width and start."""
    levels, planes = [image.flatten(0, 1)], image.permute(2, 0, 1)[None]
    sizes, start = [(image.shape[0], image.shape[1], 0)], image.shape[0] * image.shape[1]
    while planes.shape[2] * planes.shape[3] > 1:
        height, width = (max(n // 2, 1) for n in planes.shape[2:])
        planes = torch.nn.functional.adaptive_avg_pool2d(planes, (height, width))
        levels.append(planes[0].permute(1, 2, 0).flatten(0, 1))
        sizes.append((height, width, start))
        start += height * width
    return torch.cat(levels), torch.tensor(sizes, device=image.device)


def _level(uv: Float[Tensor, "y x 2"], shape: torch.Size) -> Float[Tensor, "y x"]:
    """Log2 of the texels from a pixel to the next."""
    steps = []
    for axis in (0, 1):
        step = uv.diff(dim=axis)
        texels = (step * step.new_tensor([shape[1], shape[0]])).square().sum(-1)
        if uv.shape[axis] == 1:
            steps.append(torch.zeros_like(uv[..., 0]))
            continue
        first, last = texels.narrow(axis, 0, 1), texels.narrow(axis, -1, 1)
        before, after = torch.cat([first, texels], axis), torch.cat([texels, last], axis)
        steps.append(torch.minimum(before, after))
    return 0.5 * torch.maximum(*steps).clamp(min=1).log2()


def _bilinear(
    texels: Float[Tensor, "t c"],
    sizes: Int[Tensor, "y x 3"],
    uv: Float[Tensor, "y x 2"],
    edge: str,
) -> Float[Tensor, "y x c"]:
    height, width, start = sizes.unbind(-1)
    x, y = uv[..., 0] * width - 0.5, uv[..., 1] * height - 0.5
    left, top = x.detach().floor(), y.detach().floor()
    along, down = (x - left)[..., None], (y - top)[..., None]

    def at(row: Tensor, column: Tensor) -> Tensor:
        row, column = row.long(), column.long()
        if edge == "wrap":
            row, column = row % height, column % width
        else:
            zero = torch.zeros_like(height)
            row = torch.clamp(row, zero, height - 1)
            column = torch.clamp(column, zero, width - 1)
        own = (start + row * width + column).flatten()
        return texels.index_select(0, own).unflatten(0, uv.shape[:2])

    above = at(top, left) * (1 - along) + at(top, left + 1) * along
    below = at(top + 1, left) * (1 - along) + at(top + 1, left + 1) * along
    return above * (1 - down) + below * down


def antialias(
    colors: Float[Tensor, "h w c"],
    fragments: Fragments,
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
) -> Float[Tensor, "h w c"]:
    """The picture with outlines blended by how far they reach from one pixel to the next.

    Gives colors of the picture gradients to the vertices, within a pixel of the outline. Every
    outline counts once, across its dominant axis; of several between two pixels, the nearest.
    Outlines that reach behind the camera are left as they are.
    """
    # The outlines of the mesh, not of the triangles that pixels show: triangles may be smaller.
    local = camera.local(vertices)
    flat = local @ camera.intrinsics.T
    ends, inside = _outline(flat.detach(), faces)
    flat, z = flat[ends], local[ends, 2]
    points = flat[..., :2] / flat[..., 2:]
    depth = torch.where(fragments.face_ids >= 0, fragments.depth, torch.inf).detach()
    steep = (points[:, 1] - points[:, 0]).detach().abs().diff(dim=1)[:, 0] >= 0  # |y| - |x|
    rows = _added(colors, depth, points[steep], z[steep], inside[steep])
    other = ~steep  # The same with x and y changed over, which mirrors: sides change as well.
    columns = _added(
        colors.transpose(0, 1), depth.T, points[other].flip(-1), z[other], -inside[other]
    )
    return colors + rows + columns.transpose(0, 1)


def _outline(
    flat: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> tuple[Int[Tensor, "e 2"], Float[Tensor, " e"]]:
    """Edges whose triangles all lie to one side of them in the picture, and which: the sign of
    (end - start) x (triangle - start)."""
    xy = flat[:, :2] / torch.where(flat[:, 2:] == 0, 1, flat[:, 2:])
    corners = torch.cat([faces, faces.roll(-1, 1), faces.roll(-2, 1)])  # Edge, and the third.
    a, b = corners[:, :2].sort(1).values.unbind(1)
    start, along, third = xy[a], xy[b] - xy[a], xy[corners[:, 2]]
    arm = third - start
    sides = (along[:, 0] * arm[:, 1] - along[:, 1] * arm[:, 0]).sign()
    keys, which = torch.unique(a * len(flat) + b, return_inverse=True)
    total = sides.new_zeros(len(keys)).index_add(0, which, sides)
    count = sides.new_zeros(len(keys)).index_add(0, which, torch.ones_like(sides))
    ends = torch.stack([keys // len(flat), keys % len(flat)], 1)
    own = (total.abs() == count) & (flat[ends, 2] > NEAR).all(1)
    return ends[own], total[own].sign()


def _added(
    colors: Float[Tensor, "h w c"],
    depth: Float[Tensor, "h w"],
    points: Float[Tensor, "e 2 2"],
    z: Float[Tensor, "e 2"],
    inside: Float[Tensor, " e"],
) -> Float[Tensor, "h w c"]:
    """What blending along rows adds, where steep edges cross from one pixel's centre to the next.

    Depth is infinite where nothing is.
    """
    height, width = depth.shape
    edge, row = _crossed_rows(points.detach()[..., 1], height)
    x, y, z = points[edge, :, 0], points[edge, :, 1], z.detach()[edge]
    share = (row.to(y) + 0.5 - y[:, 0]) / (y[:, 1] - y[:, 0])
    at = x[:, 0] + share * (x[:, 1] - x[:, 0])
    near = 1 / ((1 - share) / z[:, 0] + share / z[:, 1]).detach()
    left = (at.detach() - 0.5).floor().long()
    # The third vertex is to the left of an edge that goes down if the side is positive.
    leftwards = (inside[edge] > 0) == (y[:, 1] > y[:, 0]).detach()
    own, beyond = left + (~leftwards).long(), left + leftwards.long()
    kept = (left >= 0) & (left < width - 1)
    own, beyond = own.clamp(0, width - 1), beyond.clamp(0, width - 1)
    # The surface is seen on its side; on the other lies what is behind it.
    kept &= (depth[row, own] < depth[row, beyond]) & (depth[row, beyond] > near)
    pair = row * width + left.clamp(0, width - 1)
    nearest = near.new_full((height * width,), torch.inf)
    nearest = nearest.scatter_reduce(0, pair[kept], near[kept], "amin")
    kept &= near <= nearest[pair]
    row, own, beyond, left = row[kept], own[kept], beyond[kept], left[kept]
    reach = at[kept] - (left + 0.5)
    reach = torch.where(leftwards[kept], reach, 1 - reach) - 0.5  # Beyond the middle, if positive.
    own, beyond = row * width + own, row * width + beyond
    flat = colors.flatten(0, 1)
    step = flat.index_select(0, own) - flat.index_select(0, beyond)
    target = torch.where(reach > 0, beyond, own)
    added = colors.new_zeros(height * width, colors.shape[2])
    return added.index_add(0, target, reach[:, None] * step).unflatten(0, (height, width))


def _crossed_rows(
    y: Float[Tensor, "e 2"], height: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Every row whose centre an edge crosses: the edge and the row."""
    low, high = y.aminmax(dim=1)
    first = (low - 0.5).ceil().clamp(0, height).long()
    after = (high - 0.5).ceil().clamp(0, height).long()
    count = after - first
    edge = torch.arange(len(y), device=y.device).repeat_interleave(count)
    before = count.cumsum(0) - count
    return edge, torch.arange(len(edge), device=y.device) - before[edge] + first[edge]
