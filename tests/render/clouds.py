"""Scenes for the tests of rendering."""

import torch

from incarnate.cameras import Camera, look_at
from incarnate.scene import Gaussians


def cloud(
    n: int, channels: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Gaussians:
    """A ball of random Gaussians around the origin, metres."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng, dtype=dtype)

    return Gaussians(
        0.5 * normal(n, 3),
        normal(n, 4),
        0.7 * normal(n, 3) - 3,
        1.5 * normal(n) + 1,
        torch.rand(n, channels, generator=rng, dtype=dtype),
    )


def extremes() -> Gaussians:
    """A cloud with what breaks rasterisers in it."""
    scene = cloud(60)
    means, log_scales = scene.means.clone(), scene.log_scales.clone()
    logit_opacities, quats = scene.logit_opacities.clone(), scene.quats.clone()
    means[0] = torch.tensor([0.0, 0.0, 5.0])  # Behind the camera.
    means[1] = torch.tensor([0.0, 0.0, 3.0])  # At the camera.
    means[2] = torch.tensor([0.0, 0.0, 2.985])  # Just beyond the near plane.
    means[3] = torch.tensor([2.5, 0.0, 1.5])  # Far beside the picture, where perspective is held.
    means[4] = torch.tensor([1e6, 0.0, 0.0])
    logit_opacities[5], logit_opacities[6] = 30.0, -30.0
    logit_opacities[7] = -5.53  # Just under 1/255.
    log_scales[8], log_scales[9] = -20.0, 3.0
    log_scales[10] = torch.tensor([-9.0, -9.0, 1.0])  # A needle.
    quats[11] *= 1e4
    return Gaussians(means, quats, log_scales, logit_opacities, scene.colors)


def camera(width: int = 72, height: int = 60, dtype: torch.dtype = torch.float32) -> Camera:
    """Three metres in front of the cloud; the size is no multiple of a tile's."""
    eye = torch.tensor([0.0, 0.0, 3.0], dtype=dtype)
    return look_at(eye, torch.zeros(3, dtype=dtype), 1.25 * width, width, height)
