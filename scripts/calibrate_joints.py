"""Measures how far MediaPipe's joints lie from the body's, for CALIBRATION in perception/sight.py.

    python scripts/calibrate_joints.py [--people 48]

People of the studio stand and gesture in front of a camera whose truth is known. For each row of
CALIBRATION prints the median share of the way to be moved, its spread (1.48 median deviations) and
the number of people in whom both ends were seen. Takes a minute.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from incarnate.motion import pose_preset
from incarnate.motion.skeleton import INDEX
from incarnate.perception.keypoints import keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.perception.sight import CALIBRATION, JOINTS, VISIBLE
from incarnate.studio.backgrounds import background
from incarnate.studio.light import light
from incarnate.studio.people import person
from incarnate.studio.scenes import framed
from incarnate.studio.shots import posed, shot

POSES = ("stand", "stand", "hands-on-hips", "waving", "t-pose", "stand")
SIZE = 768


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--people", type=int, default=48)
    with Perception() as perception:
        pairs = [_pair(n, perception) for n in range(parser.parse_args().people)]
    seen, true = (np.stack(side) for side in zip(*filter(None, pairs), strict=True))
    for joint, start, end, used in CALIBRATION:
        both = (seen[:, [start, end], 2] > VISIBLE).all(1)
        way = (seen[:, end] - seen[:, start])[both, :2]
        missing = true[both, list(JOINTS).index(joint)] - seen[both, joint, :2]
        share = (missing * way).sum(1) / (way**2).sum(1)
        spread = 1.48 * np.median(abs(share - np.median(share)))
        print(f"{joint}: {np.median(share):.3f} +-{spread:.3f} of {start}-{end}, "
              f"n {both.sum()}, in use {used}")  # fmt: skip


def _pair(number: int, perception: Perception) -> tuple[NDArray, NDArray] | None:
    """What the network sees (33 x, y, visibility) and where JOINTS are, in pixels."""
    rng = np.random.default_rng(number)
    view = next(posed(person((77, number)), pose_preset(POSES[number % len(POSES)])))
    camera = framed(view, "full", rng.normal(0, 0.25), rng.uniform(-0.05, 0.15), SIZE)
    lamp = light(rng, "studio" if number % 2 else "outdoor")
    found = keypoints(shot(view, camera, lamp, background(rng)).rgb, perception)
    where = camera.project(torch.tensor(view.joints).float()).numpy()
    true = np.stack([where[INDEX[name], :2] for name in JOINTS.values()])
    return (np.asarray(found[0].pose), true) if found else None


if __name__ == "__main__":
    main()
