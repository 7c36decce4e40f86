"""People: clothes cover what they should, hems are level, words tell what is worn."""

from functools import cache

import numpy as np
import pytest

from incarnate.studio.clothes import Garment, Worn, base_of, covered, sewn
from incarnate.studio.fabrics import COLORS, Fabric, textures
from incarnate.studio.figure import dense_weights, embedded, figure
from incarnate.studio.people import person
from incarnate.studio.piece import LABELS
from incarnate.studio.skin import Complexion, skin_texture, tone

AVERAGE = figure(embedded().default_betas().numpy())


made = cache(person)
"""People for tests that only look at them."""


def worn(garment: Garment) -> Worn:
    return sewn(AVERAGE, garment, base_of(AVERAGE, AVERAGE.tights()), np.random.default_rng(0))


SHIRT = Garment("t-shirt", "top", Fabric("striped", "red"), None, 0.03, 0.6)
TROUSERS = Garment("trousers", "bottom", Fabric(), 0.1, -0.7, leg_radius=0.085)
SKIRT = Garment("skirt", "bottom", Fabric(), 0.13, -0.4, flare=0.25)


@pytest.mark.parametrize("garment", [SHIRT, TROUSERS, SKIRT], ids=lambda g: g.name)
def test_hems_are_level(garment: Garment) -> None:
    shell = worn(garment).piece.shell
    trunk = AVERAGE.arm_share(shell.weights) < 0.5
    hem = AVERAGE.joint("pelvis")[1] + garment.hem * AVERAGE.scale
    lowest = shell.vertices[trunk, 1]
    edge = lowest < hem + 2e-4
    assert abs(lowest.min() - hem) < 2e-4  # Shares of cut edges are clipped at 0.1 %.
    assert edge.sum() > 60  # A whole ring lies on it, not the lowest teeth of a ragged edge.


def test_long_skirts_do_not_run_out_of_texture() -> None:
    long = Garment("long skirt", "bottom", Fabric(), 0.13, -0.74, flare=0.2)
    one = worn(long).piece
    low = one.shell.vertices[one.shell.faces, 1] < AVERAGE.joint("pelvis")[1] - 0.5
    v = one.uvs[low][:, 1]
    assert (v > 0.2).all() and np.ptp(v) > 0.2  # Not the first row all the way down.


def test_sleeves_end_square_to_the_arm() -> None:
    one = worn(SHIRT)
    arm = AVERAGE.arm_share(one.piece.shell.weights) > 0.6
    reach = one.measured.reach[arm]
    assert abs(reach.max() - SHIRT.sleeve) < 1e-3
    assert (reach > SHIRT.sleeve - 2e-3).sum() > 40


def test_cloth_lies_outside_the_surface_it_is_cut_from() -> None:
    base = base_of(AVERAGE, AVERAGE.tights())
    loose = sewn(AVERAGE, SHIRT, base, np.random.default_rng(0)).piece.shell
    from scipy.spatial import KDTree

    _, near = KDTree(base.shell.vertices).query(loose.vertices)
    out = ((loose.vertices - base.shell.vertices[near]) * base.normals[near]).sum(1)
    assert np.quantile(out, 0.001) > 0 and np.median(out) > 0.004


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_skin_is_left_under_cloth(seed: int) -> None:
    who = made(seed)
    shape = who.figure
    measured = shape.measured(shape.vertices, dense_weights(shape.body, False))
    under = np.zeros(len(shape.vertices), bool)
    for one in who.worn:
        under |= covered(shape, one.garment, shape.vertices, measured)
    faces = who.pieces[0].shell.faces
    assert not under[who.body_vertices][faces].all(1).any()
    assert len(who.body_vertices) < len(shape.vertices)


def test_the_same_seed_is_the_same_person_and_another_is_not() -> None:
    first, again, other = made(1), person(1), made(2)
    assert np.array_equal(first.whole.rest, again.whole.rest)
    assert np.array_equal(first.whole.texels, again.whole.texels)
    assert first.words == again.words != other.words


@pytest.mark.parametrize("seed", [1, 2, (11, 7)])  # The last wears a hat.
def test_words_name_what_is_worn(seed: int | tuple[int, ...]) -> None:
    who = made(seed)
    assert (LABELS.index("hat") in {p.label for p in who.pieces}) == (who.hat is not None)
    assert seed != (11, 7) or (who.hat is not None and who.hat.kind in who.words)
    for one in who.worn:
        assert one.garment.name in who.words
        assert one.garment.fabric.color in who.words
    assert ("woman" in who.words) == who.woman
    assert {p.label for p in who.pieces} >= {LABELS.index(w.garment.label) for w in who.worn}


def test_displaced_people_leave_the_shape_space_smoothly() -> None:
    who = made(1)
    moved = who.displaced(0.01, np.random.default_rng(0))
    assert moved.foreign and not who.foreign
    off = moved.figure.vertices - who.figure.vertices
    assert 0.004 < np.sqrt((off**2).sum(1).mean() / 3) < 0.03
    edges = who.figure.body.faces.numpy()[:, :2]
    step = np.linalg.norm(off[edges[:, 0]] - off[edges[:, 1]], axis=1)
    length = np.linalg.norm(np.diff(who.figure.vertices[edges], axis=1)[:, 0], axis=1)
    assert np.median(step / np.maximum(length, 1e-4)) < 0.25


def test_stripes_repeat_after_their_size() -> None:
    fabric = Fabric("striped", "black", "white", 0.09, 0.0, seams=False)
    trunk, _, legs = textures(fabric, {0}, np.random.default_rng(0))
    rows = trunk.mean((1, 2)) > np.mean([*COLORS["black"], *COLORS["white"]])
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) in (9, 10)  # 0.9 m over 0.09 m.
    assert legs.shape == (1, 1, 3)


def test_melanin_darkens_skin_and_lips_differ_from_it() -> None:
    shades = [tone(m, 0.5).sum() for m in (0.0, 0.3, 0.6, 1.0)]
    assert shades == sorted(shades, reverse=True)
    bare = skin_texture(Complexion(0.2), np.random.default_rng(0))
    painted = skin_texture(Complexion(0.2, makeup=0.8), np.random.default_rng(0))
    assert (bare != painted).any(-1).mean() > 0.002
