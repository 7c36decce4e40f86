"""Skin that took the colour of hair."""

import numpy as np

from incarnate.avatars.washed import recolored

SKIN, DARK = np.array([0.8, 0.6, 0.5]), np.array([0.2, 0.12, 0.08])


def a_face(beard: bool = False):
    """Half a cylinder, 14 cm wide: colours, places, all of it face, grazed at its sides."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-np.pi / 2, np.pi / 2, 2000)
    places = np.stack([0.07 * np.sin(angles), rng.uniform(0, 0.1, 2000), 0.07 * np.cos(angles)], 1)
    colors = SKIN + 0.005 * rng.standard_normal((2000, 3))
    if beard:
        low = places[:, 1] < 0.06
        colors[low] = DARK + 0.005 * rng.standard_normal((int(low.sum()), 3))
    face = np.ones(2000, bool)
    return colors.astype(np.float32), places.astype(np.float32), face, np.abs(np.sin(angles)) ** 9


def test_a_dark_patch_on_a_grazed_cheek_becomes_skin_and_nothing_else_changes():
    colors, places, face, grazed = a_face()
    patch = np.linalg.norm(places - [0.068, 0.05, 0.0], axis=1) < 0.02
    stained = colors.copy()
    stained[patch] = DARK
    out = recolored(stained, places, face, np.where(patch, 1.0, grazed).astype(np.float32))
    assert patch.sum() > 30
    assert np.abs(out[patch] - SKIN).max() < 0.05
    np.testing.assert_array_equal(out[~patch], colors[~patch])


def test_what_the_photo_faced_is_not_face_or_is_a_beard_keeps_its_colour():
    colors, places, face, grazed = a_face()
    patch = np.linalg.norm(places - [0.068, 0.05, 0.0], axis=1) < 0.02
    colors[patch] = DARK
    np.testing.assert_array_equal(recolored(colors, places, face, 0 * grazed), colors)
    np.testing.assert_array_equal(recolored(colors, places, face & ~patch, grazed), colors)
    bearded, places, face, grazed = a_face(beard=True)
    np.testing.assert_allclose(recolored(bearded, places, face, grazed), bearded, atol=0.03)
    none = np.zeros_like(face)
    np.testing.assert_array_equal(recolored(colors, places, none, grazed), colors)
