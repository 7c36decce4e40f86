"""Forward kinematics and skinning: closed forms, a naive loop, rigid motions, gradients."""

import math

import torch

from incarnate.body.skinning import forward_kinematics, skin
from incarnate.rotations import axis_angle_to_matrix

PARENTS = torch.tensor([-1, 0, 1, 0, 3])


def random_rig(*batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    joints = torch.randn(*batch, 5, 3, generator=rng, dtype=torch.float64)
    angles = torch.randn(*batch, 5, 3, generator=rng, dtype=torch.float64)
    transl = torch.randn(*batch, 3, generator=rng, dtype=torch.float64)
    return joints, axis_angle_to_matrix(angles), transl


def test_an_arm_bent_by_a_right_angle() -> None:
    joints = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 2, 0]])
    pose = torch.eye(3).repeat(5, 1, 1)
    pose[1] = axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 2]))
    bones = forward_kinematics(joints, pose, torch.tensor([0.0, 0, 5]), PARENTS)
    hand = bones[2] @ torch.tensor([3.0, 0, 0, 1])
    torch.testing.assert_close(hand, torch.tensor([1.0, 2, 5, 1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        bones[4] @ torch.tensor([0.0, 2, 0, 1]), torch.tensor([0.0, 2, 5, 1])
    )


def test_the_chain_of_homogeneous_matrices() -> None:
    joints, pose, transl = random_rig()
    expected: list[torch.Tensor] = []
    for j, parent in enumerate(PARENTS.tolist()):
        to, back, turn = (torch.eye(4, dtype=torch.float64) for _ in range(3))
        to[:3, 3], back[:3, 3], turn[:3, :3] = joints[j], -joints[j], pose[j]
        above = torch.eye(4, dtype=torch.float64)
        if parent < 0:
            above[:3, 3] = transl
        else:
            above = expected[parent]
        expected.append(above @ to @ turn @ back)
    torch.testing.assert_close(
        forward_kinematics(joints, pose, transl, PARENTS), torch.stack(expected)
    )


def test_skinning_averages_the_bones() -> None:
    joints, pose, transl = random_rig(2)
    bones = forward_kinematics(joints, pose, transl, PARENTS)
    points = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    which = torch.tensor([[0, 1], [1, 2], [2, 4], [3, 3], [4, 0], [0, 0], [2, 1]])
    expected = torch.zeros(2, 7, 3, dtype=torch.float64)
    for b in range(2):
        for n in range(7):
            for k in range(2):
                moved = bones[b, which[n, k]] @ torch.cat([points[b, n], torch.ones(1).double()])
                expected[b, n] += weights[n, k] * moved[:3]
    torch.testing.assert_close(skin(points, weights, which, bones), expected)


def test_a_turned_root_turns_the_whole_body() -> None:
    joints, pose, transl = random_rig()
    points = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = torch.softmax(torch.arange(14.0).double().reshape(7, 2).sin(), 1)
    which = torch.tensor([[0, 1], [1, 2], [2, 4], [3, 0], [4, 0], [0, 2], [2, 1]])
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 0.5], dtype=torch.float64))

    def posed(pose: torch.Tensor, transl: torch.Tensor) -> torch.Tensor:
        return skin(points, weights, which, forward_kinematics(joints, pose, transl, PARENTS))

    turned = pose.clone()
    turned[0] = turn @ pose[0]
    pivot = joints[0] + transl
    expected = (posed(pose, transl) - pivot) @ turn.T + pivot
    torch.testing.assert_close(posed(turned, transl), expected)


def test_gradients() -> None:
    joints, pose, transl = (t.requires_grad_() for t in random_rig())
    points = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = torch.full((4, 2), 0.5, dtype=torch.float64)
    which = torch.tensor([[0, 1], [1, 2], [2, 4], [3, 4]])

    def posed(points: torch.Tensor, joints: torch.Tensor, pose: torch.Tensor, t: torch.Tensor):
        return skin(points, weights, which, forward_kinematics(joints, pose, t, PARENTS))

    inputs = (points.requires_grad_(), joints, pose, transl)
    assert torch.autograd.gradcheck(posed, inputs, fast_mode=True)
