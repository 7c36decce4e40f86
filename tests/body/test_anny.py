"""The embedded body: the values of its package, symmetry, expression, the fast copy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.body.gaze import YAW
from incarnate.motion.arkit import ARKIT_NAMES

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def body() -> Anny:
    return Anny.load()


@pytest.fixture(scope="module")
def rest(body: Anny) -> torch.Tensor:
    return body.shaped(body.default_betas())


def weights(**values: float) -> torch.Tensor:
    out = torch.zeros(len(ARKIT_NAMES))
    for name, value in values.items():
        out[ARKIT_NAMES.index(name)] = value
    return out


def test_shapes_and_faces_are_those_of_the_package(body: Anny) -> None:
    with np.load(Path(__file__).parent / "anny_reference.npz") as reference:
        for i in range(len(reference["positions"])):
            betas = np.concatenate([reference["phenotypes"][i], reference["local"][i]])
            face = torch.from_numpy(reference["face"][i])
            ours = body.express(body.shaped(torch.from_numpy(betas)), face)
            ours = ours[torch.from_numpy(reference["vertices"][i])].numpy()
            # float32 sums of 800 terms; the asset's own rounding is nil.
            np.testing.assert_allclose(ours, reference["positions"][i], atol=1e-5)


def test_symmetric_people_are_symmetric(body: Anny, rest: torch.Tensor) -> None:
    assert body.mirror[body.mirror].tolist() == list(range(body.num_vertices))
    torch.testing.assert_close(rest[body.mirror] * MIRROR, rest, atol=1e-5, rtol=0)
    joints = body.joints(rest)
    twins = [name.replace(".L", ".X").replace(".R", ".L").replace(".X", ".R")
             for name in body.joint_names]  # fmt: skip
    order = [body.joint_names.index(name) for name in twins]
    torch.testing.assert_close(joints[order] * MIRROR, joints, atol=1e-5, rtol=0)


def test_expressions_move_only_the_head(body: Anny, rest: torch.Tensor) -> None:
    moved = (body.express(rest, torch.ones(52)) - rest).norm(dim=-1) > 1e-6
    away = [PARTS.index(p) for p in PARTS if p.startswith(("hand", "foot"))]
    assert not moved[torch.isin(body.part_labels, torch.tensor(away))].any()
    chest = rest[:, 1] < body.joints(rest)[body.joint_names.index("neck01"), 1] - 0.05
    assert not moved[chest].any()
    assert moved[body.region("lips") > 0.5].all()


def test_the_gaze_turns_the_eye_about_its_middle(body: Anny, rest: torch.Tensor) -> None:
    left = body.part_labels == PARTS.index("eye_left")
    pupil = (left & (body.region("pupil") > 0.5)).nonzero()[0]
    center = body.joints(rest)[body.joint_names.index("eye.L")]
    before = (rest[pupil] - center)[0]
    moved = body.express(rest, weights(eyeLookInLeft=1))
    after = (moved[pupil] - center)[0]
    torch.testing.assert_close(after.norm(), before.norm())
    # In is towards the nose, which lies at -x of the left eye.
    angle = torch.atan2(after[0], after[2]) - torch.atan2(before[0], before[2])
    torch.testing.assert_close(angle, torch.tensor(-YAW), atol=1e-4, rtol=0)
    up = body.express(rest, weights(eyeLookUpLeft=1))[pupil] - rest[pupil]
    assert up[0, 1] > 0.003
    right = body.part_labels == PARTS.index("eye_right")
    assert torch.equal(moved[right], rest[right])


def test_eyes_lie_in_their_sockets_whoever_the_person(body: Anny) -> None:
    rng = torch.Generator().manual_seed(0)
    betas = body.default_betas().repeat(4, 1)
    betas[:, :11] = torch.rand(4, 11, generator=rng)
    people = body.shaped(betas)
    ball = people[:, body.part_labels == PARTS.index("eye_left")]
    center = body.joints(people)[:, body.joint_names.index("eye.L")]
    white = body.region("sclera")[body.part_labels == PARTS.index("eye_left")] > 0.5
    radii = (ball[:, white] - center[:, None]).norm(dim=-1)
    assert (radii.std(-1) < 0.03 * radii.mean(-1)).all()


def test_every_vertex_is_drawn_and_skinned(body: Anny) -> None:
    assert body.faces.unique().tolist() == list(range(body.num_vertices))
    torch.testing.assert_close(body.skin_weights.sum(1), torch.ones(body.num_vertices))
    assert body.face_uvs.max() < len(body.uvs)
    assert set(body.part_labels.tolist()) == set(range(len(PARTS)))
    assert (body.parents < torch.arange(len(body.parents))).all()


def test_faces_look_outwards(body: Anny, rest: torch.Tensor) -> None:
    # The signed volume under the closed skin, tongue, teeth and eyes: 0.06 to 0.08 m3 of person.
    a, b, c = rest[body.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert 0.05 < float(volume) < 0.09


def test_joints_lie_inside_their_limbs(body: Anny, rest: torch.Tensor) -> None:
    joints = body.joints(rest)
    points = body.landmarks(rest)
    for joint, landmark, reach in (
        ("lowerleg01.L", "left_knee", 0.03),
        ("lowerarm01.R", "right_elbow", 0.03),
        ("wrist.L", "left_wrist", 0.02),
    ):
        gap = joints[body.joint_names.index(joint)] - points[body.landmark_names.index(landmark)]
        assert gap.norm() < reach, joint


def test_the_reduced_body_agrees_with_the_whole(body: Anny) -> None:
    rng = torch.Generator().manual_seed(1)
    ids = torch.randperm(body.num_vertices, generator=rng)[:500]
    small = body.reduced(ids)
    betas = body.default_betas() + 0.1 * torch.randn(len(body.betas_names), generator=rng)
    face = torch.rand(52, generator=rng)
    angles = 0.2 * torch.randn(len(body.joint_names), 3, generator=rng)
    pose = torch.linalg.matrix_exp(
        torch.linalg.cross(angles[:, None].expand(-1, 3, -1), torch.eye(3).expand(104, 3, 3)).mT
    )
    transl = torch.tensor([0.1, 0.2, 0.3])
    whole = body.vertices(betas, face, pose, transl)
    points = small.vertices(betas, face, pose, transl)
    torch.testing.assert_close(points[:500], whole[ids], atol=2e-6, rtol=0)
    joints = body.joints(body.shaped(betas))
    bones = body.bones(joints, pose, transl)
    posed = (bones[:, :3, :3] @ joints[..., None])[..., 0] + bones[:, :3, 3]
    torch.testing.assert_close(points[500:], posed, atol=2e-6, rtol=0)


def test_every_beta_answers_with_a_slope(body: Anny) -> None:
    betas = body.default_betas().requires_grad_()
    coefficients = torch.linspace(-1, 1, 3 * body.num_vertices).unflatten(0, (-1, 3))
    (body.shaped(betas) * coefficients.sin() * 1e3).sum().backward()
    assert betas.grad is not None and betas.grad.isfinite().all()
    assert (betas.grad != 0).all()


def test_batches_are_many_people(body: Anny) -> None:
    betas = body.default_betas().repeat(2, 1)
    betas[1, 0] = 0.9
    one = torch.stack([body.shaped(b) for b in betas])
    torch.testing.assert_close(body.shaped(betas), one, atol=1e-5, rtol=0)
    assert body.shaped_helpers(betas).shape == (2, len(body.helper_template), 3)


def test_an_unknown_region_is_refused(body: Anny) -> None:
    with pytest.raises(ValueError, match="no region elbow"):
        body.region("elbow")
