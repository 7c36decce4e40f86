"""BVH files. Position channels of a joint below the root replace its offset unless all are zero."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.io.humanoid import Performance, named, retargeted
from incarnate.motion.motion import Motion

_AXES = {"X": 0, "Y": 1, "Z": 2}


def read_bvh(path: Path) -> Motion:
    """The motion of a BVH's skeleton; ValueError or OSError says what is wrong with it."""
    skeleton, fps, frames = _parsed(path)
    turned, moved = _posed(skeleton, frames)
    told = Performance(skeleton.names, skeleton.parents, skeleton.rest(), turned, moved, fps)
    try:
        return retargeted(told, named(skeleton.names))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


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
    except IndexError as error:
        raise ValueError(
            f"{path.name}: the braces of the HIERARCHY part do not match; export the BVH again"
        ) from error
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
            out.channels[open_joints[-1]] = [_channel(next(words)) for _ in range(int(next(words)))]
        else:
            raise ValueError(f"unexpected word {word!r} in the HIERARCHY part")
    if open_joints or not out.names:
        raise ValueError("the HIERARCHY part ends too soon")
    return out


def _channel(word: str) -> str:
    if re.fullmatch("[xyz](position|rotation)", word, re.IGNORECASE) is None:
        raise ValueError(f"no channel is called {word!r}")
    return word


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
