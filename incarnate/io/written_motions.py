"""Motions as other programs take them: BVH, SMPL-X .npz (AMASS' keys), Live Link Face's CSV.

What each keeps: .bvh the body with its hands on the idealised adult of `incarnate.motion.skeleton`,
in centimetres, no face; .npz body and hands, jaw and gaze, no other expression; .csv face, gaze and
head, no body.
"""

from pathlib import Path

import numpy as np
import roma
import torch

from incarnate.io.arkit_csv import write_arkit_csv
from incarnate.io.runs import replacing
from incarnate.motion.face import smplx_from_arkit
from incarnate.motion.motion import Motion
from incarnate.motion.skeleton import FOOT_DROP, INDEX, PARENTS, SMPLX_JOINTS, T_POSE

ENDINGS = (".bvh", ".npz", ".csv")
CENTIMETRES = 100.0
_FACE = ("jaw", "left_eye_smplhf", "right_eye_smplhf")
_BONES = tuple(j for j, name in enumerate(SMPLX_JOINTS) if name not in _FACE)
_TURNS = "ZXY"
"""Of BVH's channels: about z, then x, then y of what is turned already."""


def write_motion(path: Path, motion: Motion) -> None:
    """Writes a motion; the file is whole or absent. ValueError for another ending."""
    match path.suffix.lower():
        case ".bvh":
            _write_bvh(path, motion)
        case ".npz":
            _write_smplx(path, motion)
        case ".csv":
            write_arkit_csv(path, motion)
        case _:
            raise ValueError(f"{path}: motions are written to {', '.join(ENDINGS)}")


def _write_bvh(path: Path, motion: Motion) -> None:
    lines = ["HIERARCHY", *_hierarchy(0, 0), "MOTION", f"Frames: {len(motion)}"]
    lines.append(f"Frame Time: {1 / motion.fps:.8f}")
    told = roma.rotmat_to_euler(_TURNS, motion.pose[:, list(_order(0))], True, degrees=True)
    turns = torch.stack(list(told), -1)
    up = FOOT_DROP - float(T_POSE[INDEX["left_ankle"], 1])
    places = CENTIMETRES * (motion.transl + torch.tensor([0.0, up, 0.0]))
    rows = torch.cat([places, turns.flatten(1)], 1).tolist()
    lines += [" ".join(f"{x:.5f}" for x in row) for row in rows]
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii")


def _children(joint: int) -> list[int]:
    return [j for j in _BONES if PARENTS[j] == joint]


def _order(joint: int) -> tuple[int, ...]:
    """A joint and all below it, as the file lists them."""
    return (joint, *(j for child in _children(joint) for j in _order(child)))


def _hierarchy(joint: int, depth: int) -> list[str]:
    parent, children, pad = PARENTS[joint], _children(joint), "\t" * depth
    place = T_POSE[joint] - (T_POSE[parent] if parent >= 0 else T_POSE[joint])
    spins = " ".join(f"{axis}rotation" for axis in _TURNS)
    channels = f"3 {spins}" if parent >= 0 else f"6 Xposition Yposition Zposition {spins}"
    lines = [f"{'JOINT' if parent >= 0 else 'ROOT'} {SMPLX_JOINTS[joint]}", "{"]
    lines += [f"\tOFFSET {_said(place)}", f"\tCHANNELS {channels}"]
    if not children:  # As far again as from the joint before.
        lines += ["\tEnd Site", "\t{", f"\t\tOFFSET {_said(place / 2)}", "\t}"]
    lines = [pad + line for line in lines]
    for child in children:
        lines += _hierarchy(child, depth + 1)
    return [*lines, f"{pad}}}"]


def _said(place: torch.Tensor) -> str:
    return " ".join(f"{CENTIMETRES * x:.4f}" for x in place.tolist())


def _write_smplx(path: Path, motion: Motion) -> None:
    vectors = roma.rotmat_to_rotvec(motion.pose)
    vectors[:, 22:25] = smplx_from_arkit(motion.expression)
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            poses=vectors.flatten(1).numpy(),
            trans=motion.transl.numpy(),
            betas=np.zeros(10, np.float32),
            gender=np.array("neutral"),
            mocap_frame_rate=np.float64(motion.fps),
        )
