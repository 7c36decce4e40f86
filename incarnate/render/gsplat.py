"""Rendering by gsplat's CUDA kernels, for tensors on a GPU (`pip install incarnate[cuda]`)."""

import torch
from gsplat import rasterization  # pyright: ignore  (it takes this file for the package)
from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render.splat import BLUR, NEAR
from incarnate.render.view import Cloud, View, check_finite
from incarnate.scene import Gaussians


def splat(
    gaussians: Gaussians, camera: Camera, background: Float[Tensor, " c"] | None = None
) -> View:
    """The picture of a scene."""
    return draw(Cloud.of(gaussians), camera, background)


def draw(
    cloud: Cloud,
    camera: Camera,
    background: Float[Tensor, " c"] | None = None,
    median: bool = False,
) -> View:
    """The picture of a cloud; colors are drawn as they are, as features."""
    if median:
        raise ValueError("gsplat has no median depth of Gaussians; use 'native' or 'torch'")
    if camera.intrinsics.requires_grad:
        raise ValueError("gsplat has no gradients by the intrinsics; use 'native' or 'torch'")
    check_finite(cloud, camera, background)
    pictures, alphas, _ = rasterization(  # pyright: ignore
        cloud.means,
        torch.nn.functional.normalize(cloud.quats, dim=-1),
        cloud.scales,
        cloud.opacities,
        cloud.colors,
        camera.world_to_camera[None],
        camera.intrinsics[None],
        camera.width,
        camera.height,
        near_plane=NEAR,
        eps2d=BLUR,
        camera_model="ortho" if camera.orthographic else "pinhole",
        render_mode="RGB+D",
    )
    rgb, alpha, depth = pictures[0, ..., :-1], alphas[0, ..., 0], pictures[0, ..., -1]
    if background is not None:
        rgb = rgb + (1 - alpha)[..., None] * background
    return View(rgb, alpha, depth)
