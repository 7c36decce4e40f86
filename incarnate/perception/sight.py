"""What the photo says about a body, and how far a guess is from it."""

from importlib.resources import files

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.cameras import Camera
from incarnate.perception.face import OVAL, Face
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.unknowns import Person

JOINTS = {
    11: "left_shoulder", 12: "right_shoulder", 13: "left_elbow", 14: "right_elbow",
    15: "left_wrist", 16: "right_wrist", 23: "left_hip", 24: "right_hip",
    25: "left_knee", 26: "right_knee", 27: "left_ankle", 28: "right_ankle",
}  # fmt: skip
TOES = {31: "left", 32: "right"}
TRUNK = (11, 12, 23, 24)
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
SIDES = ("left", "right")
VISIBLE = 0.4
IRIS_METRES = 0.063
OUTLINE_EVERY, OUTLINE_POINTS = 9, 500


class Sight:
    """One person's keypoints and outline, as tensors."""

    def __init__(self, person: Keypoints, alpha: Float[Tensor, "h w"], width: int, height: int):
        assert isinstance(person.face, Face)
        self.width, self.height = width, height
        self.center = torch.tensor([width / 2, height / 2])
        points = torch.nan_to_num(torch.tensor(person.pose))
        inside = (points[:, :2] > 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
        self.points, self.world = points[:, :2], torch.nan_to_num(torch.tensor(person.pose_world))
        self.visible = points[:, 2] * inside * (points[:, 2] > VISIBLE)
        self.shoulders = bool(self.visible[11:13].min() > 0)
        self.hips = self.shoulders and bool(self.visible[23:25].min() > 0)
        self.ankles = self.hips and bool(self.visible[27:29].min() > 0)
        self.face = torch.tensor(person.face.landmarks[:, :2])
        self.iris_distance = person.face.iris_distance
        self.arkit = torch.tensor(person.face.arkit)
        self.hands = {
            side: torch.tensor(hand.points[:, :2])
            for side, hand in zip(SIDES, (person.left_hand, person.right_hand), strict=True)
            if hand is not None
        }
        solid = (alpha.numpy() > 0.5).astype(np.uint8)
        rows, columns = np.nonzero(solid)
        self.tall = float(max(np.ptp(rows), np.ptp(columns)))
        self.unit = self.tall / 1024
        self.yaw = self._yaw()
        self.depths = self._depths()
        scale = person.pixels_per_metre
        if not np.isfinite(scale) or not self.shoulders:
            scale = self.iris_distance / IRIS_METRES
        self.pixels_per_metre = float(scale)
        self._trace(solid)

    def _yaw(self) -> float:
        """Radians by which shoulders and hips are turned, by the 3D landmarks (x right, z away)."""
        if not self.shoulders:
            return 0.0
        across = self.world[11] - self.world[12]
        if self.hips:
            across = across + self.world[23] - self.world[24]
        return float(torch.atan2(across[2], across[0]))

    def _depths(self) -> Float[Tensor, "33"]:
        """Metres away from the camera, without the trend that makes upright people lean forward."""
        depths = self.world[:, 2]
        if not self.ankles:
            return depths
        known = self.visible[list(JOINTS)] > 0
        ids = torch.tensor(list(JOINTS))[known]
        line = torch.stack([self.world[ids, 1], torch.ones(len(ids))], 1)
        slope, level = torch.linalg.lstsq(line, depths[ids, None]).solution[:, 0]
        return depths - slope * self.world[:, 1] - level

    def _trace(self, solid: np.ndarray) -> None:
        """The outline below the chin (above it is hair), and the distance to the matte in units."""
        traced, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        edge = np.concatenate([line[:, 0] for line in traced])
        inner = (edge > 2).all(1) & (edge < [self.width - 3, self.height - 3]).all(1)
        edge = edge[inner & (edge[:, 1] > self.face[152, 1].item() + 0.15 * self.iris_distance)]
        every = max(1, len(edge) // OUTLINE_POINTS)
        self.edge = torch.tensor(edge[::every]).float() + 0.5
        coarse = max(1, max(solid.shape) // 1024)
        outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)[::coarse, ::coarse]
        self.outside = torch.tensor(outside / self.unit).float()[None, None]


class Points:
    """The few points of the body that the photo speaks of, evaluated together."""

    def __init__(self, body: Anny, seen: Sight) -> None:
        with (files("incarnate") / "assets/body/landmarks.npz").open("rb") as stream:
            with np.load(stream, allow_pickle=False) as table:
                corners = body.faces[torch.from_numpy(table["faces"]).long()]
                self.barycentrics = torch.from_numpy(table["barycentrics"])
                trusted = torch.from_numpy(1 / (1 + (table["spread"] / 0.004) ** 2))
        tips = _tips(body)
        surface = torch.arange(0, len(body.template), OUTLINE_EVERY)
        surface = surface[body.part_labels[surface] < PARTS.index("eye_left")]
        chosen = torch.cat([corners.flatten(), torch.tensor(list(tips.values())), surface]).unique()
        self.body = body.reduced(chosen)
        place = torch.full((len(body.template),), -1)
        place[chosen] = torch.arange(len(chosen))
        self.face, self.surface = place[corners], place[surface]
        self.joint = {name: len(chosen) + j for name, j in body.smplx_joints.items()}
        tip = {name: int(place[vertex]) for name, vertex in tips.items()}
        self.ids = torch.tensor([*JOINTS, *TOES])
        self.at = torch.tensor(
            [self.joint[n] for n in JOINTS.values()] + [tip[s] for s in TOES.values()]
        )
        weights = seen.visible[self.ids]
        self.weights = torch.where(self.ids >= 31, 0.4 * weights, weights)
        self.face_weights = trusted.clone()
        self.face_weights[list(OVAL)] *= 0.15
        self.face_weights[468:] = 0.6
        self.hand = {side: self._hand(side, tip) for side in SIDES}

    def _hand(self, side: str, tip: dict[str, int]) -> Int[Tensor, "21"]:
        points = [self.joint[f"{side}_wrist"]]
        for finger in FINGERS:
            points += [self.joint[f"{side}_{finger}{k}"] for k in (1, 2, 3)]
            points.append(tip[f"{side}_{finger}"])
        return torch.tensor(points)

    def start(self, body: Anny, seen: Sight, focal: float) -> Float[Tensor, "3"]:
        """Where the average adult must be moved to appear about where the person is."""
        joints = body.joints(body.shaped(body.default_betas()))
        distance = focal / seen.pixels_per_metre
        names = TRUNK if seen.hips else TRUNK[:2] if seen.shoulders else ()
        if names:
            pixel = seen.points[list(names)].mean(0)
            own = joints[[body.smplx_joints[JOINTS[i]] for i in names]].mean(0)
        else:
            pixel, own = seen.face[:468].mean(0), joints[body.smplx_joints["head"]]
        away = (pixel - seen.center) / focal * distance
        return torch.stack([away[0], -away[1], torch.tensor(-distance)]) - own

    def placed(self, guess: Person, seen: Sight) -> tuple[Tensor, Tensor]:
        """All points in the world, and their pixels."""
        world = self.body.vertices(guess.betas, guess.expression, guess.pose, guess.transl)
        return world, _projected(world, guess.focal, seen)

    def outline(self, guess: Person, seen: Sight) -> Int[Tensor, " e"]:
        """For each point of the matte's outline the surface point that appears nearest."""
        _, pixels = self.placed(guess, seen)
        return self.surface[torch.cdist(seen.edge, pixels[self.surface]).argmin(1)]

    def misfit(
        self, guess: Person, seen: Sight, stage: int, outline: Tensor | None
    ) -> Float[Tensor, ""]:
        """How far the guess is from what was seen: a robust sum, larger stages with more terms."""
        world, pixels = self.placed(guess, seen)
        gaps = ((pixels[self.at] - seen.points[self.ids]) / seen.unit).square().sum(1)
        weights = self.weights
        if stage == 0:
            weights = weights * (self.ids[:, None] == torch.tensor(TRUNK)).any(1)
        total = 10 * (weights * _robust(gaps, 10.0)).sum()
        total = total + (0.02 if stage == 0 else 0.004) * (weights * gaps).sum()
        if seen.shoulders:
            total = total + self._depth_misfit(world, seen)
        if stage >= 2:
            total = total + self._face_misfit(world, guess, seen, stage)
            total = total + self._hand_misfit(world, pixels, seen)
            total = total + self._outline_misfit(pixels, seen, outline)
        return total

    def residuals(
        self, guess: Person, seen: Sight
    ) -> tuple[float, float, float, tuple[float | None, float | None]]:
        """Inner face and oval over the iris distance, joints over the height, hands in pixels."""
        world, pixels = self.placed(guess, seen)
        face = self._face_gaps(world, guess, seen).sqrt()
        oval = torch.zeros(len(face), dtype=torch.bool)
        oval[list(OVAL)] = True
        gaps = (pixels[self.at] - seen.points[self.ids]).norm(dim=1)[self.weights > 0]
        joints = float(gaps.mean()) / seen.tall if len(gaps) else 0.0
        hands = [
            float((pixels[self.hand[s]] - seen.hands[s]).norm(dim=1).mean())
            if s in seen.hands
            else None
            for s in SIDES
        ]
        return float(face[~oval].mean()), float(face[oval].mean()), joints, (hands[0], hands[1])

    def _depth_misfit(self, world: Tensor, seen: Sight) -> Tensor:
        weights = self.weights / self.weights.sum().clamp_min(1e-6)
        depths, wanted = -world[self.at, 2], seen.depths[self.ids]
        gaps = (depths - (depths * weights).sum() - wanted + (wanted * weights).sum()).square()
        return 20 * (self.weights * _robust(gaps, 0.12)).sum() + 200 * (self.weights * gaps).sum()

    def _face_gaps(self, world: Tensor, guess: Person, seen: Sight) -> Float[Tensor, "478"]:
        points = (world[self.face] * self.barycentrics[..., None]).sum(1)
        pixels = _projected(points, guess.focal, seen)
        return ((pixels - seen.face) / seen.iris_distance).square().sum(1)

    def _face_misfit(self, world: Tensor, guess: Person, seen: Sight, stage: int) -> Tensor:
        gaps = self._face_gaps(world, guess, seen)
        close = _robust(gaps, 0.08 if stage < 3 else 0.05)
        return (self.face_weights * ((0.3 if stage < 3 else 0.6) * close + 20 * gaps)).sum()

    def _hand_misfit(self, world: Tensor, pixels: Tensor, seen: Sight) -> Tensor:
        """Seen hands by their points; unseen ones hide as deep as the hips (pockets, behind)."""
        total = world.new_zeros(())
        for side in SIDES:
            if side in seen.hands:
                gaps = ((pixels[self.hand[side]] - seen.hands[side]) / seen.unit).square().sum(1)
                total = total + 2 * _robust(gaps, 8.0).sum() + 0.004 * gaps.sum()
            elif seen.hips:
                ahead = world[self.hand[side], 2] - world[self.joint[f"{side}_hip"], 2]
                total = total + 2000 * (ahead - 0.01).clamp_min(0).square().mean()
        return total

    def _outline_misfit(self, pixels: Tensor, seen: Sight, outline: Tensor | None) -> Tensor:
        grid = pixels[self.surface] / torch.tensor([seen.width, seen.height]) * 2 - 1
        sticking = torch.nn.functional.grid_sample(
            seen.outside, grid[None, None], padding_mode="zeros", align_corners=False
        )[0, 0, 0]
        total = 60 * _robust(sticking.square(), 10.0).mean()
        if outline is not None and len(outline):
            gaps = ((pixels[outline] - seen.edge) / seen.unit).square().sum(1)
            total = total + 10 * _robust(gaps, 12.0).mean()
        return total


def camera(focal: Tensor, ground: Float[Tensor, "3"], seen: Sight) -> Camera:
    """The fit's camera in a world whose origin is moved to `ground`."""
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    world_to_camera = torch.eye(4)
    world_to_camera[:3, :3] = turn
    world_to_camera[:3, 3] = turn @ ground
    intrinsics = torch.eye(3)
    intrinsics[0, 0] = intrinsics[1, 1] = focal
    intrinsics[:2, 2] = seen.center
    return Camera(world_to_camera, intrinsics, seen.width, seen.height)


def _projected(world: Tensor, focal: Tensor, seen: Sight) -> Tensor:
    away = (-world[:, 2]).clamp_min(0.1)
    flat = torch.stack([world[:, 0], -world[:, 1]], 1) / away[:, None]
    return flat * focal + seen.center


def _robust(squares: Tensor, scale: float) -> Tensor:
    """Geman-McClure: squares near 0, 1 far out."""
    return squares / (squares + scale**2)


def _tips(body: Anny) -> dict[str, int]:
    """Vertices at the ends of fingers and toes."""
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
        tips[side] = int(foot[rest[foot, 2].argmax()])
    return tips
