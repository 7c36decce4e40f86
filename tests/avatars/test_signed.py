import pytest
import torch

from incarnate.avatars.signed import SignedGrid
from incarnate.scene.field import SignedField


def start():
    return SignedField(torch.full((13, 11, 9), 0.3), torch.tensor([-0.1, 0.2, 0.0]), 0.1)


def test_nothing_learnt_leaves_the_start():
    field = SignedGrid(start())()
    assert torch.equal(field.values, start().values)
    assert torch.equal(field.low, start().low) and field.spacing == 0.1


def test_one_number_moves_its_neighbours_by_a_bell_in_all_directions():
    grid = SignedGrid(start(), blur=1.5)
    with torch.no_grad():
        grid.change[6, 5, 4] = 1.0
    moved = grid().values.detach() - start().values
    bell = torch.exp(-0.5 * (torch.arange(-3, 4) / 1.5) ** 2)
    for line in (moved[3:10, 5, 4], moved[6, 2:9, 4], moved[6, 5, 1:8]):
        torch.testing.assert_close(line / moved[6, 5, 4], bell, rtol=1e-4, atol=1e-6)


def test_an_even_change_stays_even_far_from_the_border():
    grid = SignedGrid(SignedField(torch.zeros(21, 21, 21), torch.zeros(3), 0.1), blur=1.0)
    with torch.no_grad():
        grid.change.fill_(-0.2)
    middle = grid().values[8:13, 8:13, 8:13]
    torch.testing.assert_close(middle, torch.full_like(middle, -0.2), rtol=1e-4, atol=0)


def test_the_border_stays_outside_and_within_it_the_solid_may_be_anywhere():
    grid = SignedGrid(start())
    with torch.no_grad():
        grid.change.fill_(-5.0)
    values = grid().values.detach()
    inner = (slice(1, -1),) * 3
    assert (values[inner] < 0).all()
    outer = torch.ones_like(values, dtype=torch.bool)
    outer[inner] = False
    assert values[outer].min() == pytest.approx(0.1)
