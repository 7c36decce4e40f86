"""Standing feet are found, held and grounded."""

import math
from dataclasses import replace

import torch

from incarnate.motion import Motion, grounded, pose_preset, walk_cycle
from incarnate.motion.feet import FEET, planted, standing
from incarnate.motion.skeleton import positions


def feet_of(motion: Motion) -> torch.Tensor:
    at = positions(motion.pose, motion.transl)
    return torch.stack([at[:, ids].mean(1) for ids in FEET], 1)


def stood(count: int) -> Motion:
    return Motion.still(pose_preset("stand").pose[0], None, None, count, 25.0)


def test_feet_that_slide_a_little_are_held():
    t = torch.arange(50) / 25
    sway = torch.stack([0.02 * torch.sin(3 * t), 0.03 * torch.sin(5 * t), 0.02 * t], 1)
    slid = replace(stood(50), transl=sway)
    before, after = feet_of(slid), feet_of(planted(slid))
    assert standing(slid).all()
    assert (before[1:] - before[:-1]).norm(dim=-1).max() > 0.003
    # What is forgotten in a frame is a hundredth of the correction.
    assert (after[1:] - after[:-1]).norm(dim=-1).max() < 0.0012
    down = grounded(stood(1)).transl[0, 1]
    torch.testing.assert_close(planted(slid).transl[:, 1], down.expand(50))


def test_a_jump_stays_a_jump():
    height = torch.zeros(50)
    height[20:30] = 0.3 * torch.sin(math.pi * torch.arange(10) / 10)
    up = torch.stack([0 * height, height, 0 * height], 1)
    out = planted(replace(stood(50), transl=up)).transl[:, 1]
    assert abs(float(out[25] - out[5]) - 0.3) < 1e-4
    assert not standing(replace(stood(50), transl=up))[23:27].any()


def test_feet_of_a_walk_on_the_spot_do_not_stand_together_for_long():
    stands = standing(walk_cycle(25.0, 1.1))
    assert stands.float().mean() < 0.5
