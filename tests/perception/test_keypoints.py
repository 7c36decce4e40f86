"""People found in photos. The oracle is a photo whose features were measured by eye."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from incarnate.perception.face import Face
from incarnate.perception.keypoints import Keypoints, NoPersonError, choose, keypoints
from incarnate.perception.landmarkers import Perception

RIGHT_EYE, LEFT_EYE = (203.5, 101.2), (247.0, 103.2)  # Irises, read off the enlarged photo.


def face_of(person: Keypoints) -> Face:
    assert person.face is not None
    return person.face


def test_irises_are_where_the_eyes_are(person: Keypoints):
    irises = face_of(person).landmarks[[468, 473], :2]
    np.testing.assert_allclose(irises, [RIGHT_EYE, LEFT_EYE], atol=3)


def test_left_is_the_persons_own_and_axes_are_as_documented(person: Keypoints):
    assert person.pose[11, 0] > person.pose[12, 0]
    assert person.pose_world[11, 0] > person.pose_world[12, 0]
    assert person.pose_world[0, 1] < person.pose_world[11, 1] < 0  # y down from the hips.
    assert person.pose_world[0, 2] < person.pose_world[7, 2]  # The nose is nearer than the ear.


def test_smile_is_scored_and_closed_eyes_are_not(person: Keypoints):
    from incarnate.motion.arkit import ARKIT_NAMES

    score = dict(zip(ARKIT_NAMES, face_of(person).arkit, strict=True))
    assert score["mouthSmileLeft"] > 0.4 > score["eyeBlinkLeft"]


def test_gloves_below_the_frame_are_not_hands(person: Keypoints):
    assert person.left_hand is None and person.right_hand is None


def test_mask_holds_the_face_and_not_the_sky(person: Keypoints, photo: np.ndarray):
    assert person.mask.shape == photo.shape[:2]
    assert person.mask[110, 226] > 0.9 and person.mask[40, 400] < 0.1


def test_a_margin_moves_every_point_and_its_removal_moves_them_back(
    person: Keypoints, photo: np.ndarray, perception: Perception
):
    (moved,) = keypoints(np.pad(photo, ((60, 0), (60, 0), (0, 0)), mode="edge"), perception)
    shift = face_of(moved).landmarks[:, :2] - face_of(person).landmarks[:, :2]
    # The detector's window moves by fractions of a pixel of its own: 2 px are 5 % of the eyes.
    np.testing.assert_allclose(shift, np.full_like(shift, 60), atol=2)
    back = moved.cropped(60, photo.shape[:2])
    again = face_of(back).landmarks - face_of(person).landmarks
    np.testing.assert_allclose(again[:, :2], 0, atol=2)
    np.testing.assert_allclose(back.pose[:13, :2], person.pose[:13, :2], atol=12)
    assert back.mask.shape == photo.shape[:2]
    assert np.abs(back.mask - person.mask).mean() < 0.05
    assert np.abs(moved.mask[60:, 60:] - back.mask).max() < 1e-6


def test_everyone_is_found_and_the_largest_comes_first(photo: np.ndarray, perception: Perception):
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    column = np.concatenate([np.full((256, 256, 3), 90, np.uint8), small])
    people = keypoints(np.concatenate([column, photo], axis=1), perception)
    assert len(people) == 2
    assert people[0].box[0] > 256 > people[1].box[2]
    assert choose(people, 2) is people[1]
    with pytest.raises(NoPersonError, match="person 3 was asked for, the photo shows 2"):
        choose(people, 3)


def test_a_head_that_fills_the_frame_is_found(photo: np.ndarray, perception: Perception):
    head = np.ascontiguousarray(photo[0:190, 140:310])
    face = face_of(choose(keypoints(head, perception)))
    expected = np.asarray([RIGHT_EYE, LEFT_EYE]) - (140, 0)
    np.testing.assert_allclose(face.landmarks[[468, 473], :2], expected, atol=3)


def test_nobody_is_found_in_noise(perception: Perception):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    with pytest.raises(NoPersonError, match="no person found"):
        keypoints(noise, perception)


def test_a_tiny_person_is_refused_for_their_size(photo: np.ndarray, perception: Perception):
    tiny = cv2.resize(photo, (100, 100), interpolation=cv2.INTER_AREA)
    with pytest.raises(NoPersonError, match="too small"):
        choose(keypoints(np.pad(tiny, ((150, 150), (150, 150), (0, 0))), perception))


def test_a_body_without_its_head_is_refused_for_that(person: Keypoints):
    from dataclasses import replace

    with pytest.raises(NoPersonError, match="head not visible"):
        choose([replace(person, face=None)])


def test_the_terminal_stays_clean_even_if_nobody_closes_the_networks():
    program = (
        "import numpy as np\n"
        "from incarnate.perception.landmarkers import Perception\n"
        "perception = Perception()\n"
        "assert perception.faces(np.zeros((64, 64, 3), np.uint8)) == []\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
