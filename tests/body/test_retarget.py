"""Retargeting, on a body in A-pose with twist bones, bent elbows and odd proportions."""

import pytest
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.body import Body
from incarnate.body.retarget import Posed, motion_from, pose_for
from incarnate.motion import POSES, Motion, grounded, pose_preset
from incarnate.motion.skeleton import (
    INDEX,
    PARENTS,
    SMPLX_JOINTS,
    T_POSE,
    calibration,
    positions,
    turns,
)

_SPLIT = {"shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "ankle"}
_REST = Motion.still()
for _side, _sign in (("left", 1.0), ("right", -1.0)):
    for _name, _turn in {
        "shoulder": (0.1, 0.0, -0.8 * _sign), "elbow": (0.5 * _sign, -0.6 * _sign, 0.0),
        "wrist": (0.8, 0.1, 0.0), "hip": (0.0, 0.0, 0.12 * _sign),
        "index1": (0.0, 0.1, -0.2 * _sign), "index2": (0.0, 0.0, -0.3 * _sign),
        "thumb1": (0.3, 0.2 * _sign, 0.1),
    }.items():  # fmt: skip
        _REST.pose[:, INDEX[f"{_side}_{_name}"]] = roma.rotvec_to_rotmat(torch.tensor(_turn))
_SCALE = 1.1


class Tailor(Body):
    """A dummy: its rest pose is `_REST`, its limbs have two bones each, its spine one more."""

    name = "tailor's dummy"
    license = "Apache-2.0"

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        at = positions(_REST.pose, _REST.transl)[0] * _SCALE
        names: list[str] = []
        parents: list[int] = []
        places: list[Tensor] = []
        last: dict[str, int] = {"": -1}

        def add(name: str, parent: int, place: Tensor) -> int:
            names.append(name)
            parents.append(parent)
            places.append(place)
            return len(names) - 1

        self.smplx_joints = {}
        for j, name in enumerate(SMPLX_JOINTS):
            side, _, part = name.partition("_")
            above = SMPLX_JOINTS[PARENTS[j]] if j else ""
            parent = last[above]
            if name == "spine1":
                parent = add("lumbar", parent, (at[j] + at[0]) / 2)
            if part == "shoulder":
                parent = add(f"{side}_girdle", parent, (at[j] + at[PARENTS[j]]) / 2)
            here = add(name, parent, at[j])
            self.smplx_joints[name] = here
            if part in _SPLIT:
                end = at[INDEX[f"{side}_{_SPLIT[part]}"]]
                here = add(f"{name}_twist", here, (at[j] + end) / 2)
            last[name] = here
        self.joint_names, self.betas_names, self.expression_names = tuple(names), (), ()
        self.parents = torch.tensor(parents)
        self.places = torch.stack(places)

    def default_betas(self) -> Float[Tensor, " s"]:
        return torch.zeros(0)

    def shaped(self, betas: Float[Tensor, "*b s"]) -> Float[Tensor, "*b v 3"]:
        return self.places

    def joints(self, rest: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b j 3"]:
        return rest

    def express(
        self, rest: Float[Tensor, "*b v 3"], expression: Float[Tensor, "*b e"]
    ) -> Float[Tensor, "*b v 3"]:
        return rest

    def arkit(self, weights: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b e"]:
        return weights[..., :3]

    def placed(self, posed: Posed) -> Float[Tensor, "f j 3"]:
        """Joint positions of a pose."""
        rest = self.places.expand(len(posed.pose), -1, -1)
        bones = self.bones(rest, posed.pose, posed.transl)
        return (bones[..., :3, :3] @ rest[..., None])[..., 0] + bones[..., :3, 3]


def moderate(count: int, seed: int) -> Motion:
    """Random poses of about 35 degrees a joint; jaw and eyes, told by the face, rest."""
    rng = torch.Generator().manual_seed(seed)
    rotvec = 0.35 * torch.randn(count, 55, 3, generator=rng)
    rotvec[:, 22:25] = 0
    transl = torch.randn(count, 3, generator=rng)
    return Motion(25.0, roma.rotvec_to_rotmat(rotvec), transl, torch.zeros(count, 52))


def degrees(a: Tensor, b: Tensor) -> float:
    """Largest angle between rotations."""
    return float(torch.rad2deg(roma.rotmat_geodesic_distance(a, b)).max())


def test_a_motion_returns_from_the_body():
    body, motion = Tailor(), moderate(20, 0)
    back = motion_from(body, pose_for(body, motion), fps=25.0)
    # Exact but for float32: acos near 1 resolves about 0.03 degrees.
    assert degrees(back.pose, motion.pose) < 0.2
    torch.testing.assert_close(back.transl, motion.transl, atol=1e-4, rtol=0)


def test_the_rest_pose_is_the_motion_that_leaves_the_body_alone():
    body = Tailor()
    count = len(body.joint_names)
    rest = Posed(torch.eye(3).repeat(1, count, 1, 1), torch.zeros(1, 3), torch.zeros(1, 3))
    again = pose_for(body, motion_from(body, rest))
    assert degrees(again.pose, rest.pose) < 0.2
    torch.testing.assert_close(again.transl, rest.transl, atol=1e-4, rtol=0)


def test_limbs_point_where_the_motion_says():
    """Directions come from forward kinematics of the two skeletons, apart from the code's turns."""
    body, motion = Tailor(), moderate(20, 1)
    own = body.placed(pose_for(body, motion))
    want = positions(motion.pose, motion.transl)
    for side in ("left", "right"):
        for top, bottom in (
            ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "ankle"), ("index1", "index2"),
            ("thumb1", "thumb2"),
        ):  # fmt: skip
            a, b = f"{side}_{top}", f"{side}_{bottom}"
            mine = own[:, body.smplx_joints[b]] - own[:, body.smplx_joints[a]]
            theirs = want[:, INDEX[b]] - want[:, INDEX[a]]
            cosine = torch.nn.functional.cosine_similarity(mine, theirs, dim=-1).min()
            # A limb of two bones bends a little in between when it is also twisted.
            assert cosine > 0.995, (a, float(cosine))


def test_palms_face_down_in_t_pose():
    body = Tailor()
    own = body.placed(pose_for(body, Motion.still()))[0]
    for side in ("left", "right"):
        at = {n: own[body.smplx_joints[f"{side}_{n}"]] for n in ("index1", "pinky1", "wrist")}
        back = torch.linalg.cross(at["index1"] - at["wrist"], at["pinky1"] - at["wrist"])
        up = back / back.norm() * (1 if side == "left" else -1)
        assert float(up[1]) > 0.99


def test_a_wrung_wrist_is_shared_with_the_forearm():
    body, motion = Tailor(), Motion.still()
    straight = pose_for(body, motion)
    motion.pose[:, INDEX["left_wrist"]] = roma.rotvec_to_rotmat(torch.tensor([1.0, 0.0, 0.0]))
    wrung = pose_for(body, motion)
    bones = [body.bones(body.places, p.pose[0], p.transl[0])[:, :3, :3] for p in (straight, wrung)]
    turned = {
        name: float(roma.rotmat_to_rotvec(bones[1][j] @ bones[0][j].T).norm())
        for j, name in enumerate(body.joint_names)
    }
    assert turned["left_wrist"] == pytest.approx(1.0, abs=1e-3)
    assert turned["left_elbow_twist"] == pytest.approx(0.5, abs=1e-3)
    assert 0.1 < turned["left_elbow"] < 0.4
    assert turned["left_shoulder_twist"] == pytest.approx(0.0, abs=1e-3)


def test_a_bend_of_the_spine_is_spread():
    body, motion = Tailor(), Motion.still()
    motion.pose[:, INDEX["spine1"]] = roma.rotvec_to_rotmat(torch.tensor([0.6, 0.0, 0.0]))
    pose = roma.rotmat_to_rotvec(pose_for(body, motion).pose[0])
    for name in ("lumbar", "spine1"):
        assert float(pose[body.joint_names.index(name), 0]) == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("name", POSES)
def test_the_lower_foot_of_every_preset_is_on_the_floor(name: str):
    body = Tailor()
    own = body.placed(pose_for(body, pose_preset(name)))[0]
    feet = [body.smplx_joints[f"{s}_{p}"] for s in ("left", "right") for p in ("ankle", "foot")]
    assert float((own - body.places)[feet, 1].min()) == pytest.approx(0.0, abs=2e-3)


def test_a_body_without_a_knee_is_refused():
    body = Tailor()
    del body.smplx_joints["left_knee"]
    with pytest.raises(ValueError, match="no joint for left_knee"):
        pose_for(body, Motion.still())


def test_smplx_itself_takes_the_pose_as_it_is():
    """On a body that rests in the T-pose without extra bones nothing is to be done but the share
    of the wrist's twist; with wrists at rest, nothing at all."""
    body = Tailor()
    body.joint_names, body.parents = SMPLX_JOINTS, torch.tensor(PARENTS)
    body.places, body.smplx_joints = T_POSE, dict(INDEX)
    motion = grounded(moderate(5, 2))
    motion.pose[:, [INDEX["left_wrist"], INDEX["right_wrist"]]] = torch.eye(3)
    posed = pose_for(body, motion)
    assert degrees(turns(posed.pose), turns(motion.pose)) < 0.2
    torch.testing.assert_close(posed.transl, motion.transl, atol=1e-3, rtol=0)


def test_the_elbow_pit_of_a_bent_rest_pose_faces_front_in_t_pose():
    body = Tailor()
    rest = body.places[[body.smplx_joints[name] for name in SMPLX_JOINTS]]
    turn = calibration(rest)
    for side, down in (("left", -1.0), ("right", 1.0)):
        a, b, c = (INDEX[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
        hinge = turn[a] @ torch.linalg.cross(rest[b] - rest[a], rest[c] - rest[b])
        wanted = torch.tensor([0.0, down, 0.0])
        torch.testing.assert_close(hinge / hinge.norm(), wanted, atol=1e-4, rtol=0)


def test_a_nod_of_the_neck_leaves_the_shoulders():
    """Even on a body whose spine3 lies below the bone that the collars hang from."""
    body, motion = Tailor(), Motion.still()
    names = list(body.joint_names)
    body.smplx_joints["spine3"] = names.index("spine2")
    body.smplx_joints["spine2"] = names.index("spine1")
    body.smplx_joints["spine1"] = names.index("lumbar")
    before = body.placed(pose_for(body, motion))
    motion.pose[:, INDEX["neck"]] = roma.rotvec_to_rotmat(torch.tensor([0.6, 0.0, 0.0]))
    after = body.placed(pose_for(body, motion))
    collar = body.smplx_joints["left_collar"]
    torch.testing.assert_close(after[:, collar], before[:, collar], atol=1e-5, rtol=0)
