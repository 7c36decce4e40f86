"""Meshes under a z-buffer, defined in plain torch: every triangle at every pixel, for small scenes.

A ray d = (x, y, 1) in camera axes meets the plane of p0 p1 p2 where its barycentrics are
proportional to (pj x pk) . d, and their sum is the volume p0 . (p1 x p2) over depth: exact in
perspective, without clipping (Olano and Greer 1997). An orthographic camera takes p to (x, y, 1):
depth is then a sum weighed by barycentrics. Both sides of a triangle are drawn; of equal depths the
first wins.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render.splat import NEAR
from incarnate.render.view import View
from incarnate.scene import Mesh


@dataclass(frozen=True, eq=False)
class Fragments:
    """What a mesh shows at the centre of each pixel."""

    face_ids: Int[Tensor, "h w"]
    """The nearest triangle, -1 where there is none."""
    barycentrics: Float[Tensor, "h w 3"]
    """Of the point on that triangle, right in perspective; 0 where there is none."""
    depth: Float[Tensor, "h w"]
    """Metres along z; 0 where there is none."""


def rasterize(mesh: Mesh, camera: Camera) -> Fragments:
    """The triangles seen; nothing here has a gradient. Memory grows with faces times pixels."""
    with torch.no_grad():
        pose = camera.world_to_camera.double()
        local = mesh.vertices.double() @ pose[:3, :3].T + pose[:3, 3]
        corners = local[mesh.faces]
        a, b, c = camera.on_rays(corners).unbind(1)
        edges = torch.stack([b.cross(c, dim=-1), c.cross(a, dim=-1), a.cross(b, dim=-1)], 1)
        volume = (a * edges[:, 0]).sum(-1)
        weights = torch.einsum("fik,hwk->hwfi", edges, _rays(camera))
        weights = weights / torch.where(volume == 0, 1, volume)[:, None]
        if camera.orthographic:
            slope = 1 / torch.einsum("hwfi,fi->hwf", weights, corners[..., 2])
        else:
            slope = weights.sum(-1)  # 1 / z
        hit = (weights >= 0).all(-1) & (slope > 0) & (slope <= 1 / NEAR) & (volume != 0)
        nearest, ids = torch.where(hit, slope, 0).max(-1)
        own = weights.gather(2, ids[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
        seen = nearest > 0
        barycentrics = torch.where(seen[..., None], own / own.sum(-1, keepdim=True), 0)
        return Fragments(
            torch.where(seen, ids, -1),
            barycentrics.to(mesh.vertices),
            torch.where(seen, 1 / nearest, 0).to(mesh.vertices),
        )


def shade(mesh: Mesh, fragments: Fragments, background: Tensor | None = None) -> View:
    """The picture of the vertex colours, with gradients to these (not to the vertices)."""
    seen = fragments.face_ids >= 0
    corners = mesh.colors[mesh.faces[fragments.face_ids[seen]]]
    alpha = seen.to(mesh.colors)
    rgb = alpha.new_zeros(*alpha.shape, mesh.colors.shape[1])
    rgb[seen] = (fragments.barycentrics[seen][..., None] * corners).sum(-2)
    if background is not None:
        rgb = rgb + (1 - alpha)[..., None] * background
    return View(rgb, alpha, fragments.depth)


def _rays(camera: Camera) -> Float[Tensor, "h w 3"]:
    x = torch.arange(camera.width, dtype=torch.float64, device=camera.intrinsics.device) + 0.5
    y = torch.arange(camera.height, dtype=torch.float64, device=camera.intrinsics.device) + 0.5
    k = camera.intrinsics.double()
    x, y = (x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1]
    return torch.stack([*torch.meshgrid(x, y, indexing="xy"), x.new_ones(len(y), len(x))], -1)
