"""Drawn skeletons."""

import itertools

import numpy as np

from incarnate.motion.skeleton import PARENTS, SMPLX_JOINTS, T_POSE
from incarnate.priors.skeleton import color, drawn

SIZE = 256
LIMBS = [name for i, name in enumerate(SMPLX_JOINTS) if PARENTS[i] >= 0 and not 22 <= i <= 24]


def t_pose():
    """Seen from the front: the person's left is at the right."""
    x, y = T_POSE[:, 0].numpy(), T_POSE[:, 1].numpy()
    return np.stack([128 + 140 * x, 108 - 140 * y], -1)


def test_every_limb_has_a_colour_of_its_own():
    colors = [np.array(color(name)) for name in LIMBS]
    nearest = min(np.abs(a - b).max() for a, b in itertools.combinations(colors, 2))
    assert nearest >= 8
    body = [np.array(color(name)) for name in LIMBS[:21]]
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(body, 2)) >= 16


def test_a_limb_lies_between_its_joints_in_its_colour():
    joints = t_pose()
    picture = drawn(joints, SMPLX_JOINTS, SIZE, SIZE)
    for name in ("left_elbow", "right_knee", "left_knee"):
        i = SMPLX_JOINTS.index(name)
        x, y = (joints[i] + joints[PARENTS[i]]) / 2
        np.testing.assert_array_equal(picture[int(y), int(x)] * 255, color(name))


def test_a_point_on_a_pixels_centre_is_drawn_there():
    joints = np.array([[10.5, 10.5], [10.5, 20.5]])
    picture = drawn(joints, ("left_hip", "left_knee"), 32, 32)
    strength = picture[15].sum(-1)
    assert strength.argmax() == 10
    np.testing.assert_allclose(strength[8:10], strength[12:10:-1], atol=0.1)


def test_what_is_unknown_or_foreign_is_left_out():
    joints = t_pose()
    joints[SMPLX_JOINTS.index("left_knee")] = np.nan
    picture = drawn(joints, SMPLX_JOINTS, SIZE, SIZE) * 255
    seen = {tuple(pixel) for pixel in picture.reshape(-1, 3).round().astype(int)}
    assert color("left_knee") not in seen and color("left_ankle") not in seen
    assert color("right_knee") in seen
    assert color("jaw") not in seen
    assert not drawn(joints[:2], ("antenna", "tail"), 16, 16).any()


def test_far_outside_joints_do_not_run_over():
    joints = np.array([[8.0, 8.0], [1e7, 8.0]])
    picture = drawn(joints, ("left_hip", "left_knee"), 16, 16)
    assert picture[8, 15].any() and not picture[8, 0].any()
