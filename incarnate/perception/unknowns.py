"""What a photo leaves open about a body: one vector in standard deviations from what is likely.

While fitting, the camera stands at the origin and looks along -z of the world, but for a small
pitch and roll. Phenotypes are bounded by a logistic curve, local changes by tanh, expression by a
logistic curve about what the face network says.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.perception.limbs import Limbs
from incarnate.perception.points import Points, Posed

if TYPE_CHECKING:
    from incarnate.perception.sight import Sight

PHENOTYPE_SIGMAS = {"gender": 0.2, "age": 0.3, "muscle": 0.8, "weight": 1.3, "height": 0.0,
                    "proportions": 1.0, "african": 0.5, "asian": 0.5, "caucasian": 0.5}  # fmt: skip
"""In logits. Stature and gender cannot be read from one photo (scale, depth and focal length trade
off); cup size and firmness cannot either."""
BODY_WORDS = ("arm", "leg", "hip", "torso", "foot", "hand", "measure", "breast", "butt", "stomach",
              "bulge", "pelvis", "neck")  # fmt: skip
UNSEEN_WORDS = ("ear-", "cleft", "breast", "head-age", "foot-trans", "hand-trans", "head-angle",
                "hip-trans", "hip-waist", "bulge", "pelvis", "navel", "pregnant", "buttocks",
                "fingers-d", "head-trans", "torso-trans", "torso-muscle", "neck-trans", "valgus",
                "neck-back", "-depth-", "uppertorso")  # fmt: skip
SEEN_DEPTHS = ("head-scale-depth", "nose-scale-depth", "mouth-scale-depth")
BODY_SIGMA, FACE_SIGMA = 0.35, 0.45
EXPRESSION_SIGMA, GAZE_SIGMA = 1.5, 4.0
CAMERA = {"focal": 0.15, "pitch": 0.06, "roll": 0.04}
ROOT = (0.03, 0.07, 0.05)  # Pitch, yaw, roll of the pelvis against the upright, radians.
PLACE = (0.05, 0.05, 0.3)  # Metres; without a prior.


@dataclass(frozen=True, eq=False)
class Person:
    """A guess: the body before a camera at the origin, focal length in pixels."""

    betas: Float[Tensor, " s"]
    expression: Float[Tensor, " e"]
    pose: Float[Tensor, "j 3 3"]
    transl: Float[Tensor, "3"]
    focal: float
    rotation: Float[Tensor, "3 3"]
    """World to camera; OpenCV axes."""


@final
class Unknowns:
    """The vector's layout, the person it stands for, and the derivatives of points by it."""

    def __init__(
        self, body: Anny, points: Points, joints: Limbs, seen: "Sight", focal: float, place: Tensor
    ) -> None:
        self.points, self.limbs, self.focal, self.place = points, joints, focal, place
        self.yaw = seen.yaw
        self.root = body.smplx_joints["pelvis"]
        bent = (joints.sigmas > 0).nonzero()
        self.owners, self.components = bent.unbind(1)
        self.sigmas = joints.sigmas[self.owners, self.components]
        self.betas = _likely(body)
        count = len(body.phenotypes.names)
        scale = [PHENOTYPE_SIGMAS.get(n, 0.0) for n in body.betas_names[:count]]
        scale += [_local_sigma(n) for n in body.betas_names[count:]]
        self.scale = torch.tensor(scale)
        self.count = count
        self.shaped = self.scale.nonzero()[:, 0]
        gaze = torch.tensor([n.startswith("eyeLook") for n in body.expression_names])
        self.express_scale = torch.where(gaze, GAZE_SIGMA, EXPRESSION_SIGMA)
        self.logits = torch.logit(seen.arkit.clamp(0.01, 0.95))
        sizes = {
            "place": 3,
            "camera": len(CAMERA),
            "root": 3,
            "pose": len(self.owners),
            "shape": len(self.shaped),
            "expression": len(self.logits),
        }
        ends = torch.tensor([0, *sizes.values()]).cumsum(0).tolist()
        self.parts = dict(zip(sizes, map(slice, ends[:-1], ends[1:]), strict=True))
        self.size = ends[-1]
        self.precision = torch.ones(self.size)
        self.precision[self.parts["place"]] = 0

    def person(self, x: Float[Tensor, " n"]) -> Person:
        """The person that a vector stands for."""
        camera = x[self.parts["camera"]] * torch.tensor(list(CAMERA.values()))
        tilt = roma.rotvec_to_rotmat(torch.stack([camera[1], torch.zeros(()), camera[2]]))
        pose = self.limbs.pose(self.turns(x))
        root = roma.rotvec_to_rotmat(x[self.parts["root"]] * torch.tensor(ROOT))
        heading = roma.rotvec_to_rotmat(torch.tensor([0.0, self.yaw, 0.0]))
        pose = pose.index_copy(0, torch.tensor([self.root]), (root @ heading)[None])
        return Person(
            self._betas(x)[0],
            self._expression(x)[0],
            pose,
            self.place + x[self.parts["place"]] * torch.tensor(PLACE),
            self.focal * float(camera[0].exp()),
            tilt @ torch.diag(torch.tensor([1.0, -1.0, -1.0])),
        )

    def turns(self, x: Float[Tensor, " n"]) -> Float[Tensor, "j 3"]:
        """Turns of all joints in their own axes."""
        moved = x[self.parts["pose"]] * self.sigmas
        return self.limbs.mean.index_put((self.owners, self.components), moved, accumulate=True)

    def slopes(
        self, x: Float[Tensor, " n"], guess: Person, at: Posed, free: tuple[str, ...]
    ) -> Float[Tensor, "p 3 n"]:
        """Derivatives of the points in the world by the free parts; the camera's are not here."""
        out = torch.zeros(len(at.points), 3, self.size)
        out[:, [0, 1, 2], [0, 1, 2]] = torch.tensor(PLACE)
        turns = at.bones[:, :3, :3]
        above = turns[self.points.parents.clamp_min(0)]
        world = above @ self.limbs.axes(self.turns(x))
        axes = world[self.owners, :, self.components] * self.sigmas[:, None]
        owners = torch.cat([torch.full((3,), self.root), self.owners])
        axes = torch.cat([torch.diag(torch.tensor(ROOT)), axes])
        first = self.parts["root"].start
        out[:, :, first : first + len(owners)] = self.points.turning(at, owners, axes)
        if "shape" in free:
            rest = self.points.shapes(*self._betas(x), self.shaped)
            out[:, :, self.parts["shape"]] = self.points.shaping(at, guess.pose, rest)
        if "expression" in free:
            out[:, :, self.parts["expression"]] = self.points.expressing(at, *self._expression(x))
        return out

    def _betas(self, x: Float[Tensor, " n"]) -> tuple[Tensor, Tensor]:
        moved = torch.zeros(len(self.betas))
        moved[self.shaped] = x[self.parts["shape"]]
        moved = moved * self.scale
        likely = self.betas[: self.count]
        phenotypes = torch.sigmoid(torch.logit(likely) + moved[: self.count])
        local = torch.tanh(moved[self.count :])
        slopes = torch.cat([phenotypes * (1 - phenotypes), 1 - local**2]) * self.scale
        return torch.cat([phenotypes, local]), slopes

    def _expression(self, x: Float[Tensor, " n"]) -> tuple[Tensor, Tensor]:
        weights = torch.sigmoid(self.logits + x[self.parts["expression"]] * self.express_scale)
        return weights, weights * (1 - weights) * self.express_scale


def _likely(body: Anny) -> Float[Tensor, " s"]:
    """The average adult, with a chest that suits either sex under clothes."""
    betas = body.default_betas().clone()
    for name, value in (("cupsize", 0.15), ("firmness", 0.6)):
        betas[body.betas_names.index(name)] = value
    return betas


def _local_sigma(name: str) -> float:
    if any(word in name for word in UNSEEN_WORDS) and not name.startswith(SEEN_DEPTHS):
        return 0.0
    return BODY_SIGMA if any(word in name for word in BODY_WORDS) else FACE_SIGMA
