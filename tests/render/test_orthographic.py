"""Orthographic cameras: neither size nor place on the picture depends on depth."""

import math
from dataclasses import replace

import pytest
import torch

from incarnate.cameras import Camera
from incarnate.render import Backend, rasterize, render
from incarnate.render.native import splat as native_splat
from incarnate.render.splat import splat as torch_splat
from incarnate.scene import Gaussians, Mesh
from tests.render.clouds import camera, cloud, extremes
from tests.render.test_camera_gradients import gradients, turned, wide
from tests.render.test_native import assert_agree, outputs_and_gradients, triangles

BACKENDS: list[Backend] = ["torch", "native"]


def flat(width: int = 72, height: int = 60) -> Camera:
    """Thirty pixels per metre across, twenty down, three metres before the origin."""
    lens = torch.tensor([[30.0, 0, width / 2], [0, 20.0, height / 2], [0, 0, 1]])
    return replace(camera(width, height), intrinsics=lens, orthographic=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("depth", [0.02, 3.0, 500.0])
def test_a_gaussian_is_its_closed_form_at_any_depth(backend, depth):
    scene = Gaussians(
        torch.tensor([[0.4, 0.5, 3 - depth]]),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        torch.full((1, 3), math.log(0.1)),
        torch.zeros(1),
        torch.ones(1, 1),
    )
    view = render(scene, flat(), backend=backend)
    x, y = torch.arange(72) + 0.5 - 36 - 30 * 0.4, torch.arange(60) + 0.5 - 30 + 20 * 0.5
    across, down = (30 * 0.1) ** 2 + 0.3, (20 * 0.1) ** 2 + 0.3
    alpha = 0.5 * torch.exp(-0.5 * (x**2 / across + y[:, None] ** 2 / down))
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    torch.testing.assert_close(view.alpha, alpha, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(view.depth, depth * alpha, rtol=2e-5, atol=2e-6 * depth)


@pytest.mark.parametrize("scene", [cloud(300), extremes()], ids=["cloud", "extremes"])
def test_the_core_agrees_with_the_definition(scene):
    ours = outputs_and_gradients(native_splat, scene, flat())
    assert_agree(ours, outputs_and_gradients(torch_splat, scene, flat(), torch.float64))


@pytest.mark.parametrize("scene", [cloud(300), wide()], ids=["cloud", "wide"])
def test_the_core_owes_the_camera_what_the_definition_does(scene):
    ours = gradients(native_splat, scene, turned(flat()))
    theirs = gradients(torch_splat, scene, turned(flat()), torch.float64)
    for a, b in zip(ours, theirs, strict=True):
        assert b.abs().max() > 1
        assert (a - b).norm() <= 1e-4 * b.norm()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sloping_square_is_a_rectangle_of_linear_depth(backend):
    corners = torch.tensor([[-0.5, -1.0, 1.0], [0.5, -1.0, 1.0], [0.5, 1.0, -2.0], [-0.5, 1, -2]])
    mesh = Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), corners - corners.min())
    seen = rasterize(mesh, flat(), backend)
    x, y = (torch.arange(72) + 0.5 - 36) / 30, -(torch.arange(60) + 0.5 - 30)[:, None] / 20
    inside = (x.abs() < 0.5) & (y.abs() < 1)
    assert torch.equal(seen.face_ids >= 0, inside)
    depth = torch.where(inside, 3 - (1 - 1.5 * (y + 1)), 0)
    torch.testing.assert_close(seen.depth, depth, rtol=1e-5, atol=1e-5)
    rgb = render(mesh, flat(), backend=backend).rgb[inside]  # Vertex colours are their places.
    wanted = torch.stack([x.expand(60, 72), y.expand(60, 72), 3 - depth], -1)[inside] + 2
    torch.testing.assert_close(rgb, wanted, rtol=1e-5, atol=1e-5)


def test_the_core_sees_the_triangles_that_the_definition_sees():
    mesh, view = triangles(30), flat(100, 90)
    ours, theirs = rasterize(mesh, view), rasterize(mesh, view, "torch")
    assert (theirs.face_ids >= 0).float().mean() > 0.3
    same = ours.face_ids == theirs.face_ids
    assert same.float().mean() > 0.999
    torch.testing.assert_close(ours.depth[same], theirs.depth[same], rtol=1e-5, atol=1e-5)


def test_points_are_projected_as_they_are_drawn():
    view, points = flat(), torch.tensor([[0.4, 0.5, 2.0], [0.4, 0.5, -7.0]])
    torch.testing.assert_close(view.project(points), torch.tensor([[48.0, 20.0]]).expand(2, 2))
    window = view.resized(144, 120).cropped(10, 20, 50, 50)
    torch.testing.assert_close(window.project(points[0]), torch.tensor([86.0, 20.0]))
