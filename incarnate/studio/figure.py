"""A body at rest in numbers a tailor uses: how far along arm or leg, at what angle, how high.

Reaches: 0 at the shoulder, 1 at the elbow, 2 at the wrist. Angles count turns from the back
(0 and 1) over the person's left to the front (0.5). Heights are y at rest, in metres.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from incarnate.body.anny import Anny
from incarnate.cameras import TRUNK
from incarnate.studio.shell import Shell, refined

TORSO, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = range(5)


@cache
def embedded() -> Anny:
    """The embedded body, read once a process."""
    return Anny.load()


@dataclass(frozen=True, eq=False)
class Figure:
    """A person at rest with a neutral face."""

    body: Anny
    betas: Float[NDArray, " s"]
    vertices: Float[NDArray, "v 3"]
    joints: Float[NDArray, "j 3"]

    def joint(self, name: str) -> Float[NDArray, "3"]:
        """Where an SMPL-X joint is."""
        return self.joints[self.body.smplx_joints[name]]

    @property
    def scale(self) -> float:
        """Length of the trunk over the average adult's."""
        return self.trunk / TRUNK

    @property
    def trunk(self) -> float:
        """Metres from pelvis to neck."""
        return float(self.joint("neck")[1] - self.joint("pelvis")[1])

    @property
    def floor(self) -> float:
        """Height of the soles."""
        return float(self.vertices[:, 1].min())

    def tights(self) -> Shell:
        """A refined surface close about all but head and hands, that clothes are cut from."""
        return _helper_shell(self, "tights")

    def skirt(self) -> Shell:
        """A long wide skirt from the waist down."""
        return _helper_shell(self, "skirt")

    def arm_share(self, weights: Float[NDArray, "n j"]) -> Float[NDArray, " n"]:
        """How much of the weights is the arms'."""
        return weights[:, _members(self.body, _ARM)].sum(1)

    def measured(
        self,
        points: Float[NDArray, "n 3"],
        weights: Float[NDArray, "n j"],
        limb: Int[NDArray, " n"] | None = None,
    ) -> "Measured":
        """What a tailor reads off points on or near the body, on the limbs given or the nearest."""
        if limb is None:
            side = np.where(points[:, 0] > 0, LEFT_ARM, RIGHT_ARM)
            limb = np.where(self.arm_share(weights) > 0.5, side, TORSO)
            crotch = self.joint("left_hip")[1] - 0.06 * self.scale
            limb = np.where((points[:, 1] < crotch) & (limb == TORSO), side + 2, limb)
        reach, axis, radial = self._along_arm(points)
        middle = self._trunk_axis(points)
        leg_axis = self._leg_axis(points)
        center = np.where((limb >= LEFT_LEG)[:, None], leg_axis, middle)
        flat = points - center
        is_arm = (limb == LEFT_ARM) | (limb == RIGHT_ARM)
        # Around an arm, angles count about its own axis from what lies behind and below it.
        back = np.array([0.0, 0.0, -1.0], np.float32)
        back = back - (axis @ back)[:, None] * axis
        back /= np.linalg.norm(back, axis=1, keepdims=True)
        aside = np.cross(axis, back)
        turn_arm = np.arctan2((radial * aside).sum(1), (radial * back).sum(1))
        turn = np.where(is_arm, turn_arm, np.arctan2(flat[:, 0], -flat[:, 2]))
        outward = np.where(is_arm[:, None], radial, flat * [1, 0, 1]).astype(np.float32)
        return Measured(
            limb.astype(np.int64),
            np.where(is_arm, reach, -1.0).astype(np.float32),
            (turn / (2 * np.pi) % 1).astype(np.float32),
            points[:, 1],
            outward,
        )

    def _along_arm(self, points: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Reach, direction of the bone, and the offset from it."""
        mirrored = points * np.where(points[:, :1] < 0, [-1.0, 1.0, 1.0], 1.0)
        s, e, w = (self.joint(f"left_{n}") for n in ("shoulder", "elbow", "wrist"))
        first, second = e - s, w - e
        t = (mirrored - s) @ first / (first @ first)
        u = (mirrored - e) @ second / (second @ second)
        reach = np.minimum(t, 1) + np.maximum(u, 0)
        # Bones of a bent arm blend about the elbow, so that angles do not jump there.
        mix = np.clip(reach - 0.75, 0, 0.5)[:, None] * 2
        axis = (1 - mix) * first / np.linalg.norm(first) + mix * second / np.linalg.norm(second)
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        base = s + np.clip(t, None, 1)[:, None] * first + np.maximum(u, 0)[:, None] * second
        off = mirrored - base
        off -= (off * axis).sum(1, keepdims=True) * axis
        back = np.where(points[:, :1] < 0, [-1.0, 1.0, 1.0], 1.0)
        return reach, (axis * back).astype(np.float32), (off * back).astype(np.float32)

    def _trunk_axis(self, points: NDArray) -> NDArray:
        names = ("pelvis", "spine1", "spine2", "spine3", "neck")
        knots = np.array([self.joint(n) for n in names])
        knots[:-1, 2] += 0.01 * self.scale  # Spines run near the back of the flesh.
        depth = np.interp(points[:, 1], knots[:, 1], knots[:, 2])
        return np.stack([np.zeros(len(points)), points[:, 1], depth], 1)

    def _leg_axis(self, points: NDArray) -> NDArray:
        knots = np.array([self.joint(f"left_{n}") for n in ("ankle", "knee", "hip")])
        x, z = (np.interp(points[:, 1], knots[:, 1], knots[:, k]) for k in (0, 2))
        return np.stack([np.where(points[:, 0] < 0, -x, x), points[:, 1], z], 1)


@dataclass(frozen=True, eq=False)
class Measured:
    """One value a point."""

    limb: Int[NDArray, " n"]
    reach: Float[NDArray, " n"]
    turn: Float[NDArray, " n"]
    height: Float[NDArray, " n"]
    outward: Float[NDArray, "n 3"]
    """From the axis of trunk or limb to the point, in metres."""

    @property
    def is_arm(self) -> Bool[NDArray, " n"]:
        """Points of either arm."""
        return (self.limb == LEFT_ARM) | (self.limb == RIGHT_ARM)


def figure(betas: Float[NDArray, " s"]) -> Figure:
    """The embedded body of that shape."""
    body = embedded()
    with torch.no_grad():
        rest = body.shaped(torch.from_numpy(betas))
        return Figure(body, betas, rest.numpy(), body.joints(rest).numpy())


_ARM = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")


@cache
def _members(body: Anny, stems: tuple[str, ...]) -> list[int]:
    return [i for i, n in enumerate(body.joint_names) if n.startswith(stems)]


@cache
def dense_weights(body: Anny, helpers: bool) -> Float[NDArray, "v j"]:
    """Skin weights of the visible vertices, or of the helpers', a column a joint."""
    source = body.helpers if helpers else body
    weights, joints = source.skin_weights, source.skin_joints
    out = torch.zeros(len(weights), len(body.joint_names))
    return out.scatter_add(1, joints, weights).numpy()


@cache
def _helper_topology(body: Anny, name: str) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Used helper vertices, their refined faces, middles' pairs, and all weights."""
    coarse = (body.helpers.tights if name == "tights" else body.helpers.skirt).numpy()
    points = body.helper_template.numpy()
    # The sculpted helpers are open along seams: vertices in one place become one.
    _, first, back = np.unique(points.round(4), axis=0, return_index=True, return_inverse=True)
    coarse = first[back.ravel()][coarse]
    used = np.unique(coarse)
    faces, pairs = refined(np.searchsorted(used, coarse), len(used))
    weights = dense_weights(body, True)[used]
    middles = weights[pairs].mean(1)
    return used, faces, pairs, np.concatenate([weights, middles])


def _helper_shell(person: Figure, name: str) -> Shell:
    used, faces, pairs, weights = _helper_topology(person.body, name)
    with torch.no_grad():
        points = person.body.shaped_helpers(torch.from_numpy(person.betas)).numpy()[used]
    return Shell(np.concatenate([points, points[pairs].mean(1)]), faces, weights)
