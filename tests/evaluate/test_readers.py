"""Readers: what captions say of tops, how sectors make sides, and people they never saw."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from incarnate import weights
from incarnate.evaluate import readers as module
from incarnate.evaluate.heldout import held_out
from incarnate.evaluate.readers import (
    BASIC,
    SECTORS,
    SIDES,
    TASKS,
    TERMS,
    Readers,
    averages,
    cloths,
    reader,
    sector,
    sized,
    top_color,
)
from incarnate.priors.conditions import side
from incarnate.studio.fabrics import COLORS


@pytest.fixture(scope="module")
def readers():
    return Readers()


@pytest.fixture(scope="module")
def people():
    """The first two in a row whose clothes above are of one colour."""
    return [seen for seen in held_out(2, 128, first=10).pairs if seen.framing != "lower"]


def test_every_colour_of_the_studio_has_one_of_eleven_terms():
    assert set(BASIC) == set(COLORS)
    assert len(TERMS) == 11
    assert all(BASIC[term] == term for term in TERMS)


@pytest.mark.parametrize(
    "caption, color",
    [
        ("a man with short red hair, in a light blue t-shirt, navy denim jeans, waving", "blue"),
        ("a woman with a brown bob, in a burgundy dress and black boots", "red"),
        ("a man with a bald head, in an orange knitted sweater and grey trousers", "orange"),
        ("a man, in a dark grey long-sleeved shirt and white sneakers", "grey"),
        ("a man, in a red striped shirt and grey trousers", None),
        ("a man, in a red and white t-shirt and grey trousers", None),
        ("a man, in a red shirt, grey trousers and a black jacket", None),
        ("a woman, in black trousers and white shoes", None),
    ],
)
def test_the_colour_above_is_told_only_where_it_is_one(caption, color):
    assert top_color(caption) == color


def test_pattern_and_name_are_read_apart():
    found = cloths(
        "a man, in a mint and dark grey t-shirt, blue shorts and a white pinstriped blazer"
    )
    assert [(c.color, c.look, c.name) for c in found] == [
        ("mint", "and dark grey", "t-shirt"),
        ("white", "pinstriped", "blazer"),
    ]


@given(st.floats(-10, 10))
def test_sectors_of_a_quarter_make_its_side(azimuth):
    turned = math.remainder(azimuth, math.pi / 2)
    if abs(abs(turned) - math.pi / 4) < 1e-6:
        return  # On the border either side is right.
    chances = torch.zeros(SECTORS)
    chances[sector(azimuth)] = 1
    assert SIDES[int((chances @ module._quarters()).argmax())] == side(azimuth)


def test_quarters_share_the_turn_evenly():
    assert module._quarters().sum(0).tolist() == [SECTORS / 4] * 4


def test_colours_are_averaged_where_the_garment_is():
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    pictures[:, :, 20:40, 20:40] = torch.tensor([0.9, 0.2, 0.4])[:, None, None]
    covered = torch.zeros(1, 32, 32)
    covered[:, 10:20, 10:20] = 1
    mean, apart = averages(pictures, covered)[0].split(3)
    # Elsewhere a floor of 1e-9 is left of the share, over 924 cells against 100.
    torch.testing.assert_close((mean + 1) / 2, torch.tensor([0.9, 0.2, 0.4]), atol=1e-5, rtol=0)
    assert float(apart.max()) < 1e-3


def test_people_it_never_saw_are_read_right(readers, people):
    """Fewer than two in ten wrong: by its own figures on held-out people one in ten at most."""
    rgb, normal = (torch.stack([getattr(s, name) for s in people]) for name in ("rgb", "normal"))
    wanted = [side(s.azimuth) for s in people]
    for pictures, shows in ((rgb, "rgb"), (normal, "normal")):
        said = readers.sides(pictures, shows)
        right = np.mean([a == b for a, b in zip(said, wanted, strict=True)])
        assert right >= 0.8, shows
    dressed = [k for k, s in enumerate(people) if s.framing != "head" and top_color(s.caption)]
    said = readers.colors(rgb[dressed])
    right = [top_color(people[k].caption) == c for k, c in zip(dressed, said, strict=True)]
    assert len(right) >= 5 and np.mean(right) >= 0.8


def test_a_mirror_exchanges_left_and_right(readers, people):
    aside = [s for s in people if abs(math.sin(s.azimuth)) > 0.9]
    assert len(aside) >= 3
    mirrored = torch.stack([s.rgb.flip(1) for s in aside])
    other = {"left side view": "right side view", "right side view": "left side view"}
    wanted = [other[side(s.azimuth)] for s in aside]
    right = [a == b for a, b in zip(readers.sides(mirrored, "rgb"), wanted, strict=True)]
    assert np.mean(right) >= 0.8


def test_pictures_of_any_size_are_read_alike(readers, people):
    rgb = torch.stack([s.rgb for s in people])
    double = rgb.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert readers.sides(double, "rgb") == readers.sides(rgb, "rgb")
    assert readers.colors(double) == readers.colors(rgb)
    assert sized(sized(rgb, 64).movedim(1, -1), 128).shape == (len(rgb), 3, 128, 128)


def test_the_file_says_what_it_gets_right_and_is_small(readers):
    assert set(TASKS) <= set(readers.held_out)
    assert all(0.85 <= share <= 1 for share in readers.held_out.values())
    assert weights.verify("readers")
    assert weights.path("readers").stat().st_size < 2e6
    for task in TASKS:
        assert sum(p.numel() for p in reader(task).parameters()) < 0.4e6
