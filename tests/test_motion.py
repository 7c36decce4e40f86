"""Motion: presets, expressions, blending and files."""

import math
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from incarnate.io.motions import read_motion
from incarnate.motion import (
    EXPRESSIONS,
    POSES,
    SMPLX_JOINTS,
    Motion,
    blended,
    concatenated,
    grounded,
    idle,
    load_motion,
    looped,
    parse_expression,
    pose_preset,
    resampled,
    save_motion,
    walk_cycle,
)
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.face import arkit_from_smplx, smplx_from_arkit
from incarnate.motion.skeleton import INDEX, PARENTS, T_POSE, calibration, local, positions, turns

HEAD, ELBOW, HIPS = INDEX["head"], INDEX["left_elbow"], INDEX["left_hip"]


def turned(joint: int, degrees: list[float], axis: int = 1, fps: float = 10.0) -> Motion:
    """The T-pose with one joint turned by so many degrees, frame by frame."""
    still = Motion.still(num_frames=len(degrees), fps=fps)
    rotvec = torch.deg2rad(torch.tensor(degrees))[:, None] * torch.eye(3)[axis]
    still.pose[:, joint] = roma.rotvec_to_rotmat(rotvec)
    return still


def angle(motion: Motion, joint: int) -> list[float]:
    vectors = roma.rotmat_to_rotvec(motion.pose[:, joint])
    return torch.rad2deg(vectors.norm(dim=-1)).tolist()


def test_the_names_and_the_tree_are_those_of_smplx():
    assert len(SMPLX_JOINTS) == len(PARENTS) == 55
    assert SMPLX_JOINTS[22:26] == ("jaw", "left_eye_smplhf", "right_eye_smplhf", "left_index1")
    assert SMPLX_JOINTS[52:] == ("right_thumb1", "right_thumb2", "right_thumb3")
    named = {SMPLX_JOINTS[j]: SMPLX_JOINTS[p] for j, p in enumerate(PARENTS) if p >= 0}
    assert named["left_thumb1"] == "left_wrist" and named["right_pinky3"] == "right_pinky2"
    assert named["left_collar"] == "spine3" and named["right_ankle"] == "right_knee"
    assert len(set(ARKIT_NAMES)) == 52


def test_a_bent_elbow_brings_the_hand_to_the_front():
    joints = positions(turned(ELBOW, [-90.0]).pose, torch.zeros(1, 3))[0]
    forearm = joints[INDEX["left_wrist"]] - joints[ELBOW]
    torch.testing.assert_close(forearm, torch.tensor([0.0, 0.0, 0.25]), atol=1e-6, rtol=0)


def test_local_undoes_turns():
    pose = roma.random_rotmat(55)[None]
    torch.testing.assert_close(local(turns(pose)), pose, atol=1e-5, rtol=0)


def test_the_t_pose_needs_no_calibration():
    torch.testing.assert_close(
        calibration(T_POSE), torch.eye(3).repeat(55, 1, 1), atol=1e-5, rtol=0
    )


def test_resampling_turns_evenly_and_keeps_the_time():
    motion = resampled(turned(HEAD, [0.0, 20.0, 60.0]), 20.0)
    assert motion.seconds == pytest.approx(0.2)
    assert angle(motion, HEAD) == pytest.approx([0, 10, 20, 40, 60], abs=1e-3)


def test_blending_touches_only_its_region():
    base, over = turned(HEAD, [0.0]), turned(HEAD, [40.0])
    over.pose[:, ELBOW] = over.pose[:, HEAD]
    over.expression[:] = 1
    mixed = blended(base, over, face=0.25, head=0.5)
    assert angle(mixed, HEAD) == pytest.approx([20], abs=1e-3)
    assert angle(mixed, ELBOW) == pytest.approx([0], abs=1e-3)
    assert mixed.expression.unique().tolist() == [0.25]


def test_a_fade_runs_from_one_motion_to_the_other():
    joined = concatenated(turned(HEAD, [0.0] * 4), turned(HEAD, [30.0] * 4), fade_frames=1)
    assert angle(joined, HEAD) == pytest.approx([0, 0, 0, 15, 30, 30, 30], abs=1e-3)


def test_a_loop_has_no_jump():
    ramp = looped(turned(HEAD, [float(d) for d in range(40)]), 20)
    steps = np.abs(np.diff([*angle(ramp, HEAD), angle(ramp, HEAD)[0]]))
    assert len(ramp) == 20 and steps.max() < 5  # A hard cut jumps by 39 degrees.


@pytest.mark.parametrize(
    "cycle", [walk_cycle(fps=24.0), idle(fps=10.0, seconds=4.0)], ids=["walk", "idle"]
)
def test_cycles_close(cycle: Motion):
    joints = positions(cycle.pose, cycle.transl)
    steps = (joints.roll(-1, 0) - joints).norm(dim=-1).amax(1)
    assert steps[-1] <= 1.2 * steps[:-1].max()


@pytest.mark.parametrize("name", POSES)
def test_presets_are_rotations_with_a_foot_on_the_floor(name: str):
    motion = pose_preset(name)
    eye = torch.eye(3).expand(1, 55, 3, 3)
    torch.testing.assert_close(motion.pose @ motion.pose.mT, eye, atol=1e-5, rtol=0)
    assert torch.linalg.det(motion.pose).min() > 0.99
    joints = positions(motion.pose, motion.transl)[0]
    ankles = joints[[INDEX["left_ankle"], INDEX["right_ankle"]], 1]
    floor = float(T_POSE[INDEX["left_ankle"], 1])
    assert float(ankles.min()) == pytest.approx(floor, abs=0.03)


def test_sitting_bends_hips_and_knees_by_right_angles():
    joints = positions(pose_preset("sitting").pose, torch.zeros(1, 3))[0]
    thigh = joints[INDEX["left_knee"]] - joints[INDEX["left_hip"]]
    shin = joints[INDEX["left_ankle"]] - joints[INDEX["left_knee"]]
    assert abs(math.degrees(math.asin(thigh[1] / thigh.norm()))) < 5 and thigh[2] > 0.35
    assert math.degrees(math.acos(-shin[1] / shin.norm())) < 10


def test_crossed_hands_lie_beyond_the_middle():
    joints = positions(pose_preset("crossed").pose, torch.zeros(1, 3))[0]
    assert joints[INDEX["left_middle1"], 0] < -0.05 < 0.05 < joints[INDEX["right_middle1"], 0]


def test_unknown_names_name_the_nearest():
    with pytest.raises(ValueError, match="'sitting'"):
        pose_preset("siting")
    with pytest.raises(ValueError, match="'smile'"):
        parse_expression("smlie")
    with pytest.raises(ValueError, match="'jawOpen'"):
        parse_expression("jawopen=0.5")
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        parse_expression("jawOpen=2")


def test_expressions_parse():
    weights = parse_expression("jawOpen=0.5, eyeBlinkLeft=1")
    assert {n: float(w) for n, w in zip(ARKIT_NAMES, weights, strict=True) if w} == {
        "jawOpen": 0.5, "eyeBlinkLeft": 1.0,
    }  # fmt: skip
    assert parse_expression("smile=0.5")[ARKIT_NAMES.index("mouthSmileLeft")] == 0.375
    assert all(set(named) <= set(ARKIT_NAMES) for named in EXPRESSIONS.values())


def test_jaw_and_gaze_return_from_arkit():
    angles = torch.tensor([[0.3, 0.1, 0.0], [0.2, -0.3, 0.0], [-0.2, -0.3, 0.0]])
    torch.testing.assert_close(smplx_from_arkit(arkit_from_smplx(angles)), angles)
    weights = arkit_from_smplx(angles)  # Looking right: the left eye turns in.
    assert weights[ARKIT_NAMES.index("eyeLookInLeft")] == pytest.approx(0.5)


def test_saved_motion_returns(tmp_path: Path):
    motion = walk_cycle(fps=12.0)
    save_motion(motion, tmp_path / "walk.npz")
    for back in (load_motion(tmp_path / "walk.npz"), read_motion(tmp_path / "walk.npz")):
        assert back.fps == motion.fps
        torch.testing.assert_close(back.pose, motion.pose, atol=1e-5, rtol=0)
        torch.testing.assert_close(back.transl, motion.transl)


def amass(path: Path, **changes: np.ndarray) -> Path:
    """A z-up clip: walking along -y with the left elbow bent forward by 90 degrees."""
    poses = np.zeros((3, 156))
    poses[:, 0] = np.pi / 2  # Stands up along z and faces -y.
    poses[:, 3 * ELBOW + 1] = -np.pi / 2
    trans = np.array([[5.0, 5.0 - 0.1 * k, 1.0] for k in range(3)])
    parts = {"poses": poses, "trans": trans, "mocap_framerate": np.array(60.0)} | changes
    np.savez(path, allow_pickle=False, **parts)
    return path


def test_amass_is_turned_upright(tmp_path: Path):
    motion = read_motion(amass(tmp_path / "clip.npz"))
    assert motion.fps == 60
    torch.testing.assert_close(motion.pose[:, 0], torch.eye(3).repeat(3, 1, 1), atol=1e-5, rtol=0)
    assert angle(motion, ELBOW) == pytest.approx([90] * 3, abs=1e-3)
    torch.testing.assert_close(motion.transl[-1], torch.tensor([0.0, 0.0, 0.2]), atol=1e-5, rtol=0)


def test_smplx_keys_are_read_and_their_face_is_told_by_arkit(tmp_path: Path):
    body = np.zeros((2, 21, 3))
    body[:, ELBOW - 1, 1] = -1.0
    parts = {"global_orient": np.zeros((2, 3)), "body_pose": body, "transl": np.zeros((2, 3))}
    jaw = np.array([[0.225, 0, 0], [0, 0, 0]])
    np.savez(tmp_path / "a.npz", jaw_pose=jaw, expression=np.ones((2, 10)), **parts)
    with pytest.warns(UserWarning, match="left out"):
        motion = read_motion(tmp_path / "a.npz")
    assert motion.expression[:, ARKIT_NAMES.index("jawOpen")].tolist() == [0.5, 0.0]
    assert angle(motion, ELBOW) == pytest.approx([math.degrees(1)] * 2, abs=1e-3)
    np.savez(tmp_path / "b.npz", left_hand_pose=np.zeros((2, 12)), **parts)
    with pytest.raises(ValueError, match="PCA"):
        read_motion(tmp_path / "b.npz")


CHAIN = {  # Name: parent, offset in centimetres. Arms hang in an A of 45 degrees.
    "Hips": (None, (0, 0, 0)), "Spine": ("Hips", (0, 11, 0)), "Spine1": ("Spine", (0, 14, 0)),
    "Spine2": ("Spine1", (0, 10, 0)), "Neck": ("Spine2", (0, 15, 0)), "Head": ("Neck", (0, 8, 0)),
} | {
    f"{side}{name}": (above if above == "Hips" or above == "Spine2" else f"{side}{above}",
                      (sign * x, y, z))
    for side, sign in (("Left", 1), ("Right", -1))
    for name, above, (x, y, z) in (
        ("Shoulder", "Spine2", (8, 12, 0)), ("Arm", "Shoulder", (9, 0, 0)),
        ("ForeArm", "Arm", (18, -18, 0)), ("Hand", "ForeArm", (18, -18, 0)),
        ("UpLeg", "Hips", (9, 0, 0)), ("Leg", "UpLeg", (1.5, -40, 0)),
        ("Foot", "Leg", (1.5, -40, 0)), ("ToeBase", "Foot", (0, -6, 12)),
    )
}  # fmt: skip


def bvh(
    path: Path, frames: list[dict[str, tuple[float, float, float]]], root_y: float = 90
) -> Path:
    """Mixamo-named BVH; `frames` give Z, X, Y angles by joint."""
    order: list[str] = []

    def block(name: str) -> str:
        order.append(name)
        position = "6 Xposition Yposition Zposition" if name == "Hips" else "3"
        offset = " ".join(map(str, CHAIN[name][1]))
        inner = "".join(block(n) for n, (parent, _) in CHAIN.items() if parent == name)
        inner = inner or "End Site { OFFSET 0 1 0 }\n"
        kind = "ROOT" if name == "Hips" else "JOINT"
        return (f"{kind} mixamorig:{name} {{\nOFFSET {offset}\n"
                f"CHANNELS {position} Zrotation Xrotation Yrotation\n{inner}}}\n")  # fmt: skip

    text = "HIERARCHY\n" + block("Hips") + f"MOTION\nFrames: {len(frames)}\nFrame Time: 0.04\n"
    for k, frame in enumerate(frames):
        numbers = [0.0, root_y, 10.0 * k]
        for name in order:
            numbers += frame.get(name, (0, 0, 0))
        text += " ".join(map(str, numbers)) + "\n"
    path.write_text(text)
    return path


def test_bvh_rest_pose_is_an_a_pose_of_smplx(tmp_path: Path):
    motion = read_motion(bvh(tmp_path / "a.bvh", [{}, {"Head": (0, 0, 30)}]))
    assert motion.fps == pytest.approx(25)
    joints = positions(motion.pose, motion.transl)[0]
    arm = joints[INDEX["left_wrist"]] - joints[INDEX["left_shoulder"]]
    torch.testing.assert_close(
        arm / arm.norm(), torch.tensor([0.7071, -0.7071, 0.0]), atol=1e-3, rtol=0
    )
    assert angle(motion, HEAD) == pytest.approx([0, 30], abs=1e-2)
    torch.testing.assert_close(  # 10 cm at a leg of 80.05 cm.
        motion.transl[1] - motion.transl[0], torch.tensor([0, 0, 0.1]), atol=2e-3, rtol=0
    )


def test_bvh_turns_follow_the_channel_order(tmp_path: Path):
    motion = read_motion(bvh(tmp_path / "a.bvh", [{"Hips": (20, 30, 40)}]))
    z, x, y = (
        roma.rotvec_to_rotmat(torch.deg2rad(torch.tensor(d)) * torch.eye(3)[a])
        for a, d in ((2, 20.0), (0, 30.0), (1, 40.0))
    )
    torch.testing.assert_close(motion.pose[0, 0], z @ x @ y, atol=1e-5, rtol=0)


def test_broken_files_are_told_in_one_line(tmp_path: Path):
    good = bvh(tmp_path / "a.bvh", [{}, {}]).read_text()
    cases = {
        "truncated": good[: len(good) // 3 * 2] + good[-200:-150],
        "0 frames": good[: good.index("Frames:")] + "Frames: 0\nFrame Time: 0.04\n",
        "left_elbow": good.replace("LeftForeArm", "Bone17"),
        "ends too soon": good.replace("}\nMOTION", "MOTION"),
        "not a whole BVH": good[:300],
        "braces of the HIERARCHY part do not match": good.replace("}\nMOTION", "}\n}\nMOTION"),
        "no channel is called 'Wrotation'": good.replace("Zrotation", "Wrotation", 1),
    }
    cases["truncated"] = good.rsplit(" ", 30)[0]
    for message, text in cases.items():
        (tmp_path / "bad.bvh").write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_motion(tmp_path / "bad.bvh")
        assert "\n" not in str(caught.value)
    (tmp_path / "bad.npz").write_bytes(amass(tmp_path / "c.npz").read_bytes()[:500])
    np.savez(tmp_path / "empty.npz", poses=np.zeros((0, 156)))
    np.savez(tmp_path / "other.npz", points=np.zeros(3))
    np.savez(tmp_path / "wide.npz", poses=np.zeros((2, 168)))
    for name, message in (
        ("bad.npz", "not a whole"), ("empty.npz", "no frames"), ("other.npz", "got keys points"),
        ("wide.npz", "168"), ("a.fbx", "unknown kind"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read_motion(tmp_path / name)
    with pytest.raises(OSError):
        read_motion(tmp_path / "absent.bvh")


def test_grounding_lays_a_handstand_on_its_hands():
    motion = turned(0, [180.0], axis=0)
    motion.pose[:, INDEX["left_shoulder"]] = roma.rotvec_to_rotmat(torch.tensor([0, 0, 1.5]))
    lowest = positions(motion.pose, grounded(motion).transl)[0, :, 1]
    assert SMPLX_JOINTS[int(lowest.argmin())].startswith("left")
    assert float(lowest.min()) == pytest.approx(-0.965 + 0.03, abs=1e-4)
