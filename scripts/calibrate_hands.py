"""Measures how far the hand network's knuckles lie from the body's, for perception/sight.py's PALM.

    python scripts/calibrate_hands.py [--people 72]

As calibrate_joints.py. For each point of PALM prints the share of the way from wrist to middle
knuckle that brings the network's nearest to the body's, by reweighted least squares (Geman and
McClure, 3 pixels) over hands that were found roughly where they are, and the median distance in
pixels before and after. Ring and pinky, which such hands hide, are read as the middle finger's:
the network errs on them by more than its habit. Takes two minutes.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from incarnate.motion import pose_preset
from incarnate.motion.skeleton import INDEX
from incarnate.perception.keypoints import keypoints
from incarnate.perception.landmarkers import Hand, Perception
from incarnate.perception.sight import FINGERS, PALM, SIDES
from incarnate.studio.backgrounds import background
from incarnate.studio.light import light
from incarnate.studio.people import person
from incarnate.studio.scenes import framed
from incarnate.studio.shots import posed, shot

POSES = ("stand", "stand", "hands-on-hips", "waving", "t-pose", "stand")
SIZE, LIMIT, ASTRAY = 1024, 3.0, 14.0  # Pixels.
NAMES = ["wrist"] + [f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3, "tip")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--people", type=int, default=72)
    with Perception() as perception:
        pairs = [p for n in range(parser.parse_args().people) for p in _pairs(n, perception)]
    print(f"{len(pairs)} hands")
    palms = np.stack([pair[0] for pair in pairs])
    for point, used in PALM.items():
        gaps = np.stack([pair[1][point] for pair in pairs])
        share = _robust(palms, gaps)
        before, after = (np.median(np.linalg.norm(g, axis=1)) for g in (gaps, gaps - share * palms))
        print(f"{point}: {share:.3f}, {before:.1f} to {after:.1f} pixels, in use {used}")


def _pairs(number: int, perception: Perception) -> list[tuple[NDArray, dict[int, NDArray]]]:
    """Of each hand the way from wrist to middle knuckle in pixels, and what each point lacks."""
    rng = np.random.default_rng(number)
    view = next(posed(person((77, number)), pose_preset(POSES[number % len(POSES)])))
    camera = framed(view, "full", rng.normal(0, 0.25), rng.uniform(-0.05, 0.15), SIZE)
    lamp = light(rng, "studio" if number % 2 else "outdoor")
    found = keypoints(shot(view, camera, lamp, background(rng)).rgb, perception)[0]
    where = camera.project(torch.tensor(view.joints).float()).numpy()
    hands = zip(SIDES, (found.left_hand, found.right_hand), strict=True)
    pairs = [_pair(hand, side, where) for side, hand in hands if hand is not None]
    return [(a, g) for a, g in pairs if np.median(np.linalg.norm([*g.values()], axis=1)) < ASTRAY]


def _pair(hand: Hand, side: str, where: NDArray) -> tuple[NDArray, dict[int, NDArray]]:
    true = {point: where[INDEX[f"{side}_{NAMES[point]}"], :2] for point in PALM}
    palm = hand.points[9, :2] - hand.points[0, :2]
    return palm, {point: true[point] - hand.points[point, :2] for point in PALM}


def _robust(palms: NDArray, gaps: NDArray) -> float:
    weights, share = np.ones(len(gaps)), 0.0
    for _ in range(30):
        share = float((weights @ (gaps * palms)).sum() / (weights @ palms**2).sum())
        weights = (1 + ((gaps - share * palms) ** 2).sum(1) / LIMIT**2) ** -2
    return share


if __name__ == "__main__":
    main()
