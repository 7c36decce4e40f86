import pytest
import torch

from incarnate.body.gaze import gaze_rotations
from incarnate.motion import Motion, pose_preset
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.skeleton import INDEX, positions
from incarnate.viewer.sliders import FACE, POSE, faced, turned

T_POSE = Motion.still()
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def places(motion: Motion) -> torch.Tensor:
    return positions(motion.pose, motion.transl)[0]


def moved(group: str, name: str, degrees: float = 40.0, motion: Motion = T_POSE) -> torch.Tensor:
    """By how much each joint is moved."""
    return places(turned(motion, {(group, name): degrees})) - places(motion)


def test_each_of_the_52_weights_has_one_slider():
    names = [name for group in FACE.values() for name in group]
    assert sorted(names) == sorted(ARKIT_NAMES)


@pytest.mark.parametrize(
    ("slider", "joint", "axis"),
    [
        (("left arm", "raise"), "left_wrist", (0, 1, 0)),
        (("right arm", "raise"), "right_wrist", (0, 1, 0)),
        (("left arm", "swing forward"), "left_wrist", (0, 0, 1)),
        (("left arm", "bend elbow"), "left_wrist", (0, 0, 1)),
        (("right arm", "bend wrist"), "right_middle1", (0, -1, 0)),
        (("left arm", "wrist aside"), "left_middle1", (0, 0, 1)),
        (("left hand", "curl index"), "left_index3", (0, -1, 0)),
        (("left leg", "raise thigh"), "left_knee", (0, 0, 1)),
        (("left leg", "spread"), "left_ankle", (1, 0, 0)),
        (("right leg", "bend knee"), "right_ankle", (0, 0, -1)),
        (("left leg", "lift toes"), "left_foot", (0, 1, 0)),
        (("left leg", "turn out"), "left_foot", (1, 0, 0)),
        (("spine", "bend forward"), "head", (0, 0, 1)),
        (("spine", "bend left"), "head", (1, 0, 0)),
        (("spine", "turn left"), "right_wrist", (0, 0, 1)),
        (("neck", "aside left"), "head", (1, 0, 0)),
        (("head", "nod"), "left_eye_smplhf", (0, -1, 0)),
        (("head", "turn left"), "left_eye_smplhf", (1, 0, 0)),
        (("head", "tilt left"), "left_eye_smplhf", (1, 0, 0)),
    ],
)
def test_a_slider_moves_its_joint_the_way_it_says(slider, joint, axis):
    way = moved(*slider)[INDEX[joint]]
    assert way @ torch.tensor(axis, dtype=torch.float) > 0.6 * way.norm() > 0.001


def test_left_and_right_move_as_mirror_images():
    for group in ("arm", "hand", "leg"):
        for slider in POSE[f"left {group}"]:
            left, right = (moved(f"{side} {group}", slider.name) for side in ("left", "right"))
            for name, j in INDEX.items():
                if name.startswith("left_"):
                    twin = right[INDEX[name.replace("left_", "right_")]]
                    torch.testing.assert_close(left[j], twin * MIRROR, atol=1e-6, rtol=0)


def test_an_arm_moves_nothing_but_itself():
    still = moved("left arm", "raise").norm(dim=1) < 1e-6
    below = {"left_elbow", "left_wrist"} | {
        n for n in INDEX if n.startswith("left_") and n[-1] in "123"
    }
    assert {name for name, j in INDEX.items() if not still[j]} == below


def test_sliders_at_zero_change_no_bit():
    motion = pose_preset("waving")
    same = turned(motion, {("left arm", "raise"): 0.0, ("head", "nod"): 0.0})
    assert torch.equal(same.pose, motion.pose)


@pytest.mark.parametrize(("yaw", "pitch"), [(30.0, 0.0), (-15.0, 0.0), (0.0, 20.0), (10.0, -25.0)])
def test_both_eyes_turn_by_the_degrees_asked_for(yaw: float, pitch: float):
    ahead = gaze_rotations(faced({}, yaw, pitch))[:, :, 2]
    across = torch.rad2deg(torch.atan2(ahead[:, 0], ahead[:, 2]))
    up = torch.rad2deg(torch.asin(ahead[:, 1]))
    torch.testing.assert_close(across, torch.full((2,), yaw), atol=0.01, rtol=0)
    torch.testing.assert_close(up, torch.full((2,), pitch), atol=0.01, rtol=0)


def test_weights_add_up_to_no_more_than_one():
    face = faced({"eyeLookOutLeft": 0.8, "jawOpen": 0.3}, 20.0, 0.0)
    assert face[ARKIT_NAMES.index("eyeLookOutLeft")] == 1
    assert face[ARKIT_NAMES.index("jawOpen")] == pytest.approx(0.3)
