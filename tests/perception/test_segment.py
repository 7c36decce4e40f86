"""The matte of a person."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from incarnate.perception.keypoints import Keypoints
from incarnate.perception.matting import foreground
from incarnate.perception.segment import Matte, cutout, given_matte, matte, onnx_matte


@pytest.fixture(scope="module")
def cut(photo: np.ndarray, person: Keypoints) -> Matte:
    return matte(photo, person)


def test_face_is_whole_and_background_is_gone(cut: Matte):
    assert cut.alpha[80:140, 200:250].min() == 1
    assert cut.alpha[20:60, 380:440].max() == 0 and cut.alpha[:100, :60].max() == 0


def test_nothing_floats_beside_the_person(cut: Matte):
    pieces, _ = cv2.connectedComponents((cut.alpha > 0).astype(np.uint8))
    assert pieces == 2  # The background and one person.


def test_hair_is_softer_than_the_suit(cut: Matte):
    soft = (cut.alpha > 0.1) & (cut.alpha < 0.9)
    assert soft[10:60, 150:300].sum() > 3 * 60  # Several pixels wide around 150 px of skull.


def test_the_same_photo_gives_the_same_matte(cut: Matte, photo: np.ndarray, person: Keypoints):
    again = matte(photo, person)
    assert (again.alpha == cut.alpha).all() and (again.foreground == cut.foreground).all()


def test_a_matte_found_small_fits_the_large_photo(cut: Matte, photo: np.ndarray, person: Keypoints):
    rough = matte(photo, person, max_pixels=photo.shape[0] * photo.shape[1] // 2)
    assert rough.alpha.shape == photo.shape[:2]
    assert np.abs(rough.alpha - cut.alpha).mean() < 0.02


def test_gap_between_arm_and_torso_opens():
    """A drawn figure with its arms held off, behind a mask that fills the gaps."""
    from incarnate.perception.segment import _alpha

    grass = np.random.default_rng(0).integers(0, 60, (300, 200, 3), dtype=np.uint8)
    rgb = grass + np.asarray([0, 90, 0], np.uint8)
    truth = np.zeros((300, 200), np.uint8)
    cv2.rectangle(truth, (70, 60), (130, 280), 1, -1)
    for x in (50, 150):
        cv2.rectangle(truth, (x - 8, 60), (x + 8, 200), 1, -1)
    cv2.rectangle(truth, (42, 60), (158, 80), 1, -1)
    rgb[truth > 0] = (200, 120, 90)
    blind = truth.copy()
    cv2.rectangle(blind, (42, 60), (158, 200), 1, -1)
    points = np.zeros((33, 3), np.float32)
    known = {11: (126, 70), 12: (74, 70), 13: (150, 130), 14: (50, 130), 15: (150, 190)}
    known |= {16: (50, 190), 23: (125, 200), 24: (75, 200)}
    for index, place in known.items():
        points[index] = (*place, 1)
    alpha = _alpha(rgb, cv2.GaussianBlur(blind.astype(np.float32), (0, 0), 2), points)
    assert alpha[140:180, 62:67].mean() < 0.05 and alpha[140:180, 133:138].mean() < 0.05
    assert alpha[140:190, 46:54].min() > 0.9 and alpha[90:190, 80:120].min() > 0.9


def test_a_cutout_at_full_size_uses_the_given_alpha(photo: np.ndarray):
    alpha = np.zeros(photo.shape[:2], np.float32)
    alpha[100:400, 100:400] = 1
    found = cutout(photo, alpha)
    expected, _ = foreground(photo.astype(np.float32) / 255, alpha)
    assert (found.alpha == alpha).all() and (found.foreground == expected).all()
    inside = found.foreground[100:400, 100:400]
    np.testing.assert_allclose(inside, photo[100:400, 100:400] / 255, atol=1e-4)


def test_transparency_that_came_along_is_taken_as_it_is(photo: np.ndarray):
    alpha = np.linspace(0, 1, photo.shape[0] * photo.shape[1]).reshape(photo.shape[:2])
    found = given_matte(photo, alpha.astype(np.float32))
    np.testing.assert_allclose(found.foreground, photo / 255, atol=1e-6)
    np.testing.assert_allclose(found.alpha, alpha, atol=1e-6)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path, photo: np.ndarray):
    pytest.importorskip("onnxruntime")
    (tmp_path / "matte.onnx").write_text("not a network")
    with pytest.raises(ValueError, match="cannot be used for matting"):
        onnx_matte(tmp_path / "matte.onnx", photo)
    with pytest.raises(OSError, match="does not exist"):
        onnx_matte(tmp_path / "none.onnx", photo)
