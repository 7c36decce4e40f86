"""Motion files: BVH, GLB and VRM, SMPL-X / AMASS npz, our own npz, ARKit CSV (`arkit_csv`).

SMPL-X npz. Either `poses` of 66, 72 (SMPL), 156 (SMPL-H) or 165 (SMPL-X) columns, or the keys
`global_orient body_pose ...` (also AMASS' `root_orient pose_body ...`). Up axis: the one of y, z
(AMASS) and -y (cameras) that the pelvis' own y axis points along over the clip.

Motion starts over the origin and its lowest sole touches the floor, but for GLB files of our own
skeleton: they give back what went in.
"""

import warnings
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.io.arkit_csv import read_arkit_csv
from incarnate.io.bvh import read_bvh
from incarnate.io.gltf_motions import read_gltf_motion
from incarnate.motion.face import arkit_from_smplx
from incarnate.motion.motion import Motion, grounded, load_motion

READERS = {
    ".bvh": read_bvh,
    ".glb": read_gltf_motion,
    ".vrm": read_gltf_motion,
    ".vrma": read_gltf_motion,
    ".csv": read_arkit_csv,
}


def read_motion(path: Path) -> Motion:
    """The motion in a file; ValueError or OSError says what is wrong with it."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _from_npz(path)
    if suffix not in READERS:
        known = ", ".join((*READERS, ".npz"))
        raise ValueError(f"{path.name}: unknown kind of motion {suffix!r}; give {known}")
    return READERS[suffix](path)


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
