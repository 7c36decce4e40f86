"""A ball that sticks out of a matte."""

import math

import pytest
import torch

from incarnate.avatars.outline import drawn_in
from incarnate.cameras import look_at

SIDE, PIXELS = 200, 1.0


@pytest.fixture
def ball() -> tuple[torch.Tensor, torch.Tensor]:
    rings, around = 40, 80
    a, b = torch.meshgrid(
        torch.linspace(0, math.pi, rings), torch.arange(around) * math.tau / around, indexing="ij"
    )
    points = 0.3 * torch.stack([a.sin() * b.cos(), a.cos(), a.sin() * b.sin()], 2).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(rings - 1), torch.arange(around), indexing="ij")
    i, j = i.ravel(), j.ravel()
    k = (j + 1) % around
    corner = [i * around + j, i * around + k, (i + 1) * around + j, (i + 1) * around + k]
    faces = torch.cat([torch.stack([corner[0], corner[1], corner[2]], 1),
                       torch.stack([corner[1], corner[3], corner[2]], 1)])  # fmt: skip
    return points, faces


def disc(radius: float) -> torch.Tensor:
    at = torch.arange(SIDE) + 0.5 - SIDE / 2
    return ((at[:, None].square() + at[None].square()).sqrt() < radius).float()


CAMERA = look_at(torch.tensor([0.0, 0, 10]), torch.zeros(3), 2400.0, SIDE, SIDE)
SEEN = 2400 * 0.3 / math.sqrt(10**2 - 0.3**2)  # Pixels of the ball's radius.


def radii(points: torch.Tensor) -> torch.Tensor:
    return (CAMERA.project(points) - SIDE / 2).norm(dim=1)


def test_what_sticks_out_is_drawn_into_the_matte_and_the_rest_stays(ball):
    points, faces = ball
    turns, free = torch.eye(3).expand(len(points), 3, 3), torch.ones(len(points)).bool()
    moved = drawn_in(points, turns, free, faces, CAMERA, disc(SEEN - 6))
    assert radii(points).max() > SEEN - 0.5
    assert radii(points + moved).max() < SEEN - 5
    assert moved[:, 2].abs().max() < 0.003  # Across the line of sight.
    middle = radii(points) < SEEN - 25
    assert moved[middle].norm(dim=1).max() < 1e-3


def test_moves_are_at_rest_and_what_is_held_stays(ball):
    points, faces = ball
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    free = points[:, 0] > 0
    moved = drawn_in(points @ turn.T, turn.expand(len(points), 3, 3), free, faces, CAMERA,
                     disc(SEEN - 6))  # fmt: skip
    assert (moved[~free] == 0).all()
    assert radii((points + moved) @ turn.T)[free].max() < SEEN - 5


def test_nothing_moves_within_the_matte_off_the_picture_or_far_out(ball):
    points, faces = ball
    turns, free = torch.eye(3).expand(len(points), 3, 3), torch.ones(len(points)).bool()
    for alpha in (disc(SEEN + 3), torch.zeros(SIDE, SIDE), disc(SEEN / 4)):
        moved = drawn_in(points, turns, free, faces, CAMERA, alpha)
        out = radii(points) > SEEN * 0.9
        assert moved[out].norm(dim=1).max() < 1e-6
