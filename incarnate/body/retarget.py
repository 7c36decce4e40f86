"""From a motion to a body's own joints, and back.

Let G_j turn SMPL-X's joint j from its T-pose to the world, and T_j turn the body's own bone from
its rest pose into that T-pose (`skeleton.calibration`, from the person's rest joints). The own
bone then turns by D = G_j T_j, and the local rotation is D_parent^-1 D. Bones that SMPL-X lacks:

    spine and neck      between two mapped bones: shares of the turn from one to the next
    limbs of two bones  the last one carries D; the first the same swing and half its twist
    forearm             takes half the wrist's twist along with it, so that skin does not wring
    others              follow their parent (metacarpals, toes, eyes: gaze is in `expression`)
"""

from typing import NamedTuple

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.body import Body
from incarnate.motion.motion import Motion
from incarnate.motion.skeleton import (
    INDEX,
    LEG_LENGTH,
    PARENTS,
    T_POSE,
    calibration,
    local,
    positions,
    turns,
)

_WRIST_SHARE = 0.5
_GIRDLE_SHARE = 0.3
_SIDES = ("left", "right")
_LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in _SIDES
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)
_STACKS = (
    ("pelvis", "spine1"), ("spine1", "spine2"), ("spine2", "spine3"), ("spine3", "neck"),
    ("neck", "head"),
)  # fmt: skip
_GIRDLES = tuple((f"{side}_collar", f"{side}_shoulder") for side in _SIDES)
_INERT = ("jaw", "left_eye_smplhf", "right_eye_smplhf")


class Posed(NamedTuple):
    """What a body needs to be drawn, frame by frame."""

    pose: Float[Tensor, "f j 3 3"]
    expression: Float[Tensor, "f e"]
    transl: Float[Tensor, "f 3"]


def pose_for(body: Body, motion: Motion, joints: Float[Tensor, "j 3"] | None = None) -> Posed:
    """The motion on this body, whose rest `joints` are the average adult's unless given."""
    rig = _rig(body, joints)
    turned = turns(motion.pose) @ rig.calibration
    turned = _with_shared_twist(rig, turned, _WRIST_SHARE)
    own: dict[int, Tensor] = {rig.carrier[name]: turned[:, INDEX[name]] for name in rig.carrier}
    parents = body.parents.tolist()
    for chain in rig.limbs:
        above = parents[chain[0]]
        base = own[above] if above in own else _inherited(own, parents, above)
        _spread_twist(own, chain, base, rig.joints)
    for chain in rig.stacks:
        _spread_turn(own, chain, 1.0)
    for chain in rig.girdles:
        _spread_turn(own, chain, _GIRDLE_SHARE)
    out: list[Tensor] = []
    for j, parent in enumerate(parents):
        follow = out[parent] if parent >= 0 else turned[:, 0]
        out.append(own.get(j, follow))
    world = torch.stack(out, 1)
    pose = world[:, [max(p, 0) for p in parents]].transpose(-1, -2) @ world
    pose = torch.where((body.parents < 0)[:, None, None], world, pose)
    transl = rig.scale * motion.transl + _rise(body, rig, motion.pose, pose)
    return Posed(pose, body.arkit(motion.expression), transl)


def smplx_places(
    body: Body, joints: Float[Tensor, "j 3"], bones: Float[Tensor, "*f j 4 4"]
) -> Float[Tensor, "*f 55 3"]:
    """Where bones take SMPL-X's joints, from the body's own at rest; nan for those it has not."""
    moved = (bones[..., :3, :3] @ joints[..., None])[..., 0] + bones[..., :3, 3]
    places = moved.new_full((*moved.shape[:-2], len(INDEX), 3), torch.nan)
    for name, j in body.smplx_joints.items():
        places[..., INDEX[name], :] = moved[..., j, :]
    return places


def motion_from(
    body: Body,
    posed: Posed,
    fps: float = 30.0,
    joints: Float[Tensor, "j 3"] | None = None,
    arkit: Float[Tensor, "f 52"] | None = None,
) -> Motion:
    """The motion that `pose_for` turns into these poses; unmapped bones' own turns are dropped.

    The face is `arkit` if given and neutral otherwise: a body's own expression has no inverse.
    """
    rig = _rig(body, joints)
    world: list[Tensor] = []
    for j, parent in enumerate(body.parents.tolist()):
        world.append(posed.pose[:, j] if parent < 0 else world[parent] @ posed.pose[:, j])
    count = len(posed.pose)
    turned = [world[0]] * len(INDEX)
    for name, j in INDEX.items():
        if name in rig.carrier:
            turned[j] = world[rig.carrier[name]]
    packed = _with_shared_twist(rig, torch.stack(turned, 1), _WRIST_SHARE / (_WRIST_SHARE - 1))
    known = torch.zeros(len(INDEX), dtype=torch.bool)
    known[[INDEX[name] for name in rig.carrier]] = True
    global_turns = packed @ rig.calibration.transpose(-1, -2)
    pose = local(_filled(global_turns, known))
    return Motion(
        fps,
        pose,
        (posed.transl - _rise(body, rig, pose, posed.pose)) / rig.scale,
        posed.pose.new_zeros(count, 52) if arkit is None else arkit,
    )


class _Rig(NamedTuple):
    """What the rest pose says about a body."""

    joints: Tensor
    calibration: Tensor
    carrier: dict[str, int]
    limbs: list[list[int]]
    stacks: list[list[int]]
    girdles: list[list[int]]
    scale: float


def _rig(body: Body, joints: Tensor | None) -> _Rig:
    if joints is None:
        joints = body.joints(body.shaped(body.default_betas()))
    mapped = body.smplx_joints
    missing = [n for n in ("pelvis", *(n for limb in _LIMBS for n in limb)) if n not in mapped]
    if missing:
        raise ValueError(f"{body.name} has no joint for {', '.join(missing)}; a person needs them")
    parents = body.parents.tolist()
    rest = joints.new_full((len(INDEX), 3), torch.nan)
    for name, j in mapped.items():
        rest[INDEX[name]] = joints[j]
    turn = calibration(rest)
    carrier = {name: j for name, j in mapped.items() if name not in _INERT}
    limbs = [_between(parents, mapped[a], mapped[b])[:-1] for a, b in _LIMBS]
    for (name, _), chain in zip(_LIMBS, limbs, strict=True):
        carrier[name] = chain[-1]
    if "spine3" in mapped and "neck" in mapped:
        carrier["spine3"] = _fork(parents, mapped["left_shoulder"], mapped["neck"])
    stacks = [
        _between(parents, carrier[a], carrier[b])
        for a, b in _STACKS
        if a in carrier and b in carrier
    ]
    girdles = [
        _between(parents, mapped[a], mapped[b]) for a, b in _GIRDLES if a in mapped and b in mapped
    ]
    legs = [rest[INDEX[f"{s}_ankle"]] - rest[INDEX[f"{s}_hip"]] for s in _SIDES]
    scale = float(sum(leg.norm() for leg in legs) / 2 / LEG_LENGTH)
    return _Rig(joints, turn, carrier, limbs, stacks, girdles, scale)


def _rise(body: Body, rig: _Rig, pose: Tensor, own: Tensor) -> Tensor:
    """What to add to the scaled translation so that the lower foot is as high as it should be.

    Thigh and shin need not share the idealised adult's proportions: a seat would lift the feet.
    """
    names = [f"{s}_{p}" for s in _SIDES for p in ("ankle", "foot")]
    names = [name for name in names if name in body.smplx_joints]
    feet = [INDEX[name] for name in names]
    wanted = positions(pose, pose.new_zeros(len(pose), 3))[:, feet, 1] - T_POSE[feet, 1].to(pose)
    mine = [body.smplx_joints[name] for name in names]
    bones = body.bones(rig.joints.expand(len(own), -1, -1), own, own.new_zeros(len(own), 3))
    rest = rig.joints[mine]
    posed = (bones[:, mine, :3, :3] @ rest[..., None])[..., 0] + bones[:, mine, :3, 3]
    up = rig.scale * wanted.amin(1) - (posed - rest)[..., 1].amin(1)
    return torch.stack([torch.zeros_like(up), up, torch.zeros_like(up)], -1)


def _between(parents: list[int], top: int, bottom: int) -> list[int]:
    """Joints from `top` to `bottom`, both included."""
    chain = [bottom]
    while chain[-1] != top and chain[-1] >= 0:
        chain.append(parents[chain[-1]])
    if chain[-1] != top:
        raise ValueError(f"joint {bottom} does not hang from joint {top}; check `smplx_joints`")
    return chain[::-1]


def _fork(parents: list[int], first: int, second: int) -> int:
    """The last joint that both hang from: shoulders must not follow a nod of the neck."""
    above = {first}
    while first >= 0:
        above.add(first := parents[first])
    while second not in above:
        second = parents[second]
    return second


def _inherited(own: dict[int, Tensor], parents: list[int], joint: int) -> Tensor:
    while joint not in own:
        joint = parents[joint]
    return own[joint]


def _with_shared_twist(rig: _Rig, turned: Tensor, share: float) -> Tensor:
    """The forearm turned about itself by a share of the wrist's twist against it."""
    out = turned.clone()
    for side in _SIDES:
        elbow, wrist = INDEX[f"{side}_elbow"], INDEX[f"{side}_wrist"]
        fore = rig.joints[rig.carrier[f"{side}_wrist"]] - rig.joints[rig.carrier[f"{side}_elbow"]]
        turn = turned[:, elbow].transpose(-1, -2) @ turned[:, wrist]
        # Rest to T-pose wrings hand against forearm too: that share is wanted, it is no noise.
        twist, axis = _twist(turn, fore)
        out[:, elbow] = turned[:, elbow] @ roma.rotvec_to_rotmat(share * twist[:, None] * axis)
    return out


def _spread_twist(own: dict[int, Tensor], chain: list[int], base: Tensor, rest: Tensor) -> None:
    """Upper bones of a limb swing like its last bone and take an even share of its twist."""
    last = own[chain[-1]]
    axis = rest[chain[-1]] - rest[chain[0]]
    if len(chain) == 1 or axis.norm() == 0:
        return
    twist, axis = _twist_first(base.transpose(-1, -2) @ last, axis)
    for k, joint in enumerate(chain[:-1]):
        back = (k + 1) / len(chain) - 1
        own[joint] = last @ roma.rotvec_to_rotmat(back * twist[:, None] * axis)


def _spread_turn(own: dict[int, Tensor], chain: list[int], share: float) -> None:
    """Bones between two mapped ones turn by even steps, together by `share` of the whole."""
    first, last = own[chain[0]], own[chain[-1]]
    step = roma.rotmat_to_rotvec(first.transpose(-1, -2) @ last)
    steps = len(chain) - (1 if share == 1 else 2)
    for k, joint in enumerate(chain[1:-1], 1):
        own[joint] = first @ roma.rotvec_to_rotmat(share * k / steps * step)


def _twist(turn: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Angle t in turn = Rot(axis, t) swing, and the unit axis."""
    angle, unit = _twist_first(turn.transpose(-1, -2), axis)
    return -angle, unit


def _twist_first(turn: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Angle t in turn = swing Rot(axis, t), and the unit axis."""
    unit = axis / axis.norm()
    quat = roma.rotmat_to_unitquat(turn)  # xyzw
    angle = 2 * torch.atan2(quat[..., :3] @ unit, quat[..., 3])
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi, unit


def _filled(turned: Tensor, known: Tensor) -> Tensor:
    """Joints the body lacks take their parent's turn."""
    from_parent = turned.clone()
    for j, parent in enumerate(PARENTS):
        if not known[j]:
            from_parent[:, j] = from_parent[:, parent]
    return from_parent
