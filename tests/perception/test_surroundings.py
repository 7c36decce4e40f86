"""A person goes from a striped wall, and the stripes go on behind them."""

import numpy as np
import pytest
import torch

from incarnate.perception.surroundings import filled, surroundings


def wall() -> np.ndarray:
    """Stripes 10 pixels wide, 120 by 160."""
    dark = np.arange(160) // 10 % 2 == 0
    return np.tile(np.where(dark[:, None], (60, 80, 90), (200, 190, 170)), (120, 1, 1)).astype(
        np.uint8
    )


def person() -> np.ndarray:
    alpha = np.zeros((120, 160), np.float32)
    alpha[30:90, 63:97] = 1
    return alpha


def test_the_person_goes_and_the_stripes_go_on():
    rgb = wall()
    rgb[person() > 0] = (250, 0, 0)
    back = filled(surroundings(rgb, person()))
    assert back.shape == rgb.shape
    away = person() == 0
    away[26:94, 59:101] = False  # The margin around the person is filled, too.
    assert np.abs(back.astype(int) - wall())[away].mean() < 8, "WebP at 85"
    hole = person() > 0
    assert (np.abs(back.astype(int) - wall()).mean(-1)[hole] < 40).mean() > 0.8


def test_nobody_there_leaves_the_photo():
    back = filled(surroundings(wall(), np.zeros((120, 160), np.float32)))
    assert np.abs(back.astype(int) - wall()).mean() < 8


def test_a_person_who_fills_the_photo_leaves_nothing():
    kept = surroundings(wall(), np.ones((120, 160), np.float32))
    with pytest.raises(ValueError, match="fills the whole photo"):
        filled(kept)


def test_damage_is_said():
    with pytest.raises(ValueError, match="damaged"):
        filled(torch.zeros(100, dtype=torch.uint8))
