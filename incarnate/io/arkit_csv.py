"""Faces as CSV, in the columns of Live Link Face: what ARKit records, take by take.

`Timecode` (hours:minutes:seconds:frames.thousandths), `BlendShapeCount`, the 52 weights with
capital initials, then yaw, pitch and roll of head and eyes in radians. We write the head's turn on
the chest (neck and head together) as yaw about y, then pitch about x, then roll about z, in the
axes of `incarnate.motion`; when reading, the neck takes half of it. Of eyes the weights rule.
"""

import csv
import re
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.io.runs import replacing
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.face import smplx_from_arkit
from incarnate.motion.motion import Motion
from incarnate.motion.skeleton import INDEX

ANGLES = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in
               ("Yaw", "Pitch", "Roll"))  # fmt: skip
COLUMNS = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES)
HEAD = "YXZ"
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+):(\d+)(?:\.(\d+))?$")


def write_arkit_csv(path: Path, motion: Motion) -> None:
    """Writes face and head of a motion; the file is whole or absent."""
    head = motion.pose[:, INDEX["neck"]] @ motion.pose[:, INDEX["head"]]
    turned = torch.stack(list(roma.rotmat_to_euler(HEAD, head, as_tuple=True)), -1)
    eyes = smplx_from_arkit(motion.expression)[:, 1:]
    angles = torch.stack([eyes[..., 1], eyes[..., 0], torch.zeros_like(eyes[..., 0])], -1)
    rows = torch.cat([motion.expression, turned, angles.flatten(1)], 1).tolist()
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("Timecode", "BlendShapeCount", *COLUMNS, *ANGLES))
        for k, row in enumerate(rows):
            said = [f"{x:.6f}" for x in row]
            table.writerow((_timecode(k, motion.fps), len(row), *said))


def read_arkit_csv(path: Path) -> Motion:
    """A face and a head; the body stands in T-pose.

    Columns are found by name, in any order and case; weights that have none are 0. Raises OSError
    if there is no such file, ValueError if it is no table of such weights.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = [row for row in csv.reader(file) if row]
    names = [name.strip().lower() for name in rows[0]] if rows else []
    known = {name.lower() for name in COLUMNS}
    if len(known.intersection(names)) < 10 or len(rows) < 2:
        raise ValueError(
            f"{path.name}: no table of ARKit weights; wanted a first row with Timecode, "
            "EyeBlinkLeft, JawOpen, ... and a row a frame"
        )
    try:
        cells = [[_number(cell) for cell in row] for row in rows[1:]]
        table = torch.from_numpy(np.array(cells, np.float32))
    except ValueError as error:
        raise ValueError(f"{path.name}: rows of different lengths, or not numbers") from error
    if table.shape[1] != len(names) or not table[:, _places(names, COLUMNS)].isfinite().all():
        raise ValueError(f"{path.name}: rows of different lengths, or not numbers")

    def columns(wanted: tuple[str, ...]) -> Float[Tensor, "f c"]:
        out = torch.zeros(len(table), len(wanted))
        for k, name in enumerate(wanted):
            if name.lower() in names:
                out[:, k] = table[:, names.index(name.lower())]
        return out

    motion = Motion.still(num_frames=len(table), fps=_rate([row[0] for row in rows[1:]], names))
    head = roma.euler_to_rotmat(HEAD, columns(ANGLES[:3]))
    half = roma.rotvec_to_rotmat(roma.rotmat_to_rotvec(head) / 2)
    pose = motion.pose.clone()
    pose[:, INDEX["neck"]] = pose[:, INDEX["head"]] = half
    return Motion(motion.fps, pose, motion.transl, columns(COLUMNS).clamp(0, 1))


def _places(names: list[str], wanted: tuple[str, ...]) -> list[int]:
    return [names.index(name.lower()) for name in wanted if name.lower() in names]


def _number(cell: str) -> float:
    """What a cell says; timecodes, and empty cells, say nothing."""
    return float("nan") if ":" in cell or not cell.strip() else float(cell)


def _timecode(frame: int, fps: float) -> str:
    whole = max(1, round(fps))
    seconds, rest = divmod(frame, whole)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.000"


def _rate(codes: list[str], names: list[str]) -> float:
    """Frames per second as timecodes tell: how many frames a second has before the next begins.

    Where no second is whole: 30 if all frame numbers are below, else 60.
    """
    found = [_TIMECODE.match(code.strip()) for code in codes]
    if names[0] != "timecode" or not all(found):
        return 60.0
    told = [tuple(map(int, code.groups()[:4])) for code in found if code]
    frames: dict[tuple[int, ...], list[int]] = {}
    for *second, frame in told:
        frames.setdefault(tuple(second), []).append(frame)
    whole = [len(of) for of in list(frames.values())[:-1] if of[0] == 0]
    return float(max(whole, default=30 if max(frame for *_, frame in told) < 30 else 60))
