"""Fingers found again, by a detector whose answer is known: the middle of what is white."""

import math

import numpy as np
import pytest
import torch

from incarnate.evaluate import fingers
from incarnate.perception.landmarkers import Hand, Perception

HEIGHT, SIDE = 512, 60.0
SHAPE = np.random.default_rng(0).uniform(-SIDE / 2, SIDE / 2, (21, 2)).astype(np.float32)


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Perception:
    """Sees a hand of the size it should have about white pixels, in whatever crop."""

    def hands(self: Perception, rgb: np.ndarray) -> list[Hand]:
        rows, columns = np.nonzero(rgb[..., 0] > 128)
        if len(rows) == 0:
            return []
        scale = rgb.shape[0] / (fingers.ROOM * float(np.ptp(SHAPE, axis=0).max()))
        flat = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) + SHAPE * scale
        points = np.pad(flat, ((0, 0), (0, 1))).astype(np.float32)
        return [Hand(points, np.zeros((21, 3), np.float32), 0.9, True)]

    monkeypatch.setattr(Perception, "hands", hands)
    return Perception()


def picture(x: float, y: float) -> np.ndarray:
    """Black, with a white square of 6 pixels about a point."""
    rgb = np.zeros((HEIGHT, 400, 3), np.uint8)
    rgb[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = 255
    return rgb


def seen(x: float, y: float) -> torch.Tensor:
    """A left hand there, no right one."""
    hands = torch.full((2, 21, 2), float("nan"))
    hands[0] = torch.tensor([x, y]) + torch.from_numpy(SHAPE)
    return hands


def test_a_hand_that_is_moved_by_five_pixels_is_ten_off_in_a_picture_twice_as_tall(
    detector: Perception,
):
    there = seen(150, 200)
    gap, share = fingers.shown(picture(153, 204), picture(150, 200), there, detector)
    # The crop's corners are whole pixels and resampling moves the square's rim: 0.3 pixels.
    assert gap == pytest.approx(10, abs=0.6) and share == 1
    assert fingers.shown(picture(150, 200), picture(150, 200), there, detector)[0] == 0


def test_what_is_not_found_or_is_elsewhere_counts_as_lost_and_not_as_near(detector: Perception):
    photo, there = picture(150, 200), seen(150, 200)
    for other in (np.zeros_like(photo), picture(150, 200 + 0.9 * SIDE)):
        gap, share = fingers.shown(other, photo, there, detector)
        assert math.isnan(gap) and share == 0
    two = there.clone()
    two[1] = two[0] + torch.tensor([120.0, 0])
    gap, share = fingers.shown(photo, photo, two, detector)
    assert gap == 0 and share == 0.5


def test_without_hands_in_the_photo_there_is_nothing_to_say(detector: Perception):
    nobody = torch.full((2, 21, 2), float("nan"))
    assert all(map(math.isnan, fingers.shown(picture(9, 9), picture(9, 9), nobody, detector)))
