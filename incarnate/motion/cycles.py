"""Motions that loop: walking on the spot and standing alive."""

import math
from dataclasses import replace

import numpy as np
import torch

from incarnate.motion.motion import Motion, grounded
from incarnate.motion.presets import ATTITUDES, Arm, Attitude, Leg, attitude_pose

# Normal gait, degrees, at shares of the cycle from one heel strike to the next (textbook values).
_GAIT = (0.0, 0.12, 0.31, 0.50, 0.62, 0.73, 0.87, 1.0)
_HIP = (25.0, 22.0, 6.0, -10.0, -3.0, 17.0, 28.0, 25.0)
_KNEE = (4.0, 15.0, 8.0, 8.0, 38.0, 60.0, 22.0, 4.0)
_FOOT = (16.0, 0.0, 0.0, -14.0, -48.0, -34.0, 8.0, 16.0)


def walk_cycle(fps: float = 30.0, seconds: float = 1.1) -> Motion:
    """One cycle of walking on the spot, two steps; its first frame follows its last."""
    from scipy.interpolate import CubicSpline  # A second to import, for those who walk.

    curves = [CubicSpline(_GAIT, values, bc_type="periodic") for values in (_HIP, _KNEE, _FOOT)]
    count = max(2, round(seconds * fps))
    frames = []
    for phase in np.arange(count) / count:
        left, right = ([float(c(p % 1)) for c in curves] for p in (phase, phase + 0.5))
        swing = math.cos(2 * math.pi * (phase - 0.02))
        frames.append(
            Attitude(
                _swung(-swing),
                _swung(swing),
                Leg(left[0], 0.0, 5.0, left[1], left[2]),
                Leg(right[0], 0.0, 5.0, right[1], right[2]),
                (2.0, 2.0 * math.sin(2 * math.pi * phase), -5.0 * swing),
                (2.0, 0.0, 9.0 * swing),
                (0.0, 0.0, -4.0 * swing),
            )
        )
    return grounded(_film(frames, fps), every_frame=True)


def idle(fps: float = 30.0, seconds: float = 8.0) -> Motion:
    """Standing with two breaths, a slow sway and a blink; its first frame follows its last."""
    stand = ATTITUDES["stand"]
    count = max(2, round(seconds * fps))
    frames, blinks = [], []
    for phase in np.arange(count) / count:
        breath = math.sin(4 * math.pi * phase)
        sway = math.sin(2 * math.pi * phase)
        arm = replace(stand.left_arm, collar=(-4 + 1.2 * breath, 0.0))
        frames.append(
            replace(
                stand,
                left_arm=arm,
                right_arm=arm,
                pelvis=(0.0, 0.5 * sway, 0.8 * sway),
                spine=(-0.8 * breath, -0.6 * sway, 0.0),
                head=(0.5 * breath, 0.3 * sway, 2.0 * math.sin(2 * math.pi * phase + 1)),
            )
        )
        blinks.append(max(0.0, 1 - abs(phase - 0.4) * seconds / 0.12))
    motion = grounded(_film(frames, fps), every_frame=True)
    expression = motion.expression.clone()
    expression[:, 8:10] = torch.tensor(blinks)[:, None]  # eyeBlinkLeft, eyeBlinkRight
    return motion.with_expression(expression)


def _swung(forward: float) -> Arm:
    """An arm of a walker, from -1 (back) to 1 (front)."""
    return Arm((0.15, -1.0, 0.33 * forward - 0.03), (0.06, -1.0, 0.55 * forward + 0.35))


def _film(frames: list[Attitude], fps: float) -> Motion:
    pose = torch.stack([attitude_pose(frame) for frame in frames])
    count = len(frames)
    return Motion(fps, pose, torch.zeros(count, 3), torch.zeros(count, 52))
