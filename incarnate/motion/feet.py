"""Feet that stand: held in place, soles on the floor.

A foot stands while it is slow and near its lowest. While feet stand, the pelvis is moved so that
they stay where they came down; the correction fades over FORGET seconds, for a foot that seems to
slide for long does slide or is misread.
Lengths are metres of the idealised adult.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from incarnate.motion.motion import Motion, grounded
from incarnate.motion.skeleton import INDEX, positions

SLOW = 0.25  # Metres per second.
LOW = 0.06  # Metres above where the foot is most of the time.
BRIEF = 0.12  # Seconds; shorter stands are chance.
FORGET = 4.0  # Seconds.
JUMP = 0.10  # Metres above the floor; lower is noise of tracking.
FEET = tuple([INDEX[f"{side}_{p}"] for p in ("ankle", "foot")] for side in ("left", "right"))


def standing(motion: Motion) -> Bool[Tensor, "f 2"]:
    """When the left and the right foot stand."""
    feet = _feet(motion)
    count = len(motion)
    if count < 3:
        return torch.ones(count, 2, dtype=torch.bool)
    way = (feet[2:] - feet[:-2]).norm(dim=-1) * motion.fps / 2
    speed = torch.cat([way[:1], way, way[-1:]])
    height = feet[..., 1] - torch.quantile(feet[..., 1], 0.2, dim=0)
    out = (speed < SLOW) & (height < LOW)
    shortest = max(1, round(BRIEF * motion.fps))
    for side in range(2):
        for start, stop in _runs(out[:, side]):
            if stop - start < shortest:
                out[start:stop, side] = False
    return out


def planted(motion: Motion) -> Motion:
    """The motion with its standing feet held where they are, and its soles on the floor.

    Jumps stay: feet higher than JUMP above the floor are not drawn down.
    """
    stands = standing(motion)
    feet = _feet(motion)[..., [0, 2]]
    step = feet[1:] - feet[:-1]
    both = (stands[1:] & stands[:-1]).float()[..., None]
    slip = (both * step).sum(1) / both.sum(1).clamp_min(1)
    shift = _kept(-slip, math.exp(-1 / (FORGET * motion.fps)))
    moved = motion.transl.clone()
    moved[:, [0, 2]] += shift
    return _floored(replace(motion, transl=moved))


def _kept(steps: Float[Tensor, "g 2"], share: float) -> Float[Tensor, "f 2"]:
    """Sums of steps of which each frame keeps a share, so that errors do not pile up."""
    out = [steps.new_zeros(2)]
    for step in steps:
        out.append(share * out[-1] + step)
    return torch.stack(out)


def _floored(motion: Motion) -> Motion:
    """Each frame on the floor, but for jumps, which rise from it by what they rise by."""
    down = grounded(motion, every_frame=True)
    drop = (down.transl - motion.transl)[:, 1]
    usual = drop.median()
    height = usual - drop  # Of the lowest point over where it usually is.
    jumps = height > JUMP
    drop = torch.where(jumps, usual, drop)
    moved = motion.transl.clone()
    moved[:, 1] += drop
    return replace(motion, transl=moved)


def _feet(motion: Motion) -> Float[Tensor, "f 2 3"]:
    at = positions(motion.pose, motion.transl)
    return torch.stack([at[:, ids].mean(1) for ids in FEET], 1)


def _runs(flags: Bool[Tensor, " f"]) -> list[tuple[int, int]]:
    """Starts and ends of the stretches that are true."""
    edges = torch.diff(flags.int(), prepend=flags.new_zeros(1).int(),
                       append=flags.new_zeros(1).int())  # fmt: skip
    starts, stops = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
