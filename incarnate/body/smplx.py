"""SMPL-X from the user's own file: no weights come with this project, their licence forbids it.

The file is an npz of plain arrays, as the model's makers offer: v_template, shapedirs, weights,
J_regressor, kintree_table, f, and where present vt, ft. Joints, parts and axes (y up, +z forward, a
T-pose at rest) are the model's own. Two things differ from the makers' code: pose corrective shapes
(posedirs) are left out, since bodies here bend by their weights alone; and joints follow
the neutral face.

The expression is the model's own components, then the jaw (open, to the left, in units of ARKit's
weights) and the gaze's eight ARKit weights, so that a face needs no pose. ARKit's other weights
have no public counterpart among the components: `arkit` leaves the components at zero, unless the
file brings a matrix `arkit_to_expression` (52, components) of the user's.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from incarnate.body.body import PARTS, Body
from incarnate.body.gaze import gaze_rotations, turned
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.rotations import axis_angle_to_matrix

NUM_VERTICES, NUM_JOINTS = 10475, 55
NUM_EXPRESSIONS = 100  # At most; the last columns of shapedirs, 10 in the older files.
JAW_OPEN, JAW_SIDE = math.radians(24), math.radians(12)  # At weight 1.
GAZE_NAMES = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
SMPLX_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "jaw", "left_eye_smplhf", "right_eye_smplhf",
    *(f"{s}_{f}{i}" for s in ("left", "right") for f in FINGERS for i in (1, 2, 3)),
)  # fmt: skip
SHAPES = {
    "v_template": (NUM_VERTICES, 3),
    "shapedirs": (NUM_VERTICES, 3, None),
    "weights": (NUM_VERTICES, NUM_JOINTS),
    "J_regressor": (NUM_JOINTS, NUM_VERTICES),
    "kintree_table": (2, NUM_JOINTS),
    "f": (None, 3),
}


@final
class SmplX(Body):
    """SMPL-X, read by `load`."""

    name = "smplx"
    license = "the SMPL-X model license of the file's owner (non-commercial unless bought)"

    template: Tensor
    directions: Tensor
    face: Tensor
    regressor: Tensor
    jaw_weights: Tensor
    eye_weights: Tensor
    components: Tensor

    def __init__(self, arrays: Mapping[str, NDArray]) -> None:
        super().__init__()
        _check(arrays)
        directions = arrays["shapedirs"]
        total = directions.shape[2]
        num_face = NUM_EXPRESSIONS if total > 2 * NUM_EXPRESSIONS else total // 2
        num_shape = total - num_face
        self.num_face = num_face
        self.joint_names = SMPLX_NAMES
        self.smplx_joints = {name: i for i, name in enumerate(SMPLX_NAMES)}
        self.betas_names = tuple(f"beta{i}" for i in range(num_shape))
        components = tuple(f"expression{i}" for i in range(num_face))
        self.expression_names = (*components, "jawOpen", "jawLeft", *GAZE_NAMES)
        parents = arrays["kintree_table"][0].astype(np.int64)
        parents[0] = -1
        weights = torch.from_numpy(arrays["weights"]).float()
        top, joints = weights.topk(8, dim=1)
        at = self.smplx_joints
        table = arrays.get("arkit_to_expression", np.zeros((len(ARKIT_NAMES), num_face)))
        uvs = arrays.get("vt", np.zeros((0, 2)))
        corners = arrays.get("ft", np.zeros((0, 3)))
        for name, tensor in (
            ("template", torch.from_numpy(arrays["v_template"]).float()),
            ("directions", torch.from_numpy(directions[..., :num_shape]).float()),
            ("face", torch.from_numpy(directions[..., num_shape:]).float()),
            ("regressor", torch.from_numpy(arrays["J_regressor"]).float()),
            ("parents", torch.from_numpy(parents)),
            ("faces", torch.from_numpy(arrays["f"].astype(np.int64))),
            ("uvs", torch.from_numpy(uvs).float()),
            ("face_uvs", torch.from_numpy(corners.astype(np.int64))),
            ("skin_weights", top / top.sum(1, keepdim=True)),
            ("skin_joints", joints),
            ("jaw_weights", weights[:, at["jaw"]]),
            ("eye_weights", weights[:, [at["left_eye_smplhf"], at["right_eye_smplhf"]]].T),
            ("part_labels", _part_labels(weights)),
            ("components", torch.from_numpy(table).float()),
        ):
            self.register_buffer(name, tensor)

    @staticmethod
    def load(path: Path) -> "SmplX":
        """The body of an npz file; ValueError for other files and for arrays amiss."""
        if path.suffix != ".npz":
            raise ValueError(
                f"{path.name} is not an npz file, and unpickling can run a stranger's code; take "
                "the .npz that SMPL-X offers, or convert it once: "
                "unpickle it where you trust it, and numpy.savez its arrays as plain numbers"
            )
        wanted = (*SHAPES, "vt", "ft", "arkit_to_expression")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in wanted if key in file.files}
        except (zipfile.BadZipFile, ValueError) as error:
            raise ValueError(f"{path.name} is not an npz of plain arrays: {error}") from error
        return SmplX(arrays)

    def default_betas(self) -> Float[Tensor, " s"]:
        """The mean person of the file."""
        return self.template.new_zeros(len(self.betas_names))

    def shaped(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b v 3"]:
        """Vertices of the person at rest with a neutral face."""
        moved = betas.to(self.directions) @ self.directions.flatten(0, 1).T
        return self.template + moved.unflatten(-1, (-1, 3))

    def joints(self, rest: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b j 3"]:
        """Joint positions, regressed."""
        return self.regressor.to(rest) @ rest

    def express(
        self, rest: Float[Tensor, "*b v 3"], expression: Float[Tensor, "*b e"]
    ) -> Float[Tensor, "*b v 3"]:
        """Components added, then the jaw and the eyes turned about their joints."""
        joints = self.joints(rest)
        moved = expression[..., : self.num_face].to(self.face) @ self.face.flatten(0, 1).T
        out = rest + moved.unflatten(-1, (-1, 3))
        opened, aside = expression[..., self.num_face], expression[..., self.num_face + 1]
        jaw = joints[..., SMPLX_NAMES.index("jaw"), :]
        out = _towards(out, turned(out, jaw, _jaw_rotation(opened, aside)), self.jaw_weights)
        gaze = expression.new_zeros(*expression.shape[:-1], len(ARKIT_NAMES))
        places = [ARKIT_NAMES.index(name) for name in GAZE_NAMES]
        gaze[..., places] = expression[..., self.num_face + 2 :]
        rotations = gaze_rotations(gaze)
        for side, name in enumerate(("left_eye_smplhf", "right_eye_smplhf")):
            center = joints[..., SMPLX_NAMES.index(name), :]
            ball = turned(out, center, rotations[..., side, :, :])
            out = _towards(out, ball, self.eye_weights[side])
        return out

    def arkit(self, weights: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b e"]:
        """Jaw and gaze as they are; the components by the file's own matrix, else zero."""
        aside = weights[..., ARKIT_NAMES.index("jawLeft")]
        aside = aside - weights[..., ARKIT_NAMES.index("jawRight")]
        jaw = torch.stack([weights[..., ARKIT_NAMES.index("jawOpen")], aside], -1)
        gaze = weights[..., [ARKIT_NAMES.index(name) for name in GAZE_NAMES]]
        return torch.cat([weights @ self.components.to(weights), jaw, gaze], -1)


def _check(arrays: Mapping[str, NDArray]) -> None:
    for name, wanted in SHAPES.items():
        if name not in arrays:
            raise ValueError(f"the SMPL-X file lacks {name}; it holds {', '.join(arrays)}")
        shape = arrays[name].shape
        fits = len(shape) == len(wanted)
        if not fits or any(w not in (None, n) for n, w in zip(shape, wanted, strict=True)):
            raise ValueError(f"SMPL-X has {name} of shape {wanted}, the file {shape}")


def _part_labels(weights: Tensor) -> Tensor:
    of_joint = torch.zeros(NUM_JOINTS, dtype=torch.long)
    for joint, name in enumerate(SMPLX_NAMES):
        side, _, rest = name.partition("_")
        if name in ("head", "jaw"):
            of_joint[joint] = PARTS.index("head")
        elif rest.startswith("eye"):
            of_joint[joint] = PARTS.index(f"eye_{side}")
        elif rest in ("ankle", "foot"):
            of_joint[joint] = PARTS.index(f"foot_{side}")
        elif rest == "wrist" or rest.startswith(FINGERS):
            of_joint[joint] = PARTS.index(f"hand_{side}")
    return of_joint[weights.argmax(1)]


def _jaw_rotation(opened: Tensor, aside: Tensor) -> Tensor:
    # The chin, ahead of the joint, goes down about x and to the left about y.
    zero = torch.zeros_like(opened)
    axis = torch.stack([JAW_OPEN * opened, JAW_SIDE * aside, zero], -1)
    return axis_angle_to_matrix(axis)


def _towards(points: Tensor, others: Tensor, share: Tensor) -> Tensor:
    return points + share[:, None] * (others - points)
