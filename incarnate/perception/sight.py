"""What the photo says about a body, and how far a guess is from it.

"Units" are pixels of a person who is 1024 pixels tall. A row of a misfit is in standard deviations.
"""

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.perception.face import OVAL, Face
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.points import Mixtures

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
JOINTS = {
    11: "left_shoulder", 12: "right_shoulder", 13: "left_elbow", 14: "right_elbow",
    15: "left_wrist", 16: "right_wrist", 23: "left_hip", 24: "right_hip",
    25: "left_knee", 26: "right_knee", 27: "left_ankle", 28: "right_ankle",
}  # fmt: skip
FEET = {29: "left_heel", 30: "right_heel", 31: "left_toe", 32: "right_toe"}
TRUNK = (11, 12, 23, 24)
VISIBLE = 0.4
IRIS_METRES = 0.063
ADULT = 1.7  # Metres.
SURFACE_EVERY, OUTLINE_POINTS = 12, 500
UPRIGHT = math.radians(35)
CALIBRATION = (
    (11, 11, 23, 0.059), (12, 12, 24, 0.059), (23, 23, 11, 0.034), (24, 24, 12, 0.034),
    (25, 23, 25, 0.054), (26, 24, 26, 0.054), (27, 25, 27, 0.104), (28, 26, 28, 0.104),
    (13, 11, 13, 0.031), (14, 12, 14, 0.031),
)  # fmt: skip
"""The network's joints are not the body's: each is moved by a share of the way from one joint to
another. Medians over 48 people of the studio in five poses (scripts/calibrate_joints.py)."""

PALM = {0: -0.12, 2: -0.07, 5: 0.09, 9: 0.17, 13: 0.17, 17: 0.17}
"""The same of wrist, thumb and knuckles, in shares of the way from wrist to middle knuckle. Robust
fits to 114 hands of the studio (scripts/calibrate_hands.py)."""


def calibrated_hand(points: Float[Tensor, "21 2"]) -> Float[Tensor, "21 2"]:
    """Where the body's own joints are, told by the network's."""
    shares = torch.zeros(21, 1)
    for point, share in PALM.items():
        shares[point] = share
    return points + shares * (points[9] - points[0])


def calibrated(
    points: Float[Tensor, "33 d"], visible: Float[Tensor, " 33"]
) -> Float[Tensor, "33 d"]:
    """Where the body's own joints are, told by the network's; those it is told by must be seen."""
    moved = points.clone()
    for joint, start, end, share in CALIBRATION:
        if visible[[start, end]].min() > 0:
            moved[joint] += share * (points[end] - points[start])
    return moved


@final
class Sight:
    """One person's keypoints and outline, as tensors."""

    def __init__(self, person: Keypoints, alpha: Float[Tensor, "h w"], width: int, height: int):
        assert isinstance(person.face, Face)
        self.width, self.height = width, height
        self.center = torch.tensor([width / 2, height / 2])
        points = torch.nan_to_num(torch.tensor(person.pose))
        inside = (points[:, :2] > 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
        self.visible = points[:, 2] * inside * (points[:, 2] > VISIBLE)
        self.points = calibrated(points[:, :2], self.visible)
        world = calibrated(torch.nan_to_num(torch.tensor(person.pose_world)), self.visible)
        self.shoulders = bool(self.visible[11:13].min() > 0)
        self.hips = self.shoulders and bool(self.visible[23:25].min() > 0)
        self.ankles = self.hips and bool(self.visible[27:29].min() > 0)
        self.face = torch.tensor(person.face.landmarks[:, :2])
        self.iris_distance = person.face.iris_distance
        self.arkit = torch.tensor(person.face.arkit)
        found = {
            s: h for s, h in zip(SIDES, (person.left_hand, person.right_hand), strict=True) if h
        }
        self.hands = {
            side: calibrated_hand(torch.tensor(hand.points[:, :2])) for side, hand in found.items()
        }
        self.hand_depths = {
            side: torch.tensor(hand.world[:, 2] - hand.world[0, 2]) for side, hand in found.items()
        }
        scale = person.pixels_per_metre
        if not np.isfinite(scale) or not self.shoulders:
            scale = self.iris_distance / IRIS_METRES
        self.pixels_per_metre = float(scale)
        solid = (alpha.numpy() > 0.5).astype(np.uint8)
        rows = np.nonzero(solid.any(1))[0]
        if len(rows) == 0:
            raise ValueError("the matte holds nobody; name a better one or use another photo")
        self.tall = float(np.ptp(rows)) if self.ankles else ADULT * self.pixels_per_metre
        self.unit = self.tall / 1024
        self._level(world)
        self._trace(solid)

    def _level(self, world: Float[Tensor, "33 3"]) -> None:
        """The 3D landmarks in the body's axes, turned to face ahead, and the yaw taken out.

        Of people who stand upright the depth is freed from the network's trend to lean forward.
        """
        world = world * torch.tensor([1.0, -1.0, -1.0])
        if self.ankles:
            spine = world[11:13].mean(0) - world[23:25].mean(0)
            legs = world[23:25].mean(0) - world[27:29].mean(0)
            up = torch.tensor([0.0, 1.0, 0.0])
            upright = all(
                torch.nn.functional.cosine_similarity(v, up, dim=0) > math.cos(UPRIGHT)
                for v in (spine, legs)
            )
            if upright:
                top, bottom = world[11:13].mean(0), world[27:29].mean(0)
                slope = (top[2] - bottom[2]) / (top[1] - bottom[1])
                world = world - world[:, 1:2] * torch.tensor([0.0, 0.0, 1.0]) * slope
        across = world[11] - world[12]
        if self.hips:
            across = across + world[23] - world[24]
        self.yaw = float(torch.atan2(-across[2], across[0])) if self.shoulders else 0.0
        self.depths = world[:, 2]
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        self.world = world @ torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])

    def _trace(self, solid: np.ndarray) -> None:
        """The outline below the shoulders (above it is hair), its outward normals, and the way back
        to the matte in units."""
        coarse = max(1, max(solid.shape) // 1024)
        small = cv2.resize(
            solid,
            (solid.shape[1] // coarse, solid.shape[0] // coarse),
            interpolation=cv2.INTER_AREA,
        )
        small = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        traced, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        lines = [line[:, 0].astype(np.float32) for line in traced if len(line) > 40]
        edges = np.concatenate(lines) if lines else np.zeros((0, 2), np.float32)
        edges = (torch.tensor(edges) + 0.5) * coarse
        outside = cv2.distanceTransform(1 - small, cv2.DIST_L2, 5)
        smooth = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 3)
        slope = [-cv2.Sobel(smooth, cv2.CV_32F, *d, ksize=3) for d in ((1, 0), (0, 1))]
        normals = torch.nn.functional.normalize(
            self._sampled(torch.tensor(np.stack(slope)), edges), dim=1
        )
        chin = self.face[152, 1] + 0.3 * self.iris_distance
        top = (
            max(float(chin), float(self.points[11:13, 1].min())) if self.shoulders else float(chin)
        )
        margin = 3 * coarse
        limit = torch.tensor([self.width, self.height]) - margin
        kept = (edges > margin).all(1) & (edges < limit).all(1) & (edges[:, 1] > top)
        every = max(1, int(kept.sum()) // OUTLINE_POINTS)
        self.edges, self.normals = edges[kept][::every], normals[kept][::every]
        away = torch.tensor(outside) * coarse / self.unit
        across, down = (torch.tensor(cv2.Sobel(outside, cv2.CV_32F, *d, ksize=3)) / 8
                        for d in ((1, 0), (0, 1)))  # fmt: skip
        self.outside = torch.stack([away, across, down])

    def _sampled(self, fields: Float[Tensor, "c a b"], pixels: Float[Tensor, "n 2"]) -> Tensor:
        grid = pixels / torch.tensor([self.width, self.height]) * 2 - 1
        out = torch.nn.functional.grid_sample(
            fields[None], grid[None, None], padding_mode="zeros", align_corners=False
        )
        return out[0, :, 0].T

    def sticking(self, pixels: Float[Tensor, "n 2"]) -> tuple[Tensor, Tensor]:
        """How far pixels lie outside the matte in units, and the direction of that (n 2)."""
        fields = self._sampled(self.outside, pixels)
        return fields[:, 0], fields[:, 1:]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Which points of `Points` answer to which of the photo's."""

    mixtures: Mixtures
    face: Int[Tensor, "478"]
    trusted: Float[Tensor, "478"]
    surface: Int[Tensor, " m"]
    surface_ids: Int[Tensor, " m"]
    pose: dict[int, int]
    hands: dict[str, Int[Tensor, "21"]]
    hips: dict[str, int]


def landmarks(body: Anny) -> Landmarks:
    """The baked correspondences; see scripts/bake_landmarks.py."""
    with (files("incarnate") / "assets/body/landmarks.npz").open("rb") as stream:
        with np.load(stream, allow_pickle=False) as table:
            corners = body.faces[torch.from_numpy(table["faces"]).long()]
            shares = torch.from_numpy(table["barycentrics"])
            trusted = torch.from_numpy(1 / (1 + (table["spread"] / 0.004) ** 2)).float()
    tips = _tips(body)
    surface = torch.arange(0, len(body.template), SURFACE_EVERY)
    surface = surface[body.part_labels[surface] < PARTS.index("eye_left")]
    single = torch.cat([torch.tensor(list(tips.values())), surface])
    vertices = torch.cat([corners, single[:, None].expand(-1, 3)])
    weights = torch.cat([shares, torch.tensor([1.0, 0, 0]).expand(len(single), 3)])
    first = len(vertices)
    joints = list(JOINTS.values()) + [
        f"{side}_{name}"
        for side in SIDES
        for name in ("wrist", *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3)))
    ]
    own = torch.tensor([body.smplx_joints[name] for name in joints])
    tip = {name: len(corners) + i for i, name in enumerate(tips)}
    pose = {point: first + i for i, point in enumerate(JOINTS)}
    pose |= {point: tip[name] for point, name in FEET.items()}
    at = {name: first + len(JOINTS) + i for i, name in enumerate(joints[len(JOINTS) :])}
    hands = {}
    for side in SIDES:
        ids = [at[f"{side}_wrist"]]
        for finger in FINGERS:
            ids += [at[f"{side}_{finger}{k}"] for k in (1, 2, 3)] + [tip[f"{side}_{finger}"]]
        hands[side] = torch.tensor(ids)
    trusted[list(OVAL)] *= 0.15
    trusted[468:] = 3.0
    return Landmarks(
        Mixtures(vertices, weights, own),
        torch.arange(478),
        trusted,
        torch.arange(len(corners) + len(tips), first),
        surface,
        pose,
        hands,
        {side: pose[23 + i] for i, side in enumerate(SIDES)},
    )


def _tips(body: Anny) -> dict[str, int]:
    """Vertices at the ends of fingers, toes and heels."""
    rest = body.shaped(body.default_betas())
    joints = body.joints(rest)
    main = body.skin_joints.gather(1, body.skin_weights.argmax(1, keepdim=True))[:, 0]
    tips: dict[str, int] = {}
    for side in SIDES:
        for finger in FINGERS:
            last, before = (body.smplx_joints[f"{side}_{finger}{k}"] for k in (3, 2))
            mine = (main == last).nonzero()[:, 0]
            reach = (rest[mine] - joints[last]) @ (joints[last] - joints[before])
            tips[f"{side}_{finger}"] = int(mine[reach.argmax()])
        foot = (body.part_labels == PARTS.index(f"foot_{side}")).nonzero()[:, 0]
        tips[f"{side}_toe"] = int(foot[rest[foot, 2].argmax()])
        tips[f"{side}_heel"] = int(foot[rest[foot, 2].argmin()])
    return tips
