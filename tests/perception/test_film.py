"""Films become motions: on sightings made from known motions, without any network."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from incarnate.io.video import write_video
from incarnate.motion import Motion, pose_preset
from incarnate.motion.skeleton import INDEX, positions, turns
from incarnate.perception import mimic
from incarnate.perception.figure import Weights
from incarnate.perception.film import FOCAL, Following, motion_from_film, motion_of
from incarnate.perception.fingers import finger_names, finger_turns, hand_turns
from incarnate.perception.follow import Sightings
from incarnate.perception.smooth import bridged, bridged_turns, smoothed, smoothed_turns
from incarnate.progress import Silent

FPS, SIZE, AWAY = 25.0, (683, 512), 3.2
QUICK = Following(figure=Weights(steps=40))
SEEN = {
    11: "left_shoulder", 12: "right_shoulder", 13: "left_elbow", 14: "right_elbow",
    15: "left_wrist", 16: "right_wrist", 23: "left_hip", 24: "right_hip", 25: "left_knee",
    26: "right_knee", 27: "left_ankle", 28: "right_ankle",
}  # fmt: skip


def waving(count: int) -> Motion:
    """From standing to a wave: the arm goes up and the forearm swings."""
    start, end = pose_preset("stand").pose[0], pose_preset("waving").pose[0]
    share = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(count) / count)
    turn = roma.rotmat_to_rotvec(start.mT @ end)
    pose = start @ roma.rotvec_to_rotmat(share[:, None, None] * turn)
    return Motion(FPS, pose, torch.zeros(count, 3), torch.zeros(count, 52))


def sighted(motion: Motion, noise: float = 0.0) -> Sightings:
    """What perfect networks would say of the idealised adult, AWAY from the camera."""
    rng = np.random.default_rng(0)
    joints = positions(motion.pose, motion.transl).numpy()
    turned = turns(motion.pose)[:, INDEX["head"]].numpy()
    count = len(motion)
    world, points = np.zeros((count, 33, 3)), np.ones((count, 33, 3))
    world[:] = joints[:, INDEX["head"], None]
    for point, name in SEEN.items():
        world[:, point] = joints[:, INDEX[name]]
    for k, side in enumerate(("left", "right")):
        world[:, 29 + k] = joints[:, INDEX[f"{side}_ankle"]] + [0, -0.045, -0.045]
        world[:, 31 + k] = joints[:, INDEX[f"{side}_foot"]] + [0, -0.01, 0.07]
    focal = FOCAL * max(SIZE)
    depth = AWAY - world[..., 2]
    points[..., 0] = SIZE[1] / 2 + focal * world[..., 0] / depth
    points[..., 1] = SIZE[0] / 2 - focal * world[..., 1] / depth
    points[..., :2] += noise * rng.standard_normal((count, 33, 2))
    middle = (world[:, 23:24] + world[:, 24:25]) / 2
    nothing = np.full((count, 2, 21, 3), np.nan, np.float32)
    face = np.repeat(points[:, :1], 478, 1)
    return Sightings(
        FPS, SIZE, points.astype(np.float32),
        ((world - middle) * [1, -1, -1]).astype(np.float32), face.astype(np.float32),
        np.zeros((count, 52), np.float32), turned.astype(np.float32),
        nothing[..., :2], nothing,
    )  # fmt: skip


def gap(tracked: Motion, truth: Motion, names: list[str]) -> float:
    """Mean distance of joints from each other, in metres, pelvis on pelvis."""
    ids = [INDEX[name] for name in names]
    still = torch.zeros(len(truth), 3)
    apart = positions(tracked.pose, still) - positions(truth.pose, still)
    return float(apart[:, ids].norm(dim=-1).mean())


LIMBS = [f"{s}_{p}" for s in ("left", "right") for p in ("elbow", "wrist", "knee", "ankle")]


def test_a_known_motion_is_recovered_from_its_points():
    truth = waving(30)
    tracked = motion_of(sighted(truth), QUICK)
    assert len(tracked) == len(truth) and tracked.fps == FPS
    # The likely pose and the filter pull by some centimetres; limbs move by half a metre.
    assert gap(tracked, truth, LIMBS) < 0.06
    assert (tracked.transl - tracked.transl.mean(0)).abs().max() < 0.03


def test_a_short_gap_is_bridged_and_a_long_one_is_bridged_less():
    truth = waving(30)
    seen = sighted(truth)
    blind = replace(seen, points=seen.points.copy(), head=seen.head.copy())
    blind.points[12:17] = np.nan
    blind.head[12:17] = np.nan
    tracked = motion_of(blind, QUICK)
    assert gap(tracked.frames(12, 17), truth.frames(12, 17), LIMBS) < 0.07


def test_smoothing_lags_by_nothing_and_follows_its_formula():
    t = torch.arange(400) / FPS
    for hertz in (1.0, 4.0, 8.0):
        wave = torch.sin(2 * math.pi * hertz * t)[:, None]
        out = smoothed(wave, torch.ones(400), FPS, 4.0)
        k = 1 / (2 - 2 * math.cos(2 * math.pi * 4 / FPS)) ** 2
        share = 1 / (1 + k * (2 - 2 * math.cos(2 * math.pi * hertz / FPS)) ** 2)
        inner = slice(80, 320)  # Ends know one side only.
        torch.testing.assert_close(out[inner], share * wave[inner], atol=1e-3, rtol=0)


def test_smoothing_kills_noise_of_turns_and_keeps_the_turn():
    rng = torch.Generator().manual_seed(0)
    t = torch.arange(200) / FPS
    axis = torch.tensor([0.0, 1.0, 0.0])
    truth = roma.rotvec_to_rotmat(torch.sin(2 * math.pi * 0.5 * t)[:, None] * axis)
    noise = roma.rotvec_to_rotmat(0.1 * torch.randn(200, 3, generator=rng))
    out = smoothed_turns((truth @ noise)[:, None], torch.ones(200), FPS, 2.0)[:, 0]
    before = roma.rotmat_geodesic_distance(truth @ noise, truth).mean()
    after = roma.rotmat_geodesic_distance(out, truth).mean()
    assert after < 0.5 * before


def test_gaps_run_evenly_and_long_ones_rest():
    seen = torch.ones(100, dtype=torch.bool)
    seen[10:20] = False
    seen[40:90] = False
    values = torch.arange(100.0)[:, None]
    hidden = torch.where(seen[:, None], values, torch.nan)
    out = bridged(torch.nan_to_num(hidden), seen, torch.tensor([-5.0]), FPS)
    torch.testing.assert_close(out[:40], values[:40])
    assert (out[57:72] == -5).all() and out[40] > 35
    turned = roma.rotvec_to_rotmat(0.01 * values * torch.tensor([[0.0, 0.0, 1.0]]))[:, None]
    even = bridged_turns(turned, seen, torch.eye(3)[None], FPS)
    assert roma.rotmat_geodesic_distance(even[15, 0], turned[15, 0]) < 1e-3
    assert roma.rotmat_geodesic_distance(even[65, 0], torch.eye(3)) < 1e-3


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("preset", ["t-pose", "stand", "fists", "peace"])
def test_fingers_are_recovered_from_their_points(preset: str, side: str):
    pose = pose_preset(preset).pose
    turned = turns(pose)
    at = positions(pose, torch.zeros(1, 3))
    points = _hand_points(at, turned, side)
    hand = hand_turns(points, side)
    wrist = turned[:, INDEX[f"{side}_wrist"]]
    apart = roma.rotmat_geodesic_distance(hand, wrist)
    assert float(apart) < math.radians(20)  # A spread knuckle is no part of the hand's frame.
    found = finger_turns(points, wrist, side)
    bent = pose.clone()
    bent[:, [INDEX[n] for n in finger_names(side)]] = found
    again = _hand_points(positions(bent, torch.zeros(1, 3)), turns(bent), side)
    assert float((again - points)[:, 5:].norm(dim=-1).max()) < 0.025


def _hand_points(at: Tensor, turned: Tensor, side: str) -> Tensor:
    """MediaPipe's 21 points of SMPL-X joints; tips go on as far as the bone before."""
    rows = [at[:, INDEX[f"{side}_wrist"]]]
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        joints = [at[:, INDEX[f"{side}_{finger}{k}"]] for k in (1, 2, 3)]
        last = turned[:, INDEX[f"{side}_{finger}3"]]
        above = turned[:, INDEX[f"{side}_{finger}2"]]
        bone = (last @ above.mT @ (joints[2] - joints[1])[..., None])[..., 0]
        rows += [*joints, joints[2] + bone]
    return torch.stack(rows, 1)


def test_points_tell_how_far_the_jaw_and_brows_move_whatever_the_view():
    table = mimic.shapes()
    truth = torch.zeros(40, 52)
    jaw, brow = mimic.at("jawOpen"), mimic.at("browInnerUp")
    truth[20:, jaw] = torch.linspace(0, 0.5, 20)
    truth[20:, brow] = torch.linspace(0.5, 0, 20)
    points = table.rest + (table.moves @ truth.T).permute(2, 0, 1)
    view = roma.rotvec_to_rotmat(torch.tensor([0.2, -0.4, 0.1]))
    found = mimic.weights(900 * points @ view.T + 300, 0.1 * truth)  # Scores tell when.
    for name in (jaw, brow):  # Gains stretch, other shapes leak in: the course is the fact.
        course = torch.corrcoef(torch.stack([found[:, name], truth[:, name]]))[0, 1]
        assert course > 0.95
    assert found[:20, jaw].max() < 0.05


def blinking(height: float = 1.0, count: int = 80) -> tuple[Tensor, Tensor]:
    """Points and scores of a face whose lids close twice to that share, over 7 frames each."""
    table = mimic.shapes()
    truth = torch.zeros(count, 52)
    for start in (20, 50):
        bump = torch.sin(math.pi * torch.arange(8) / 8).square()
        for side in ("Left", "Right"):
            truth[start : start + 8, mimic.at(f"eyeBlink{side}")] = height * bump
    return table.rest + (table.moves @ truth.T).permute(2, 0, 1), truth


def test_blinks_are_found_in_points_though_scores_drift():
    rng = torch.Generator().manual_seed(1)
    points, truth = blinking()
    points = 900 * points + 0.2 * torch.randn(points.shape, generator=rng)
    drift = 0.4 + 0.2 * torch.linspace(0, 1, 80)
    scores = torch.zeros(80, 52)
    for side in ("Left", "Right"):
        blink = mimic.at(f"eyeBlink{side}")
        scores[:, blink] = drift + 0.1 * truth[:, blink]
    found = mimic.weights(points, scores, FPS)
    blink = mimic.at("eyeBlinkLeft")
    course = torch.corrcoef(torch.stack([found[:, blink], truth[:, blink]]))[0, 1]
    assert course > 0.9 and found[:15, blink].max() < 0.1
    assert (found[:, blink] - found[:, mimic.at("eyeBlinkRight")]).abs().max() == 0


def test_a_blink_moves_neither_brows_nor_gaze():
    points, truth = blinking()
    lifted = points.clone()  # What networks make of it.
    closed = truth[:, mimic.at("eyeBlinkLeft"), None]
    brows = [i for side in mimic.BROWS.values() for i in side]
    lifted[:, brows, 1] += 0.003 * closed
    lifted[:, list(mimic.IRIS.values()), 1] -= 0.003 * closed
    found = mimic.weights(900 * lifted, 0.5 * truth, FPS)
    still = [i for i, name in enumerate(mimic.ARKIT_NAMES) if name.startswith(("brow", "eyeLook"))]
    assert found[:, still].max() < 0.1
    assert found[:, mimic.at("eyeBlinkLeft")].max() > 0.5


def test_a_mouth_that_narrows_puckers_and_one_that_widens_does_not():
    table = mimic.shapes()
    points = table.rest.repeat(60, 1, 1)
    corners = list(mimic.MOUTH)
    for frames, share in ((slice(10, 20), 0.8), (slice(40, 50), 1.15)):
        points[frames, corners, 0] *= share
    pucker = mimic.weights(900 * points, torch.zeros(60, 52), FPS)[:, mimic.at("mouthPucker")]
    assert pucker[10:20].min() > 0.5
    assert pucker[:10].max() < 0.02 and pucker[20:].max() < 0.02


def test_a_film_without_a_person_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "wall.mp4"
    write_video(path, [np.full((96, 96, 3), 140, np.uint8)] * 3, 25)
    with pytest.raises(ValueError, match="no person found in the film") as caught:
        motion_from_film(path, Silent())
    assert "\n" not in str(caught.value)
