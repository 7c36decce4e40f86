"""Feet that stand: held in place, soles on the floor.

A foot stands while it is slow and near its lowest. Then the leg is turned (`legs`) so that the
ankle stays where it is on average; the pelvis keeps its way, but for sinking where a leg would not
reach. (Moving the pelvis instead, so that feet stay, took it 20 mm off its path and served only one
foot.)
Lengths are metres of the idealised adult. Letters: f frames, g of them in a stretch, c numbers.
"""

import math
from dataclasses import replace

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from incarnate.motion.legs import longest, reached
from incarnate.motion.motion import Motion, grounded
from incarnate.motion.skeleton import INDEX, positions, turns

SLOW = 0.25  # Metres per second.
LOW = 0.06  # Metres above where the foot is most of the time.
BRIEF = 0.12  # Seconds; shorter stands are chance.
JUMP = 0.10  # Metres above the floor; lower is noise of tracking.
STEADY = 1.0  # Seconds over which the place of a standing foot is averaged.
EASE = 0.2  # Seconds in which a foot that lifts off comes back to its own way.
DEEPEST = 0.1  # Metres.
SIDES = ("left", "right")
FEET = tuple([INDEX[f"{side}_{p}"] for p in ("ankle", "foot")] for side in SIDES)


def standing(motion: Motion, depth: float = 1.0) -> Bool[Tensor, "f 2"]:
    """When the left and the right foot stand. `depth` is the trust in moves along z."""
    feet = _feet(motion)
    count = len(motion)
    if count < 3:
        return torch.ones(count, 2, dtype=torch.bool)
    step = (feet[2:] - feet[:-2]) * torch.tensor([1.0, 1.0, depth]).to(feet)
    way = step.norm(dim=-1) * motion.fps / 2
    speed = torch.cat([way[:1], way, way[-1:]])
    height = feet[..., 1] - torch.quantile(feet[..., 1], 0.2, dim=0)
    out = (speed < SLOW) & (height < LOW)
    shortest = max(1, round(BRIEF * motion.fps))
    for side in range(2):
        for start, stop in _runs(out[:, side]):
            if stop - start < shortest:
                out[start:stop, side] = False
    return out


def planted(motion: Motion, depth: float = 1.0) -> Motion:
    """The motion with its standing feet held where they are, and its soles on the floor.

    Jumps stay: feet higher than JUMP above the floor are not drawn down. `depth` is the trust in
    moves along z, less than 1 where z is a camera's line of sight.
    """
    return _held(_floored(motion), standing(motion, depth))


def _held(motion: Motion, stands: Bool[Tensor, "f 2"]) -> Motion:
    """Each standing ankle where it is on average over STEADY seconds; the pelvis lower if need be.

    A foot that lifts off or comes down eases between that place and its own way.
    """
    at, turned = positions(motion.pose, motion.transl), turns(motion.pose)
    ankles, soles = [], []
    for k, side in enumerate(SIDES):
        joint = INDEX[f"{side}_ankle"]
        there, sole = at[:, joint], turned[:, joint].flatten(1)
        off = torch.zeros(len(motion), 12).to(there)
        for start, stop in _runs(stands[:, k]):
            run = torch.cat([there, sole], 1)[start:stop]
            off[start:stop] = _averaged(run, STEADY * motion.fps) - run
        off = _eased(off, stands[:, k], EASE * motion.fps)
        ankles.append(there + off[:, :3])
        level = roma.special_procrustes((sole + off[:, 3:]).view(-1, 3, 3))
        assert isinstance(level, Tensor)
        soles.append(level)
    lower = motion.transl.clone()
    lower[:, 1] -= _lowered(at, ankles, stands, motion.fps)
    pose = motion.pose
    for side, ankle, sole in zip(SIDES, ankles, soles, strict=True):
        pose = reached(pose, lower, side, ankle, sole)
    return replace(motion, pose=pose, transl=lower)


def _averaged(values: Float[Tensor, "g c"], width: float) -> Float[Tensor, "g c"]:
    """Gaussian means of that standard deviation in frames over a stretch and nothing beyond it."""
    t = torch.arange(len(values)).to(values)
    share = torch.exp(-0.5 * ((t[:, None] - t) / width).square())
    return share @ values / share.sum(1, keepdim=True)


def _eased(
    values: Float[Tensor, "f c"], held: Bool[Tensor, " f"], width: float
) -> Float[Tensor, "f c"]:
    """Values where held; elsewhere they fade from the nearest held ones on either side."""
    known = held.nonzero()[:, 0]
    if not len(known):
        return torch.zeros_like(values)
    t = torch.arange(len(values))
    after = torch.searchsorted(known, t).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, t, right=True) - 1).clamp_min(0)
    out, total = torch.zeros_like(values), torch.zeros(len(values), 1).to(values)
    for near in (known[before], known[after]):
        share = 0.5 + 0.5 * torch.cos(math.pi * ((near - t).abs() / width).clamp(0, 1))
        out, total = out + share[:, None] * values[near], total + share[:, None]
    return torch.where(held[:, None], values, out / total.clamp_min(1))


def _lowered(
    at: Float[Tensor, "f 55 3"],
    ankles: list[Tensor],
    stands: Bool[Tensor, "f 2"],
    fps: float,
) -> Float[Tensor, " f"]:
    """By how much the pelvis has to sink, evenly, for standing feet to be reached."""
    sink = at.new_zeros(len(at))
    for k, side in enumerate(SIDES):
        apart = at[:, INDEX[f"{side}_hip"]] - ankles[k]
        reach = (longest(side) ** 2 - apart[:, [0, 2]].square().sum(1)).clamp_min(0).sqrt()
        sink = torch.maximum(sink, stands[:, k] * (apart[:, 1] - reach).clamp(0, DEEPEST))
    width = max(1, round(EASE * fps))
    wide = torch.nn.functional.max_pool1d(sink[None], 2 * width + 1, 1, width)[0]
    return _averaged(wide[:, None], width / 2)[:, 0]


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
