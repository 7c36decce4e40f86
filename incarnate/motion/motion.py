"""A motion: body, hands and face over frames, the same for every body model.

`pose` follows SMPL-X: 55 joints in its order, each turned about itself in the axes of the T-pose
(y up, facing +z). Jaw and gaze are told by `expression` (52 ARKit weights); rows 22-24 of `pose`
stay identity. `transl` is how far the pelvis is from where it is when the person stands in T-pose,
in metres of a person whose leg measures LEG_LENGTH: a body scales it by its own leg.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.skeleton import FOOT_DROP, INDEX, SMPLX_JOINTS, T_POSE, positions


@dataclass(frozen=True, eq=False)
class Motion:
    """Frames of a person moving."""

    fps: float
    pose: Float[Tensor, "f 55 3 3"]
    """Local joint rotations; row 0 is the global orientation."""
    transl: Float[Tensor, "f 3"]
    expression: Float[Tensor, "f 52"]

    @staticmethod
    def still(
        pose: Float[Tensor, "55 3 3"] | None = None,
        transl: Float[Tensor, "3"] | None = None,
        expression: Float[Tensor, "52"] | None = None,
        num_frames: int = 1,
        fps: float = 30.0,
    ) -> "Motion":
        """One attitude held; what is not given is the T-pose, the origin, the neutral face."""
        pose = torch.eye(3).repeat(len(SMPLX_JOINTS), 1, 1) if pose is None else pose
        transl = torch.zeros(3) if transl is None else transl
        expression = torch.zeros(len(ARKIT_NAMES)) if expression is None else expression
        return Motion(
            fps,
            pose.repeat(num_frames, 1, 1, 1),
            transl.repeat(num_frames, 1),
            expression.repeat(num_frames, 1),
        )

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (len(self) - 1) / self.fps

    def frames(self, start: int, stop: int) -> "Motion":
        """The frames [start, stop)."""
        window = slice(start, stop)
        return replace(
            self,
            pose=self.pose[window],
            transl=self.transl[window],
            expression=self.expression[window],
        )

    def with_expression(self, expression: Float[Tensor, "#f 52"]) -> "Motion":
        """The same body under another face, one for all frames or one each."""
        return replace(self, expression=expression.expand(len(self), -1))


def resampled(motion: Motion, fps: float) -> Motion:
    """The motion at another rate, over the same time: rotations by slerp, the rest linearly."""
    if fps <= 0:
        raise ValueError(f"fps is {fps}; give a positive number of frames per second")
    count = int(motion.seconds * fps + 1 + 1e-6)
    at = torch.arange(count, dtype=torch.float64) * (motion.fps / fps)
    low = at.long().clamp(max=len(motion) - 1)
    high = (low + 1).clamp(max=len(motion) - 1)
    part = (at - low).to(motion.pose)
    out = _mixed(_picked(motion, low), _picked(motion, high), part, part, part[:, None])
    return replace(out, fps=float(fps))


def blended(
    base: Motion,
    over: Motion,
    face: float = 0.0,
    head: float = 0.0,
    hands: float = 0.0,
    body: float = 0.0,
) -> Motion:
    """`base` with regions drawn towards `over`: 0 keeps `base`, 1 takes `over`.

    `head` is neck and head, `hands` the fingers, `body` all other joints and the translation.
    """
    if len(base) != len(over) or base.fps != over.fps:
        raise ValueError(
            f"motions of {len(base)} frames at {base.fps} fps and {len(over)} at {over.fps} do "
            "not match; resample and cut them first"
        )
    weight = base.pose.new_full((len(SMPLX_JOINTS),), body)
    weight[[INDEX["neck"], INDEX["head"]]] = head
    weight[25:] = hands
    count = len(base)
    return _mixed(
        base, over, base.pose.new_full((count,), body), base.pose.new_full((count,), face),
        weight.expand(count, -1),
    )  # fmt: skip


def concatenated(first: Motion, second: Motion, fade_frames: int = 0) -> Motion:
    """One after the other, the last `fade_frames` of `first` fading into the start of `second`."""
    if first.fps != second.fps:
        raise ValueError(f"motions run at {first.fps} and {second.fps} fps; resample one first")
    if not 0 <= fade_frames <= min(len(first), len(second)):
        raise ValueError(
            f"fade_frames is {fade_frames}; it must lie in 0..{min(len(first), len(second))}"
        )
    cut = len(first) - fade_frames
    ramp = torch.arange(1, fade_frames + 1).to(first.pose) / (fade_frames + 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    fade = _mixed(first.frames(cut, len(first)), second.frames(0, fade_frames), ramp, ramp,
                  ramp[:, None])  # fmt: skip
    parts = (first.frames(0, cut), fade, second.frames(fade_frames, len(second)))
    return Motion(
        first.fps,
        torch.cat([p.pose for p in parts]),
        torch.cat([p.transl for p in parts]),
        torch.cat([p.expression for p in parts]),
    )


def looped(motion: Motion, fade_frames: int) -> Motion:
    """A motion whose end runs into its start: the last frames fade into the first ones.

    It is `fade_frames` shorter; its first frame follows its last without a jump.
    """
    if not 0 < fade_frames <= len(motion) // 2:
        raise ValueError(f"fade_frames is {fade_frames}; it must lie in 1..{len(motion) // 2}")
    head, rest = motion.frames(0, fade_frames), motion.frames(fade_frames, len(motion))
    return concatenated(rest, head, fade_frames)


def grounded(motion: Motion, every_frame: bool = False) -> Motion:
    """The motion moved up or down until the lowest point touches the floor of the T-pose.

    Points are those of the idealised adult: soles, and the other joints with flesh below them.
    `every_frame` grounds each frame by itself, which keeps a walk on the floor and takes jumps
    away.
    """
    joints = positions(motion.pose, motion.transl)
    floor = T_POSE[INDEX["left_ankle"], 1] - FOOT_DROP
    flesh = torch.full((len(SMPLX_JOINTS),), 0.03)
    trunk = ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "head")
    flesh[[INDEX[name] for name in trunk]] = 0.10
    feet = [INDEX[f"{s}_{p}"] for s in ("left", "right") for p in ("ankle", "foot")]
    flesh[feet] = T_POSE[feet, 1] - floor
    gap = (joints[..., 1] - flesh.to(joints) - floor).amin(1)
    gap = gap if every_frame else gap.amin().expand(len(motion))
    up = torch.stack([torch.zeros_like(gap), -gap, torch.zeros_like(gap)], -1)
    return replace(motion, transl=motion.transl + up)


def save_motion(motion: Motion, path: Path) -> None:
    """Write `.npz`: fps, pose as axis-angle (f 55 3), transl, expression."""
    np.savez_compressed(
        path,
        fps=np.float64(motion.fps),
        pose=roma.rotmat_to_rotvec(motion.pose).numpy(),
        transl=motion.transl.numpy(),
        expression=motion.expression.numpy(),
    )


def load_motion(path: Path) -> Motion:
    """Read what `save_motion` wrote; ValueError names what is missing."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = {"fps", "pose", "transl", "expression"} - set(file.files)
            if missing:
                raise ValueError(f"{path} lacks {sorted(missing)}: it was not saved by incarnate")
            fps = float(file["fps"])
            parts = [torch.from_numpy(file[k]).float() for k in ("pose", "transl", "expression")]
    except (BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is not a whole .npz file ({error}); write it again") from error
    pose, transl, expression = parts
    count = len(pose)
    if (pose.shape, transl.shape, expression.shape) != ((count, 55, 3), (count, 3), (count, 52)):
        shapes = [tuple(p.shape) for p in parts]
        raise ValueError(f"{path} holds shapes {shapes}; wanted (f, 55, 3), (f, 3), (f, 52)")
    return Motion(fps, roma.rotvec_to_rotmat(pose), transl, expression)


def _picked(motion: Motion, index: Tensor) -> Motion:
    return Motion(motion.fps, motion.pose[index], motion.transl[index], motion.expression[index])


def _mixed(a: Motion, b: Motion, transl: Tensor, face: Tensor, joints: Tensor) -> Motion:
    """`a` towards `b`; weights a frame, for the joints (f 1) or (f 55)."""
    turn = roma.rotmat_to_rotvec(a.pose.transpose(-1, -2) @ b.pose)
    pose = a.pose @ roma.rotvec_to_rotmat(joints[..., None] * turn)
    return Motion(
        a.fps,
        pose,
        torch.lerp(a.transl, b.transl, transl[:, None]),
        torch.lerp(a.expression, b.expression, face[:, None]),
    )
