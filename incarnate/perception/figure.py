"""A skeleton laid through a film: one person's proportions, a pose a frame, by least squares.

All frames are fitted at once, so that what a frame does not show comes from those before and after
it, and nothing lags. The camera stands still at the origin of a world with y up and looks along
-z; the person has the legs of the idealised adult (`skeleton.LEG_LENGTH`), which sets the scale.
Letters: f frames, p points, j joints. What is weighed, each in its standard deviations:

    where points appear, and how deep they lie against the middle of the body (robust)
    how the head is turned, where a face is seen
    how far joints are from a likely pose, and bones from likely proportions
    accelerations of joints, and of their turns: a person is no particle
"""

import math
from dataclasses import dataclass, field
from typing import final

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.motion.presets import pose_preset
from incarnate.motion.skeleton import INDEX, LEG_LENGTH, PARENTS, SMPLX_JOINTS, T_POSE

NUM_JOINTS = 22  # Those of SMPL-X without jaw, eyes and fingers.
POINTS = {
    0: "head", 7: "head", 8: "head", 11: "left_shoulder", 12: "right_shoulder", 13: "left_elbow",
    14: "right_elbow", 15: "left_wrist", 16: "right_wrist", 23: "pelvis", 24: "pelvis",
    25: "left_knee", 26: "right_knee", 27: "left_ankle", 28: "right_ankle", 29: "left_ankle",
    30: "right_ankle", 31: "left_foot", 32: "right_foot",
}  # fmt: skip
"""MediaPipe's points that are used, and the joint that carries each."""
_OFFSETS = {
    0: (0.0, 0.03, 0.12), 7: (0.075, 0.05, 0.0), 23: (0.1, -0.06, 0.0), 29: (0.0, -0.045, -0.045),
    31: (0.0, -0.01, 0.07),
}  # fmt: skip
"""Metres from the joint in T-pose, left side; the others sit on their joint."""
_LOOSE = {"pelvis": 0.03, "head": 0.03}  # Metres by which offsets may differ; 0.015 otherwise.
BONES = {
    "spine": ("spine1", "spine2", "spine3", "left_collar", "right_collar", "neck"),
    "head": ("head",), "girdle": ("left_shoulder", "right_shoulder"),
    "hips": ("left_hip", "right_hip"), "upper arm": ("left_elbow", "right_elbow"),
    "forearm": ("left_wrist", "right_wrist"), "thigh": ("left_knee", "right_knee"),
    "shin": ("left_ankle", "right_ankle"), "foot": ("left_foot", "right_foot"),
}  # fmt: skip
"""Bones whose length is told together, by the joint at their lower end."""
_FIRM = {"thigh": 0.04, "shin": 0.04, "hips": 0.1, "foot": 0.1}  # Of the logarithm; else 0.15.
UNSEEN_PELVIS = 0.12  # Radians.
STANDS = 0.05  # Metres per second of the pelvis of somebody whose feet are not seen.
DEPTHS = {25: 0.15, 26: 0.15, 27: 0.5, 28: 0.5}  # Trust in depths: networks bend straight knees.
_SHARED = {"spine": ("spine1", "spine2", "spine3"), "neck": ("neck", "head")}
_FREE = (  # Turns about three axes, with the standard deviation from the likely pose in radians.
    ("pelvis", 0.6), ("spine", 0.35), ("neck", 0.45), ("left_collar", 0.18), ("right_collar", 0.18),
    ("left_shoulder", 1.2), ("right_shoulder", 1.2), ("left_hip", 0.5), ("right_hip", 0.5),
    ("left_ankle", 0.25), ("right_ankle", 0.25),
)  # fmt: skip
_HINGES = (  # The axis about which they close, and the deviation.
    ("left_elbow", (0.0, -1.0, 0.0), 1.2), ("right_elbow", (0.0, 1.0, 0.0), 1.2),
    ("left_knee", (1.0, 0.0, 0.0), 0.3), ("right_knee", (1.0, 0.0, 0.0), 0.3),
)  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Standard deviations of what is weighed."""

    point: float = 0.012
    """Metres across the line of sight."""
    depth: float = 0.06
    """Metres along it."""
    head: float = 0.06
    """Radians."""
    acceleration: float = 14.0
    """Metres per second squared, of joints."""
    spin: float = 90.0
    """Radians per second squared, of joints about themselves."""
    bend: float = 0.03
    """Radians beyond the end of a hinge."""
    steps: int = 45
    """At most; 90 bring nothing (benchmarks/tracking.py)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the film says; weights of 0 where it says nothing."""

    points: Float[Tensor, "f p 2"]
    """In metres at one metre's distance, x to the right, y up, from the optical axis."""
    depths: Float[Tensor, "f p"]
    """Metres towards the camera, against whatever."""
    weights: Float[Tensor, "f p"]
    head: Float[Tensor, "f 3 3"]
    head_weights: Float[Tensor, " f"]
    hips: Float[Tensor, " f"]
    """1 where the hips are seen; elsewhere the pelvis is upright and faces the camera."""
    walks: bool
    """Whether feet are seen; one whose feet are not stays where they are and moves the trunk."""
    fps: float


@dataclass(frozen=True, eq=False)
class Figure:
    """The skeleton in the world of the camera."""

    pose: Float[Tensor, "f 22 3 3"]
    """Local turns, as in `Motion`."""
    transl: Float[Tensor, "f 3"]
    """Where the pelvis is."""
    joints: Float[Tensor, "f 22 3"]
    points: Float[Tensor, "f p 3"]
    bones: Float[Tensor, " b"]
    """Lengths over the idealised adult's, in the order of BONES."""


def fitted(
    seen: Seen, start: Float[Tensor, "f 22 3 3"], place: Float[Tensor, "f 3"], config: Weights
) -> Figure:
    """The figure nearest to what was seen, sought from a first pose and place."""
    problem = _Problem(seen, start, place, config)
    unknowns = problem.unknowns()
    optimizer = torch.optim.LBFGS(
        list(unknowns.values()), max_iter=config.steps, history_size=12,
        line_search_fn="strong_wolfe", tolerance_change=1e-9,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = problem.loss(unknowns)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    with torch.no_grad():
        return problem.figure(unknowns)


@final
@dataclass
class _Problem:
    seen: Seen
    start: Tensor
    place: Tensor
    config: Weights
    likely: Tensor = field(init=False)
    bent: Tensor = field(init=False)
    """How far the hinges are closed at the start (f h)."""
    offsets: Tensor = field(init=False)
    loose: Tensor = field(init=False)
    deep: Tensor = field(init=False)
    carriers: list[int] = field(init=False)
    scales: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.likely = pose_preset("stand").pose[0, :NUM_JOINTS]
        vectors = roma.rotmat_to_rotvec(self.start[:, [INDEX[name] for name, _, _ in _HINGES]])
        self.bent = (vectors * torch.tensor([axis for _, axis, _ in _HINGES])).sum(-1)
        self.carriers = [INDEX[name] for name in POINTS.values()]
        self.deep = torch.tensor([DEPTHS.get(point, 1.0) for point in POINTS])
        rows, loose = [], []
        for point, name in POINTS.items():
            left = point if point % 2 or point == 0 else point - 1
            x, y, z = _OFFSETS.get(left, (0.0, 0.0, 0.0))
            rows.append((x if left == point else -x, y, z))
            loose.append(_LOOSE.get(name, 0.015))
        self.offsets, self.loose = torch.tensor(rows), torch.tensor(loose)
        kinds = list(BONES)
        owner = {joint: kinds.index(kind) for kind, joints in BONES.items() for joint in joints}
        self.scales = [owner.get(SMPLX_JOINTS[j], 0) for j in range(NUM_JOINTS)]

    def unknowns(self) -> dict[str, Tensor]:
        count = len(self.start)
        sizes = {
            "turns": (count, len(_FREE), 3),
            "bends": (count, len(_HINGES)),
            "place": (count, 3),
            "bones": (len(BONES),),
            "offsets": (len(POINTS) // 2 + 1, 3),
        }
        return {name: torch.zeros(size, requires_grad=True) for name, size in sizes.items()}

    def local(self, unknowns: dict[str, Tensor]) -> Float[Tensor, "f 22 3 3"]:
        """Turns of all joints."""
        free = roma.rotvec_to_rotmat(unknowns["turns"])
        shares = {k: roma.rotvec_to_rotmat(unknowns["turns"][:, i] / len(_SHARED[k]))
                  for i, (k, _) in enumerate(_FREE) if k in _SHARED}  # fmt: skip
        out = list(self.start.unbind(1))
        for i, (name, _) in enumerate(_FREE):
            for joint in _SHARED.get(name, (name,)):
                turn = shares[name] if name in shares else free[:, i]
                out[INDEX[joint]] = out[INDEX[joint]] @ turn
        for i, (name, axis, _) in enumerate(_HINGES):
            turn = roma.rotvec_to_rotmat(unknowns["bends"][:, i, None] * torch.tensor(axis))
            out[INDEX[name]] = out[INDEX[name]] @ turn
        return torch.stack(out, 1)

    def figure(self, unknowns: dict[str, Tensor]) -> Figure:
        pose = self.local(unknowns)
        bones = torch.exp(unknowns["bones"] * torch.tensor([_FIRM.get(k, 0.15) for k in BONES]))
        turned, joints = [pose[:, 0]], [self.place + 0.1 * unknowns["place"]]
        for j in range(1, NUM_JOINTS):
            parent = PARENTS[j]
            bone = (T_POSE[j] - T_POSE[parent]) * bones[self.scales[j]]
            joints.append(joints[parent] + turned[parent] @ bone)
            turned.append(turned[parent] @ pose[:, j])
        at, world = torch.stack(joints, 1), torch.stack(turned, 1)
        moved = self.offsets + self.loose[:, None] * _mirrored(unknowns["offsets"])
        points = at[:, self.carriers]
        points = points + (world[:, self.carriers] @ moved[..., None])[..., 0]
        return Figure(pose, joints[0], at, points, bones)

    def loss(self, unknowns: dict[str, Tensor]) -> Tensor:
        seen, config = self.seen, self.config
        figure = self.figure(unknowns)
        away = (-figure.points[..., 2]).clamp_min(0.2)
        gaps = (figure.points[..., :2] / away[..., None] - seen.points) * away.detach()[..., None]
        total = (seen.weights * _robust(gaps.square().sum(-1) / config.point**2, 4.0)).sum()
        share = seen.weights / seen.weights.sum(1, keepdim=True).clamp_min(1e-6)
        deep = figure.points[..., 2] - seen.depths
        deep = deep - (share * deep).sum(1, keepdim=True)
        total = total + (seen.weights * self.deep * _robust((deep / config.depth) ** 2, 3.0)).sum()
        head = _turned(figure.pose, INDEX["head"])
        apart = (head - seen.head).square().sum((1, 2)) / (2 * config.head**2)
        total = total + (seen.head_weights * _robust(apart, 6.0)).sum()
        total = total + self._prior(figure.pose, unknowns)
        if len(figure.pose) > 2:
            total = total + self._smooth(figure)
        return 0.5 * total / len(self.start)

    def _prior(self, pose: Tensor, unknowns: dict[str, Tensor]) -> Tensor:
        count = len(pose)
        total = count * (unknowns["bones"].square().sum() + unknowns["offsets"].square().sum())
        for name, sigma in _FREE:
            joints = [INDEX[n] for n in _SHARED.get(name, (name,))]
            apart = pose[:, joints] - self.likely[joints]
            if name == "pelvis":  # Any heading is likely, no lean is.
                unseen = (1 - self.seen.hips)[:, None, None, None]
                total = total + (unseen * apart).square().sum() / (2 * UNSEEN_PELVIS**2)
                apart = pose[:, :1, 1, :] - self.likely[:1, 1, :]
            total = total + len(joints) * apart.square().sum() / (2 * sigma**2)
        for i, (_, _, sigma) in enumerate(_HINGES):
            bend = self.bent[:, i] + unknowns["bends"][:, i]
            total = total + (bend / sigma).square().sum()
            total = total + ((0.03 - bend).clamp_min(0) / self.config.bend).square().sum()
        return total

    def _smooth(self, figure: Figure) -> Tensor:
        rate = self.seen.fps**2
        moved = figure.joints[2:] - 2 * figure.joints[1:-1] + figure.joints[:-2]
        spun = figure.pose[2:] - 2 * figure.pose[1:-1] + figure.pose[:-2]
        if not self.seen.walks:
            way = (figure.transl[1:] - figure.transl[:-1]) * self.seen.fps
            bound = (way / STANDS).square().sum()
        else:
            bound = moved.new_zeros(())
        linear = bound + (moved * rate / self.config.acceleration).square().sum()
        return linear + 0.5 * (spun * rate / self.config.spin).square().sum()


def _mirrored(offsets: Tensor) -> Tensor:
    """One row for the nose, one for each pair of points: left, right."""
    pairs = torch.stack([offsets[1:], offsets[1:] * torch.tensor([-1.0, 1.0, 1.0])], 1)
    return torch.cat([offsets[:1], pairs.flatten(0, 1)])


def _turned(pose: Tensor, joint: int) -> Tensor:
    chain = [joint]
    while PARENTS[chain[-1]] >= 0:
        chain.append(PARENTS[chain[-1]])
    out = pose[:, 0]
    for j in chain[-2::-1]:
        out = out @ pose[:, j]
    return out


def _robust(square: Tensor, limit: float) -> Tensor:
    """Geman and McClure."""
    return square / (1 + square / limit**2)


def leg_length(figure: Figure) -> float:
    """Metres from hip to ankle of the straight leg, to be compared with LEG_LENGTH."""
    kinds = list(BONES)
    thigh, shin = (float(figure.bones[kinds.index(k)]) for k in ("thigh", "shin"))
    knee = (T_POSE[INDEX["left_knee"]] - T_POSE[INDEX["left_hip"]]).norm().item()
    ankle = (T_POSE[INDEX["left_ankle"]] - T_POSE[INDEX["left_knee"]]).norm().item()
    return LEG_LENGTH * (thigh * knee + shin * ankle) / (knee + ankle)


def first_pose(
    world: Float[Tensor, "f 33 3"], visible: Float[Tensor, "f 33"]
) -> Float[Tensor, "f 22 3 3"]:
    """A pose from 3D points (x to the person's left for one who faces +z, y up, z ahead).

    What is not visible stands: limbs, and a trunk without shoulders and hips.
    """
    likely = pose_preset("stand").pose[0, :NUM_JOINTS]
    pose = likely.repeat(len(world), 1, 1, 1)
    left, right = world[:, 11], world[:, 12]
    hips = (world[:, 23] + world[:, 24]) / 2
    up = (left + right) / 2 - hips
    pelvis = _frame_xy(world[:, 23] - world[:, 24], up)
    chest = _frame_xy(left - right, up)
    hips_seen, chest_seen = (visible[:, ids].amin(1) > 0 for ids in ([23, 24], [11, 12]))
    pelvis = _chosen(hips_seen & chest_seen, pelvis, pose[:, 0])
    chest = _chosen(hips_seen & chest_seen, chest, pose[:, 0])
    twist = roma.rotmat_to_rotvec(pelvis.mT @ chest)
    pose[:, 0] = pelvis
    for name in _SHARED["spine"]:
        pose[:, INDEX[name]] = roma.rotvec_to_rotmat(twist / 3)
    for k, side in enumerate(("left", "right")):
        sign = 1.0 if side == "left" else -1.0
        a, b, c = (world[:, 11 + k], world[:, 13 + k], world[:, 15 + k])
        base = chest @ pose[:, INDEX[f"{side}_collar"]]
        hinge = torch.tensor([0.0, -sign, 0.0])
        along = torch.tensor([sign, 0.0, 0.0])
        arm = visible[:, [11 + k, 13 + k, 15 + k]].amin(1) > 0
        names = f"{side}_shoulder", f"{side}_elbow"
        _limb(pose, arm, base, names, (b - a, c - b), (along, hinge))
        a, b, c = (world[:, 23 + k], world[:, 25 + k], world[:, 27 + k])
        down, across = torch.tensor([0.0, -1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
        leg = visible[:, [23 + k, 25 + k, 27 + k]].amin(1) > 0
        _limb(pose, leg, pelvis, (f"{side}_hip", f"{side}_knee"), (b - a, c - b), (down, across))
    return pose


def _limb(
    pose: Tensor, seen: Tensor, base: Tensor, names: tuple[str, str], bones: tuple[Tensor, Tensor],
    rest: tuple[Tensor, Tensor],
) -> None:  # fmt: skip
    """Fill in upper joint and hinge; the less bent, the more the likely pose says of the twist."""
    upper, hinge = (INDEX[name] for name in names)
    u, v = (torch.nn.functional.normalize(b, dim=-1) for b in bones)
    usual = (base @ pose[:, upper] @ rest[1]).expand_as(u)
    normal = torch.linalg.cross(u, v) + 0.2 * usual
    normal = normal - (normal * u).sum(-1, keepdim=True) * u
    target = _frame_columns(u, normal)
    own = _frame_columns(rest[0][None], rest[1][None])
    pose[:, upper] = _chosen(seen, base.mT @ target @ own.mT, pose[:, upper])
    angle = torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1))
    bent = roma.rotvec_to_rotmat(angle[:, None].clamp(0.05, math.pi - 0.3) * rest[1])
    pose[:, hinge] = _chosen(seen, bent, pose[:, hinge])


def _chosen(seen: Tensor, there: Tensor, otherwise: Tensor) -> Tensor:
    return torch.where(seen[:, None, None], there, otherwise)


def _frame_columns(first: Tensor, second: Tensor) -> Tensor:
    x = torch.nn.functional.normalize(first, dim=-1)
    y = second - (second * x).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(y, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _frame_xy(across: Tensor, up: Tensor) -> Tensor:
    """A frame whose y is up and whose x is as near to across as can be."""
    y = torch.nn.functional.normalize(up, dim=-1)
    x = torch.nn.functional.normalize(across - (across * y).sum(-1, keepdim=True) * y, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)
