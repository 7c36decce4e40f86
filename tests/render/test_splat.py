import math

import pytest
import torch

from incarnate.render import contributions, native, render, splatter
from incarnate.render import splat as splat_twin
from incarnate.render.splat import splat
from incarnate.render.view import Cloud
from incarnate.scene import Gaussians
from tests.render.clouds import camera, cloud


def single(depth: float = 3.0, opacity: float = 0.6, scale: float = 0.1) -> Gaussians:
    return Gaussians(
        torch.tensor([[0.0, 0.0, 3 - depth]]),
        torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        torch.full((1, 3), math.log(scale)),
        torch.tensor([math.log(opacity / (1 - opacity))]),
        torch.tensor([[0.2, 0.5, 0.9]]),
    )


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_one_round_gaussian_is_its_closed_form(backend):
    view = render(single(), camera(), backend=backend)
    x, y = torch.arange(72) + 0.5 - 36, torch.arange(60) + 0.5 - 30
    variance = (90 * 0.1 / 3) ** 2 + 0.3  # On the axis: the scale over depth, and the blur.
    alpha = 0.6 * torch.exp(-(x**2 + y[:, None] ** 2) / (2 * variance))
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    torch.testing.assert_close(view.alpha, alpha, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(view.depth, 3 * alpha, rtol=1e-5, atol=1e-6)
    color = torch.tensor([0.2, 0.5, 0.9])
    torch.testing.assert_close(view.rgb, alpha[..., None] * color, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_a_tilted_gaussian_has_the_slope_of_its_axes(backend):
    angle = math.radians(30)  # About the camera's axis, seen from it: x turns towards +y, up.
    tilted = Gaussians(
        torch.zeros(1, 3),
        torch.tensor([[math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]]),
        torch.tensor([[0.2, 0.05, 0.05]]).log(),
        torch.zeros(1),
        torch.ones(1, 3),
    )
    alpha = render(tilted, camera(), backend=backend).alpha
    x, y = torch.arange(72) + 0.5 - 36, (torch.arange(60) + 0.5 - 30)[:, None]
    covariance = (alpha * x * -y).sum() / alpha.sum()
    # Cutting at 1/255 narrows the ellipse alike in all directions: the ratio stays.
    spread = (alpha * (x**2 - y**2)).sum() / alpha.sum()
    assert 2 * covariance / spread == pytest.approx(math.tan(2 * angle), rel=0.01)


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_the_near_hides_the_far_and_the_background_fills_the_rest(backend):
    near, far = single(2.0, 0.7, 0.5), single(4.0, 0.8, 2.0)
    both = Gaussians(
        torch.cat([far.means, near.means]),
        torch.cat([far.quats, near.quats]),
        torch.cat([far.log_scales, near.log_scales]),
        torch.cat([far.logit_opacities, near.logit_opacities]),
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    )
    view = render(both, camera(73, 61), torch.tensor([0.0, 0.0, 1.0]), backend)
    middle = torch.tensor([0.3 * 0.8, 0.7, 0.3 * 0.2])  # The centre pixel lies on the axis.
    torch.testing.assert_close(view.rgb[30, 36], middle, rtol=1e-5, atol=1e-6)
    assert view.depth[30, 36].item() == pytest.approx(0.7 * 2 + 0.3 * 0.8 * 4, rel=1e-5)


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_a_ray_ends_before_the_gaussian_that_would_leave_it_less_than_a_ten_thousandth(backend):
    layers = 4  # 0.1 each, 0.0001 after the fourth: that one is not drawn.
    scene = Gaussians(
        torch.stack([torch.tensor([0.0, 0.0, -0.1 * i]) for i in range(layers)]),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(layers, 4),
        torch.full((layers, 3), 1.0),
        torch.full((layers,), math.log(0.9001 / 0.0999)),
        torch.eye(layers),
    )
    rgb = render(scene, camera(73, 61), backend=backend).rgb[30, 36]
    wanted = torch.tensor([0.9001, 0.9001 * 0.0999, 0.9001 * 0.0999**2, 0.0])
    torch.testing.assert_close(rgb, wanted, rtol=1e-3, atol=1e-6)


def test_gradients_of_the_definition_are_its_slopes():
    view = camera(8, 8, torch.float64)
    scene = cloud(5, seed=3, dtype=torch.float64)

    def drawn(means, quats, log_scales, logit_opacities, colors, background):
        picture = splat(
            Gaussians(means, quats, log_scales, logit_opacities, colors), view, background
        )
        return picture.rgb, picture.alpha, picture.depth

    parameters = (
        scene.means, scene.quats, scene.log_scales + 1.5, scene.logit_opacities - 1, scene.colors,
        torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )  # fmt: skip
    inputs = tuple(p.clone().requires_grad_() for p in parameters)
    assert torch.autograd.gradcheck(drawn, inputs, fast_mode=True)


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_contributions_add_up_to_alpha_and_hidden_gaussians_have_none(backend):
    scene = cloud(50)
    view = render(scene, camera(), backend=backend)
    weights = contributions(scene, camera(), backend=backend)
    torch.testing.assert_close(weights.sum(), view.alpha.sum(), rtol=1e-4, atol=0)
    torch.testing.assert_close(
        (weights[:, None] * scene.colors).sum(0), view.rgb.sum((0, 1)), rtol=1e-4, atol=0
    )
    none = contributions(scene, camera(), torch.zeros(60, 72), backend)
    assert none.abs().max() == 0


def test_gsplat_is_refused_aloud_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="CUDA"):
        splatter("gsplat")


def layers(*depths: float) -> Cloud:
    """Sheets of opacity 0.3 across the picture."""
    n = len(depths)
    return Cloud(
        torch.stack([torch.tensor([0.0, 0.0, 3 - depth]) for depth in depths]),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(n, 4),
        torch.tensor([[9.0, 9.0, 0.0]]).expand(n, 3),
        torch.full((n,), 0.3),
        torch.ones(n, 1),
    )


@pytest.mark.parametrize("draw", [splat_twin.draw, native.draw])
def test_the_median_depth_is_where_half_of_the_light_is_gone(draw):
    view = draw(layers(5.0, 1.0, 2.0, 4.0), camera(), median=True)
    assert view.median.eq(2.0).all()  # 0.7 after the first, 0.49 after the second.
    view = draw(layers(1.0), camera(), median=True)
    assert view.median.eq(0.0).all()
    assert draw(layers(1.0), camera()).median is None


def test_both_median_depths_are_one():
    cloud_ = Cloud.of(cloud(300))
    ours = native.draw(cloud_, camera(), median=True)
    theirs = splat_twin.draw(cloud_, camera(), median=True)
    assert ours.median is not None and theirs.median is not None
    assert (theirs.median > 0).float().mean() > 0.3
    close = (ours.median - theirs.median).abs() < 1e-5
    assert close.float().mean() > 0.995  # Where transmittance is a half, either is right.
    assert torch.equal(ours.rgb, native.draw(cloud_, camera()).rgb)
