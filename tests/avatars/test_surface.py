"""Discs on triangles: closed forms of placing, stretching and scattering."""

import math

import torch

from incarnate.avatars.surface import Discs, carried, placed, scattered, triangle_frames


def one_disc(spin: float = 0.0, scales: tuple[float, float, float] = (0.2, 0.1, 0.01)) -> Discs:
    return Discs(
        torch.tensor([0]), torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([[0.0, 0.0, 0.3]]),
        torch.tensor([spin]), torch.tensor([scales]).log(), torch.zeros(1), torch.zeros(1, 3),
        torch.zeros(1, dtype=torch.long),
    )  # fmt: skip


TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
FACE = torch.tensor([[0, 1, 2]])


def covariance(quats: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
    w, x, y, z = (quats / quats.norm(dim=1, keepdim=True)).unbind(1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]  # fmt: skip
    axes = torch.stack(rows, 1).reshape(-1, 3, 3) * log_scales.exp()[:, None]
    return axes @ axes.transpose(1, 2)


def test_a_disc_lies_at_its_barycentric_point_plus_its_offset_along_the_normal():
    means = placed(one_disc(), triangle_frames(TRIANGLE, FACE)).means
    torch.testing.assert_close(means, torch.tensor([[0.3, 0.5, 0.3]]))


def test_stretching_a_triangle_maps_a_discs_covariance_by_the_same_linear_map():
    # The plane map of a shear and a stretch; the oracle is F cov F^T, thickness kept.
    plane = torch.tensor([[1.5, 0.4, 0], [0, 0.8, 0], [0, 0, 1]])
    source = triangle_frames(TRIANGLE, FACE)
    target = triangle_frames(TRIANGLE @ plane.T, FACE)
    for spin in (0.0, 0.7, 2.0):
        before = placed(one_disc(spin), source)
        after = placed(carried(one_disc(spin), source, target), target)
        expected = plane @ covariance(before.quats, before.log_scales) @ plane.T
        torch.testing.assert_close(
            covariance(after.quats, after.log_scales), expected, rtol=1e-4, atol=1e-6
        )


def test_carrying_there_and_back_changes_nothing_that_shows():
    there = triangle_frames(
        TRIANGLE @ torch.tensor([[1.2, 0.5, 0.1], [0, 0.7, 0.2], [0.3, 0, 1.0]]), FACE
    )
    home = triangle_frames(TRIANGLE, FACE)
    before = placed(one_disc(1.1), home)
    after = placed(carried(carried(one_disc(1.1), home, there), there, home), home)
    torch.testing.assert_close(
        covariance(after.quats, after.log_scales), covariance(before.quats, before.log_scales),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_a_rigid_turn_of_the_triangle_turns_its_gaussians_rigidly():
    angle = 0.6
    turn = torch.tensor(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    home, moved = triangle_frames(TRIANGLE, FACE), triangle_frames(TRIANGLE @ turn.T, FACE)
    before = placed(one_disc(0.4), home)
    after = placed(carried(one_disc(0.4), home, moved), moved)
    torch.testing.assert_close(after.means, before.means @ turn.T, rtol=1e-5, atol=1e-6)
    expected = turn @ covariance(before.quats, before.log_scales) @ turn.T
    torch.testing.assert_close(
        covariance(after.quats, after.log_scales), expected, rtol=1e-4, atol=1e-6
    )


def test_a_triangle_without_area_still_gives_finite_frames():
    frames = triangle_frames(torch.zeros(3, 3), FACE)
    assert torch.isfinite(frames.axes).all() and torch.isfinite(frames.edges).all()


def test_scattering_is_even_and_stays_inside_the_triangles():
    rng = torch.Generator().manual_seed(0)
    areas = torch.tensor([1.0, 3.0, 0.0, 6.0])
    faces, barycentrics, shares = scattered(areas, 1000, rng)
    counts = torch.bincount(faces, minlength=4)
    assert (counts - areas / areas.sum() * 1000).abs().max() <= 1
    assert (barycentrics >= 0).all()
    torch.testing.assert_close(barycentrics.sum(1), torch.ones(len(faces)))
    # Evenly: each third of a triangle (nearest corner) gets a third of its points, within 5 %.
    nearest = barycentrics[faces == 3].argmax(1)
    assert (torch.bincount(nearest) / len(nearest) - 1 / 3).abs().max() < 0.05
    torch.testing.assert_close(shares[faces == 3].sum(), torch.tensor(1.0), rtol=1e-4, atol=1e-4)
