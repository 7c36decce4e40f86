"""A sphere has a closed form; in it, and beside it, the field's picture is that."""

import math
from dataclasses import replace

import pytest
import torch

from incarnate.cameras import Camera, look_at, orbit
from incarnate.metrics import silhouette_iou
from incarnate.render.march import march
from incarnate.scene.field import SignedField, ellipsoid, stretch, unevenness

RADIUS = 0.4
FAR = 3.0
SPACING = 0.05


def ball(radius=RADIUS, center=(0.0, 0.0, 0.0), spacing=SPACING):
    low, high = torch.full((3,), -0.7), torch.full((3,), 0.7)
    return ellipsoid(low, high, torch.tensor(center), torch.full((3,), radius), spacing)


def lens(size=40, azimuth=0.4, elevation=0.3, extent=1.2):
    """Of a fov at which the sphere's middle is FAR metres away."""
    fov = 2 * math.atan(extent / 2 / FAR)
    return orbit(torch.zeros(3), extent, azimuth, elevation, size, size, fov)


def orthographic(size=40):
    camera = look_at(torch.tensor([0.0, 0.0, FAR]), torch.zeros(3), size / 1.2, size, size)
    return replace(camera, orthographic=True)


def seen_sphere(camera: Camera, radius=RADIUS):
    """Whether each pixel's centre sees a sphere at the origin; depth and normals where it does."""
    k = camera.intrinsics
    v, u = torch.meshgrid(
        torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij"
    )
    plane = torch.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]], -1)
    one, zero = torch.ones_like(plane[..., :1]), torch.zeros_like(plane[..., :1])
    middle = camera.local(torch.zeros(3))
    if camera.orthographic:
        o, d = torch.cat([plane, zero], -1), torch.cat([zero, zero, one], -1)
    else:
        o, d = torch.zeros(3), torch.cat([plane, one], -1)
    b, a = ((o - middle) * d).sum(-1), d.square().sum(-1)
    inner = b**2 - a * ((o - middle).square().sum(-1) - radius**2)
    depth = (-b - inner.clamp(min=0).sqrt()) / a
    hit = inner > 0
    normal = (o + depth[..., None] * d - middle) / radius
    return hit, torch.where(hit, depth, 0), torch.where(hit[..., None], normal, 0), inner


@pytest.mark.parametrize("camera", [lens(), lens(azimuth=2.5), orthographic()])
def test_a_ball_is_its_closed_form(camera):
    seen = march(ball(), [camera], 0.002)
    hit, depth, normal, inner = seen_sphere(camera)
    assert silhouette_iou(seen.alpha[0], hit.float()) > 0.98
    # Between nodes values are chords: off by spacing^2 / 8 for each of two curvatures of
    # 1 / radius, 1.6 mm along the normal, and within a section by as much as .8 / radius more,
    # 0.6 mm; on rays that meet the ball at a cosine of .2^.5 or more, 4.9 mm of depth.
    steep = inner / inner.max() > 0.2
    assert seen.alpha[0][steep].min() > 0.999
    assert (seen.depth[0] - depth)[steep].abs().max() < 0.005
    cosine = ((seen.normal[0] * normal).sum(-1) / seen.alpha[0])[steep]
    assert cosine.min() > math.cos(math.radians(1.0))
    assert seen.alpha[0][~hit & (inner < -0.01)].max() < 1e-3


def test_several_cameras_see_what_each_sees_alone():
    cameras = [lens(24), lens(24, azimuth=-1.0)]
    both = march(ball(center=(0.1, 0.0, 0.05)), cameras, 0.01)
    for i, camera in enumerate(cameras):
        alone = march(ball(center=(0.1, 0.0, 0.05)), [camera], 0.01)
        torch.testing.assert_close(both.alpha[i], alone.alpha[0])
        torch.testing.assert_close(both.depth[i], alone.depth[0])
        torch.testing.assert_close(both.normal[i], alone.normal[0])


def test_alpha_beside_an_outline_is_a_sigmoid_of_the_distance():
    # Along a ray f falls to its least value and rises again: 1 - alpha is F there (over F before).
    camera, deviation = lens(), 0.02
    alpha = march(ball(spacing=0.02), [camera], deviation).alpha[0]
    k, turn = camera.intrinsics, camera.world_to_camera[:3, :3]
    v, u = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    d = torch.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], torch.ones_like(u)], -1)
    way = torch.nn.functional.normalize(d @ turn, dim=-1)
    closest = camera.center - (way @ camera.center)[..., None] * way
    expected = torch.sigmoid(-(closest.norm(dim=-1) - RADIUS) / deviation)
    outside = closest.norm(dim=-1) > RADIUS - 0.05
    # The least value lies between two ends of sections: half a spacing away at most, where f is
    # higher by 0.01^2 / 2 / 0.4 = 0.1 mm; chords (above) give another 0.1 mm. A slope of 1/4 / s.
    assert (alpha - expected)[outside].abs().max() < 0.25 / deviation * 4e-4


def test_what_is_near_hides_what_is_far():
    near, far = ball(0.2, (0.0, 0.0, 0.35)), ball(0.3, (0.0, 0.0, -0.3))
    both = replace(near, values=torch.minimum(near.values, far.values))
    camera = lens(azimuth=0.0, elevation=0.0)
    seen, front = march(both, [camera], 0.004), march(near, [camera], 0.004)
    middle = (0, slice(17, 23), slice(17, 23))
    torch.testing.assert_close(seen.depth[middle], front.depth[middle], rtol=1e-4, atol=1e-4)
    assert seen.alpha.sum() > 1.2 * front.alpha.sum()


def test_pictures_show_left_red_up_green_and_the_viewer_blue():
    picture = march(ball(), [lens(elevation=0.0)], 0.002).pictures()[0]
    assert picture[20, 20, 2] > 0.98 and abs(float(picture[20, 20, 0]) - 0.5) < 0.06
    assert picture[20, 28, 0] > 0.75 > 0.25 > picture[20, 11, 0]
    assert picture[11, 20, 1] > 0.75 > 0.25 > picture[28, 20, 1]
    assert picture[0, 0].abs().max() == 0


def test_nothing_in_sight_is_black_and_has_a_gradient_of_nought():
    low = torch.zeros(3)
    values = torch.ones(6, 6, 6, requires_grad=True)
    seen = march(SignedField(values, low, 0.05), [lens(8)], 0.01)
    (seen.alpha.sum() + seen.depth.sum() + seen.normal.sum()).backward()
    assert seen.alpha.abs().max() == 0
    assert values.grad is not None and values.grad.abs().max() == 0


def test_gradients_are_those_of_finite_differences():
    rng = torch.Generator().manual_seed(0)
    round_ = ball(spacing=0.14)
    rough = round_.values.double() + 0.02 * torch.randn(round_.values.shape, generator=rng)
    field = SignedField(rough, round_.low.double(), 0.14)
    camera = lens(8)
    camera = replace(
        camera,
        world_to_camera=camera.world_to_camera.double(),
        intrinsics=camera.intrinsics.double(),
    )
    weights = torch.randn(5, 8, 8, generator=rng, dtype=torch.float64)

    def loss(values):
        # So soft that sections come in or fall out with weights of no account.
        seen = march(replace(field, values=values), [camera], 0.05)
        parts = torch.cat([seen.alpha, seen.depth, seen.normal[0].movedim(-1, 0)])
        return (parts * weights).sum()

    values = rough.clone().requires_grad_()
    (ours,) = torch.autograd.grad(loss(values), values)
    for seed in range(4):
        rng = torch.Generator().manual_seed(seed)
        way = torch.randn(rough.shape, generator=rng, dtype=torch.float64)
        step = 1e-6
        slope = (loss(rough + step * way) - loss(rough - step * way)) / (2 * step)
        # Where sections meet the place of the surface jumps (a crossing moves on): 1e-3 of leeway.
        assert (ours * way).sum().item() == pytest.approx(slope.item(), rel=1e-3)


def test_a_ball_grows_to_the_outline_it_is_shown():
    camera = lens(24)
    with torch.no_grad():
        wanted = march(ball(0.5), [camera], 0.02).alpha
    start = ball(0.35)
    values = start.values.clone().requires_grad_()
    descent = torch.optim.Adam([values], lr=0.01)
    for _ in range(40):
        descent.zero_grad()
        seen = march(replace(start, values=values), [camera], 0.02).alpha
        (seen - wanted).square().mean().backward()
        descent.step()
    grown = march(replace(start, values=values.detach()), [camera], 0.02).alpha
    assert silhouette_iou(grown[0], wanted[0]) > 0.95


def test_distances_are_not_stretched_and_planes_are_even():
    low, high = torch.full((3,), -1.0), torch.full((3,), 1.0)
    sphere = ellipsoid(low, high, torch.zeros(3), torch.full((3,), 0.5), 0.05)
    # Of |p| all slopes are 1, but for the kink in the middle (one node, its share of 41^3).
    assert stretch(sphere.gradients()) < 1e-3
    assert stretch(2 * sphere.gradients()) == pytest.approx(1.0, abs=0.01)
    nodes = sphere.nodes()
    plane = replace(sphere, values=nodes @ torch.tensor([0.6, 0.0, 0.8]) - 0.1)
    assert unevenness(plane) < 1e-6
    bowl = replace(sphere, values=nodes.square().sum(-1))  # Its Laplacian is 6 everywhere.
    assert unevenness(bowl) == pytest.approx(36.0, rel=1e-3)


def test_a_field_is_read_at_its_nodes_and_between():
    field = ball()
    nodes = field.nodes()[3:5, 7, 2]
    torch.testing.assert_close(field.at(nodes), field.values[3:5, 7, 2])
    torch.testing.assert_close(field.at(nodes.mean(0)[None]), field.values[3:5, 7, 2].mean()[None])
    torch.testing.assert_close(field.high, field.nodes()[-1, -1, -1])


def test_cameras_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        march(ball(), [lens(8), lens(9)], 0.01)
