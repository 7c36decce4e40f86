"""Skeletons of people as files have them, laid onto ours.

Joints are found by name (Mixamo, CMU, Daz, MakeHuman, SMPL-X, Unreal and Rigify names, any prefix
and case), the spine by its course from hips to neck. The rest pose may be a T, an A or anything
upright: it is laid onto the T-pose bone by bone. Units, up axis and facing come from the skeleton
itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.motion import Motion, grounded
from incarnate.motion.skeleton import INDEX, LEG_LENGTH, PARENTS, SMPLX_JOINTS, calibration, local

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
    f"{finger}{k}": (f"hand{finger}{k}", f"{finger}{k}", f"finger{n}{k}", f"{finger}0{k}",
                    f"f{finger}0{k}")
    for n, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1)
    for k in (1, 2, 3)
}  # fmt: skip
_MIDDLE = {
    "pelvis": ("hips", "hip", "pelvis", "root", "spine"),
    "head": ("head", "spine006"),
}
_NEEDED = ("pelvis", "head") + tuple(
    f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "ankle", "shoulder", "elbow")
)


@dataclass(frozen=True, eq=False)
class Performance:
    """What a file's skeleton does, in the file's own axes and units; parents precede children."""

    joints: Sequence[str]
    parents: Sequence[int]
    """-1 above roots."""
    rest: Float[Tensor, "j 3"]
    """Where joints stand when nothing turns."""
    turned: Float[Tensor, "f j 3 3"]
    """From rest, in the file's axes."""
    moved: Float[Tensor, "f j 3"]
    """Where joints stand then."""
    fps: float

    def chain(self, top: int, bottom: int) -> list[int]:
        """Joints from `top` to `bottom`; empty if one does not hang from the other."""
        out = [bottom]
        while out[-1] != top and out[-1] >= 0:
            out.append(self.parents[out[-1]])
        return out[::-1] if out[-1] == top else []


def retargeted(told: Performance, names: Mapping[str, int]) -> Motion:
    """The motion, its face neutral; `names` are the file's joints by SMPL-X's names.

    It starts over the origin and its lowest sole touches the floor. ValueError for a skeleton that
    at rest does not stand upright.
    """
    rest, turned = told.rest, told.turned
    axes = _axes(rest, names)
    placed = rest.new_full((len(SMPLX_JOINTS), 3), torch.nan)
    for name, j in names.items():
        placed[INDEX[name]] = axes @ rest[j]
    turns = torch.eye(3).repeat(len(turned), len(SMPLX_JOINTS), 1, 1)
    spine = _spine(told, names)
    for j, name in enumerate(SMPLX_JOINTS):
        if name in spine:
            turns[:, j] = axes @ spine[name] @ axes.T
        elif name in names:
            turns[:, j] = axes @ turned[:, _carrier(told, names, name)] @ axes.T
    turns = turns @ calibration(placed).transpose(-1, -2)
    for j, name in enumerate(SMPLX_JOINTS):
        if name not in names and name not in spine:
            turns[:, j] = turns[:, PARENTS[j]]
    legs = [rest[names[f"{s}_ankle"]] - rest[names[f"{s}_hip"]] for s in ("left", "right")]
    scale = LEG_LENGTH / (sum(float(leg.norm()) for leg in legs) / 2)
    pelvis = told.moved[:, names["pelvis"]]
    transl = scale * (pelvis - pelvis[:1]) @ axes.T
    return grounded(Motion(told.fps, local(turns), transl, torch.zeros(len(turned), 52)))


def named(joints: Sequence[str]) -> dict[str, int]:
    """Which of the file's joints each SMPL-X joint is. ValueError for those that are no person."""
    by_stem: dict[tuple[str, str], int] = {}
    for j, name in enumerate(joints):
        by_stem.setdefault(_stem(name), j)
    out: dict[str, int] = {}
    for part, stems in _MIDDLE.items():
        found = [by_stem["", stem] for stem in stems if ("", stem) in by_stem]
        out |= {part: found[0]} if found else {}
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
            f"no joint found for {', '.join(missing)}; got {', '.join(joints[:40])}; wanted names "
            "like Mixamo's or SMPL-X's"
        )
    return out


def _stem(name: str) -> tuple[str, str]:
    """Side and bare lower-case stem: `mixamorig:LeftUpLeg`, `lThigh`, `upperleg01.L`."""
    name = re.split(r"[:|]", name)[-1]
    name = re.sub(r"^(mixamorig\d*_?|DEF-|ORG-)", "", name)
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


def _axes(rest: Tensor, names: Mapping[str, int]) -> Tensor:
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
                "with all rotations zero the skeleton does not stand upright; export it with a "
                "T-pose or an A-pose as its rest pose"
            )
        rows.append(axis)
    return torch.stack([rows[0], rows[1], torch.linalg.cross(rows[0], rows[1])])


def _spine(told: Performance, names: Mapping[str, int]) -> dict[str, Tensor]:
    """Turns of spine1-3 and neck: the file's spine bones, however many, read at even steps."""
    turned = told.turned
    course = told.chain(names["pelvis"], names["head"])
    arms = told.chain(names["pelvis"], names["left_shoulder"])
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


def _carrier(told: Performance, names: Mapping[str, int], name: str) -> int:
    """The bone that shows a joint's whole turn: the last before the next joint of the limb."""
    side, _, part = name.partition("_")
    below = {"shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "ankle"}.get(part)
    if below is None or f"{side}_{below}" not in names:
        return names[name]
    chain = told.chain(names[name], names[f"{side}_{below}"])
    return chain[-2] if len(chain) > 1 else names[name]
