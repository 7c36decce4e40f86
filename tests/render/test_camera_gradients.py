"""What a picture owes to the camera: the core against the definition in torch."""

from dataclasses import replace

import pytest
import torch

from incarnate import _native
from incarnate.cameras import Camera
from incarnate.render.native import splat as native_splat
from incarnate.render.splat import splat as torch_splat
from incarnate.scene import Gaussians
from tests.render.clouds import camera, cloud, extremes

LENS = [0, 1, 0, 1], [0, 1, 2, 2]  # fx, fy, cx, cy.


def gradients(
    splatter, scene: Gaussians, view: Camera, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a random weighing of the picture: by the pose (4 4) and by fx, fy, cx, cy."""
    pose = view.world_to_camera.to(dtype, copy=True).requires_grad_()
    lens = view.intrinsics.to(dtype, copy=True).requires_grad_()
    parameters = (
        scene.means, scene.quats, scene.log_scales, scene.logit_opacities, scene.colors
    )  # fmt: skip
    moved = replace(view, world_to_camera=pose, intrinsics=lens)
    picture = splatter(Gaussians(*[p.to(dtype) for p in parameters]), moved, None)
    rng = torch.Generator().manual_seed(1)
    outputs = [picture.rgb, picture.alpha, picture.depth]
    torch.autograd.backward(
        outputs, [torch.rand(o.shape, generator=rng).to(dtype) for o in outputs]
    )
    assert pose.grad is not None and lens.grad is not None
    return pose.grad, lens.grad[LENS]


def turned(view: Camera) -> Camera:
    """Off the axes, so that no entry of the pose is a zero, and nearer: much is at the rim."""
    quaternion = torch.tensor([0.9, 0.1, -0.3, 0.2])
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=0).tolist()
    turn = torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 0],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 0],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y), -1.2],
            [0, 0, 0, 1],
        ]
    )
    return replace(view, world_to_camera=view.world_to_camera @ turn.to(view.world_to_camera))


def wide() -> Gaussians:
    """Much of it lies beyond the rim, where perspective is held, and reaches in."""
    scene = cloud(100)
    return replace(scene, means=2 * scene.means, log_scales=scene.log_scales + 2)


@pytest.mark.parametrize(
    "scene", [cloud(300), extremes(), wide()], ids=["cloud", "extremes", "wide"]
)
def test_the_core_owes_the_camera_what_the_definition_does(scene):
    ours = gradients(native_splat, scene, turned(camera()))
    theirs = gradients(torch_splat, scene, turned(camera()), torch.float64)
    for a, b in zip(ours, theirs, strict=True):
        assert b.abs().max() > 1
        assert (a - b).norm() <= 1e-4 * b.norm()


def test_the_definitions_camera_gradients_are_its_slopes():
    view = turned(camera(8, 8, torch.float64))
    scene = cloud(5, seed=3, dtype=torch.float64)
    wide = replace(scene, log_scales=scene.log_scales + 1.5)

    def drawn(pose, lens):
        picture = torch_splat(wide, replace(view, world_to_camera=pose, intrinsics=lens))
        return picture.rgb, picture.alpha, picture.depth

    inputs = view.world_to_camera.clone().requires_grad_(), view.intrinsics.requires_grad_()
    assert torch.autograd.gradcheck(drawn, inputs, fast_mode=True)


def test_camera_gradients_do_not_depend_on_the_number_of_threads():
    before, results = _native.threads(), []
    try:
        for count in (1, 2, 5):
            _native.set_threads(count)
            results.append(gradients(native_splat, cloud(3000), turned(camera(150, 130))))
    finally:
        _native.set_threads(before)
    for pose, lens in results[1:]:
        assert torch.equal(pose, results[0][0]) and torch.equal(lens, results[0][1])


@pytest.mark.parametrize("older", ["baseline", "v3"])
@pytest.mark.parametrize("orthographic", [False, True])
def test_older_instruction_sets_owe_the_same(older, orthographic):
    best, view = _native.instruction_set(), replace(turned(camera()), orthographic=orthographic)
    wanted = gradients(native_splat, cloud(300), view)
    try:
        _native.set_instruction_set(older)
    except ValueError:
        pytest.skip(f"this machine has no {older}")
    try:
        for a, b in zip(gradients(native_splat, cloud(300), view), wanted, strict=True):
            assert (a - b).norm() <= 1e-4 * b.norm()
    finally:
        _native.set_instruction_set(best)
