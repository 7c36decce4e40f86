"""Standing feet are found, held and grounded; legs reach what they are asked to."""

import math
from dataclasses import replace

import roma
import torch

from incarnate.motion import Motion, grounded, pose_preset, walk_cycle
from incarnate.motion.feet import FEET, planted, standing
from incarnate.motion.legs import longest, reached
from incarnate.motion.skeleton import INDEX, positions, turns


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
    # What remains is the slow drift of 0.8 mm a frame.
    assert (after[1:] - after[:-1]).norm(dim=-1).max() < 0.0012
    down = grounded(stood(1)).transl[0, 1]
    torch.testing.assert_close(planted(slid).transl[:, 1], down.expand(50), atol=2e-3, rtol=0)
    torch.testing.assert_close(planted(slid).transl[:, [0, 2]], sway[:, [0, 2]])


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


def test_a_leg_reaches_a_place_with_its_bones_and_sole_as_they_were():
    rng = torch.Generator().manual_seed(3)
    pose, transl = stood(40).pose, torch.zeros(40, 3)
    before, soles = positions(pose, transl), turns(pose)[:, INDEX["left_ankle"]]
    wanted = before[:, INDEX["left_ankle"]] + 0.08 * torch.randn(40, 3, generator=rng)
    wanted[:, 1] += 0.25  # Within reach.
    out = reached(pose, transl, "left", wanted)
    after = positions(out, transl)
    torch.testing.assert_close(after[:, INDEX["left_ankle"]], wanted, atol=2e-5, rtol=0)
    torch.testing.assert_close(turns(out)[:, INDEX["left_ankle"]], soles, atol=1e-5, rtol=0)
    rest = [j for j in range(55) if j not in (INDEX["left_hip"], INDEX["left_knee"])]
    assert (out[:, rest] - pose[:, rest])[:, [0, 2, 10]].abs().max() == 0  # The right leg's.
    knee = roma.rotmat_to_rotvec(out[:, INDEX["left_knee"]])
    assert (knee[:, 0] > 0.2).all()  # Closed, and about its hinge alone.
    assert knee[:, 1:].abs().max() < 0.1 * knee[:, 0].min() + 0.05


def test_a_leg_that_is_too_short_points_at_the_place():
    pose, transl = stood(1).pose, torch.zeros(1, 3)
    hip = positions(pose, transl)[0, INDEX["left_hip"]]
    place = hip + torch.tensor([0.3, -1.5, 0.4])
    out = reached(pose, transl, "left", place[None])
    leg = positions(out, transl)[0, INDEX["left_ankle"]] - hip
    torch.testing.assert_close(leg.norm(), torch.tensor(longest()), atol=1e-4, rtol=0)
    torch.testing.assert_close(leg / leg.norm(), (place - hip) / (place - hip).norm())


def test_feet_that_slide_apart_are_held_without_a_pop_of_the_knees():
    t = torch.arange(75) / 25
    legs = stood(75)
    for name, sign in (("left_hip", 1.0), ("right_hip", -1.0)):
        swing = 0.03 * torch.sin(2 * math.pi * t)[:, None] * torch.tensor([sign, 0.0, sign])
        legs.pose[:, INDEX[name]] = roma.rotvec_to_rotmat(swing) @ legs.pose[:, INDEX[name]]
    before, after = feet_of(legs), feet_of(planted(legs))
    assert standing(legs).all()
    way, held = ((f[1:] - f[:-1]).norm(dim=-1).mean() for f in (before, after))
    assert held < 0.2 * way
    knees = planted(legs).pose[:, [INDEX["left_knee"], INDEX["right_knee"]]]
    angle = roma.rotmat_to_rotvec(knees)[..., 0]
    assert (angle[1:] - angle[:-1]).abs().max() < math.radians(3)  # No pop.


def test_what_moves_along_the_line_of_sight_alone_may_stand():
    t = torch.arange(50) / 25
    deep = torch.stack([0 * t, 0 * t, 0.06 * torch.sin(6 * t)], 1)
    slid = replace(stood(50), transl=deep)
    assert not standing(slid).all() and standing(slid, 0.4).all()
