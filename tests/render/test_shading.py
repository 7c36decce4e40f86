"""What follows the z-buffer: attributes, textures and outlines, with gradients."""

import math
from dataclasses import replace

import pytest
import torch

from incarnate.cameras import Camera
from incarnate.render import antialias, interpolate, located, rasterize, texture
from incarnate.scene import Mesh
from tests.render.clouds import camera


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


def tent() -> tuple[torch.Tensor, torch.Tensor]:
    """Two triangles that share an edge, at a slant."""
    vertices = [[-1.0, -0.6, 0.3], [0.9, -0.8, -0.5], [0.1, 0.9, 0.4], [1.1, 0.8, -0.9]]
    return torch.tensor(vertices).double(), torch.tensor([[0, 1, 2], [1, 3, 2]])


def seen_by(vertices: torch.Tensor, faces: torch.Tensor, view: Camera):
    flat = Camera(view.world_to_camera.float(), view.intrinsics.float(), view.width, view.height)
    mesh = Mesh(vertices.detach().float(), faces, torch.zeros(len(vertices), 1))
    return rasterize(mesh, flat)


def test_located_fragments_are_the_rasterizer_s():
    vertices, faces = tent()
    view = camera(40, 36, torch.float64)
    fragments = seen_by(vertices, faces, view)
    ours = located(vertices, faces, view, fragments)
    assert (fragments.face_ids >= 0).sum() > 300
    torch.testing.assert_close(ours.barycentrics.float(), fragments.barycentrics, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.depth.float(), fragments.depth, atol=1e-5, rtol=0)


def test_positions_as_attributes_lie_on_the_rays():
    vertices, faces = tent()
    view = camera(40, 36, torch.float64)
    fragments = located(vertices, faces, view, seen_by(vertices, faces, view))
    points = interpolate(vertices, faces, fragments)
    seen = fragments.face_ids >= 0
    y, x = seen.nonzero(as_tuple=True)
    pixels = torch.stack([x, y], 1) + 0.5
    torch.testing.assert_close(view.project(points[seen]), pixels.double())
    assert not points[~seen].any()


def test_gradients_of_interpolation_to_attributes_vertices_and_camera():
    vertices, faces = tent()
    view = camera(12, 10, torch.float64)
    fragments = seen_by(vertices, faces, view)

    def picture(attributes: torch.Tensor, at: torch.Tensor, pose: torch.Tensor):
        moved = located(at, faces, replace(view, world_to_camera=pose), fragments)
        return interpolate(attributes, faces, moved), moved.depth

    inputs = [random(4, 2), vertices, view.world_to_camera]
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(picture, inputs, fast_mode=True)


@pytest.mark.parametrize("edge", ["wrap", "clamp"])
def test_gradients_of_texture_to_image_and_uv(edge):
    image = random(9, 14, 2).requires_grad_()
    for spread in (0.3, 5.0):  # Within a texel a pixel, and through the mip levels.
        uv = (spread * random(4, 5, 2, seed=1) - 0.2).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda a, b: texture(a, b, edge), (image, uv), fast_mode=True
        )


@pytest.mark.parametrize("edge", ["wrap", "clamp"])
def test_a_constant_image_is_constant_everywhere(edge):
    image = torch.tensor([0.2, 0.7]).expand(7, 5, 2)
    sampled = texture(image, 30 * random(8, 9, 2).float() - 15, edge)
    torch.testing.assert_close(sampled, image[:1, :1].expand(8, 9, 2))


def grid(height: int, width: int) -> torch.Tensor:
    y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def test_one_pixel_a_texel_gives_the_texels():
    image = random(6, 10, 3).float()
    torch.testing.assert_close(texture(image, grid(6, 10)), image, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(texture(image, grid(6, 10) + 2), image, atol=1e-5, rtol=1e-4)
    ends = texture(image, grid(6, 10) - 0.3, "clamp")
    torch.testing.assert_close(ends[0, 0], image[0, 0])


def test_a_seam_does_not_blur_the_pixels_at_it():
    image = random(32, 32, 1).float()
    one, other = grid(8, 16)[:, :8], grid(8, 16)[:, 8:].flip(0, 1) * 0.5
    apart = torch.cat([texture(image, one), texture(image, other)], 1)
    torch.testing.assert_close(texture(image, torch.cat([one, other], 1)), apart)


def test_a_checkerboard_far_away_is_grey():
    board = ((torch.arange(64) + torch.arange(64)[:, None]) % 2).float()[..., None]
    assert (texture(board, grid(16, 16)) - 0.5).abs().max() < 1e-6
    half = texture(board, 0.999 * grid(45, 45))  # Half a level up: half the contrast or less.
    assert 0.05 < (half - 0.5).abs().max() < 0.3


def area(
    vertices: torch.Tensor, faces: torch.Tensor, view: Camera, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    fragments = seen_by(vertices, faces, view)
    mask = (fragments.face_ids >= 0)[..., None].double()
    return (antialias(mask, fragments, vertices, faces, view)[..., 0] * weights).sum()


def square(angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    ).double()
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]).double()
    return 0.6013 * corners @ turn.T, torch.tensor([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4 - 0.01, 1.2])
def test_a_square_grows_as_its_area_does(angle):
    vertices, faces = square(angle)
    view = camera(72, 60, torch.float64)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    covered = area(scale * vertices, faces, view)
    exact = (2 * 0.6013 * 90 / 3) ** 2  # Pixels: the focal length is 90, the distance 3.
    assert abs(covered.item() / exact - 1) < 0.003
    covered.backward()
    assert scale.grad is not None
    # d/ds (s a)^2 = 2 a^2; corners, where two edges meet within a pixel, are the rest.
    assert abs(scale.grad.item() / (2 * exact) - 1) < 0.03


def ball(rings: int, shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    n = 2 * rings
    theta = torch.arange(rings + 1).double() / rings * math.pi
    phi = torch.arange(n).double() / n * 2 * math.pi
    ring = torch.stack(
        [
            theta.sin()[:, None] * phi.cos(),
            theta.cos()[:, None].expand(-1, n),
            theta.sin()[:, None] * phi.sin(),
        ],
        -1,
    )
    at = torch.arange(rings)[:, None] * n + torch.arange(n)
    right = at.roll(-1, 1)
    faces = torch.stack([at, right, at + n, right, right + n, at + n], -1).reshape(-1, 3)
    return 0.6 * ring.flatten(0, 1) + torch.tensor([shift, 0, 0]).double(), faces


def test_the_outline_of_small_triangles_moves_with_them():
    """Against differences of a picture sixteen times as large; triangles are under a pixel."""
    vertices, faces = ball(60, 0.1)
    view = camera(72, 60, torch.float64)
    ramp = torch.linspace(0, 1, 72).double() ** 2
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def moved(s: torch.Tensor) -> torch.Tensor:
        return (1 + s[0]) * vertices + torch.stack([s[1], 0 * s[1], 0 * s[1]])

    area(moved(shift), faces, view, ramp).backward()
    assert shift.grad is not None
    fine = view.resized(72 * 16, 60 * 16)
    weights = ramp.repeat_interleave(16) / 256
    for i in range(2):
        step = torch.zeros(2).double()
        step[i] = 0.01
        ends = [
            ((seen_by(moved(s), faces, fine).face_ids >= 0) * weights).sum() for s in (step, -step)
        ]
        assert abs(shift.grad[i] / ((ends[0] - ends[1]) / 0.02) - 1) < 0.03


@pytest.mark.parametrize("back", [0, 2])  # Metres that the square stands back: 2 is hidden.
def test_outlines_before_others_and_hidden_ones(back: int):
    vertices, faces = square(0.3)
    wall = [[-9.0, -9, -1.4], [9, -9, -0.6], [9, 9, -0.6], [-9, 9, -1.4]]
    at = torch.cat([vertices - torch.tensor([0, 0, back]), torch.tensor(wall).double()])
    at.requires_grad_()
    view = camera(72, 60, torch.float64)
    both = torch.cat([faces, faces + 4])
    fragments = seen_by(at, both, view)
    colors = torch.cat([torch.ones(4, 1), back * random(4, 1)]).double()
    picture = interpolate(colors, both, fragments)
    smooth = antialias(picture, fragments, at, both, view)
    (gradient,) = torch.autograd.grad((smooth * random(60, 72, 1)).sum(), at)
    assert gradient[:4].any() == (back == 0) and not gradient[4:].any()
    if back:
        assert torch.equal(smooth, picture)
    else:
        assert abs(smooth.sum().item() / (2 * 0.6013 * 90 / 3) ** 2 - 1) < 0.003


def test_colors_keep_their_gradients_and_their_sum_of_weights():
    vertices, faces = square(0.3)
    view = camera(24, 20, torch.float64)
    fragments = seen_by(vertices, faces, view)
    colors = random(20, 24, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: antialias(c, fragments, vertices, faces, view), (colors,), fast_mode=True
    )
    same = torch.full((20, 24, 2), 0.4).double()
    torch.testing.assert_close(antialias(same, fragments, vertices, faces, view), same)
