import math
from dataclasses import replace

import pytest
import torch
from scipy.special import sph_harm_y

from incarnate.render.harmonics import colors_of, directions, harmonics
from tests.render.clouds import camera


def some(n: int, *rest: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, *rest, generator=rng, dtype=torch.float64)


def test_harmonics_are_orthonormal():
    # Sums over equal steps in azimuth and in z at the midpoints: exact in azimuth, 1e-4 in z.
    z = (torch.arange(400, dtype=torch.float64) + 0.5) / 200 - 1
    azimuth = torch.arange(16, dtype=torch.float64) * math.pi / 8
    z, azimuth = (grid.flatten() for grid in torch.meshgrid(z, azimuth, indexing="ij"))
    across = (1 - z * z).sqrt()
    sphere = torch.stack([across * azimuth.cos(), across * azimuth.sin(), z], -1)
    values = harmonics(sphere, 3)
    products = values.T @ values * 4 * math.pi / len(z)
    torch.testing.assert_close(products, torch.eye(16).double(), rtol=0, atol=2e-4)


def test_orders_and_signs_are_those_of_the_associated_legendre_polynomials():
    # Y_lm = N (-1)^m' P_lm(cos theta) cos or sin(m phi), by scipy's own recurrences.
    sphere = torch.nn.functional.normalize(some(20, 3), dim=-1)
    theta, azimuth = sphere[:, 2].acos().numpy(), torch.atan2(sphere[:, 1], sphere[:, 0]).numpy()
    wanted = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), theta, azimuth)  # With (-1)^m.
            part = value.imag if order < 0 else value.real
            wanted.append(torch.from_numpy(part * (math.sqrt(2) if order else 1)))
    torch.testing.assert_close(harmonics(3 * sphere, 3), torch.stack(wanted, -1))


def test_degree_one_is_its_closed_form():
    sh, ways = some(50, 4, 3), some(50, 3, seed=1)
    x, y, z = (ways / ways.norm(dim=1, keepdim=True)).T[..., None]
    linear = 0.4886025119029199 * (-y * sh[:, 1] + z * sh[:, 2] - x * sh[:, 3])
    wanted = 0.5 + 0.28209479177387814 * sh[:, 0] + linear
    torch.testing.assert_close(colors_of(sh, ways), torch.where(wanted > 0, wanted, 0))


def test_colors_have_gradients_by_coefficients_and_by_the_camera():
    means, sh, view = some(6, 3), some(6, 16, 3, seed=1), camera(8, 8, torch.float64)

    def seen(sh, means, pose):
        return colors_of(sh, directions(means, replace(view, world_to_camera=pose)))

    inputs = [t.requires_grad_() for t in (sh, means, view.world_to_camera)]
    assert torch.autograd.gradcheck(seen, inputs, fast_mode=True)


def test_other_numbers_of_coefficients_are_refused():
    with pytest.raises(ValueError, match="not 5"):
        colors_of(some(2, 5, 3), some(2, 3))
