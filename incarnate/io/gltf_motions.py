"""Motions in GLB files: .glb, .vrm, and VRM's animations (.vrma).

Bones are those that VRM's extensions name, or are found by name (`incarnate.io.humanoid`); they
turn from where the file's nodes stand without the animation. A skeleton that we wrote is read back
exactly. Morph targets with ARKit's names move the face, as do VRM animations' expressions; gaze
that is told by bones is not read. Of several animations the first is taken.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from incarnate.body import retarget
from incarnate.body.anny import Anny
from incarnate.io.glb import Glb, read_glb
from incarnate.io.humanoid import Performance, named, retargeted
from incarnate.io.vrm import BONES, PRESETS
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.motion import Motion
from incarnate.motion.skeleton import SMPLX_JOINTS

RATES = 15.0, 240.0
"""Frames a second between which keys' own rate is taken; else it is USUAL."""
USUAL = 30.0
LONGEST = 200_000
"""Frames."""
_OURS = ("root", "upperleg02.L", "lowerarm02.R", "spine05")
_WIDTH = {"rotation": 4, "translation": 3, "scale": 3}
_FACES = {name.lower(): k for k, name in enumerate(ARKIT_NAMES)}


def read_gltf_motion(path: Path) -> Motion:
    """The motion of the first animation; ValueError or OSError says what is wrong with the file."""
    glb = read_glb(path)
    try:
        return _motion(glb)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path.name} is damaged ({error!r}); export it again") from error


def _motion(glb: Glb) -> Motion:
    animations = glb.all("animations")
    if not animations:
        raise ValueError("it holds no animation; export it with one")
    found = (_Played.of(glb, animation) for animation in animations)
    told = next((played for played in found if played.channels), None)
    if told is None:
        raise ValueError("its animations move no nodes and no expressions")
    if len(animations) > 1:
        names = [animation.get("name") or "unnamed" for animation in animations]
        warnings.warn(f"of the animations {', '.join(names)} the first is taken", stacklevel=4)
    face = _face(glb, told)
    nodes = [node.get("name") or "" for node in glb.all("nodes")]
    bones = _told_bones(glb)
    try:
        bones = bones or named(nodes)
    except ValueError:
        if face is None:
            raise
        still = torch.eye(3).repeat(len(told.times), len(SMPLX_JOINTS), 1, 1)
        return Motion(told.fps, still, torch.zeros(len(told.times), 3), face)
    performance, order = _performance(glb, told)
    body = set(_OURS) <= set(nodes)
    motion = _own(performance) if body else None
    if motion is None:
        motion = retargeted(performance, {name: order[node] for name, node in bones.items()})
    return motion if face is None else replace(motion, expression=face)


def _own(told: Performance) -> Motion | None:
    """Of our own skeleton, what went into it; None for another."""
    body = Anny.load()
    if not set(body.joint_names) <= set(told.joints):
        return None
    mine = [list(told.joints).index(name) for name in body.joint_names]
    world = told.turned[:, mine]
    above = world[:, body.parents.clamp(min=0)]
    pose = torch.where((body.parents < 0)[:, None, None], world, above.transpose(-1, -2) @ world)
    transl = told.moved[:, mine[0]] - told.rest[mine[0]]
    still = torch.zeros(len(world), len(body.expression_names))
    posed = retarget.Posed(pose, still, transl)
    return retarget.motion_from(body, posed, told.fps, told.rest[mine])


# Time --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Played:
    """What an animation says of each (node, path), at even times."""

    fps: float
    times: Float[ndarray, " f"]
    channels: dict[tuple[int, str], Float[ndarray, "f w"]]

    @staticmethod
    def of(glb: Glb, animation: Any) -> "_Played":
        samplers = animation.get("samplers") or []
        told = animation.get("channels") or []
        told = [c for c in told if c["target"].get("node") is not None]
        keys = [glb.numbers(samplers[c["sampler"]]["input"])[:, 0] for c in told]
        if any(len(k) == 0 or not np.isfinite(k).all() or (np.diff(k) < 0).any() for k in keys):
            raise ValueError("an animation's times are not in order")
        start, end = min((k[0] for k in keys), default=0.0), max((k[-1] for k in keys), default=0.0)
        steps = [1 / np.median(np.diff(k)) for k in keys if len(k) > 1 and k[-1] > k[0]]
        steps = [step for step in steps if np.isfinite(step)]
        fps = max(steps, default=USUAL)
        fps = float(round(fps, 3) if RATES[0] <= fps <= RATES[1] else USUAL)
        count = round((end - start) * fps) + 1
        if count > LONGEST:
            raise ValueError(f"its animation lasts {end - start:.0f} s; cut it into parts")
        times = start + np.arange(count) / fps
        channels = {}
        for channel, key in zip(told, keys, strict=True):
            target, sampler = channel["target"], samplers[channel["sampler"]]
            values = glb.numbers(sampler["output"])
            kind = sampler.get("interpolation", "LINEAR")
            width = _WIDTH.get(target["path"]) or values.size // (
                len(key) * (3 if kind == "CUBICSPLINE" else 1)
            )
            table = values.reshape(-1, width)
            channels[target["node"], target["path"]] = _between(
                key, table, kind, times, target["path"] == "rotation"
            )
        return _Played(fps, times, channels)


def _between(
    keys: Float[ndarray, " k"],
    table: Float[ndarray, "n w"],
    kind: str,
    times: Float[ndarray, " f"],
    turning: bool,
) -> Float[ndarray, "f w"]:
    """A sampler at these times, as glTF 2.0 has it (appendix C); before and after, its ends."""
    at = times.clip(keys[0], keys[-1])
    if kind == "CUBICSPLINE":
        out = _hermite(keys, table.reshape(len(keys), 3, -1), at)
        return out / np.linalg.norm(out, axis=1, keepdims=True) if turning else out
    before = (np.searchsorted(keys, at + 1e-6, "right") - 1).clip(0)
    if kind == "STEP" or len(keys) == 1:
        return table[before]
    if turning:
        keep = np.r_[True, np.diff(keys) > 0]
        if keep.sum() == 1:
            return table[before]
        return Slerp(keys[keep], Rotation.from_quat(table[keep]))(at).as_quat()
    return np.stack([np.interp(at, keys, column) for column in table.T], 1)


def _hermite(
    keys: Float[ndarray, " k"], table: Float[ndarray, "k 3 w"], at: Float[ndarray, " f"]
) -> Float[ndarray, "f w"]:
    """Rows are tangent in, value, tangent out."""
    low = (np.searchsorted(keys, at, "right") - 1).clip(0, max(len(keys) - 2, 0))
    high = (low + 1).clip(max=len(keys) - 1)
    span = (keys[high] - keys[low])[:, None]
    t = (at - keys[low])[:, None] / np.maximum(span, 1e-9)
    start, leave, arrive, end = table[low, 1], table[low, 2], table[high, 0], table[high, 1]
    return (
        (2 * t**3 - 3 * t**2 + 1) * start
        + span * (t**3 - 2 * t**2 + t) * leave
        + (-2 * t**3 + 3 * t**2) * end
        + span * (t**3 - t**2) * arrive
    )


# Bones -------------------------------------------------------------------------------------------


def _told_bones(glb: Glb) -> dict[str, int]:
    """Nodes by SMPL-X's names, as VRM's extensions tell them; empty without."""
    said = glb.tree.get("extensions") or {}
    ours = {theirs: name for name, theirs in BONES.items()}
    ours |= {"leftToes": "left_foot", "rightToes": "right_foot"}
    for extension in ("VRMC_vrm", "VRMC_vrm_animation"):
        if extension in said:
            bones = said[extension]["humanoid"]["humanBones"]
            return {ours[name]: bone["node"] for name, bone in bones.items() if name in ours}
    if "VRM" in said:  # 0.x: a thumb's bones are called as a finger's.
        old = {"ThumbProximal": "ThumbMetacarpal", "ThumbIntermediate": "ThumbProximal"}
        bones = {}
        for bone in said["VRM"]["humanoid"]["humanBones"]:
            side, part = re.fullmatch(r"(left|right|)(.*)", bone["bone"]).groups()  # pyright: ignore[reportOptionalMemberAccess]
            bones[side + old.get(part, part)] = bone["node"]
        return {ours[name]: node for name, node in bones.items() if name in ours}
    return {}


def _performance(glb: Glb, told: _Played) -> tuple[Performance, dict[int, int]]:
    """All nodes at rest and moved, parents first; and where in that order each is."""
    nodes = glb.all("nodes")
    parents = {child: j for j, node in enumerate(nodes) for child in node.get("children", ())}
    order = [j for j in range(len(nodes)) if j not in parents]
    for j in order:
        order += nodes[j].get("children", ())
        if len(order) > len(nodes):
            break
    if len(order) != len(nodes):
        raise ValueError("its nodes hang on one another in a circle")
    place = {j: k for k, j in enumerate(order)}
    above = [place[parents[j]] if j in parents else -1 for j in order]
    rest = _world([_local(nodes[j], j, {}) for j in order], above)
    moved = _world([_local(nodes[j], j, told.channels) for j in order], above)
    count = len(told.times)
    turned = torch.stack([
        (_turn(now) @ _turn(then).transpose(-1, -2)).expand(count, 3, 3)
        for now, then in zip(moved, rest, strict=True)
    ], 1)  # fmt: skip
    places = torch.stack([now[:, :3, 3].expand(count, 3) for now in moved], 1)
    stood = torch.cat([then[:, :3, 3] for then in rest])
    names = [nodes[j].get("name") or f"node {j}" for j in order]
    return Performance(names, above, stood, turned.float(), places.float(), told.fps), place


def _local(node: Any, index: int, told: dict[tuple[int, str], ndarray]) -> Float[Tensor, "f 4 4"]:
    """One matrix, or one a frame."""
    if "matrix" in node:
        return torch.tensor(node["matrix"]).double().reshape(1, 4, 4).transpose(1, 2)
    usual = {"rotation": [0, 0, 0, 1.0], "translation": [0, 0, 0], "scale": [1, 1, 1]}
    turn, move, scale = (
        told.get((index, path), np.array([node.get(path, plain)], float))
        for path, plain in usual.items()
    )
    out = torch.eye(4).double().repeat(max(len(turn), len(move), len(scale)), 1, 1)
    out[:, :3, :3] = torch.from_numpy(Rotation.from_quat(turn).as_matrix() * scale[:, None])
    out[:, :3, 3] = torch.from_numpy(move.astype(float))
    return out


def _world(local: Sequence[Tensor], above: Sequence[int]) -> list[Tensor]:
    out: list[Tensor] = []
    for own, parent in zip(local, above, strict=True):
        out.append(own if parent < 0 else out[parent] @ own)
    return [matrix.float() for matrix in out]


def _turn(matrix: Float[Tensor, "f 4 4"]) -> Float[Tensor, "f 3 3"]:
    """Its rotation, scales apart."""
    return torch.nn.functional.normalize(matrix[:, :3, :3], dim=1)


# The face ----------------------------------------------------------------------------------------


def _face(glb: Glb, told: _Played) -> Float[Tensor, "f 52"] | None:
    """ARKit weights of morph targets and VRM's expressions; None if none is told."""
    out = torch.zeros(len(told.times), len(ARKIT_NAMES))
    known = False
    for (node, path), values in told.channels.items():
        if path != "weights":
            continue
        mesh = glb.all("meshes")[glb.all("nodes")[node]["mesh"]]
        names = (mesh.get("extras") or {}).get("targetNames") or []
        for name, column in zip(names, values.T, strict=False):
            k = _FACES.get(_arkit(name))
            if k is not None:
                known = True
                out[:, k] = torch.maximum(out[:, k], torch.from_numpy(column).float())
    extension = (glb.tree.get("extensions") or {}).get("VRMC_vrm_animation") or {}
    for group in (extension.get("expressions") or {}).values():
        for name, where in group.items():
            values = told.channels.get((where["node"], "translation"))
            mix = PRESETS.get(name) or {name: 1.0}
            rows = {_FACES[n.lower()]: weight for n, weight in mix.items() if n.lower() in _FACES}
            if values is not None and rows:
                known = True
                for k, weight in rows.items():
                    out[:, k] += weight * torch.from_numpy(values[:, 0]).float()
    return out.clamp(0, 1) if known else None


def _arkit(name: str) -> str:
    """`Wolf3D.eyeBlink_L`, `EyeBlinkLeft`: in lower case, without a prefix, sides written out."""
    bare = re.split(r"[.:|]", name)[-1]
    sides = {"_l": "Left", "_r": "Right"}
    if bare.lower()[-2:] in sides:
        bare = bare[:-2] + sides[bare.lower()[-2:]]
    return bare.replace("_", "").lower()
