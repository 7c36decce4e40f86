"""GLB (glTF 2.0): a skinned, textured mesh that has expressions and plays clips.

Joints stand where they are at rest, their axes along the world's: a joint's local rotation is then
what our bodies take as `pose`, and a clip's numbers go into the file as they are. Expressions are
morph targets, kept sparse and named in `mesh.extras.targetNames`. The texture holds light as well
as colour, so the material is unlit (KHR_materials_unlit) where that is known, else plain and rough.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import roma
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from incarnate.io.runs import replacing
from incarnate.scene.mesh import vertex_normals

if TYPE_CHECKING:
    from pygltflib import GLTF2, Animation, Material, Mesh, Node

BONES = 4
"""That hold a vertex: what every engine takes."""
STILL = 1e-5
"""What moves less than this in a clip gets no channel."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion, as joints of the figure turn."""

    name: str
    fps: float
    pose: Float[Tensor, "f j 3 3"]
    """About each joint at rest, in the world's axes."""
    transl: Float[Tensor, "f 3"]
    """Of the root from where it is at rest."""
    expression: Float[Tensor, "f m"]


@dataclass(frozen=True, eq=False)
class Figure:
    """What a skinned GLB shows."""

    name: str
    vertices: Float[Tensor, "v 3"]
    """At rest, with a neutral face."""
    faces: Int[Tensor, "f 3"]
    uvs: Float[Tensor, "t 2"]
    """From the lower left."""
    face_uvs: Int[Tensor, "f 3"]
    texture: UInt8[Tensor, "h w 3"]
    joint_names: Sequence[str]
    parents: Sequence[int]
    """-1 above the one root, which comes first."""
    joints: Float[Tensor, "j 3"]
    """At rest."""
    weights: Float[Tensor, "v j"]
    """Of any number of joints; `held` makes them fit."""
    morph_names: Sequence[str]
    morphs: Float[Tensor, "m v 3"]
    """What each expression adds."""
    clips: Sequence[Clip] = ()


def held(weights: Float[Tensor, "v j"]) -> tuple[Float[Tensor, "v 4"], Int[Tensor, "v 4"]]:
    """The four heaviest weights of each vertex, which then sum to 1, and their joints."""
    kept, joints = weights.topk(BONES)
    kept = kept / kept.sum(1, keepdim=True)
    return kept, torch.where(kept > 0, joints, 0)


def write_glb(path: Path, figure: Figure) -> None:
    """Writes the figure; the file is whole or absent. ValueError for another ending."""
    if path.suffix.lower() != ".glb":
        raise ValueError(f"{path}: a skinned mesh is written to .glb")
    data = packed_glb(figure, {})
    with replacing(path) as part:
        part.write_bytes(data)


def packed_glb(figure: Figure, extensions: Mapping[str, Any]) -> bytes:
    """The GLB, with what extensions say at its top; joints are nodes 0 on, then comes the mesh."""
    packed = _Packed()
    made = _gltf(packed, figure)
    made.extensions = dict(extensions)
    made.extensionsUsed += list(extensions)
    return packed.finished(made)


def _gltf(packed: "_Packed", figure: Figure) -> "GLTF2":
    import pygltflib as gltf

    count = len(figure.joint_names)
    bones = [_bone(figure, j) for j in range(count)]
    body = gltf.Node(name=figure.name, mesh=0, skin=0)
    bind = torch.eye(4).repeat(count, 1, 1)
    bind[:, :3, 3] = -figure.joints
    matrices = packed.numbers(bind.transpose(1, 2).reshape(count, 16), "MAT4")
    return gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="incarnate"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0, count])],
        nodes=[*bones, body],
        meshes=[_mesh(packed, figure)],
        skins=[gltf.Skin(joints=list(range(count)), inverseBindMatrices=matrices, skeleton=0)],
        materials=[_material()],
        textures=[gltf.Texture(source=0, sampler=0)],
        samplers=[gltf.Sampler(magFilter=9729, minFilter=9987, wrapS=33071, wrapT=33071)],
        images=[gltf.Image(mimeType="image/png", bufferView=packed.png(figure.texture))],
        animations=[_animation(packed, figure, clip) for clip in figure.clips],
        extensionsUsed=["KHR_materials_unlit"],
    )


def _bone(figure: Figure, j: int) -> "Node":
    import pygltflib as gltf

    parent = figure.parents[j]
    above = figure.joints[parent] if parent >= 0 else torch.zeros(3)
    children = [k for k, p in enumerate(figure.parents) if p == j]
    place = (figure.joints[j] - above).tolist()
    return gltf.Node(name=figure.joint_names[j], translation=place, children=children)


def _material() -> "Material":
    import pygltflib as gltf

    plain = gltf.PbrMetallicRoughness(
        baseColorTexture=gltf.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=1.0
    )
    return gltf.Material(
        name="skin",
        pbrMetallicRoughness=plain,
        doubleSided=True,
        extensions={"KHR_materials_unlit": {}},
    )


def _mesh(packed: "_Packed", figure: Figure) -> "Mesh":
    import pygltflib as gltf

    # A vertex for each pair of place and uv that occurs.
    pairs = torch.stack([figure.faces.flatten(), figure.face_uvs.flatten()], 1)
    pairs, corners = pairs.unique(dim=0, return_inverse=True)
    own = pairs[:, 0]
    weights, joints = held(figure.weights)
    uvs = figure.uvs[pairs[:, 1]]
    normals = vertex_normals(figure.vertices, figure.faces)
    lone = normals.norm(dim=1) < 0.5
    normals[lone] = normals.new_tensor([0.0, 0.0, 1.0])
    attributes = gltf.Attributes(
        POSITION=packed.numbers(figure.vertices[own], "VEC3", bounds=True),
        NORMAL=packed.numbers(normals[own], "VEC3"),
        TEXCOORD_0=packed.numbers(torch.stack([uvs[:, 0], 1 - uvs[:, 1]], 1), "VEC2"),
        JOINTS_0=packed.integers(joints[own], np.uint8 if len(figure.parents) < 256 else np.uint16),
        WEIGHTS_0=packed.numbers(weights[own], "VEC4"),
    )
    targets: Any = [{"POSITION": packed.sparse(moved[own])} for moved in figure.morphs]
    faces = packed.numbers_of(corners.numpy().astype(np.uint32), "SCALAR", gltf.UNSIGNED_INT, 34963)
    primitive = gltf.Primitive(attributes=attributes, indices=faces, material=0, targets=targets)
    return gltf.Mesh(
        name=figure.name,
        primitives=[primitive],
        weights=[0.0] * len(figure.morph_names),
        extras={"targetNames": list(figure.morph_names)},
    )


def _animation(packed: "_Packed", figure: Figure, clip: Clip) -> "Animation":
    import pygltflib as gltf

    seconds = torch.arange(len(clip.pose), dtype=torch.float32) / clip.fps
    times = packed.numbers(seconds[:, None], "SCALAR", bounds=True, vertices=False)
    made = gltf.Animation(name=clip.name, samplers=[], channels=[])

    def channel(node: int, path: str, values: Tensor, kind: str) -> None:
        output = packed.numbers(values, kind, vertices=False)
        made.samplers.append(
            gltf.AnimationSampler(input=times, output=output, interpolation="LINEAR")
        )
        target = gltf.AnimationChannelTarget(node=node, path=path)
        made.channels.append(gltf.AnimationChannel(sampler=len(made.samplers) - 1, target=target))

    quats = _continued(roma.rotmat_to_unitquat(clip.pose))
    for j in range(len(figure.parents)):
        if (quats[:, j, :3].abs() > STILL).any():
            channel(j, "rotation", quats[:, j], "VEC4")
    if not made.channels or (clip.transl.abs() > STILL).any():
        channel(0, "translation", figure.joints[0] + clip.transl, "VEC3")
    if (clip.expression.abs() > STILL).any():
        channel(len(figure.parents), "weights", clip.expression.reshape(-1, 1), "SCALAR")
    return made


def _continued(quats: Float[Tensor, "f j 4"]) -> Float[Tensor, "f j 4"]:
    """Signs chosen so that no frame is far from the one before."""
    turned = (quats[1:] * quats[:-1]).sum(-1, keepdim=True) < 0
    flips = torch.where(turned, -1.0, 1.0).cumprod(0)
    return torch.cat([quats[:1], quats[1:] * flips])


@final
class _Packed:
    """The one buffer of a GLB, its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list = []
        self.accessors: list = []

    def numbers(
        self, values: Tensor, kind: str, bounds: bool = False, vertices: bool = True
    ) -> int:
        """An accessor of float32; `vertices` are what a mesh's attributes are."""
        import pygltflib as gltf

        target = 34962 if vertices and kind != "MAT4" else None
        table = values.detach().cpu().numpy().astype("<f4")
        return self.numbers_of(table, kind, gltf.FLOAT, target, bounds)

    def integers(self, values: Tensor, dtype: type) -> int:
        """An accessor of four joints a vertex."""
        import pygltflib as gltf

        kind = gltf.UNSIGNED_BYTE if dtype is np.uint8 else gltf.UNSIGNED_SHORT
        return self.numbers_of(values.numpy().astype(dtype), "VEC4", kind, 34962)

    def numbers_of(
        self, table: NDArray, kind: str, component: int, target: int | None, bounds: bool = False
    ) -> int:
        """An accessor of a table's rows."""
        import pygltflib as gltf

        accessor = gltf.Accessor(
            bufferView=self._view(table.tobytes(), target),
            componentType=component,
            count=len(table),
            type=kind,
        )
        if bounds:
            accessor.min, accessor.max = table.min(0).tolist(), table.max(0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def sparse(self, moved: Float[Tensor, "n 3"]) -> int:
        """An accessor of what is not zero."""
        import pygltflib as gltf

        rows = (moved.abs() > 1e-7).any(1).nonzero()[:, 0]
        rows = rows if len(rows) else rows.new_zeros(1)  # One at least.
        table = moved[rows].numpy().astype("<f4")
        where = gltf.AccessorSparseIndices(
            bufferView=self._view(rows.numpy().astype("<u4").tobytes(), None),
            componentType=gltf.UNSIGNED_INT,
        )
        values = gltf.AccessorSparseValues(bufferView=self._view(table.tobytes(), None))
        every = np.concatenate([table, np.zeros((int(len(rows) < len(moved)), 3), np.float32)])
        self.accessors.append(
            gltf.Accessor(
                byteOffset=None,  # pygltflib's 0 wants a view of values that all are zero.
                componentType=gltf.FLOAT,
                count=len(moved),
                type="VEC3",
                sparse=gltf.Sparse(count=len(rows), indices=where, values=values),
                min=every.min(0).tolist(),
                max=every.max(0).tolist(),
            )
        )
        return len(self.accessors) - 1

    def png(self, texture: UInt8[Tensor, "h w 3"]) -> int:
        """A view of a picture."""
        file = io.BytesIO()
        Image.fromarray(texture.numpy()).save(file, "PNG", optimize=True)
        return self._view(file.getvalue(), None)

    def _view(self, data: bytes, target: int | None) -> int:
        import pygltflib as gltf

        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append(
            gltf.BufferView(
                buffer=0, byteOffset=len(self.data), byteLength=len(data), target=target
            )
        )
        self.data += data
        return len(self.views) - 1

    def finished(self, made: "GLTF2") -> bytes:
        """The GLB."""
        import pygltflib as gltf

        made.buffers = [gltf.Buffer(byteLength=len(self.data))]
        made.bufferViews, made.accessors = self.views, self.accessors
        made.set_binary_blob(bytes(self.data))
        return b"".join(made.save_to_bytes())
