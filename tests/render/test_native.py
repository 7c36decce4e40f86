"""The compiled core against the definitions in torch, its independent twin."""

import math
from dataclasses import replace

import pytest
import torch

from incarnate import _native
from incarnate.cameras import Camera
from incarnate.render import rasterize, render
from incarnate.render.native import splat as native_splat
from incarnate.render.splat import splat as torch_splat
from incarnate.scene import Gaussians, Mesh
from tests.render.clouds import camera, cloud, extremes

NAMES = "rgb alpha depth means quats log_scales logit_opacities colors background".split()


def outputs_and_gradients(
    splatter, scene: Gaussians, view: Camera, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    parameters = (
        scene.means, scene.quats, scene.log_scales, scene.logit_opacities, scene.colors
    )  # fmt: skip
    rng = torch.Generator().manual_seed(1)
    background = torch.rand(scene.colors.shape[1], generator=rng)
    inputs = [p.to(dtype, copy=True).requires_grad_() for p in (*parameters, background)]
    view = replace(
        view,
        world_to_camera=view.world_to_camera.to(dtype),
        intrinsics=view.intrinsics.to(dtype),
    )
    picture = splatter(Gaussians(*inputs[:5]), view, inputs[5])
    outputs = [picture.rgb, picture.alpha, picture.depth]
    seeds = [torch.randn(o.shape, generator=rng).to(dtype) for o in outputs]
    torch.autograd.backward(outputs, seeds)
    gradients = [x.grad for x in inputs if x.grad is not None]
    assert len(gradients) == len(inputs)
    return [*(o.detach() for o in outputs), *gradients]


def assert_agree(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    """Float32 sums of thousands of terms agree to 1e-4, or 2e-5 of the largest.

    A pixel where an alpha is 1/255 to rounding may be drawn by one and not by the other: hence the
    few elements let off, which still may not be far off.
    """
    for name, a, b in zip(NAMES, ours, theirs, strict=True):
        assert a.isfinite().all(), name
        close = (a - b).abs() <= 1e-4 * b.abs() + 2e-5 * b.abs().max()
        assert close.float().mean() > 0.995, name
        assert (a - b).norm() <= 1e-3 * b.norm(), name


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8, 19, 32, 70])
def test_the_core_agrees_with_the_definition(channels):
    scene = cloud(300, channels)
    ours = outputs_and_gradients(native_splat, scene, camera())
    assert_agree(ours, outputs_and_gradients(torch_splat, scene, camera(), torch.float64))


def test_the_core_agrees_with_the_definition_at_extremes():
    ours = outputs_and_gradients(native_splat, extremes(), camera())
    assert_agree(ours, outputs_and_gradients(torch_splat, extremes(), camera(), torch.float64))


def test_pictures_and_gradients_do_not_depend_on_the_number_of_threads():
    """Of so many Gaussians each thread sorts a share; and many are equally deep."""
    scene = cloud(30_000)
    steps = (20 * scene.means).round() / 20
    scene = replace(scene, means=steps, log_scales=scene.log_scales - 1)
    before = _native.threads()
    results = []
    try:
        for count in (1, 2, 5):
            _native.set_threads(count)
            results.append(outputs_and_gradients(native_splat, scene, camera(150, 130)))
    finally:
        _native.set_threads(before)
    for other in results[1:]:
        for name, a, b in zip(NAMES, results[0], other, strict=True):
            assert torch.equal(a, b), name


def test_the_order_of_gaussians_does_not_matter():
    scene, order = cloud(200), torch.randperm(200, generator=torch.Generator().manual_seed(2))
    shuffled = Gaussians(
        scene.means[order],
        scene.quats[order],
        scene.log_scales[order],
        scene.logit_opacities[order],
        scene.colors[order],
    )
    assert torch.equal(render(scene, camera()).rgb, render(shuffled, camera()).rgb)


def test_nothing_draws_as_the_background():
    view = render(cloud(0), camera(), torch.tensor([0.1, 0.2, 0.3]))
    assert torch.equal(view.rgb, torch.tensor([0.1, 0.2, 0.3]).expand(60, 72, 3))


def test_what_the_core_cannot_do_is_refused():
    with pytest.raises(ValueError, match="float64"):
        render(cloud(2, dtype=torch.float64), camera())


@pytest.mark.parametrize("older", ["baseline", "v3"])
def test_older_instruction_sets_draw_the_same(older):
    best = _native.instruction_set()
    wanted = outputs_and_gradients(native_splat, cloud(300, 5), camera())
    try:
        _native.set_instruction_set(older)
    except ValueError:
        pytest.skip(f"this machine has no {older}")
    try:
        assert_agree(outputs_and_gradients(native_splat, cloud(300, 5), camera()), wanted)
    finally:
        _native.set_instruction_set(best)


def triangles(count: int) -> Mesh:
    rng = torch.Generator().manual_seed(0)
    vertices = torch.randn(100, 3, generator=rng)  # Some lie behind the camera.
    faces = torch.stack([torch.randperm(100, generator=rng)[:3] for _ in range(count)])
    return Mesh(vertices * torch.tensor([1.0, 1.0, 2.0]), faces, torch.rand(100, 3, generator=rng))


def small_triangles(count: int) -> Mesh:
    """Of a few pixels, so that their boxes leave most of the picture out."""
    rng = torch.Generator().manual_seed(4)
    corners = torch.randn(count, 1, 3, generator=rng) / 2
    corners = corners + 0.1 * torch.randn(count, 3, 3, generator=rng)
    faces = torch.arange(3 * count).reshape(count, 3)
    return Mesh(corners.flatten(0, 1), faces, torch.rand(3 * count, 3, generator=rng))


@pytest.mark.parametrize("isa", _native.instruction_sets())
@pytest.mark.parametrize("mesh", [triangles(60), small_triangles(300)], ids=["large", "small"])
@pytest.mark.parametrize("size", [(64, 96), (37, 29), (3, 2)])  # Whole tiles, parts of blocks.
def test_triangles_are_those_of_the_definition(isa, mesh, size):
    best, view = _native.instruction_set(), camera(*size)
    theirs = rasterize(mesh, view, "torch")
    _native.set_instruction_set(isa)
    try:
        ours = rasterize(mesh, view)
    finally:
        _native.set_instruction_set(best)
    same = ours.face_ids == theirs.face_ids
    assert same.float().mean() > 0.99  # The rest hang on rounding, where two triangles meet.
    assert (ours.face_ids >= 0).any()
    torch.testing.assert_close(ours.depth[same], theirs.depth[same], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ours.barycentrics[same], theirs.barycentrics[same], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_the_nearest_triangle_is_the_one_a_ray_meets_first(backend):
    mesh, view = triangles(30), camera(24, 20)
    seen = rasterize(mesh, view, backend)
    corners = view.local(mesh.vertices)[mesh.faces].double()
    hits = 0
    for y in range(view.height):
        for x in range(view.width):
            ray = torch.tensor([(x + 0.5 - 12) / 30, (y + 0.5 - 10) / 30, 1.0]).double()
            # ray z = p0 + b1 (p1 - p0) + b2 (p2 - p0)
            sides = [
                ray.expand(30, 3),
                corners[:, 0] - corners[:, 1],
                corners[:, 0] - corners[:, 2],
            ]
            z, b1, b2 = torch.linalg.solve(torch.stack(sides, 2), corners[:, 0]).unbind(1)
            met = (b1 >= 0) & (b2 >= 0) & (b1 + b2 <= 1) & (z >= 0.01)
            z = torch.where(met, z, math.inf)
            best, nearest = (int(z.argmin()), z.min()) if met.any() else (-1, z.new_zeros(()))
            assert seen.face_ids[y, x] == best
            torch.testing.assert_close(
                seen.depth[y, x].double(), nearest.double(), rtol=1e-5, atol=0
            )
            if best >= 0:
                hits += 1
                point = seen.barycentrics[y, x].double() @ corners[best]
                torch.testing.assert_close(point, ray * nearest, rtol=1e-4, atol=1e-4)
    assert hits > 100


def test_neighbouring_triangles_leave_no_gap():
    n = 37
    angle = torch.arange(n) / n * 2 * math.pi
    rim = torch.stack([angle.cos(), angle.sin(), 0.3 * angle.cos()], 1)
    mesh = Mesh(
        torch.cat([torch.zeros(1, 3), rim]),
        torch.stack([torch.zeros(n).long(), torch.arange(n) + 1, torch.arange(n).roll(-1) + 1], 1),
        torch.ones(n + 1, 3),
    )
    view = render(mesh, camera(301, 290))
    y, x = torch.meshgrid(torch.arange(290) - 144.5, torch.arange(301) - 150.0, indexing="ij")
    assert view.alpha[(x**2 + y**2).sqrt() < 95].min() == 1
    torch.testing.assert_close(view.rgb[100, 150], torch.ones(3), rtol=1e-6, atol=1e-6)


def test_vertex_colours_have_gradients():
    mesh = triangles(30)
    colors = mesh.colors.clone().requires_grad_()
    view = render(Mesh(mesh.vertices, mesh.faces, colors), camera(24, 20))
    view.rgb.sum().backward()
    assert colors.grad is not None
    # Barycentrics add up to one: all colours together owe each covered pixel once per channel.
    assert colors.grad.sum().item() == pytest.approx(3 * view.alpha.sum().item(), rel=1e-4)


@pytest.mark.skipif(len(_native.instruction_sets()) < 2, reason="only one instruction set here")
def test_gradients_belong_to_the_instruction_set_that_drew():
    """Tiles differ between sets: lists made by one are no use to another."""
    scene, best = cloud(300, 3), _native.instruction_set()

    def gradient(between: str) -> torch.Tensor:
        means = scene.means.clone().requires_grad_()
        picture = native_splat(replace(scene, means=means), camera())
        _native.set_instruction_set(between)
        (out,) = torch.autograd.grad(picture.rgb.sum(), means)
        _native.set_instruction_set(best)
        return out

    assert gradient(_native.instruction_sets()[0]).equal(gradient(best))
