"""Skin that keeps its volume: closed forms on a tube of two bones, rigid motions, gradients."""

import math

import pytest
import torch

from incarnate.body.bending import Centers, Hold, centers, skinned
from incarnate.rotations import axis_angle_to_matrix

RADIUS, AROUND, RINGS = 0.05, 24, 41
MIDDLE = RINGS // 2


def tube() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rings along x from -0.2 to 0.2 m; weights go over from bone 0 to bone 1 within 0.1 m of 0."""
    angle = torch.arange(AROUND) * (2 * math.pi / AROUND)
    x = torch.linspace(-0.2, 0.2, RINGS)
    ring = torch.stack([angle * 0, RADIUS * angle.cos(), RADIUS * angle.sin()], 1)
    rest = (ring + torch.stack([x, 0 * x, 0 * x], 1)[:, None]).flatten(0, 1)
    second = ((rest[:, 0] + 0.1) / 0.2).clamp(0, 1)
    ids = torch.arange(RINGS * AROUND).reshape(RINGS, AROUND)
    a, b = ids[:-1], ids[1:]
    after = [side.roll(-1, 1) for side in (a, b)]
    faces = torch.cat(
        [torch.stack([a, b, after[1]], 2), torch.stack([a, after[1], after[0]], 2)]
    ).reshape(-1, 3)
    return rest, torch.stack([1 - second, second], 1), faces


def bent(axis: tuple[float, float, float], degrees: float) -> torch.Tensor:
    """Bones of which the second turns about the origin."""
    bones = torch.eye(4).repeat(2, 1, 1)
    bones[1, :3, :3] = axis_angle_to_matrix(math.radians(degrees) * torch.tensor(axis))
    return bones


def none_of(about: Centers) -> Centers:
    """No centers, which leaves linear blending."""
    none = Hold(about.hold.weights[:0], about.hold.bones[:0])
    return Centers(about.vertices[:0], about.points[:0], none)


def ring_radii(points: torch.Tensor) -> torch.Tensor:
    """Of each ring, the mean distance of its points to their mean."""
    rings = points.reshape(RINGS, AROUND, 3)
    return (rings - rings.mean(1, keepdim=True)).norm(dim=2).mean(1)


def test_a_twisted_tube_keeps_its_radius_where_linear_blending_leaves_none():
    rest, weights, faces = tube()
    about = centers(rest, Hold.of(weights), faces)
    almost = bent((1, 0, 0), 179.9)  # At 180 degrees either way round would do.
    torch.testing.assert_close(
        ring_radii(skinned(rest, weights, almost, about)),
        torch.full((RINGS,), RADIUS), rtol=1e-4, atol=0,
    )  # fmt: skip
    linear = none_of(about)
    assert ring_radii(skinned(rest, weights, almost, linear))[MIDDLE] < 0.001 * RADIUS


def test_a_bent_tube_keeps_its_cross_section_at_the_joint():
    rest, weights, faces = tube()
    now = skinned(rest, weights, bent((0, 0, 1), 90), centers(rest, Hold.of(weights), faces))
    ring = now.reshape(RINGS, AROUND, 3)[MIDDLE]
    # The ring at rest, turned by half the angle; linear blending flattens it by cos 45 = 0.71.
    half = axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 4]))
    wanted = rest.reshape(RINGS, AROUND, 3)[MIDDLE] @ half.T
    torch.testing.assert_close(ring, wanted, rtol=0, atol=1e-6)


def test_centers_lie_on_the_axis_and_move_along_it_with_the_weights():
    rest, weights, faces = tube()
    about = centers(rest, Hold.of(weights), faces)
    torch.testing.assert_close(about.points[:, 1:], torch.zeros(len(about.points), 2))
    # By symmetry 0 in the middle. Weights are linear in x, so that ridge regression on their
    # difference d, of variance 1/5 (where 1 - d^2 is the mass), leaves 0.2 / (0.2 + 0.1) of x.
    torch.testing.assert_close(
        about.points[:, 0], rest[about.vertices, 0] * 2 / 3, rtol=0.01, atol=1e-6
    )


def test_all_bones_as_one_move_skin_rigidly():
    rest, weights, faces = tube()
    turn = axis_angle_to_matrix(torch.tensor([0.3, -2.0, 1.1]))
    bones = torch.eye(4).repeat(2, 1, 1)
    bones[:, :3, :3], bones[:, :3, 3] = turn, torch.tensor([1.0, 2, 3])
    now = skinned(rest, weights, bones, centers(rest, Hold.of(weights), faces))
    torch.testing.assert_close(now, rest @ turn.T + torch.tensor([1.0, 2, 3]), rtol=0, atol=2e-6)


def test_skin_of_one_bone_is_carried_by_its_matrix_to_the_last_digit():
    rest, weights, faces = tube()
    about, bones = centers(rest, Hold.of(weights), faces), bent((0, 0.6, 0.8), 133)
    alone = (weights == 1).any(1)
    linear = none_of(about)
    moved, wanted = (skinned(rest, weights, bones, c)[alone] for c in (about, linear))
    assert alone.sum() > 400 and torch.equal(moved, wanted)


def test_a_pair_counts_by_the_product_of_its_weights():
    # Three bones that share, two and two, a point each; a fourth point hangs on all of them.
    rest = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
    weights = torch.tensor([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.3, 0.2]])
    faces = torch.tensor([[0, 1, 2]])  # The fourth has no triangle, hence next to no mass.
    found = centers(rest, Hold.of(weights), faces).points[3]
    wanted = torch.tensor([0.15, 0.06, 0.10]) / 0.31
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_quaternions_of_either_sign_turn_alike():
    # From 170 degrees on to 280, which is -80: half way is 225. As they come, the quaternions (of
    # positive largest component) are on opposite sides, and would give 45.
    bones = torch.cat([bent((0, 1, 0), 170)[1:], bent((0, 1, 0), -80)[1:]])
    turn = Hold.of(torch.tensor([[0.5, 0.5]])).turns(bones)[0]
    torch.testing.assert_close(turn, bent((0, 1, 0), 225)[1, :3, :3], rtol=0, atol=1e-6)


def test_gradients():
    rng = torch.Generator().manual_seed(0)
    rest = torch.randn(6, 3, generator=rng, dtype=torch.float64)
    weights = torch.rand(6, 3, generator=rng, dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    about = centers(rest, Hold.of(weights), faces)
    turn = torch.randn(3, 3, generator=rng, dtype=torch.float64)

    def moved(points: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        top = torch.cat([axis_angle_to_matrix(turn), turn[..., None]], 2)
        bones = torch.cat([top, torch.eye(4).to(top)[3:].expand(3, 1, 4)], 1)
        return skinned(points, weights, bones, about)

    inputs = rest.clone().requires_grad_(), turn.requires_grad_()
    assert torch.autograd.gradcheck(moved, inputs, fast_mode=True)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_skin_that_shares_nothing_has_no_centers(weight: float):
    rest, _, faces = tube()
    about = centers(rest, Hold.of(torch.tensor([[weight, 1 - weight]]).expand(len(rest), 2)), faces)
    assert len(about.vertices) == 0 and about.points.shape == (0, 3)
