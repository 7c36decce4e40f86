"""Light in a hollow, against the directions that leave it."""

import math

import pytest
import torch

from incarnate.avatars.hollow import ANYWAY, FULL, RINGS, lit
from incarnate.scene import Mesh

UP = torch.tensor([[0.0, 0.0, 1.0]])


def well(radius: float, depth: float, sides: int = 48) -> Mesh:
    """A round wall around the z axis that rises from z = 0, and a floor."""
    turns = torch.arange(sides) * 2 * math.pi / sides
    ring = radius * torch.stack([turns.cos(), turns.sin(), torch.zeros(sides)], 1)
    vertices = torch.cat([ring, ring + torch.tensor([0.0, 0.0, depth]), torch.zeros(1, 3)])
    here, there = torch.arange(sides), (torch.arange(sides) + 1) % sides
    walls = [torch.stack([here, there, here + sides], 1)]
    walls += [torch.stack([there, there + sides, here + sides], 1)]
    floor = torch.stack([here, there, torch.full((sides,), 2 * sides)], 1)
    return Mesh(vertices, torch.cat([*walls, floor]), torch.zeros(len(vertices), 3))


@pytest.mark.parametrize("angle", [0.2, 0.5, 0.9])
def test_the_bottom_of_a_well_gets_what_falls_in_above_its_walls(angle):
    depth = 0.02 / math.tan(angle)
    shares = {a: math.cos(a) * math.sin(max(a, 0.1)) for a, _ in RINGS}
    seen = sum(share for a, share in shares.items() if a < angle)
    wanted = min(1.0, (seen + ANYWAY) / (sum(shares.values()) + ANYWAY) / FULL)
    found = lit(torch.zeros(1, 3), UP, well(0.02, depth))
    assert float(found) == pytest.approx(wanted, abs=0.03)  # The camera stands near, not far away.


def test_a_plate_in_the_open_is_lit_and_what_looks_backwards_is_left_alone():
    places = torch.tensor([[0.0, 0.0, 0.0], [0.005, 0.0, 0.0]])
    assert torch.equal(lit(places, UP.expand(2, 3), well(0.02, 0.0)), torch.ones(2))
    assert torch.equal(lit(places, -UP.expand(2, 3), well(0.02, 0.1)), torch.ones(2))
