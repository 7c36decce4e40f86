"""Where the body's joints are, told by the network's."""

import numpy as np
import pytest
import torch

from incarnate.motion import pose_preset
from incarnate.motion.skeleton import INDEX
from incarnate.perception.keypoints import keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.perception.sight import JOINTS, SIDES, Sight, calibrated, calibrated_hand
from incarnate.studio.backgrounds import background
from incarnate.studio.light import light
from incarnate.studio.people import person
from incarnate.studio.scenes import framed
from incarnate.studio.shots import posed, shot

LEGS_AND_TRUNK = (11, 12, 23, 24, 25, 26, 27, 28)


def test_a_joint_moves_towards_the_next_where_both_are_seen():
    points = torch.zeros(33, 2)
    points[11], points[23], points[25], points[27] = torch.tensor([
        [0.0, 0.0], [0.0, 100.0], [10.0, 200.0], [10.0, 300.0],
    ])  # fmt: skip
    visible = torch.ones(33)
    visible[27] = 0
    moved = calibrated(points, visible)
    assert 3 < moved[11, 1] < 9 and moved[11, 0] == 0
    assert 93 < moved[23, 1] < 99
    assert 203 < moved[25, 1] < 209 and moved[25, 0] > 10
    assert torch.equal(moved[27], points[27])
    assert torch.equal(moved[[15, 16]], points[[15, 16]])


def test_knuckles_move_towards_the_tips_and_the_wrist_away_from_them():
    """A palm of 100 pixels, aslant; whatever else a hand has stays."""
    points = torch.zeros(21, 2)
    points[[0, 9]] = torch.tensor([[20.0, 10], [80, 90]])
    moved = (calibrated_hand(points) - points) @ torch.tensor([[0.6, 0.8], [0.8, -0.6]])
    assert -14 < moved[0, 0] < -10 and 8 < moved[5, 0] < 10
    assert moved[[9, 13, 17], 0].min() > 15 and moved[:, 0].max() < 18
    assert moved[:, 1].abs().max() < 1e-5  # None aside.
    assert not moved[[3, 4, *range(6, 9), *range(10, 13), 14, 15, 16, 18, 19, 20]].any()


@pytest.mark.parametrize("number", [2, 5])
def test_calibrated_joints_are_nearer_to_a_studio_persons(number: int, perception: Perception):
    rng = np.random.default_rng(number)
    view = next(posed(person((78, number)), pose_preset("stand")))
    camera = framed(view, "full", 0.1, 0.05, 640)
    rgb = shot(view, camera, light(rng, "studio"), background(rng)).rgb
    [found] = keypoints(rgb, perception)
    where = camera.project(torch.tensor(view.joints).float())
    true = torch.stack([where[INDEX[JOINTS[k]], :2] for k in LEGS_AND_TRUNK])
    seen = torch.tensor(found.pose[list(LEGS_AND_TRUNK), :2])
    sight = Sight(found, torch.ones(640, 640), 640, 640)
    ours = sight.points[list(LEGS_AND_TRUNK)]
    assert (ours - true).norm(dim=1).mean() < 0.7 * (seen - true).norm(dim=1).mean()
    for side, hand in zip(SIDES, (found.left_hand, found.right_hand), strict=True):
        assert hand is not None
        names = ("wrist", *(f"{finger}1" for finger in ("index", "middle", "ring", "pinky")))
        true = torch.stack([where[INDEX[f"{side}_{name}"], :2] for name in names])
        roots = [0, 5, 9, 13, 17]
        gaps = [
            (points[roots, :2] - true).norm(dim=1).mean()
            for points in (sight.hands[side], torch.tensor(hand.points))
        ]
        assert gaps[0] < 0.9 * gaps[1]
