"""Scene and camera to View. Every backend draws the same picture; the caller chooses one."""

from collections.abc import Callable
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render import raster
from incarnate.render.backends import Backend as Backend
from incarnate.render.backends import backend_of, core
from incarnate.render.batches import rasterization as rasterization
from incarnate.render.harmonics import colors_of as colors_of
from incarnate.render.raster import Fragments as Fragments
from incarnate.render.raster import shade as shade
from incarnate.render.shading import antialias as antialias
from incarnate.render.shading import interpolate as interpolate
from incarnate.render.shading import located as located
from incarnate.render.shading import texture as texture
from incarnate.render.view import View as View
from incarnate.scene import Gaussians, Mesh, Scene

Splatter = Callable[[Gaussians, Camera, Tensor | None], View]
"""Draws Gaussians over a background, differentiably."""


def render(
    scene: Scene,
    camera: Camera,
    background: Float[Tensor, " c"] | None = None,
    backend: Backend = "native",
) -> View:
    """The picture of a scene, over black if no background is given."""
    match scene:
        case Gaussians():
            return splatter(backend)(scene, camera, background)
        case Mesh():
            return shade(scene, rasterize(scene, camera, backend), background)
        case _:
            assert_never(scene)


def rasterize(mesh: Mesh, camera: Camera, backend: Backend = "native") -> Fragments:
    """The triangle seen at each pixel; nothing of it has a gradient."""
    match backend:
        case "torch":
            return raster.rasterize(mesh, camera)
        case "native":
            return core().rasterize(mesh, camera)
        case "gsplat":
            raise ValueError("gsplat draws Gaussians only; use 'native' or 'torch' for a mesh")
        case _:
            assert_never(backend)


def contributions(
    gaussians: Gaussians,
    camera: Camera,
    pixels: Float[Tensor, "h w"] | None = None,
    backend: Backend = "native",
) -> Float[Tensor, " n"]:
    """The total blending weight of each Gaussian, in pixels; 0 where it is not seen.

    `pixels` weighs the pixels (a mask, say); all count as 1 without it.
    """
    # Weights are what a picture's sum owes to a colour.
    ones = torch.ones_like(gaussians.logit_opacities)[:, None].requires_grad_()
    bare = Gaussians(
        gaussians.means.detach(),
        gaussians.quats.detach(),
        gaussians.log_scales.detach(),
        gaussians.logit_opacities.detach(),
        ones,
    )
    with torch.enable_grad():
        seen = splatter(backend)(bare, camera, None).rgb[..., 0]
    total = (seen if pixels is None else seen * pixels).sum()
    return torch.autograd.grad(total, ones)[0][:, 0]


def splatter(name: Backend) -> Splatter:
    """The splatter of that name. ValueError or OSError if this machine cannot run it."""
    return backend_of(name).splat
