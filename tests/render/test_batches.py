"""`rasterization`: gsplat's arguments, shapes and modes over both backends."""

import math

import pytest
import torch
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render import Backend, colors_of, rasterization, render
from incarnate.scene import Gaussians
from tests.render.clouds import camera, cloud

BACKENDS: list[Backend] = ["torch", "native"]


def tensors(scene: Gaussians) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return scene.means, scene.quats, scene.scales, scene.opacities, scene.colors


def rig() -> tuple[Tensor, Tensor]:
    """Two cameras, the second a little to the side and of longer focal length."""
    view = camera()
    aside, lens = view.world_to_camera.clone(), view.intrinsics.clone()
    aside[0, 3] += 0.3
    lens[0, 0] *= 1.2
    return torch.stack([view.world_to_camera, aside]), torch.stack([view.intrinsics, lens])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", ["pinhole", "ortho"])
def test_a_batch_is_its_cameras_one_by_one(backend, model):
    scene, (poses, lenses) = cloud(60), rig()
    if model == "ortho":
        lenses = lenses * torch.tensor([0.3, 0.3, 1])[:, None]
    behind = torch.rand(2, 3, generator=torch.Generator().manual_seed(3))
    pictures, alphas, info = rasterization(
        *tensors(scene), poses, lenses, 72, 60,
        render_mode="RGB+ED", backgrounds=behind, camera_model=model, median=True, backend=backend,
    )  # fmt: skip
    assert pictures.shape == (2, 60, 72, 4) and alphas.shape == (2, 60, 72, 1)
    medians = info["median_depths"]
    assert info["n_cameras"] == 2
    assert isinstance(medians, Tensor) and medians.shape == (2, 60, 72, 1)
    for i in range(2):
        own = Camera(poses[i], lenses[i], 72, 60, model == "ortho")
        view = render(scene, own, behind[i], backend)
        torch.testing.assert_close(pictures[i, ..., :3], view.rgb, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(alphas[i, ..., 0], view.alpha, rtol=1e-5, atol=1e-5)
        depth = pictures[i, ..., 3] * view.alpha
        torch.testing.assert_close(depth, view.depth, rtol=1e-4, atol=1e-4)


def test_modes_are_channels_of_one_another():
    scene, (poses, lenses) = cloud(60), rig()
    drawn = {
        mode: rasterization(*tensors(scene), poses, lenses, 72, 60, render_mode=mode)[:2]
        for mode in ("RGB", "D", "ED", "RGB+D", "RGB+ED")
    }
    rgb, blended = drawn["RGB"][0], drawn["D"][0]
    assert torch.equal(drawn["RGB+D"][0], torch.cat([rgb, blended], -1))
    expected = blended / drawn["RGB"][1].clamp_min(1e-10)
    assert torch.equal(drawn["RGB+ED"][0], torch.cat([rgb, expected], -1))
    assert torch.equal(drawn["ED"][0], expected)


def test_harmonics_are_seen_from_each_camera():
    scene, (poses, lenses) = cloud(40), rig()
    sh = torch.randn(40, 16, 3, generator=torch.Generator().manual_seed(4))
    geometry = tensors(scene)[:4]
    seen = rasterization(*geometry, sh, poses, lenses, 72, 60, sh_degree=2)[0]
    centers = -(poses[:, :3, :3].mT @ poses[:, :3, 3:])[..., 0]
    per_camera = torch.stack([colors_of(sh[:, :9], scene.means - center) for center in centers])
    wanted = rasterization(*geometry, per_camera, poses, lenses, 72, 60)[0]
    torch.testing.assert_close(seen, wanted)
    with pytest.raises(ValueError, match="16 coefficients, colors have 9"):
        rasterization(*geometry, sh[:, :9], poses, lenses, 72, 60, sh_degree=3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_by_name(backend, bad):
    names = "means quats scales opacities colors world_to_camera intrinsics background".split()
    for index, name in enumerate(names):
        poses, lenses = rig()
        values = [t.clone() for t in (*tensors(cloud(5)), poses, lenses, torch.zeros(2, 3))]
        values[index].flatten()[1] = bad  # A view: the clone is contiguous.
        means, quats, scales, opacities, colors, poses, lenses, behind = values
        with pytest.raises(ValueError, match=f"^{name} "):
            rasterization(
                means, quats, scales, opacities, colors, poses, lenses, 72, 60,
                backgrounds=behind, backend=backend,
            )  # fmt: skip


def test_large_finite_numbers_are_no_reason_to_refuse():
    scene = cloud(5)
    far = scene.means + torch.tensor([3e38, 0, 0])  # Their sum overflows.
    rest = tensors(scene)[1:]
    pictures, _, _ = rasterization(far, *rest, *rig(), 72, 60)
    assert pictures.eq(0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["RGB+D", "RGB+ED"])
def test_degenerate_scenes_are_finite_and_so_are_their_gradients(backend, mode):
    scene = cloud(12)
    means, quats, scales, opacities, colors = [t.clone() for t in tensors(scene)]
    means[0, 2], means[1, 2] = 5.0, 3.0  # Behind the camera, and at it.
    scales[2], scales[3, 0] = 0, 0
    opacities[4], opacities[5], opacities[6] = 0, 1, 1
    scales[5], scales[6] = 0.3, 1e-12
    quats[7] = torch.tensor([0.0, 1e-3, 0.0, 0.0])
    poses, lenses = rig()
    inputs = [means, quats, scales, opacities, colors, poses, lenses]
    for tensor in inputs:
        tensor.requires_grad_()
    pictures, alphas, _ = rasterization(
        means, quats, scales, opacities, colors, poses, lenses, 72, 60,
        render_mode=mode, backend=backend,
    )  # fmt: skip
    assert alphas.max() > 0.99 and pictures.isfinite().all()
    (pictures.sum() + alphas.sum()).backward()
    for tensor in inputs:
        assert tensor.grad is not None and tensor.grad.isfinite().all()
    assert means.grad is not None and means.grad[0].eq(0).all()


def test_no_camera_is_refused():
    poses, lenses = rig()
    with pytest.raises(ValueError, match="0 viewmats came with 0 Ks"):
        rasterization(*tensors(cloud(5)), poses[:0], lenses[:0], 72, 60)
