"""SMPL-X from a file of the right keys and shapes, its values made up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from incarnate.body.smplx import NUM_JOINTS, NUM_VERTICES, SMPLX_NAMES, SmplX
from incarnate.motion.arkit import ARKIT_NAMES

PARENTS = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
           20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
           21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53]  # fmt: skip


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    owner = rng.integers(0, NUM_JOINTS, NUM_VERTICES)
    regressor = np.zeros((NUM_JOINTS, NUM_VERTICES))
    regressor[owner, np.arange(NUM_VERTICES)] = 1
    return {
        "v_template": rng.normal(size=(NUM_VERTICES, 3)),
        "shapedirs": rng.normal(size=(NUM_VERTICES, 3, 20)) * 0.01,
        "posedirs": np.zeros((NUM_VERTICES, 3, 1)),
        "weights": np.eye(NUM_JOINTS)[owner],
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": np.array([PARENTS, range(NUM_JOINTS)]),
        "f": rng.integers(0, NUM_VERTICES, (50, 3)).astype(np.uint32),
    }


@pytest.fixture(scope="module")
def body(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> SmplX:
    path = tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return SmplX.load(path)


def test_shape_and_expression_are_sums_of_components(
    body: SmplX, arrays: dict[str, np.ndarray]
) -> None:
    betas, expression = torch.zeros(10), torch.zeros(len(body.expression_names))
    betas[3], expression[2] = 2.0, -1.0
    made = body.express(body.shaped(betas), expression).numpy()
    shapes = arrays["shapedirs"]
    np.testing.assert_allclose(
        made, arrays["v_template"] + 2 * shapes[..., 3] - shapes[..., 12], atol=1e-5
    )


def test_the_elbow_turns_what_hangs_on_it(body: SmplX, arrays: dict[str, np.ndarray]) -> None:
    betas, face = body.default_betas(), torch.zeros(len(body.expression_names))
    pose = body.neutral_pose()
    pose[SMPLX_NAMES.index("left_elbow")] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rest = body.shaped(betas)
    made = body.vertices(betas, face, pose, torch.zeros(3))
    elbow = body.joints(rest)[SMPLX_NAMES.index("left_elbow")]
    wrist = torch.from_numpy(arrays["weights"][:, SMPLX_NAMES.index("left_wrist")] > 0)
    offset = rest[wrist] - elbow
    expected = elbow + torch.stack([-offset[:, 1], offset[:, 0], offset[:, 2]], 1)
    torch.testing.assert_close(made[wrist], expected, atol=1e-5, rtol=0)
    other = torch.from_numpy(arrays["weights"][:, SMPLX_NAMES.index("right_wrist")] > 0)
    torch.testing.assert_close(made[other], rest[other], atol=1e-5, rtol=0)


def test_arkit_opens_the_jaw_and_turns_the_eyes(body: SmplX, arrays: dict[str, np.ndarray]) -> None:
    weights = torch.zeros(len(ARKIT_NAMES))
    weights[ARKIT_NAMES.index("jawOpen")] = 1
    rest = body.shaped(body.default_betas())
    moved = body.express(rest, body.arkit(weights)) - rest
    jaw = torch.from_numpy(arrays["weights"][:, SMPLX_NAMES.index("jaw")] > 0)
    assert (moved[~jaw].abs() < 1e-6).all()
    center = body.joints(rest)[SMPLX_NAMES.index("jaw")]
    ahead = (rest[jaw] - center)[:, 2] > 0.5
    assert (moved[jaw][ahead, 1] < 0).any() and not (moved[jaw].norm(dim=-1) < 1e-6).all()
    # About x, downwards for what lies ahead at the joint's height: dy = -sin(angle) dz + ...
    offset = rest[jaw] - center
    angle = torch.tensor(24.0).deg2rad()
    expected = (angle.cos() - 1) * offset[:, 1] - angle.sin() * offset[:, 2]
    torch.testing.assert_close(moved[jaw][:, 1], expected, atol=1e-5, rtol=0)


def test_other_files_are_refused_with_the_reason(
    arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="unpickling can run a stranger's code"):
        SmplX.load(tmp_path / "SMPLX_NEUTRAL.pkl")
    np.savez(tmp_path / "few.npz", v_template=arrays["v_template"])
    with pytest.raises(ValueError, match="lacks shapedirs"):
        SmplX.load(tmp_path / "few.npz")
    np.savez(
        tmp_path / "smpl.npz", allow_pickle=False, **{**arrays, "v_template": np.zeros((6890, 3))}
    )
    with pytest.raises(ValueError, match="v_template"):
        SmplX.load(tmp_path / "smpl.npz")
    (tmp_path / "bad.npz").write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match=r"bad\.npz"):
        SmplX.load(tmp_path / "bad.npz")
