"""The canonical skeleton: SMPL-X's 55 joint names, their tree, and what its T-pose looks like.

Axes: y up, facing +z, the person's left is +x; metres. A `pose` holds local rotations about each
joint in the axes of the T-pose (SMPL's convention); `turns` are their products from the root down.
`T_POSE` is an idealised adult of our own making (round numbers, straight arms along x): it fixes
directions, never a measured person's proportions.
"""

import math

import roma
import torch
from jaxtyping import Float
from torch import Tensor

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_BODY = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist jaw left_eye_smplhf right_eye_smplhf"
).split()
SMPLX_JOINTS: tuple[str, ...] = tuple(
    _BODY + [f"{side}_{f}{k}" for side in ("left", "right") for f in _FINGERS for k in (1, 2, 3)]
)
"""SMPL-X's joints in its order."""

INDEX: dict[str, int] = {name: i for i, name in enumerate(SMPLX_JOINTS)}
_HAND_PARENTS = [p for w in (20, 21) for f in range(5) for p in (w, -1, -2)]
PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    *[p if p > 0 else 25 + i - 1 for i, p in enumerate(_HAND_PARENTS)],
)  # fmt: skip

FOOT_DROP = 0.075
"""How high the ankle joint is above the sole."""

_LEFT = {
    "hip": (0.06, -0.09, -0.01),
    "knee": (0.10, -0.47, -0.005),
    "ankle": (0.09, -0.89, -0.045),
    "foot": (0.11, -0.945, 0.08),
    "collar": (0.08, 0.42, -0.02),
    "shoulder": (0.17, 0.44, -0.03),
    "elbow": (0.43, 0.44, -0.03),
    "wrist": (0.68, 0.44, -0.03),
    "eye_smplhf": (0.032, 0.65, 0.08),
    "index1": (0.775, 0.44, 0.0),
    "index2": (0.809, 0.44, 0.002),
    "index3": (0.832, 0.44, 0.004),
    "middle1": (0.78, 0.44, -0.03),
    "middle2": (0.815, 0.44, -0.03),
    "middle3": (0.84, 0.44, -0.03),
    "pinky1": (0.755, 0.44, -0.078),
    "pinky2": (0.775, 0.44, -0.081),
    "pinky3": (0.79, 0.44, -0.083),
    "ring1": (0.77, 0.44, -0.056),
    "ring2": (0.803, 0.44, -0.057),
    "ring3": (0.826, 0.44, -0.058),
    "thumb1": (0.705, 0.425, 0.0),
    "thumb2": (0.729, 0.417, 0.023),
    "thumb3": (0.755, 0.411, 0.045),
}
_MIDDLE = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine1": (0.0, 0.11, -0.02),
    "spine2": (0.0, 0.245, -0.02),
    "spine3": (0.0, 0.30, 0.0),
    "neck": (0.0, 0.50, -0.035),
    "head": (0.0, 0.58, 0.0),
    "jaw": (0.0, 0.57, 0.02),
}


def _t_pose() -> Float[Tensor, "55 3"]:
    rows = []
    for name in SMPLX_JOINTS:
        side, _, part = name.partition("_")
        x, y, z = _MIDDLE[name] if name in _MIDDLE else _LEFT[part]
        rows.append((-x if side == "right" else x, y, z))
    return torch.tensor(rows)


T_POSE: Float[Tensor, "55 3"] = _t_pose()

LEG_LENGTH = float((T_POSE[INDEX["left_ankle"]] - T_POSE[INDEX["left_hip"]]).norm())
"""Hip to ankle (0.801 m) of the person in whose metres `Motion.transl` is told."""


def turns(pose: Float[Tensor, "*f 55 3 3"]) -> Float[Tensor, "*f 55 3 3"]:
    """Rotation of every joint from the T-pose to the world."""
    out: list[Tensor] = []
    for j, parent in enumerate(PARENTS):
        out.append(pose[..., j, :, :] if parent < 0 else out[parent] @ pose[..., j, :, :])
    return torch.stack(out, -3)


def local(turned: Float[Tensor, "*f 55 3 3"]) -> Float[Tensor, "*f 55 3 3"]:
    """The pose whose `turns` these are."""
    parents = turned[..., [max(p, 0) for p in PARENTS], :, :]
    pose = parents.transpose(-1, -2) @ turned
    return torch.cat([turned[..., :1, :, :], pose[..., 1:, :, :]], -3)


def positions(
    pose: Float[Tensor, "*f 55 3 3"], transl: Float[Tensor, "*f 3"]
) -> Float[Tensor, "*f 55 3"]:
    """Joints of the idealised adult in this pose."""
    turned = turns(pose)
    out = [transl.expand(*pose.shape[:-3], 3)]
    for j, parent in list(enumerate(PARENTS))[1:]:
        bone = (T_POSE[j] - T_POSE[parent]).to(pose)
        out.append(out[parent] + turned[..., parent, :, :] @ bone)
    return torch.stack(out, -2)


def calibration(joints: Float[Tensor, "55 3"]) -> Float[Tensor, "55 3 3"]:
    """The turn of each joint that brings another skeleton at rest into SMPL-X's T-pose.

    `joints` are that skeleton's rest positions in canonical axes, NaN where it has no such joint
    (identity is returned there). Limbs are laid along the T-pose's: the upper arm with its elbow
    hinge along y, the hand with its palm down, each finger over the hand, the leg as a whole (a
    knee keeps its own rest bend); the collar follows a tenth of the arm; feet, spine and head,
    upright in any rest pose, keep it.
    """
    out = torch.eye(3).to(joints).repeat(55, 1, 1)
    for side in ("left", "right"):
        at = {n: INDEX[f"{side}_{n}"] for n in _LEFT}
        _calibrate_arm(out, joints, at)
        hip, ankle = at["hip"], at["ankle"]
        out[hip] = _onto(joints[ankle] - joints[hip], (T_POSE[ankle] - T_POSE[hip]).to(joints))
        out[at["knee"]] = out[hip]
    return out


def _calibrate_arm(out: Tensor, joints: Tensor, at: dict[str, int]) -> None:
    """Fill in collar to finger tips; each turn continues the one above it."""
    table = T_POSE.to(joints)
    shoulder, elbow, wrist = at["shoulder"], at["elbow"], at["wrist"]
    upper, fore = joints[elbow] - joints[shoulder], joints[wrist] - joints[elbow]
    along = table[elbow] - table[shoulder]
    out[shoulder] = _onto(upper, along)
    hinge = torch.linalg.cross(upper, fore)
    if hinge.norm() > math.sin(math.radians(15)) * upper.norm() * fore.norm():
        down = along.new_tensor([0.0, -1.0, 0.0]) * along[0].sign()
        out[shoulder] = _frame(along, down) @ _frame(upper, hinge).T
    out[at["collar"]] = roma.rotvec_to_rotmat(0.1 * roma.rotmat_to_rotvec(out[shoulder]))
    out[elbow] = _onto(out[shoulder] @ fore, along) @ out[shoulder]
    out[wrist] = out[elbow]
    knuckles = [at["index1"], at["middle1"], at["pinky1"]]
    if not torch.isfinite(joints[[*knuckles, wrist]]).all():
        return
    index, middle, pinky = knuckles
    hand, across = joints[middle] - joints[wrist], joints[pinky] - joints[index]
    aim, back = table[middle] - table[wrist], table[pinky] - table[index]
    out[wrist] = _frame(aim, back) @ _frame(hand, across).T
    for finger in _FINGERS:
        turn = out[wrist]
        for k in (1, 2, 3):
            here = at[f"{finger}{k}"]
            if k < 3:  # The tip of a finger is no joint: its last bone follows the one before.
                child = at[f"{finger}{k + 1}"]
                bone = joints[child] - joints[here]
                if torch.isfinite(bone).all():
                    turn = _onto(turn @ bone, table[child] - table[here]) @ turn
            out[here] = turn


def _onto(source: Tensor, target: Tensor) -> Tensor:
    """The least rotation that lays one direction on another; identity if one is unknown."""
    axis = torch.linalg.cross(source, target)
    angle = torch.atan2(axis.norm(), (source * target).sum())
    if not torch.isfinite(angle) or axis.norm() == 0:
        return torch.eye(3).to(source)
    return roma.rotvec_to_rotmat(axis / axis.norm() * angle)


def _frame(first: Tensor, second: Tensor) -> Tensor:
    """Columns: the first direction, the second made perpendicular to it, their cross product."""
    x = first / first.norm()
    y = second - (second * x).sum() * x
    y = y / y.norm()
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)
