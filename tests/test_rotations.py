"""Rotations: closed forms and round trips."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from incarnate.rotations import (
    axis_angle_to_matrix,
    between,
    matrix_to_axis_angle,
    matrix_to_quat,
    matrix_to_six,
    quat_to_matrix,
    six_to_matrix,
    slerp,
)

QUARTER = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y, about z.
VECTORS = st.tuples(*[st.floats(-1.5, 1.5)] * 3).map(lambda v: torch.tensor(v, dtype=torch.float64))


def test_a_quarter_turn_in_every_spelling() -> None:
    half = math.sqrt(0.5)
    torch.testing.assert_close(axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 2])), QUARTER)
    torch.testing.assert_close(quat_to_matrix(torch.tensor([3.0, 0, 0, 3])), QUARTER)
    torch.testing.assert_close(matrix_to_quat(QUARTER).abs(), torch.tensor([half, 0, 0, half]))
    torch.testing.assert_close(six_to_matrix(torch.tensor([0.0, 2, 0, -1, 5, 0])), QUARTER)
    torch.testing.assert_close(matrix_to_six(QUARTER), torch.tensor([0.0, 1, 0, -1, 0, 0]))


@given(VECTORS)
def test_round_trips(vector: torch.Tensor) -> None:
    matrix = axis_angle_to_matrix(vector)
    torch.testing.assert_close(matrix_to_axis_angle(matrix), vector, atol=1e-7, rtol=0)
    torch.testing.assert_close(quat_to_matrix(matrix_to_quat(matrix)), matrix)
    torch.testing.assert_close(six_to_matrix(matrix_to_six(matrix)), matrix)


def test_between_takes_one_direction_to_the_other() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 3, generator=rng, dtype=torch.float64)
    turned = (between(a, b) @ a[..., None])[..., 0]
    torch.testing.assert_close(
        turned / turned.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    )
    # The smallest: its angle is the angle between them.
    cosine = (a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1)
    trace = between(a, b).diagonal(dim1=-2, dim2=-1).sum(-1)
    torch.testing.assert_close((trace - 1) / 2, cosine)
    opposite = between(a, -a)
    torch.testing.assert_close((opposite @ a[..., None])[..., 0], -a)
    torch.testing.assert_close(torch.linalg.det(opposite), torch.ones(20, dtype=torch.float64))


def test_slerp_goes_the_shorter_way_at_even_speed() -> None:
    start, end = torch.tensor([1.0, 0, 0, 0]), -matrix_to_quat(QUARTER)
    made = quat_to_matrix(slerp(start, end, torch.tensor([0.0, 1 / 3, 1])))
    expected = axis_angle_to_matrix(
        torch.tensor([[0, 0, 0], [0, 0, math.pi / 6], [0, 0, math.pi / 2]])
    )
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)
