"""Warps between views, against a naive loop and against scenes whose warp is known."""

import math

import pytest
import torch

from incarnate.cameras import Camera, look_at, orbit
from incarnate.guidance import independent, projected, reprojection
from incarnate.guidance.warp import EDGE

ORIGIN = torch.zeros(3)


def plane(width, height, distance=2.0):
    """A camera that looks at the plane z = 0 squarely, and the depth it sees."""
    eye = torch.tensor([0.0, 0.0, distance])
    camera = look_at(eye, ORIGIN, width * 1.0, width, height)
    return camera, torch.full((height, width), distance)


def ball(width, azimuth, radius=0.8):
    """An orbiting camera and the depth it sees of a ball, 0 beside it."""
    camera = orbit(ORIGIN, 2.0, azimuth, 0.2, width, width, fov=0.2)
    rows = torch.arange(width) + 0.5
    v, u = torch.meshgrid(rows, rows, indexing="ij")
    rays = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(camera.intrinsics).T
    middle = camera.local(ORIGIN)
    along, size = rays @ middle, rays.square().sum(-1)
    under = along**2 - size * (middle @ middle - radius**2)
    return camera, torch.where(under > 0, (along - under.clamp(min=0).sqrt()) / size, 0.0)


@pytest.mark.parametrize("fine", [1, 4])
def test_a_view_of_itself_takes_every_texel_from_itself(fine):
    camera, depth = ball(16 * fine, 0.3)
    warp = reprojection(depth, camera, camera, (16, 16))
    seen = ~warp.void
    assert int(seen.sum()) > 60
    assert torch.equal(warp.source[seen], torch.arange(256).view(16, 16)[seen])


def test_a_step_aside_moves_a_plane_by_whole_texels():
    """At focal f and distance z a step of n z / f moves the picture by n pixels."""
    camera, depth = plane(8, 6)
    aside = look_at(torch.tensor([0.5, 0, 2.0]), torch.tensor([0.5, 0, 0]), 8.0, 8, 6)
    warp = reprojection(depth, camera, aside, (6, 8))
    assert torch.equal(warp.source[:, :6], torch.arange(48).view(6, 8)[:, 2:])
    assert bool(warp.void[:, 6:].all()) and not bool(warp.void[:, :6].any())


def test_an_orthographic_camera_moves_all_depths_alike():
    pose = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    pose[2, 3] = 3.0
    intrinsics = torch.tensor([[4.0, 0, 4], [0, 4, 3], [0, 0, 1]])
    camera = Camera(pose, intrinsics, 8, 6, orthographic=True)
    moved = pose.clone()
    moved[0, 3] = -0.5
    aside = Camera(moved, intrinsics, 8, 6, orthographic=True)
    depth = torch.full((6, 8), 2.0)
    depth[3:] = 4.0
    warp = reprojection(depth, camera, aside, (6, 8))
    kept = torch.ones(6, dtype=torch.bool)
    kept[2:4] = False  # The edge between the depths.
    assert torch.equal(warp.source[kept, :6], torch.arange(48).view(6, 8)[kept, 2:])
    assert bool(warp.void[2:4].all())


def test_what_is_nearer_hides_what_is_behind():
    """Columns of a near post move over the wall, further than it does."""
    camera, depth = plane(8, 1, 4.0)
    depth[0, 2:4] = 2.0
    aside = look_at(torch.tensor([-0.5, 0, 4.0]), torch.tensor([-0.5, 0, 0]), 8.0, 8, 1)
    warp = reprojection(depth, camera, aside, (1, 8))
    # The wall moves by 1, the post by 2; columns 1, 2, 3 and 4 touch an edge and are dropped.
    assert warp.void[0].tolist() == [True, False, True, True, True, True, False, False]
    steps = torch.linspace(4.0, 2.0, 60)[None]  # Slopes of less than 2 % are no edges.
    wide, _ = plane(60, 1, 4.0)
    warp = reprojection(steps, wide, wide, (1, 60))
    assert not bool(warp.void.any())


@pytest.mark.parametrize("azimuth", [0.3, 0.9, -0.6])
@pytest.mark.parametrize("fine", [1, 3])
def test_a_warp_is_what_a_loop_over_the_points_finds(azimuth, fine):
    source, depth = ball(12 * fine, 0.0)
    target, _ = ball(12 * fine, azimuth)
    warp = reprojection(depth, source, target, (12, 12))
    small = target.resized(12, 12)
    to_world = torch.linalg.inv(source.world_to_camera)
    points = {}
    for y in range(12 * fine):
        for x in range(12 * fine):
            z = float(depth[y, x])
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            beside = [float(depth[p]) for p in around if 0 <= min(p) and max(p) < 12 * fine]
            if z == 0 or any(b > 0 and abs(b - z) > EDGE * min(b, z) for b in beside):
                continue
            ray = torch.linalg.inv(source.intrinsics) @ torch.tensor([x + 0.5, y + 0.5, 1.0])
            world = (to_world @ torch.cat([ray * z, torch.ones(1)]))[:3]
            u, v = small.project(world).tolist()
            far = float(small.local(world)[2])
            texel = (y // fine) * 12 + x // fine
            if 0 <= u < 12 and 0 <= v < 12:
                off = math.hypot(u % 1 - 0.5, v % 1 - 0.5)
                points.setdefault((int(v), int(u)), []).append((far, off, texel))
    assert len(points) > 20
    for row in range(12):
        for column in range(12):
            here = points.get((row, column), [])
            assert bool(warp.void[row, column]) == (not here)
            if here:
                nearest = min(far for far, _, _ in here)
                best = min((off, texel) for far, off, texel in here if far <= nearest * (1 + EDGE))
                assert int(warp.source[row, column]) == best[1]


def test_noise_of_a_depth_map_of_its_own_size_stays_white():
    source, depth = ball(24, 0.0)
    target, _ = ball(24, 0.7)
    warp = reprojection(depth, source, target, (24, 24))
    taken = warp.source[~warp.void]
    assert len(taken.unique()) == len(taken) > 100


def test_projected_noise_of_a_scene_has_unit_variance_and_returns_where_it_came_from():
    source, depth = ball(96, 0.0)
    target, _ = ball(96, 0.5)
    warp = reprojection(depth, source, target, (24, 24))
    assert 0.2 < float(warp.void.float().mean()) < 0.8
    rng = torch.Generator().manual_seed(0)
    x = projected(independent((3000, 1, 24, 24), rng), warp, rng)
    for part in (warp.void, ~warp.void):
        # Each place by itself: 5 standard errors of a variance of 3000 draws.
        assert float((x[:, 0, part].var(0) - 1).abs().max()) < 5 * (2 / 3000) ** 0.5


def test_what_lies_behind_a_camera_hides_nothing():
    """The source sees a near wall on its left and a far one on its right; the target is between.

    Texels of the far wall at x = 1.125 and 1.875 come to 5.25 and 6.75; behind the camera, those of
    the near one would come there upside down.
    """
    source, depth = plane(8, 6, 4.0)
    depth[:, :4], depth[:, 4:] = 2.0, 6.0
    target = look_at(torch.tensor([0.5, 0, 0]), torch.tensor([0.5, 0, -2.0]), 4.0, 8, 6)
    warp = reprojection(depth, source, target, (6, 8))
    assert warp.void[3].tolist() == [True] * 5 + [False, False, True]
    assert warp.source[3, 5:7].tolist() == [29, 30]


def test_an_empty_view_is_void_and_a_foreign_depth_map_is_refused():
    camera, depth = plane(8, 6)
    assert bool(reprojection(depth * 0, camera, camera, (3, 4)).void.all())
    behind = look_at(torch.tensor([0, 0, -3.0]), torch.tensor([0, 0, -5.0]), 8.0, 8, 6)
    assert bool(reprojection(depth, camera, behind, (3, 4)).void.all())
    with pytest.raises(ValueError, match="8 x 6 pixels came for a camera of 4 x 3"):
        reprojection(depth, camera.resized(4, 3), camera, (3, 4))
