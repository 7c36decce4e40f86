"""What a photo leaves open about a body, as variables of one size, and what is likely for them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny

if TYPE_CHECKING:
    from incarnate.perception.sight import Points, Sight

POSE_SIGMAS = {
    "spine": 0.08, "neck": 0.1, "head": 0.2, "clavicle": 0.08, "shoulder01": 0.1, "upperarm01": 0.7,
    "upperarm02": 0.05, "lowerarm01": 0.6, "lowerarm02": 0.3, "wrist": 0.25, "upperleg01": 0.15,
    "upperleg02": 0.05, "lowerleg01": 0.1, "lowerleg02": 0.05, "foot": 0.2, "finger": 0.25,
}  # fmt: skip
"""Radians of one standard deviation, by the start of a bone's name; other bones stay at rest."""
PHENOTYPE_SIGMAS = {"gender": 0.15, "age": 0.08, "muscle": 0.25, "weight": 0.3, "height": 0.1,
                    "proportions": 0.25, "firmness": 0.05}  # fmt: skip
"""Stature and gender cannot be read from one photo (scale, depth and focal length trade off)."""
BODY_WORDS = ("arm", "leg", "hip", "torso", "foot", "hand", "measure", "breast", "butt", "stomach",
              "bulge", "pelvis", "wrist", "knee", "thigh")  # fmt: skip
STEP = {"root": 0.02, "focal": 0.05, "phenotypes": 0.15, "local": 0.15, "expression": 0.3}
YAW_SIGMA, PITCH_SIGMA, ROLL_SIGMA, FOCAL_SIGMA = 0.07, 0.03, 0.07, 0.15


@dataclass(frozen=True, eq=False)
class Person:
    """A guess: a body before a camera at the origin that looks along -z; focal length in pixels"""

    betas: Float[Tensor, " s"]
    expression: Float[Tensor, " e"]
    pose: Float[Tensor, "j 3 3"]
    transl: Float[Tensor, "3"]
    focal: Float[Tensor, ""]


class Unknowns:
    """Variables near 0, each of about one step's size, and the person they stand for."""

    def __init__(self, body: Anny, seen: "Sight", points: "Points", focal: float) -> None:
        self.yaw = seen.yaw
        self._root = body.smplx_joints["pelvis"]
        self._betas = body.default_betas()
        self._num_phenotypes = len(body.phenotypes.names)
        sigmas = torch.tensor([_of(name, POSE_SIGMAS, 0.0) for name in body.joint_names])
        self._free = sigmas > 0
        self._pose_step = 0.25 * sigmas[self._free][:, None]
        names = body.betas_names
        phenotypes = [_of(n, PHENOTYPE_SIGMAS, 0.15) for n in names[: self._num_phenotypes]]
        self._phenotype_sigmas = torch.tensor(phenotypes)
        self._local_sigmas = torch.tensor([_local_sigma(n) for n in names[self._num_phenotypes :]])
        self._logits = torch.logit(seen.arkit.clamp(0.01, 0.95))
        gaze = torch.tensor([name.startswith("eyeLook") for name in body.expression_names])
        self._face_weights = torch.where(gaze, 0.02, 0.1)
        self._focal = torch.tensor(focal)
        self._place = points.start(body, seen, focal)
        self._place_step = torch.tensor([0.005, 0.005, 0.05])
        self.values = {
            "root": torch.zeros(3),
            "transl": torch.zeros(3),
            "focal": torch.zeros(1),
            "pose": torch.zeros(int(self._free.sum()), 3),
            "phenotypes": torch.zeros(self._num_phenotypes),
            "local": torch.zeros(len(names) - self._num_phenotypes),
            "expression": torch.zeros(len(self._logits)),
        }

    def person(self) -> Person:
        """The person that the present values stand for."""
        values, count = self.values, self._num_phenotypes
        turns = torch.zeros(len(self._free), 3)
        turns = turns.index_put((self._free,), values["pose"] * self._pose_step)
        heading = roma.rotvec_to_rotmat(torch.tensor([0.0, self.yaw, 0.0]))
        root = roma.rotvec_to_rotmat(values["root"] * STEP["root"]) @ heading
        pose = roma.rotvec_to_rotmat(turns).index_copy(0, torch.tensor([self._root]), root[None])
        phenotypes = self._betas[:count] + values["phenotypes"] * STEP["phenotypes"]
        local = torch.tanh(values["local"] * STEP["local"])
        return Person(
            torch.cat([phenotypes.clamp(0.02, 0.98), local]),
            torch.sigmoid(self._logits + values["expression"] * STEP["expression"]),
            pose,
            self._place + values["transl"] * self._place_step,
            self._focal * torch.exp(values["focal"][0] * STEP["focal"]),
        )

    def implausibility(self, stage: int) -> Float[Tensor, ""]:
        """Squared distances from what is likely, in standard deviations."""
        values = self.values
        sigmas = torch.tensor([PITCH_SIGMA, YAW_SIGMA, ROLL_SIGMA])
        total = (values["root"] * STEP["root"] / sigmas).square().sum()
        total = total + (values["focal"] * STEP["focal"] / FOCAL_SIGMA).square().sum()
        total = total + 0.5 * (values["pose"] * 0.25).square().sum()
        phenotypes = values["phenotypes"] * STEP["phenotypes"] / self._phenotype_sigmas
        total = total + phenotypes.square().sum()
        if stage >= 2:
            local = values["local"] * STEP["local"] / self._local_sigmas
            face = (values["expression"] * STEP["expression"]).square()
            total = total + local.square().sum() + (self._face_weights * face).sum()
        return total


def _of(name: str, table: dict[str, float], default: float) -> float:
    return next((sigma for start, sigma in table.items() if name.startswith(start)), default)


def _local_sigma(name: str) -> float:
    if "ear-" in name or "cleft" in name:
        return 0.1  # No point of the face network tells of them.
    return 0.3 if any(word in name for word in BODY_WORDS) else 0.45
