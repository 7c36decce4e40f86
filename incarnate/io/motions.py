"""Motion files: BVH, SMPL-X / AMASS npz, our own npz, ARKit CSV (`incarnate.io.arkit_csv`).

BVH. Joints are found by name (Mixamo, CMU, Daz, MakeHuman and SMPL-X names, any prefix and case),
the spine by its course from hips to neck. The rest pose may be a T, an A or anything upright: it
is laid onto the T-pose bone by bone. Units, up axis and facing come from the skeleton itself.
Position channels of a joint below the root replace its offset unless they are all zero.

SMPL-X npz. Either `poses` of 66, 72 (SMPL), 156 (SMPL-H) or 165 (SMPL-X) columns, or the keys
`global_orient body_pose ...` (also AMASS' `root_orient pose_body ...`). Up axis: the one of y, z
(AMASS) and -y (cameras) that the pelvis' own y axis points along over the clip.

In both, motion starts over the origin and its lowest sole touches the floor.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.io.arkit_csv import read_arkit_csv
from incarnate.motion.face import arkit_from_smplx
from incarnate.motion.motion import Motion, grounded, load_motion
from incarnate.motion.skeleton import INDEX, LEG_LENGTH, PARENTS, SMPLX_JOINTS, calibration, local


def read_motion(path: Path) -> Motion:
    """The motion in a file; ValueError or OSError says what is wrong with it."""
    readers = {".bvh": _from_bvh, ".npz": _from_npz, ".csv": read_arkit_csv}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise ValueError(f"{path.name}: unknown kind of motion {suffix!r}; give .bvh, .npz or .csv")
    return readers[suffix](path)


# BVH ---------------------------------------------------------------------------------------------

_SIDED = {  # Spellings of a joint once side and separators are gone, the surest first.
    "hip": ("upleg", "thigh", "upperleg01", "upperleg", "hip"),
    "knee": ("leg", "shin", "lowerleg01", "lowerleg", "lowleg", "calf", "knee"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toe21", "ball", "toes", "foot"),
    "shoulder": ("arm", "shldr", "upperarm01", "upperarm", "uparm", "shoulder"),
    "collar": ("collar", "clavicle", "shoulder"),
    "elbow": ("forearm", "lowerarm01", "lowerarm", "lowarm", "elbow"),
    "wrist": ("hand", "wrist"),
} | {
    f"{finger}{k}": (f"hand{finger}{k}", f"{finger}{k}", f"finger{n}{k}", f"{finger}0{k}")
    for n, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1)
    for k in (1, 2, 3)
}  # fmt: skip
_NEEDED = ("pelvis", "head") + tuple(
    f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "ankle", "shoulder", "elbow")
)
_AXES = {"X": 0, "Y": 1, "Z": 2}


@dataclass
class _Skeleton:
    """The HIERARCHY part; parents precede their children."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)

    def rest(self) -> Float[Tensor, "j 3"]:
        """Joint positions when every rotation is zero."""
        out: list[Tensor] = []
        for parent, offset in zip(self.parents, self.offsets, strict=True):
            here = torch.tensor(offset)
            out.append(here if parent < 0 else out[parent] + here)
        return torch.stack(out)

    def chain(self, top: int, bottom: int) -> list[int]:
        """Joints from `top` to `bottom`; empty if one does not hang from the other."""
        out = [bottom]
        while out[-1] != top and out[-1] >= 0:
            out.append(self.parents[out[-1]])
        return out[::-1] if out[-1] == top else []


def _from_bvh(path: Path) -> Motion:
    skeleton, fps, frames = _parsed(path)
    rest = skeleton.rest()
    turned, moved = _posed(skeleton, frames)
    names = _named(skeleton, path)
    axes = _axes(rest, names, path)
    placed = rest.new_full((len(SMPLX_JOINTS), 3), torch.nan)
    for name, j in names.items():
        placed[INDEX[name]] = axes @ rest[j]
    turns = torch.eye(3).repeat(len(frames), len(SMPLX_JOINTS), 1, 1)
    spine = _spine(skeleton, names, turned)
    for j, name in enumerate(SMPLX_JOINTS):
        if name in spine:
            turns[:, j] = axes @ spine[name] @ axes.T
        elif name in names:
            carrier = _carrier(skeleton, names, name)
            turns[:, j] = axes @ turned[:, carrier] @ axes.T
    turns = turns @ calibration(placed).transpose(-1, -2)
    for j, name in enumerate(SMPLX_JOINTS):
        if name not in names and name not in spine:
            turns[:, j] = turns[:, PARENTS[j]]
    hips = [rest[names[f"{s}_ankle"]] - rest[names[f"{s}_hip"]] for s in ("left", "right")]
    scale = LEG_LENGTH / (sum(float(leg.norm()) for leg in hips) / 2)
    pelvis = moved[:, names["pelvis"]]
    transl = scale * (pelvis - pelvis[:1]) @ axes.T
    return grounded(Motion(fps, local(turns), transl, torch.zeros(len(frames), 52)))


def _parsed(path: Path) -> tuple[_Skeleton, float, Float[Tensor, "f c"]]:
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if not words or words[0].upper() != "HIERARCHY" or "MOTION" not in words:
        raise ValueError(f"{path.name}: no HIERARCHY and MOTION part; the file is not a whole BVH")
    cut = words.index("MOTION")
    try:
        skeleton = _hierarchy(iter(words[1:cut]))
        head = " ".join(words[cut : cut + 8])
        found = re.match(r"MOTION Frames: *(\d+) Frame Time: *(\S+)", head)
        if found is None:
            raise ValueError("the MOTION part does not start with 'Frames:' and 'Frame Time:'")
        start = cut + 1 + len(found.group(0).split()) - 1
        numbers = np.array(words[start:], dtype=np.float64)
        count, seconds = int(found.group(1)), float(found.group(2))
    except (ValueError, StopIteration) as error:
        reason = str(error) or "the HIERARCHY part ends too soon"
        raise ValueError(f"{path.name}: {reason}; export the BVH again") from error
    width = sum(len(c) for c in skeleton.channels)
    if count == 0 or seconds <= 0:
        raise ValueError(f"{path.name}: {count} frames of {seconds} s; a motion needs at least one")
    if len(numbers) < count * width:
        raise ValueError(
            f"{path.name}: truncated, {len(numbers)} numbers where {count} frames of {width} "
            "channels were announced; export the BVH again"
        )
    frames = torch.from_numpy(numbers[: count * width].reshape(count, width)).float()
    return skeleton, 1 / seconds, frames


def _hierarchy(words: Iterator[str]) -> _Skeleton:
    out = _Skeleton()
    open_joints: list[int] = []  # -1 is an End Site.
    pending = -1
    for word in words:
        key = word.upper()
        if key in ("ROOT", "JOINT"):
            out.names.append(next(words))
            out.parents.append(open_joints[-1] if open_joints else -1)
            out.offsets.append([0.0, 0.0, 0.0])
            out.channels.append([])
            pending = len(out.names) - 1
        elif key == "END":
            next(words)
            pending = -1
        elif key == "{":
            open_joints.append(pending)
        elif key == "}":
            open_joints.pop()
        elif key == "OFFSET":
            offset = [float(next(words)) for _ in range(3)]
            if open_joints[-1] >= 0:
                out.offsets[open_joints[-1]] = offset
        elif key == "CHANNELS":
            out.channels[open_joints[-1]] = [next(words) for _ in range(int(next(words)))]
        else:
            raise ValueError(f"unexpected word {word!r} in the HIERARCHY part")
    if open_joints or not out.names:
        raise ValueError("the HIERARCHY part ends too soon")
    return out


def _posed(skeleton: _Skeleton, frames: Tensor) -> tuple[Tensor, Tensor]:
    """World rotations (f j 3 3) and positions (f j 3), in the file's axes and units."""
    turned: list[Tensor] = []
    moved: list[Tensor] = []
    column = 0
    for j, parent in enumerate(skeleton.parents):
        turn = torch.eye(3).repeat(len(frames), 1, 1)
        shift = torch.zeros(len(frames), 3)
        for channel in skeleton.channels[j]:
            axis, values = _AXES[channel[0].upper()], frames[:, column]
            column += 1
            if channel[1:].lower() == "position":
                shift[:, axis] = values
            else:
                turn = turn @ roma.rotvec_to_rotmat(
                    torch.deg2rad(values)[:, None] * torch.eye(3)[axis]
                )
        if not shift.any():
            shift = torch.tensor(skeleton.offsets[j]).expand(len(frames), 3)
        if parent >= 0:
            shift = moved[parent] + (turned[parent] @ shift[..., None])[..., 0]
            turn = turned[parent] @ turn
        turned.append(turn)
        moved.append(shift)
    return torch.stack(turned, 1), torch.stack(moved, 1)


def _named(skeleton: _Skeleton, path: Path) -> dict[str, int]:
    """Which of the file's joints each SMPL-X joint is."""
    by_stem: dict[tuple[str, str], int] = {}
    for j, name in enumerate(skeleton.names):
        by_stem.setdefault(_stem(name), j)
    out: dict[str, int] = {}
    for stem in ("hips", "hip", "pelvis", "root"):
        if ("", stem) in by_stem:
            out["pelvis"] = by_stem["", stem]
            break
    if ("", "head") in by_stem:
        out["head"] = by_stem["", "head"]
    for side in ("left", "right"):
        taken: set[int] = set()
        for part, stems in _SIDED.items():
            for stem in stems:
                j = by_stem.get((side, stem))
                if j is not None and j not in taken:
                    out[f"{side}_{part}"] = j
                    taken.add(j)
                    break
    missing = [name for name in _NEEDED if name not in out]
    if missing:
        raise ValueError(
            f"{path.name}: no joint found for {', '.join(missing)}; got "
            f"{', '.join(skeleton.names[:40])}; wanted names like Mixamo's or SMPL-X's"
        )
    return out


def _stem(name: str) -> tuple[str, str]:
    """Side and bare lower-case stem: `mixamorig:LeftUpLeg`, `lThigh`, `upperleg01.L`."""
    name = re.split(r"[:|]", name)[-1]
    for pattern in (
        r"^(?P<side>left|right)[ _.\-]*(?P<stem>.+)$",
        r"^(?P<stem>.+?)[ _.\-](?P<side>left|right|l|r)$",
        r"^(?P<side>l|r)[ _.\-](?P<stem>.+)$",
    ):
        found = re.match(pattern, name, re.IGNORECASE)
        if found:
            break
    else:
        found = re.match(r"^(?P<side>[lr])(?P<stem>[A-Z].*)$", name)
        found = found or re.match(r"^(?P<side>[LR])(?P<stem>[A-Z][a-z].*)$", name)
    side, stem = (found["side"].lower()[0], found["stem"]) if found else ("", name)
    bare = re.sub(r"[^a-z0-9]", "", stem.lower())
    return {"l": "left", "r": "right", "": ""}[side], bare


def _axes(rest: Tensor, names: dict[str, int], path: Path) -> Tensor:
    """Rotation from the file's axes to ours: the skeleton at rest stands up and faces +z."""
    hips = (rest[names["left_hip"]], rest[names["right_hip"]])
    ankles = (rest[names["left_ankle"]] + rest[names["right_ankle"]]) / 2
    up, left = rest[names["head"]] - ankles, hips[0] - hips[1]
    rows = []
    for direction in (left, up):
        axis = torch.zeros(3)
        best = int(direction.abs().argmax())
        axis[best] = direction[best].sign()
        if direction[best].abs() < 0.85 * direction.norm():
            raise ValueError(
                f"{path.name}: with all rotations zero the skeleton does not stand upright; "
                "export it with a T-pose or an A-pose as its rest pose"
            )
        rows.append(axis)
    return torch.stack([rows[0], rows[1], torch.linalg.cross(rows[0], rows[1])])


def _spine(skeleton: _Skeleton, names: dict[str, int], turned: Tensor) -> dict[str, Tensor]:
    """Turns of spine1-3 and neck: the file's spine bones, however many, read at even steps."""
    course = skeleton.chain(names["pelvis"], names["head"])
    arms = skeleton.chain(names["pelvis"], names["left_shoulder"])
    chest = max((k for k, j in enumerate(course) if j in arms), default=0)
    out = {}
    for k in (1, 2, 3):
        at = k / 3 * chest
        low = min(int(at), max(chest - 1, 0))
        first, last = turned[:, course[low]], turned[:, course[min(low + 1, chest)]]
        step = roma.rotmat_to_rotvec(first.transpose(-1, -2) @ last)
        out[f"spine{k}"] = first @ roma.rotvec_to_rotmat((at - low) * step)
    if len(course) > chest + 2:
        out["neck"] = turned[:, course[chest + 1]]
    return out


def _carrier(skeleton: _Skeleton, names: dict[str, int], name: str) -> int:
    """The bone that shows a joint's whole turn: the last before the next joint of the limb."""
    side, _, part = name.partition("_")
    below = {"shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "ankle"}.get(part)
    if below is None or f"{side}_{below}" not in names:
        return names[name]
    chain = skeleton.chain(names[name], names[f"{side}_{below}"])
    return chain[-2] if len(chain) > 1 else names[name]


# SMPL-X ------------------------------------------------------------------------------------------

_KEYS = (  # Our rows, the keys that may hold them, their columns.
    ((0, 1), ("global_orient", "root_orient"), 3),
    ((1, 22), ("body_pose", "pose_body"), 63),
    ((22, 23), ("jaw_pose", "pose_jaw"), 3),
    ((23, 24), ("leye_pose",), 3),
    ((24, 25), ("reye_pose",), 3),
    ((23, 25), ("pose_eye",), 6),
    ((25, 40), ("left_hand_pose",), 45),
    ((40, 55), ("right_hand_pose",), 45),
    ((25, 55), ("pose_hand",), 90),
)
_RATES = ("mocap_frame_rate", "mocap_framerate", "fps", "frame_rate")


def _from_npz(path: Path) -> Motion:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            keys = set(file.files)
            if {"fps", "pose", "transl", "expression"} <= keys:
                return load_motion(path)
            wanted = {k for _, names, _ in _KEYS for k in names} | set(_RATES)
            wanted |= {"poses", "trans", "transl", "expression"}
            arrays = {k: np.asarray(file[k], dtype=np.float64) for k in keys & wanted}
    except (BadZipFile, EOFError, OSError, ValueError) as error:
        if path.is_file():
            raise ValueError(f"{path.name}: not a whole .npz of numbers ({error})") from error
        raise
    rotvec = _rotvecs(arrays, keys, path)
    count = len(rotvec)
    if count == 0:
        raise ValueError(f"{path.name}: no frames; a motion needs at least one")
    if arrays.get("expression") is not None and arrays["expression"].any():
        warnings.warn(
            f"{path.name}: SMPL-X expression coefficients have no ARKit meaning and are left out; "
            "jaw and eyes are kept",
            stacklevel=3,
        )
    moved = arrays.get("trans", arrays.get("transl", np.zeros((count, 3)))).reshape(-1, 3)
    if len(moved) not in (1, count):
        raise ValueError(f"{path.name}: {len(moved)} translations for {count} poses")
    rate = next((float(arrays[k].reshape(-1)[0]) for k in _RATES if k in arrays), 30.0)
    pose = roma.rotvec_to_rotmat(rotvec)
    upright = _upright(pose[:, 0])
    pose[:, 0] = upright @ pose[:, 0]
    pose[:, 22:25] = torch.eye(3)
    transl = torch.from_numpy(np.broadcast_to(moved, (count, 3)).copy()).float() @ upright.T
    motion = Motion(rate, pose, transl - transl[:1], arkit_from_smplx(rotvec[:, 22:25]))
    return grounded(motion)


def _rotvecs(arrays: dict[str, np.ndarray], keys: set[str], path: Path) -> Float[Tensor, "f 55 3"]:
    if "poses" in arrays:
        return _from_poses(arrays["poses"], path)
    if not keys & {"global_orient", "root_orient"} or not keys & {"body_pose", "pose_body"}:
        raise ValueError(
            f"{path.name}: got keys {', '.join(sorted(keys)) or 'none'}; wanted poses, or "
            "global_orient and body_pose"
        )
    root = next(arrays[k] for k in ("global_orient", "root_orient") if k in arrays)
    count = root.size // 3
    out = torch.zeros(count, 55, 3)
    for (start, stop), names, width in _KEYS:
        for name in names:
            if name not in arrays:
                continue
            values = arrays[name].reshape(count, -1) if count else arrays[name].reshape(0, width)
            if values.shape[1] != width:
                hint = "; hands as PCA coefficients need the SMPL-X file: save full hand poses"
                raise ValueError(
                    f"{path.name}: {name} has {values.shape[1]} numbers a frame, wanted {width}"
                    + (hint if "hand" in name else "")
                )
            out[:, start:stop] = torch.from_numpy(values).float().reshape(count, width // 3, 3)
    return out


def _from_poses(poses: np.ndarray, path: Path) -> Float[Tensor, "f 55 3"]:
    columns = poses.shape[-1] if poses.ndim == 2 else 0
    rows = {66: range(22), 72: range(22), 165: range(55), 156: [*range(22), *range(25, 55)]}
    if columns not in rows:
        raise ValueError(
            f"{path.name}: poses have shape {poses.shape}; wanted (frames, 66, 72, 156 or 165)"
        )
    out = torch.zeros(len(poses), 55, 3)
    used = list(rows[columns])
    out[:, used] = (
        torch.from_numpy(poses).float().reshape(len(poses), columns // 3, 3)[:, : len(used)]
    )
    return out


def _upright(pelvis: Float[Tensor, "f 3 3"]) -> Float[Tensor, "3 3"]:
    """Rotation that makes y the axis the body stands along: from y, z or -y up."""
    up = pelvis[:, :, 1].mean(0)
    quarters = {0: float(up[1]), -1: float(up[2]), 2: float(-up[1])}
    best = max(quarters, key=lambda q: quarters[q])
    return roma.rotvec_to_rotmat(torch.tensor([best * torch.pi / 2, 0.0, 0.0]))
