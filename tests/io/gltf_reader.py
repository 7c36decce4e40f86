"""What a viewer makes of a GLB, by the letter of glTF 2.0: no code is shared with the writer."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass
class Scene:
    """A file with one skinned mesh."""

    path: Path
    gltf: Any = field(init=False)
    blob: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.gltf = pygltflib.GLTF2().load_binary(str(self.path))
        self.blob = self.gltf.binary_blob()

    def view(self, index: int, offset: int, dtype: type, count: int) -> NDArray:
        start = (self.gltf.bufferViews[index].byteOffset or 0) + offset
        return np.frombuffer(self.blob, dtype, count, start)

    def accessor(self, index: int) -> NDArray:
        """Rows of numbers, sparse ones written out."""
        a = self.gltf.accessors[index]
        width, dtype = WIDTHS[a.type], TYPES[a.componentType]
        out = np.zeros((a.count, width), dtype)
        if a.bufferView is not None:
            flat = self.view(a.bufferView, a.byteOffset or 0, dtype, a.count * width)
            out = flat.reshape(a.count, width)
        if a.sparse is not None:
            own, values = a.sparse.indices, a.sparse.values
            at = self.view(
                own.bufferView, own.byteOffset or 0, TYPES[own.componentType], a.sparse.count
            )
            flat = self.view(values.bufferView, values.byteOffset or 0, dtype, len(at) * width)
            out[at] = flat.reshape(-1, width)
        return out

    @property
    def mesh(self) -> Any:
        return self.gltf.meshes[0]

    def attribute(self, name: str) -> NDArray:
        return self.accessor(getattr(self.mesh.primitives[0].attributes, name))

    def faces(self) -> NDArray:
        return self.accessor(self.mesh.primitives[0].indices).reshape(-1, 3)

    def texture(self) -> NDArray:
        image = self.gltf.images[0]
        view = self.gltf.bufferViews[image.bufferView]
        data = self.blob[view.byteOffset or 0 :][: view.byteLength]
        return np.asarray(Image.open(io.BytesIO(data)))

    def targets(self) -> dict[str, NDArray]:
        names = self.mesh.extras["targetNames"]
        return {
            name: self.accessor(target["POSITION"])
            for name, target in zip(names, self.mesh.primitives[0].targets, strict=True)
        }

    def frame(self, clip: int, number: int) -> tuple[dict[tuple[int, str], NDArray], float]:
        """What the channels say at their n-th key, and when that is."""
        told, seconds = {}, 0.0
        animation = self.gltf.animations[clip]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times, values = self.accessor(sampler.input), self.accessor(sampler.output)
            seconds = float(times[number, 0])
            rows = values.reshape(len(times), -1)
            told[channel.target.node, channel.target.path] = rows[number]
        return told, seconds

    def vertices(
        self, told: dict[tuple[int, str], NDArray], weights: dict[str, float] | None = None
    ) -> NDArray:
        """Where the vertices are under these channels and expressions."""
        moved = self.attribute("POSITION").astype(np.float64)
        targets = self.targets()
        mesh_node = next(k for k, n in enumerate(self.gltf.nodes) if n.mesh is not None)
        own = dict(weights or {})
        if (mesh_node, "weights") in told:
            own |= dict(zip(targets, told[mesh_node, "weights"], strict=True))
        for name, weight in own.items():
            moved = moved + weight * targets[name]
        world = self._world(told)
        skin = self.gltf.skins[0]
        inverse = self.accessor(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        bones = np.stack([world[j] for j in skin.joints]) @ inverse
        held, joints = self.attribute("WEIGHTS_0"), self.attribute("JOINTS_0")
        blended = (held[..., None, None] * bones[joints]).sum(1)
        ones = np.concatenate([moved, np.ones((len(moved), 1))], 1)
        return (blended @ ones[..., None])[:, :3, 0]

    def joints(self) -> dict[int, NDArray]:
        """Where nodes are at rest."""
        return {index: world[:3, 3] for index, world in self._world({}).items()}

    def below(self, above: int, node: int) -> bool:
        """Whether a node hangs from another."""
        children = self.gltf.nodes[above].children or ()
        return node in children or any(self.below(child, node) for child in children)

    def _world(self, told: dict[tuple[int, str], NDArray]) -> dict[int, NDArray]:
        world: dict[int, NDArray] = {}

        def walk(index: int, above: NDArray) -> None:
            node = self.gltf.nodes[index]
            local = np.eye(4)
            turn = told.get((index, "rotation"), node.rotation)
            place = told.get((index, "translation"), node.translation)
            if turn is not None:
                local[:3, :3] = Rotation.from_quat(np.asarray(turn)).as_matrix()
            if place is not None:
                local[:3, 3] = place
            world[index] = above @ local
            for child in node.children or ():
                walk(child, world[index])

        for root in self.gltf.scenes[self.gltf.scene].nodes:
            walk(root, np.eye(4))
        return world
