"""Gaussian splatting, defined in plain torch: every Gaussian at every pixel, for small scenes.

The picture is gsplat's (Ye et al. 2024; Kerbl et al. 2023, Eq. 2 to 6): EWA projection, blending
near to far. Differentiable in everything, the camera included, except where an alpha is cut or
clamped.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render.view import Cloud, View, check_finite
from incarnate.scene import Gaussians

NEAR = 0.01  # Metres; nothing nearer is drawn.
BLUR = 0.3  # Square pixels added to every footprint, as in 3DGS: none falls between two pixels.
ALPHA_MIN = 1 / 255  # A weaker alpha is none.
ALPHA_MAX = 0.999
T_MIN = 1e-4  # A ray ends before the Gaussian that would leave it less light.
MARGIN = 0.15  # Share of the picture, on each side, beyond which the perspective is held constant.


def splat(
    gaussians: Gaussians, camera: Camera, background: Float[Tensor, " c"] | None = None
) -> View:
    """The picture of a scene; memory grows with Gaussians times pixels."""
    return draw(Cloud.of(gaussians), camera, background)


def draw(
    cloud: Cloud,
    camera: Camera,
    background: Float[Tensor, " c"] | None = None,
    median: bool = False,
) -> View:
    """The picture of a cloud, with its median depth if asked for (which has no gradient)."""
    check_finite(cloud, camera, background)
    shown = _sorted(cloud, camera)
    z, alphas = camera.local(shown.means)[:, 2], _alphas(shown, camera)
    weights = _weights(alphas)
    alpha = weights.sum(0)
    rgb = torch.einsum("nhw,nc->hwc", weights, shown.colors)
    if background is not None:
        rgb = rgb + (1 - alpha)[..., None] * background
    depth = torch.einsum("nhw,n->hw", weights, z)
    return View(rgb, alpha, depth, _medians(alphas.detach(), z.detach()) if median else None)


def _medians(alphas: Float[Tensor, "n h w"], z: Float[Tensor, " n"]) -> Float[Tensor, "h w"]:
    below = torch.cumprod(1 - alphas, 0) <= 0.5
    below = torch.cat([below, below.new_ones(1, *below.shape[1:])])
    return torch.cat([z, z.new_zeros(1)])[below.int().argmax(0)]  # The first; 0 if none.


def _sorted(cloud: Cloud, camera: Camera) -> Cloud:
    """Those in front of the camera, near to far; of equal depths, in order."""
    z = camera.local(cloud.means)[:, 2].detach()
    seen = torch.nonzero(z >= NEAR)[:, 0]
    seen = seen[torch.argsort(z[seen], stable=True)]
    return Cloud(
        cloud.means[seen],
        cloud.quats[seen],
        cloud.scales[seen],
        cloud.opacities[seen],
        cloud.colors[seen],
    )


def _weights(alphas: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """What each Gaussian, near to far, adds to each pixel."""
    after = torch.cumprod(1 - alphas, 0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    return before * alphas * (after > T_MIN)


def _alphas(cloud: Cloud, camera: Camera) -> Float[Tensor, "n h w"]:
    centers = camera.project(cloud.means)
    covariances = footprints(cloud, camera)
    xx, xy, yy = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    determinant = xx * yy - xy * xy
    x = torch.arange(camera.width).to(centers) + 0.5
    y = torch.arange(camera.height).to(centers) + 0.5
    dx = (x - centers[:, :1])[:, None, :]
    dy = (y - centers[:, 1:])[:, :, None]
    lone = (slice(None), None, None)
    distance = yy[lone] * dx * dx - 2 * xy[lone] * dx * dy + xx[lone] * dy * dy
    alpha = cloud.opacities[lone] * torch.exp(-0.5 * distance / determinant[lone])
    return torch.where(alpha >= ALPHA_MIN, alpha.clamp(max=ALPHA_MAX), 0)


def footprints(cloud: Cloud, camera: Camera) -> Float[Tensor, "n 2 2"]:
    """Covariances in square pixels (Zwicker et al. 2001, Eq. 24 to 31), blur included.

    Meaningless for Gaussians at or behind the camera.
    """
    jacobian = _jacobians(camera.local(cloud.means), camera) @ camera.world_to_camera[:3, :3]
    half = jacobian @ _matrices(cloud.quats) * cloud.scales[:, None]
    return half @ half.mT + BLUR * torch.eye(2).to(half)


def _jacobians(local: Float[Tensor, "n 3"], camera: Camera) -> Float[Tensor, "#n 2 3"]:
    """Pixels per metre, by camera axes."""
    if camera.orthographic:
        return camera.intrinsics[None, :2] * local.new_tensor([1, 1, 0])
    fx, fy = camera.intrinsics[0, 0], camera.intrinsics[1, 1]
    cx, cy = camera.intrinsics[0, 2], camera.intrinsics[1, 2]
    spare_x, spare_y = MARGIN * camera.width / fx, MARGIN * camera.height / fy
    z = local[:, 2]
    u = torch.clamp(local[:, 0] / z, -cx / fx - spare_x, (camera.width - cx) / fx + spare_x)
    v = torch.clamp(local[:, 1] / z, -cy / fy - spare_y, (camera.height - cy) / fy + spare_y)
    zero = torch.zeros_like(z)
    across = torch.stack([fx / z, zero, -fx * u / z], -1)
    along = torch.stack([zero, fy / z, -fy * v / z], -1)
    return torch.stack([across, along], -2)


def _matrices(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    """Rotations of quaternions wxyz of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)
