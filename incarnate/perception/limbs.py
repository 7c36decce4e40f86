"""Anatomy of the fit: axes in which joints bend, how far they are likely to, and a first pose.

A joint's axes, columns of its frame in rest axes: flexion, sideways, twist (along the bone).
Flexion is positive where it closes elbow, knee (shin backwards) and fist.
"""

import math
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from incarnate.body.anny import Anny

SIGMAS = {
    "spine": (0.05, 0.05, 0.05), "neck": (0.1, 0.08, 0.12), "head": (0.15, 0.1, 0.2),
    "clavicle": (0.05, 0.12, 0.0), "shoulder01": (0.05, 0.12, 0.0),
    "upperarm01": (0.5, 0.5, 0.4), "lowerarm01": (0.5, 0.03, 0.1), "lowerarm02": (0.0, 0.0, 0.5),
    "wrist": (0.35, 0.2, 0.1), "upperleg01": (0.3, 0.2, 0.12), "lowerleg01": (0.2, 0.03, 0.05),
    "foot": (0.25, 0.1, 0.15), "finger1": (0.3, 0.25, 0.1),
    "finger": (0.4, 0.03, 0.0),
}  # fmt: skip
"""Radians about flexion, sideways and twist axes, by the beginning of a bone's name."""
KNUCKLE = (0.4, 0.15, 0.05)
STRAIGHT_KNEE, STRAIGHT_ELBOW = math.radians(42), math.radians(12)
UNBENT_KNEE = 0.05  # Radians of deviation where the 3D landmarks show a straight leg.
NEVER = -10.0  # Radians: no limit.
ARM = ("left", "L", 11, 13, 15), ("right", "R", 12, 14, 16)
LEG = ("left", "L", 23, 25, 27), ("right", "R", 24, 26, 28)


@dataclass(frozen=True, eq=False)
class Limbs:
    """Per joint of the body."""

    frames: Float[Tensor, "j 3 3"]
    sigmas: Float[Tensor, "j 3"]
    base: Float[Tensor, "j 3 3"]
    """The likely pose, about which the joints turn: base @ frame @ exp(turn) @ frame^T."""
    mean: Float[Tensor, "j 3"]
    """Turns at the likely pose: zero but for hinges, whose turn is told from rest."""
    least: Float[Tensor, " j"]
    """The least flexion that does not break the joint."""

    def pose(self, turns: Float[Tensor, "j 3"]) -> Float[Tensor, "j 3 3"]:
        """Rotations of the joints."""
        return self.base @ self.frames @ roma.rotvec_to_rotmat(turns) @ self.frames.mT

    def axes(self, turns: Float[Tensor, "j 3"]) -> Float[Tensor, "j 3 3"]:
        """Columns: what each component of the turns adds, as a turn on the left of the pose."""
        return self.base @ self.frames @ _left_jacobian(turns)


def limbs(
    body: Anny,
    world: Float[Tensor, "33 3"],
    seen: Bool[Tensor, " 33"],
) -> Limbs:
    """Axes of the average adult; arms and legs first as the 3D landmarks show them.

    `world`: in the body's axes (x to its left, y up, z ahead). Limbs not seen hang or stand.
    """
    joints = body.joints(body.shaped(body.default_betas()))
    names = body.joint_names
    at = {name: joints[i] for i, name in enumerate(names)}
    frames = torch.stack([_frame(name, at) for name in names])
    sigmas = torch.tensor([_sigmas(name) for name in names])
    base = torch.eye(3).repeat(len(names), 1, 1)
    mean, least = torch.zeros(len(names), 3), torch.full((len(names),), NEVER)
    for side, mark, *points in (*ARM, *LEG):
        arm = points[0] < 20
        upper, hinge, end = (
            names.index(f"{bone}.{mark}")
            for bone in (
                ("upperarm01", "lowerarm01", "wrist")
                if arm
                else ("upperleg01", "lowerleg01", "foot")
            )
        )
        rest = (joints[hinge] - joints[upper], joints[end] - joints[hinge])
        bent = _angle(*rest)
        outward = 1.0 if side == "left" else -1.0
        wanted = (torch.tensor([0.1 * outward, -1.0, 0.0]), torch.tensor([0.05 * outward, -1, 0.3]))
        if not arm:
            wanted = (
                torch.tensor([0.06 * outward, -1.0, 0.03]),
                torch.tensor([0.06 * outward, -1, -0.02]),
            )
        known = bool(seen[points].all())
        if known:
            a, b, c = world[points]
            wanted = (b - a, c - b)
        elif arm and bool(seen[points[:2]].all()):
            wanted = (world[points[1]] - world[points[0]], wanted[1])
        straight = STRAIGHT_ELBOW if arm else STRAIGHT_KNEE
        flexed = _angle(*wanted)
        stretched = flexed <= straight
        flexed = (0.6 * flexed if arm else 0.05) if stretched else flexed
        mean[hinge, 0] = flexed - bent
        least[hinge] = 0.02 - bent
        if not arm and stretched:
            sigmas[hinge, 0] = UNBENT_KNEE
        base[upper] = _swing(rest[0], wanted[0])
        axis = base[upper] @ frames[hinge, :, 0]
        base[upper] = _rolled(axis, wanted, flexed, arm) @ base[upper]
    for i, name in enumerate(names):
        if name.startswith("finger"):
            least[i] = -0.35
    return Limbs(frames, sigmas, base, mean, least)


def _rolled(axis: Tensor, wanted: tuple[Tensor, Tensor], flexed: float, arm: bool) -> Tensor:
    """The twist about the upper bone that turns its hinge to where the lower bone is; the more
    bent, the surer."""
    low, high = (
        (math.radians(15), math.radians(40)) if arm else (math.radians(30), math.radians(60))
    )
    sure = min(1.0, max(0.0, (flexed - low) / (high - low)))
    along = torch.nn.functional.normalize(wanted[0], dim=0)
    target = torch.linalg.cross(along, wanted[1])
    flat = axis - (axis @ along) * along
    angle = torch.atan2(torch.linalg.cross(flat, target) @ along, flat @ target)
    return roma.rotvec_to_rotmat(sure * angle * along)


def _frame(name: str, at: dict[str, Tensor]) -> Tensor:
    bone, _, mark = name.partition(".")
    if bone.startswith("finger"):
        digit = bone[6]
        a, b, c = (at[f"finger{digit}-{k}.{mark}"] for k in (1, 2, 3))
        along = (c - b) if bone[-1] != "1" else (b - a)
        flexion = torch.linalg.cross(b - a, c - b)
        if digit != "1":
            knuckles = at[f"finger2-1.{mark}"] - at[f"finger5-1.{mark}"]
            flexion = knuckles * torch.sign(knuckles @ flexion)
        return _axes(flexion, along)
    ends = {
        "upperarm01": "lowerarm01", "lowerarm01": "wrist", "lowerarm02": "wrist",
        "wrist": "finger3-1", "upperleg01": "lowerleg01", "lowerleg01": "foot",
        "clavicle": "shoulder01", "shoulder01": "upperarm01",
    }  # fmt: skip
    if bone not in ends:
        return _axes(torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))
    along = at[f"{ends[bone]}.{mark}"] - at[name]
    flexion = torch.tensor([1.0, 0, 0])
    if bone in ("upperarm01", "lowerarm01", "lowerarm02"):
        elbow = at[f"lowerarm01.{mark}"]
        flexion = torch.linalg.cross(elbow - at[f"upperarm01.{mark}"], at[f"wrist.{mark}"] - elbow)
    if bone == "wrist":
        flexion = at[f"finger2-1.{mark}"] - at[f"finger5-1.{mark}"]
    if bone in ("clavicle", "shoulder01"):
        flexion = torch.tensor([0.0, 1, 0])
    return _axes(flexion, along)


def _axes(flexion: Tensor, along: Tensor) -> Tensor:
    twist = torch.nn.functional.normalize(along, dim=0)
    flex = torch.nn.functional.normalize(flexion - (flexion @ twist) * twist, dim=0)
    return torch.stack([flex, torch.linalg.cross(twist, flex), twist], 1)


def _sigmas(name: str) -> tuple[float, float, float]:
    if name.startswith("finger") and name[6] != "1" and name[8] == "1":
        return KNUCKLE
    return next((s for start, s in SIGMAS.items() if name.startswith(start)), (0.0, 0.0, 0.0))


def _angle(first: Tensor, second: Tensor) -> float:
    cos = torch.nn.functional.cosine_similarity(first, second, dim=0)
    return math.acos(float(cos.clamp(-1, 1)))


def _swing(start: Tensor, end: Tensor) -> Tensor:
    """The least turn of one direction to another."""
    axis = torch.linalg.cross(start, end)
    angle = torch.atan2(axis.norm(), start @ end)
    return roma.rotvec_to_rotmat(torch.nn.functional.normalize(axis, dim=0) * angle)


def _left_jacobian(turns: Float[Tensor, "j 3"]) -> Float[Tensor, "j 3 3"]:
    """Of the exponential map: exp(w + d) = exp(J d) exp(w)."""
    angle = turns.norm(dim=1).clamp_min(1e-6)[:, None, None]
    x, y, z = turns.unbind(1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    first = torch.where(angle < 1e-3, 0.5, (1 - angle.cos()) / angle**2)
    second = torch.where(angle < 1e-2, 1 / 6, (angle - angle.sin()) / angle**3)
    return torch.eye(3) + first * skew + second * (skew @ skew)
