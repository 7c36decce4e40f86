"""Motions written for other programs, read back by our readers and, for BVH, by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from incarnate.io.arkit_csv import read_arkit_csv
from incarnate.io.motions import read_motion
from incarnate.io.written_motions import write_motion
from incarnate.motion import Motion, grounded, pose_preset, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.skeleton import FOOT_DROP, INDEX, SMPLX_JOINTS, T_POSE, positions, turns

FACE = slice(22, 25)


def dancing(frames: int = 70, fps: float = 25.0) -> Motion:
    rng = torch.Generator().manual_seed(4)
    ends = 0.5 * torch.randn(2, 55, 3, generator=rng)
    ends[:, FACE] = 0
    share = torch.linspace(0, 1, frames)[:, None, None]
    pose = roma.rotvec_to_rotmat(ends[0] * (1 - share) + ends[1] * share)
    transl = share[:, 0] * torch.tensor([0.7, 0.1, -0.4])
    face = share[:, 0] * torch.rand(52, generator=rng)
    return grounded(Motion(fps, pose, transl, face))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def angles(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(roma.rotmat_geodesic_distance(one, other).max())


@pytest.mark.parametrize("ending", [".bvh", ".npz"])
@pytest.mark.parametrize("name", ["dance", "walk", "t-pose"])
def test_bodies_come_back_as_they_were(ending, name, tmp_path: Path):
    motion = {"dance": dancing, "walk": walk_cycle}.get(name, lambda: pose_preset("t-pose"))()
    path = tmp_path / f"me{ending}"
    write_motion(path, motion)
    found = read_motion(path)
    assert len(found) == len(motion) and found.fps == pytest.approx(motion.fps, rel=1e-5)
    body = [j for j in range(55) if not 22 <= j < 25]
    assert angles(turns(found.pose)[:, body], turns(motion.pose)[:, body]) < 2e-3
    # Readers put the first frame over the origin, and the lowest sole on the floor.
    moved = motion.transl - motion.transl[:1] * torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(found.transl, moved, rtol=0, atol=2e-3)


def test_a_bvh_stands_on_the_floor_in_centimetres(tmp_path: Path):
    write_motion(tmp_path / "me.bvh", pose_preset("t-pose"))
    words = (tmp_path / "me.bvh").read_text().split()
    assert words[:3] == ["HIERARCHY", "ROOT", "pelvis"]
    assert words.count("JOINT") == 51 and "jaw" not in words
    first = [float(x) for x in words[words.index("Time:") + 2 :]]
    assert len(first) == 6 + 51 * 3
    height = FOOT_DROP - float(T_POSE[INDEX["left_ankle"], 1])
    assert first[:3] == pytest.approx([0, 100 * height, 0], abs=0.1)


def test_a_bvhs_turns_are_about_z_then_x_then_y(tmp_path: Path):
    motion = dancing(3)
    write_motion(tmp_path / "me.bvh", motion)
    text = (tmp_path / "me.bvh").read_text()
    names = [w for k, w in enumerate(text.split()) if text.split()[k - 1] in ("ROOT", "JOINT")]
    row = np.array(text.strip().splitlines()[-1].split(), float)[3:].reshape(-1, 3)
    about = np.radians(row[names.index("left_elbow")])

    z, x, y = (
        roma.rotvec_to_rotmat(torch.eye(3)[axis] * float(angle))
        for axis, angle in zip((2, 0, 1), about, strict=True)
    )
    wanted = motion.pose[-1, SMPLX_JOINTS.index("left_elbow")]
    torch.testing.assert_close(z @ x @ y, wanted, atol=1e-5, rtol=0)


def test_jaw_and_gaze_come_back_in_smplx_and_nothing_else_of_the_face(tmp_path: Path):
    kept = ("jawOpen", "eyeLookUpLeft", "eyeLookInRight")
    face = torch.zeros(52)
    face[[ARKIT_NAMES.index(name) for name in (*kept, "mouthSmileLeft")]] = 0.4
    write_motion(tmp_path / "me.npz", Motion.still(expression=face, num_frames=2))
    found = read_motion(tmp_path / "me.npz").expression
    for name in ARKIT_NAMES:
        wanted = 0.4 if name in kept else 0.0
        assert float(found[0, ARKIT_NAMES.index(name)]) == pytest.approx(wanted, abs=1e-5)


def test_a_csv_has_live_links_columns_and_comes_back(tmp_path: Path):
    motion, path = dancing(), tmp_path / "me.csv"
    write_motion(path, motion)
    rows = table(path)
    assert len(rows) == 71 and len(rows[0]) == 2 + 61 and rows[1][1] == "61"
    assert rows[0][:3] == ["Timecode", "BlendShapeCount", "BrowDownLeft"]
    assert rows[27][0] == "00:00:01:01.000"
    found = read_motion(path)
    assert found.fps == 25
    torch.testing.assert_close(found.expression, motion.expression, atol=1e-5, rtol=0)
    head = [m.pose[:, INDEX["neck"]] @ m.pose[:, INDEX["head"]] for m in (motion, found)]
    assert angles(*head) < 1e-3


@pytest.mark.parametrize("axis, column", [(1, "HeadYaw"), (0, "HeadPitch"), (2, "HeadRoll")])
def test_each_turn_of_the_head_has_its_column(axis, column, tmp_path: Path):
    pose = torch.eye(3).repeat(55, 1, 1)
    pose[INDEX["head"]] = roma.rotvec_to_rotmat(0.3 * torch.eye(3)[axis])
    write_motion(tmp_path / "me.csv", Motion.still(pose, num_frames=1))
    names, row = table(tmp_path / "me.csv")
    told = {n: float(x) for n, x in zip(names, row, strict=True) if n.startswith("Head")}
    assert told == pytest.approx({n: 0.3 if n == column else 0.0 for n in told}, abs=1e-6)


def test_a_phones_csv_is_read_whatever_its_order_case_and_gaps(tmp_path: Path):
    names = [n[0].upper() + n[1:] for n in ARKIT_NAMES[::-1] if n != "tongueOut"]
    lines = [",".join(["Timecode", "BlendshapeCount", *names, "HeadYaw"])]
    for k in range(130):  # From the middle of a second.
        at = k + 30
        values = [f"{0.1 + 0.001 * k}"] * len(names)
        lines.append(",".join([f"14:05:{at // 60:02d}:{at % 60:02d}.512", "61", *values, "0.2"]))
    (tmp_path / "take.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    found = read_arkit_csv(tmp_path / "take.csv")
    assert (len(found), found.fps) == (130, 60)
    assert float(found.expression[100, 0]) == pytest.approx(0.2)
    assert not found.expression[:, ARKIT_NAMES.index("tongueOut")].any()
    joints = positions(found.pose, found.transl)
    looks = joints[0, INDEX["left_eye_smplhf"]] - joints[0, INDEX["right_eye_smplhf"]]
    assert float(looks[2]) < 0  # To the person's left.


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no table of ARKit weights"),
        ("Timecode,JawOpen\n00:00:00:00,1\n", "no table of ARKit weights"),
        (",".join(n for n in ARKIT_NAMES) + "\n" + ",".join(["1"] * 51) + "\n", "lengths"),
        (",".join(n for n in ARKIT_NAMES) + "\n" + ",".join(["x"] * 52) + "\n", "not numbers"),
        (",".join(n for n in ARKIT_NAMES) + "\n" + "," * 51 + "\n", "not numbers"),
    ],
)
def test_other_tables_are_refused(text, said, tmp_path: Path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_motion(tmp_path / "a.csv")


def test_other_endings_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"written to \.bvh, \.npz, \.csv"):
        write_motion(tmp_path / "a.fbx", dancing(2))
    assert not list(tmp_path.iterdir())
