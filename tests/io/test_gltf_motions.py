"""Motions out of GLB files: our own, and some made here by hand."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from incarnate.body import retarget
from incarnate.body.anny import Anny
from incarnate.io.gltf import Clip, Figure, write_glb
from incarnate.io.motions import read_motion
from incarnate.io.vrm import BONES
from incarnate.motion import Motion, pose_preset, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.skeleton import INDEX, SMPLX_JOINTS, T_POSE, turns

# A person of 14 joints in T-pose, in centimetres, 5 % taller than ours.
PARTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
PLACES = {
    name: tuple((105 * T_POSE[INDEX[name]] + torch.tensor([0.0, 100.0, 0.0])).tolist())
    for name in ("pelvis", "head", *(f"{s}_{p}" for s in ("left", "right") for p in PARTS))
}
ABOVE = {"pelvis": None, "head": "pelvis", "hip": "pelvis", "knee": "hip", "ankle": "knee",
         "shoulder": "pelvis", "elbow": "shoulder", "wrist": "elbow"}  # fmt: skip
MIXAMO = {"pelvis": "Hips", "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
          "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand"}  # fmt: skip
UNREAL = {"pelvis": "pelvis", "head": "head", "hip": "thigh", "knee": "calf", "ankle": "foot",
          "shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand"}  # fmt: skip
RIGIFY = {"pelvis": "spine", "head": "spine.006", "hip": "thigh", "knee": "shin", "ankle": "foot",
          "shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand"}  # fmt: skip


def split(name: str) -> tuple[str, str]:
    side, _, part = name.rpartition("_")
    return side, part


def mixamo(name: str) -> str:
    side, part = split(name)
    return f"mixamorig:{side.capitalize()}{MIXAMO[part]}"


def unreal(name: str) -> str:
    side, part = split(name)
    return f"{UNREAL[part]}_{side[0]}" if side else UNREAL[part]


def rigify(name: str) -> str:
    side, part = split(name)
    return f"DEF-{RIGIFY[part]}.{side[0].upper()}" if side else f"DEF-{RIGIFY[part]}"


class Made:
    """A GLB as other programs write it: bones have axes of their own, the armature is scaled."""

    file: Any

    def __init__(self, named: Callable[[str], str], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.names = list(PLACES)
        self.own = {n: Rotation.from_quat(rng.standard_normal(4)) for n in self.names}
        self.blob = b""
        self.file = gltf.GLTF2(scene=0, scenes=[gltf.Scene(nodes=[len(PLACES)])])
        for name in self.names:
            above = self.above(name)
            base = self.own[above] if above else Rotation.identity()
            way = np.subtract(PLACES[name], PLACES[above] if above else (0, 0, 0))
            children = [k for k, other in enumerate(self.names) if self.above(other) == name]
            self.file.nodes.append(
                gltf.Node(
                    name=named(name),
                    translation=base.inv().apply(way).tolist(),
                    rotation=(base.inv() * self.own[name]).as_quat().tolist(),
                    children=children,
                )
            )
        armature = np.diag([0.01, 0.01, 0.01, 1.0]).T.flatten().tolist()
        self.file.nodes.append(gltf.Node(name="Armature", matrix=armature, children=[0]))
        self.file.animations = [gltf.Animation(name="dance", samplers=[], channels=[])]

    def above(self, name: str) -> str | None:
        side, part = split(name)
        above = ABOVE[part]
        return f"{side}_{above}" if above and side and f"{side}_{above}" in PLACES else above

    def local(self, name: str, world: Rotation) -> list[float]:
        """What the node holds when its joint is turned by `world` and none above it is."""
        above = self.above(name)
        base = self.own[above] if above else Rotation.identity()
        return (base.inv() * world * self.own[name]).as_quat().tolist()

    def table(self, rows: Any, kind: str) -> int:
        data = np.asarray(rows, "<f4")
        self.file.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=data.nbytes)
        )
        self.blob += data.tobytes()
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[kind]
        self.file.accessors.append(
            gltf.Accessor(
                bufferView=len(self.file.bufferViews) - 1,
                componentType=gltf.FLOAT,
                count=data.size // width,
                type=kind,
            )
        )
        return len(self.file.accessors) - 1

    def told(self, node: int, path: str, times: Any, rows: Any, how: str = "LINEAR") -> None:
        kind = {"rotation": "VEC4", "translation": "VEC3", "weights": "SCALAR"}[path]
        made = self.file.animations[0]
        made.samplers.append(
            gltf.AnimationSampler(
                input=self.table(times, "SCALAR"), interpolation=how, output=self.table(rows, kind)
            )
        )
        target = gltf.AnimationChannelTarget(node=node, path=path)
        made.channels.append(gltf.AnimationChannel(sampler=len(made.samplers) - 1, target=target))

    def written(self, path: Path) -> Path:
        self.file.buffers = [gltf.Buffer(byteLength=len(self.blob))]
        self.file.set_binary_blob(self.blob)
        path.write_bytes(b"".join(self.file.save_to_bytes()))
        return path


def bend(degrees: float, axis: str = "z") -> Rotation:
    return Rotation.from_euler(axis, degrees, degrees=True)


def turned(motion: Motion, name: str, frame: int) -> np.ndarray:
    return turns(motion.pose)[frame, INDEX[name]].numpy()


@pytest.mark.parametrize("named", [mixamo, unreal, rigify, lambda name: name])
def test_bones_with_any_names_and_axes_turn_as_told(named, tmp_path: Path):
    made = Made(named)
    for name, angle in (("left_elbow", 80.0), ("right_hip", -35.0), ("head", 20.0)):
        rows = [made.local(name, bend(0, "y")), made.local(name, bend(angle, "y"))]
        made.told(made.names.index(name), "rotation", [0.0, 0.5], rows)
    place = made.file.nodes[0].translation
    made.told(0, "translation", [0.0, 0.5], [place, np.add(place, [0, 0, 84.0])])
    motion = read_motion(made.written(tmp_path / "a.glb"))
    assert motion.fps == 30 and len(motion) == 16  # Keys half a second apart: every 30th is taken.
    for name, angle in (("left_elbow", 80.0), ("right_hip", -35.0), ("head", 20.0)):
        for frame, share in ((0, 0.0), (5, 1 / 3), (15, 1.0)):
            wanted = bend(share * angle, "y").as_matrix()
            np.testing.assert_allclose(turned(motion, name, frame), wanted, atol=1e-4)
    moved = motion.transl[-1] - motion.transl[0]  # In metres of somebody as tall as ours.
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.0, 0.8]), rtol=0, atol=1e-4)


def test_samplers_are_read_as_the_standard_says(tmp_path: Path):
    made = Made(mixamo)
    ends = [made.local("head", bend(0)), made.local("head", bend(60))]
    node = made.names.index("head")
    made.told(node, "rotation", np.arange(3) / 20, [*ends, ends[1]], "STEP")
    # A spline with tangents of 0 in x and of 4 at its start in z: 4 (t^3 - 2 t^2 + t) at t.
    rows = np.zeros((2, 3, 3))
    rows[:, 1] = made.file.nodes[0].translation
    rows[1, 1, 0] += 10.0
    rows[0, 2, 2] = 400.0
    made.told(0, "translation", [0.0, 0.1], rows, "CUBICSPLINE")
    motion = read_motion(made.written(tmp_path / "a.glb"))
    assert motion.fps == 20 and len(motion) == 3
    for frame, angle in enumerate((0, 60, 60)):
        np.testing.assert_allclose(
            turned(motion, "head", frame), bend(angle).as_matrix(), atol=1e-5
        )
    half = (motion.transl[1] - motion.transl[0]) / (motion.transl[2] - motion.transl[0])[0]
    assert float(half[0]) == pytest.approx(0.5, abs=1e-4)
    assert float(half[2]) == pytest.approx(400 * 0.1 * (0.125 - 0.5 + 0.5) / 10, abs=1e-3)


def faced(made: Made, names: list[str], rows: Any, times: Any) -> None:
    made.file.meshes.append(gltf.Mesh(primitives=[], extras={"targetNames": names}))
    made.file.nodes.append(gltf.Node(mesh=len(made.file.meshes) - 1))
    made.file.scenes[0].nodes.append(len(made.file.nodes) - 1)
    made.told(len(made.file.nodes) - 1, "weights", times, rows)


def test_morph_targets_move_the_face_with_and_without_a_body(tmp_path: Path):
    rows, times = [[0.0, 0.2, 0.9], [1.0, 0.4, 0.9]], [0.0, 1 / 30]
    made = Made(mixamo)
    faced(made, ["jawOpen", "Face.eyeBlink_L", "nose_like_a_clown"], rows, times)
    alone = Made(lambda name: f"thing {name}")
    faced(alone, ["JawOpen", "EyeBlinkLeft", "nose"], rows, times)
    for file in (made, alone):
        found = read_motion(file.written(tmp_path / "a.glb"))
        wanted = torch.zeros(2, 52)
        wanted[:, ARKIT_NAMES.index("jawOpen")] = torch.tensor([0.0, 1.0])
        wanted[:, ARKIT_NAMES.index("eyeBlinkLeft")] = torch.tensor([0.2, 0.4])
        torch.testing.assert_close(found.expression, wanted)


def test_vrm_tells_its_bones_whatever_they_are_called(tmp_path: Path):
    made = Made(lambda name: f"J_{sorted(PLACES).index(name)}")
    rows = [made.local("left_elbow", bend(0, "y")), made.local("left_elbow", bend(70, "y"))]
    made.told(made.names.index("left_elbow"), "rotation", [0.0, 1 / 30], rows)
    bones = {BONES[name]: {"node": k} for k, name in enumerate(made.names)}
    made.file.nodes.append(gltf.Node(name="aa"))
    made.told(len(made.file.nodes) - 1, "translation", [0.0, 1 / 30], [[0, 0, 0], [0.5, 0, 0]])
    mouth = {"preset": {"aa": {"node": len(made.file.nodes) - 1}}}
    made.file.extensions = {
        "VRMC_vrm_animation": {"humanoid": {"humanBones": bones}, "expressions": mouth}
    }
    motion = read_motion(made.written(tmp_path / "a.vrma"))
    np.testing.assert_allclose(
        turned(motion, "left_elbow", 1), bend(70, "y").as_matrix(), atol=1e-4
    )
    assert float(motion.expression[1, ARKIT_NAMES.index("jawOpen")]) == pytest.approx(0.3)
    old = [{"bone": name, "node": bone["node"]} for name, bone in bones.items()]
    made.file.extensions = {"VRM": {"humanoid": {"humanBones": old}}}
    again = read_motion(made.written(tmp_path / "a.vrm"))
    torch.testing.assert_close(again.pose, motion.pose)


def test_what_we_wrote_comes_back(tmp_path: Path):
    body = Anny.load()
    rng = torch.Generator().manual_seed(0)
    walk = walk_cycle(fps=25.0)
    wild = torch.randn(len(walk), len(SMPLX_JOINTS), 3, generator=rng) * 0.1
    wild[:, 22:25] = 0  # Jaw and eyes are told by weights.
    face = torch.rand(len(walk), 52, generator=rng)
    motion = Motion(25.0, walk.pose @ roma.rotvec_to_rotmat(wild), walk.transl + 0.3, face)
    posed = retarget.pose_for(body, motion)
    joints = body.joints(body.shaped(body.default_betas())) + torch.tensor([0.0, 0.9, 0.0])
    corner = torch.zeros(3, 3)
    made = Figure(
        "me", corner, torch.tensor([[0, 1, 2]]), corner[:, :2], torch.tensor([[0, 1, 2]]),
        torch.zeros(4, 4, 3, dtype=torch.uint8), body.joint_names, body.parents.tolist(), joints,
        torch.eye(len(joints))[:3], ARKIT_NAMES, torch.zeros(52, 3, 3),
        [Clip("a", 25.0, posed.pose, posed.transl, face)],
    )  # fmt: skip
    write_glb(tmp_path / "me.glb", made)
    found = read_motion(tmp_path / "me.glb")
    assert found.fps == 25 and len(found) == len(motion)
    gaps = torch.rad2deg(roma.rotmat_geodesic_distance(found.pose, motion.pose))
    assert gaps.amax() < 0.1
    torch.testing.assert_close(found.transl, motion.transl, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.expression, face, rtol=0, atol=1e-5)


def test_a_preset_comes_back_through_a_preset(tmp_path: Path):
    """A T-pose through a skeleton with strange axes stays one."""
    made = Made(mixamo, seed=3)
    made.told(0, "rotation", [0.0], [made.file.nodes[0].rotation])
    motion = read_motion(made.written(tmp_path / "a.glb"))
    wanted = turns(pose_preset("t-pose").pose)
    names = [INDEX[name] for name in PLACES]
    torch.testing.assert_close(turns(motion.pose)[0, names], wanted[0, names], rtol=0, atol=1e-4)


def part(raw: bytes) -> bytes:
    """The JSON of a file."""
    return raw[20 : 20 + struct.unpack_from("<I", raw, 12)[0]]


def container(told: bytes) -> bytes:
    told += b" " * (-len(told) % 4)
    return struct.pack("<5I", 0x46546C67, 2, 20 + len(told), len(told), 0x4E4F534A) + told


def test_what_cannot_be_read_is_said(tmp_path: Path):
    path = tmp_path / "a.glb"
    still = Made(mixamo)
    still.file.animations = []
    with pytest.raises(ValueError, match="a.glb: it holds no animation"):
        read_motion(still.written(path))
    with pytest.raises(ValueError, match="move no nodes"):
        read_motion(Made(mixamo).written(path))
    lamp = Made(lambda name: f"lamp {name[-3:]}")
    lamp.told(0, "rotation", [0.0, 0.1], [[0, 0, 0, 1]] * 2)
    with pytest.raises(ValueError, match="no joint found for pelvis, .*; got .*lamp vis"):
        read_motion(lamp.written(path))
    early = Made(mixamo)
    early.told(0, "rotation", [0.1, 0.0], [[0, 0, 0, 1]] * 2)
    with pytest.raises(ValueError, match="not in order"):
        read_motion(early.written(path))
    ring = Made(mixamo)
    ring.told(0, "rotation", [0.0, 0.1], [[0, 0, 0, 1]] * 2)
    ring.file.nodes[2].children.append(1)
    with pytest.raises(ValueError, match="hang on one another in a circle"):
        read_motion(ring.written(path))
    good = Made(mixamo)
    good.told(0, "rotation", [0.0, 0.1], [[0, 0, 0, 1]] * 2)
    raw = good.written(path).read_bytes()
    for bad, said in (
        (b"hello", "no GLB"),
        (raw[:40], "damaged"),
        (raw[:-30], "ends too soon"),
        (raw.replace(b'"bufferView":', b'"bufferViex":', 1).replace(b'"input":0', b'"input":9'),
         "damaged"),
        (raw.replace(b'{"', b'{{', 1), "damaged"),
        (container(b"[" * 200_000), "damaged"),
        (container(re.sub(rb'"count": ?2', b'"count":1000000000000', part(raw))), "announces more"),
    ):  # fmt: skip
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=f"a.glb.*{said}"):
            read_motion(path)


def test_of_several_animations_the_first_is_taken_and_that_is_said(tmp_path: Path):
    made = Made(mixamo)
    made.told(0, "rotation", [0.0, 0.5], [made.file.nodes[0].rotation] * 2)
    made.file.animations.append(made.file.animations[0])
    with pytest.warns(UserWarning, match="of the animations dance, dance the first"):
        assert len(read_motion(made.written(tmp_path / "a.glb"))) == 16


def test_numbers_may_be_packed_sparse_strided_and_normalized(tmp_path: Path):
    """Weights as bytes that stand for fractions, every fourth byte."""
    made = Made(mixamo)
    faced(made, ["jawOpen"], [0.0, 0.0], [0.0, 1 / 30])
    output = made.file.animations[0].samplers[0].output
    accessor = made.file.accessors[output]
    view = made.file.bufferViews[accessor.bufferView]
    accessor.componentType, accessor.normalized = gltf.UNSIGNED_BYTE, True
    view.byteStride = 4
    start = view.byteOffset
    made.blob = made.blob[:start] + bytes([51, 9, 9, 9, 102, 9, 9, 9]) + made.blob[start + 8 :]
    found = read_motion(made.written(tmp_path / "a.glb")).expression
    torch.testing.assert_close(
        found[:, ARKIT_NAMES.index("jawOpen")], torch.tensor([0.2, 0.4]), rtol=0, atol=1e-6
    )
    raw = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack_from("<I", raw, 12)[0]
    assert json.loads(raw[20 : 20 + size])["accessors"][output]["normalized"]
