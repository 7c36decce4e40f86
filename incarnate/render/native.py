"""Rendering by the compiled core, for float32 tensors on the CPU.

Values and gradients are those of `incarnate.render.splat` and `raster`; of the intrinsics, only
fx, fy, cx and cy have gradients. Pictures and gradients do not depend on the number of threads.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate import _native
from incarnate.cameras import Camera
from incarnate.core import check
from incarnate.render.raster import Fragments
from incarnate.render.view import Cloud, View, check_finite
from incarnate.scene import Gaussians, Mesh

TWIN = "backend='torch'"  # For what the core does not take.
CAMERA = 16  # Rotation, translation, fx, fy, cx, cy.
CHANNELS = 32  # Drawn at a time.


def splat(
    gaussians: Gaussians, camera: Camera, background: Float[Tensor, " c"] | None = None
) -> View:
    """The picture of a scene. ValueError for other types or devices, or what is not finite."""
    return draw(Cloud.of(gaussians), camera, background)


def draw(
    cloud: Cloud,
    camera: Camera,
    background: Float[Tensor, " c"] | None = None,
    median: bool = False,
) -> View:
    """The picture of a cloud, with its median depth if asked for (which has no gradient).

    More than 32 channels take several passes.
    """
    check(TWIN, camera=camera.world_to_camera, means=cloud.means, colors=cloud.colors)
    check_finite(cloud, camera, background)
    half = cloud.means.new_empty(camera.height, camera.width) if median else None
    if cloud.colors.shape[1] <= CHANNELS:
        return View(*_pass(cloud, camera, half, background, cloud.colors), half)
    colors = cloud.colors.split(CHANNELS, 1)
    behind = [None] * len(colors) if background is None else background.split(CHANNELS)
    passes = [_pass(cloud, camera, half, *each) for each in zip(behind, colors, strict=True)]
    return View(torch.cat([rgb for rgb, _, _ in passes], -1), *passes[0][1:], half)


def _pass(
    cloud: Cloud, camera: Camera, half: Tensor | None, background: Tensor | None, colors: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return _Splat.apply(
        camera,
        half,
        background,
        camera.world_to_camera,
        camera.intrinsics,
        cloud.means,
        cloud.quats,
        cloud.scales,
        cloud.opacities,
        colors,
    )


def picture(
    cloud: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    camera: Camera,
    background: Float[Tensor, " c"] | None = None,
) -> View:
    """The picture of means, quats, scales, opacities and colors, without gradients.

    They must be contiguous float32 on the CPU: the core refuses others.
    """
    means, quats, scales, opacities, colors = cloud
    rgb = colors.new_empty(camera.height, camera.width, colors.shape[1])
    alpha, depth = rgb.new_empty(2, camera.height, camera.width)
    _native.splat(
        _native.Gaussians(means, quats, scales, opacities, colors),
        _plain(camera.world_to_camera),
        _plain(camera.intrinsics),
        camera.orthographic,
        None if background is None else _plain(background),
        rgb,
        alpha,
        depth,
    )
    return View(rgb, alpha, depth)


def rasterize(mesh: Mesh, camera: Camera) -> Fragments:
    """The triangles seen; nothing here has a gradient. ValueError for other types or devices."""
    check(TWIN, camera=camera.world_to_camera, vertices=mesh.vertices)
    depth = mesh.vertices.new_empty(camera.height, camera.width)
    face_ids = torch.empty(camera.height, camera.width, dtype=torch.int64)
    barycentrics = depth.new_empty(camera.height, camera.width, 3)
    _native.rasterize(
        _plain(mesh.vertices),
        _plain(mesh.faces.long()),
        _plain(camera.world_to_camera),
        _plain(camera.intrinsics),
        camera.orthographic,
        face_ids,
        barycentrics,
        depth,
    )
    return Fragments(face_ids, barycentrics, depth)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous()


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, camera: Camera, half: Tensor | None, background: Tensor | None, *inputs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`half` is filled with the median depth."""
        pose, intrinsics, *cloud = [_plain(p) for p in inputs]
        rgb = cloud[-1].new_empty(camera.height, camera.width, cloud[-1].shape[1])
        alpha, depth = rgb.new_empty(2, camera.height, camera.width)
        behind = None if background is None else _plain(background)
        ctx.frame = _native.splat(
            _native.Gaussians(*cloud),
            pose,
            intrinsics,
            camera.orthographic,
            behind,
            rgb,
            alpha,
            depth,
            half,
        )
        ctx.has_background = background is not None
        ctx.save_for_backward(*cloud, rgb, alpha, depth, *([] if behind is None else [behind]))
        return rgb, alpha, depth

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        saved = ctx.saved_tensors
        cloud, picture = saved[:5], saved[5:8]
        behind = saved[8] if ctx.has_background else None
        out = [torch.empty_like(p) for p in cloud]
        moves = any(ctx.needs_input_grad[3:5])
        d_camera = torch.empty(CAMERA, dtype=torch.float64) if moves else None
        _native.splat_backward(
            ctx.frame,
            _native.Gaussians(*cloud),
            behind,
            _native.Images(*picture),
            _native.Images(*[_plain(g) for g in gradients]),
            _native.Gradients(*out),
            d_camera,
        )
        d_background = None
        if ctx.needs_input_grad[2]:
            d_background = ((1 - picture[1])[..., None] * gradients[0]).sum((0, 1))
        d_pose, d_intrinsics = (None, None) if d_camera is None else _as_matrices(d_camera.float())
        return None, None, d_background, d_pose, d_intrinsics, *out


def _as_matrices(d_camera: Tensor) -> tuple[Tensor, Tensor]:
    d_pose, d_intrinsics = d_camera.new_zeros(4, 4), d_camera.new_zeros(3, 3)
    d_pose[:3, :3], d_pose[:3, 3] = d_camera[:9].view(3, 3), d_camera[9:12]
    d_intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]] = d_camera[12:]
    return d_pose, d_intrinsics
