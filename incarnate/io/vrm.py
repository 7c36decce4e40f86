"""VRM 1.0: a GLB in T-pose whose bones and expressions have the names that avatar programs know.

Bones are told by SMPL-X's names, expressions by ARKit's; what VRM calls aa, blink or happy is a mix
of those, and the 52 go in as custom expressions too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incarnate.io.gltf import Figure, packed_glb
from incarnate.io.runs import replacing
from incarnate.motion.expressions import EXPRESSIONS, both

LICENSE = "https://vrm.dev/licenses/1.0/"
"""What VRM's schema wants in every file; the fields below say what it allows."""
_SPINE = {"pelvis": "hips", "spine1": "spine", "spine2": "chest", "spine3": "upperChest",
          "neck": "neck", "head": "head"}  # fmt: skip
_SIDED = {"collar": "Shoulder", "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand",
          "hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "eye_smplhf": "Eye"}  # fmt: skip
_FINGERS = {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"}
_PHALANGES = ("Proximal", "Intermediate", "Distal")
_THUMB = ("Metacarpal", "Proximal", "Distal")


def _bones() -> dict[str, str]:
    out = dict(_SPINE)
    for side in ("left", "right"):
        out |= {f"{side}_{ours}": side + theirs for ours, theirs in _SIDED.items()}
        for k in range(3):
            out[f"{side}_thumb{k + 1}"] = f"{side}Thumb{_THUMB[k]}"
            for ours, theirs in _FINGERS.items():
                out[f"{side}_{ours}{k + 1}"] = side + theirs + _PHALANGES[k]
    return out


BONES = _bones()
"""VRM's humanoid bones by SMPL-X's names. Toes are left out: ours move one by one."""


PRESETS: dict[str, dict[str, float]] = {
    "happy": EXPRESSIONS["smile"],
    "angry": EXPRESSIONS["angry"],
    "sad": EXPRESSIONS["sad"],
    "relaxed": both("mouthSmile", 0.3) | both("eyeBlink", 0.25),
    "surprised": EXPRESSIONS["surprise"],
    "aa": {"jawOpen": 0.6},
    "ih": {"jawOpen": 0.2} | both("mouthStretch", 0.4) | both("mouthSmile", 0.2),
    "ou": {"mouthPucker": 0.8, "jawOpen": 0.12},
    "ee": {"jawOpen": 0.15} | both("mouthSmile", 0.5) | both("mouthStretch", 0.3),
    "oh": {"mouthFunnel": 0.7, "jawOpen": 0.35},
    "blink": both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "lookUp": both("eyeLookUp", 1.0),
    "lookDown": both("eyeLookDown", 1.0),
    "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    "neutral": {},
}  # fmt: skip
"""VRM's own expressions as ARKit weights; sides are the person's own."""


@dataclass(frozen=True)
class Terms:
    """Who is shown. The file allows the least that VRM can say; its owner may say more."""

    name: str
    author: str = "unknown"


def write_vrm(path: Path, figure: Figure, bones: Mapping[str, int], terms: Terms) -> None:
    """Writes a figure that stands in T-pose, `bones` being its joints by SMPL-X's names.

    The file is whole or absent. ValueError for another ending, or bones that VRM needs and are not
    there.
    """
    if path.suffix.lower() != ".vrm":
        raise ValueError(f"{path}: a VRM is written to .vrm")
    optional = ("collar", "neck", "spine2", "spine3", "eye", "thumb", *_FINGERS)
    missing = [name for name in BONES if name not in bones and not any(o in name for o in optional)]
    if missing:
        raise ValueError(f"a VRM needs joints for {', '.join(missing)}; this body has none")
    data = packed_glb(figure, {"VRMC_vrm": _vrm(figure, bones, terms)})
    with replacing(path) as part:
        part.write_bytes(data)


def _vrm(figure: Figure, bones: Mapping[str, int], terms: Terms) -> dict[str, Any]:
    node = len(figure.parents)  # Of the mesh, behind all joints.
    custom = {name: _expression({name: 1.0}, figure, node) for name in figure.morph_names}
    return {
        "specVersion": "1.0",
        "meta": {
            "name": terms.name,
            "version": "1",
            "authors": [terms.author],
            "licenseUrl": LICENSE,
            "avatarPermission": "onlyAuthor",
            "allowExcessivelyViolentUsage": False,
            "allowExcessivelySexualUsage": False,
            "commercialUsage": "personalNonProfit",
            "allowPoliticalOrReligiousUsage": False,
            "allowAntisocialOrHateUsage": False,
            "creditNotation": "required",
            "allowRedistribution": False,
            "modification": "prohibited",
        },
        "humanoid": {
            "humanBones": {
                theirs: {"node": bones[ours]} for ours, theirs in BONES.items() if ours in bones
            }
        },
        "lookAt": {
            "type": "expression",
            "offsetFromHeadBone": [0.0, 0.06, 0.08],
            **{
                f"rangeMap{way}": {"inputMaxValue": 35.0, "outputScale": 1.0}
                for way in ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
            },
        },
        "expressions": {
            "preset": {name: _expression(mix, figure, node) for name, mix in PRESETS.items()},
            "custom": custom,
        },
    }


def _expression(mix: Mapping[str, float], figure: Figure, node: int) -> dict[str, Any]:
    names = list(figure.morph_names)
    binds = [
        {"node": node, "index": names.index(name), "weight": weight}
        for name, weight in mix.items()
        if name in names
    ]
    return {
        "isBinary": False,
        "overrideBlink": "none",
        "overrideLookAt": "none",
        "overrideMouth": "none",
        **({"morphTargetBinds": binds} if binds else {}),
    }
