from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from incarnate.viewer.overlay import Overlay
from incarnate.viewer.views import around


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Twice as large as the avatar knows it."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (8, 6, 3), np.uint8))
    path = tmp_path / "photo.png"
    coarse.resize((480, 640), Image.Resampling.BICUBIC).save(path)
    return path


def test_the_photo_s_own_camera_sees_the_photo(avatar, photo: Path):
    overlay = Overlay.of(photo, avatar)
    with Image.open(photo) as file:
        small = np.array(file.resize((240, 320), Image.Resampling.BOX)).astype(int)
    picture = np.zeros((320, 240, 3), np.uint8)
    seen = overlay.over(picture, overlay.camera, 1.0, 1.0).astype(int)
    assert np.abs(seen - small)[2:-2, 2:-2].max() <= 8  # Resampled twice.


def test_a_wipe_leaves_the_rest_and_opacity_mixes(avatar, photo: Path):
    overlay = Overlay.of(photo, avatar)
    picture = np.full((320, 240, 3), 100, np.uint8)
    half = overlay.over(picture, overlay.camera, 0.5, 1.0)
    whole = overlay.over(picture, overlay.camera, 1.0, 1.0)
    np.testing.assert_array_equal(half[:, 120:], picture[:, 120:])
    np.testing.assert_array_equal(half[:, :120], whole[:, :120])
    mixed = overlay.over(picture, overlay.camera, 1.0, 0.5).astype(float)
    np.testing.assert_allclose(mixed, (whole.astype(float) + picture) / 2, atol=1)


def test_elsewhere_the_photo_is_a_screen_that_stands_where_the_person_does(avatar, photo: Path):
    overlay = Overlay.of(photo, avatar)
    pixels = torch.tensor([[20.0, 30], [200, 40], [120, 300]])
    rays = torch.cat([pixels, torch.ones(3, 1)], 1) @ torch.linalg.inv(overlay.camera.intrinsics).T
    turn = overlay.camera.world_to_camera[:3, :3]
    points = overlay.camera.center + overlay.distance * rays @ turn
    other = around(overlay.camera, torch.zeros(3), 0.4)
    flat = np.concatenate([pixels.numpy(), np.ones((3, 1))], 1) @ overlay.onto(other).T
    np.testing.assert_allclose(flat[:, :2] / flat[:, 2:], other.project(points), atol=0.01)


def test_another_photo_is_refused(avatar, tmp_path: Path):
    path = tmp_path / "other.png"
    Image.new("RGB", (320, 240)).save(path)
    with pytest.raises(ValueError, match="is 320x240, the photo of this avatar was 240x320"):
        Overlay.of(path, avatar)
