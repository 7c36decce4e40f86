"""Fewer bones a vertex: the fit against an exact solver, and against bones left out by weight."""

import numpy as np
import pytest
import roma
import torch
from scipy.optimize import nnls

from incarnate.body import fewer
from incarnate.body.bending import Hold, centers, skinned
from incarnate.body.fewer import fitted, on_simplex
from incarnate.body.skinning import skin

JOINTS = 7


def scene(seed: int = 0):
    """A cloud of skin on seven bones anywhere, and poses that turn and move each."""
    rng = torch.Generator().manual_seed(seed)
    points = torch.randn(60, 3, generator=rng)
    weights = (torch.rand(60, JOINTS, generator=rng) ** 4).softmax(1)
    weights[:, 5:] *= torch.rand(60, 2, generator=rng) < 0.3
    weights[:3] = torch.eye(JOINTS)[:3]
    weights = weights / weights.sum(1, keepdim=True)
    faces = torch.randint(60, (100, 3), generator=rng)
    bones = torch.eye(4).repeat(12, JOINTS, 1, 1)
    bones[..., :3, :3] = roma.rotvec_to_rotmat(0.6 * torch.randn(12, JOINTS, 3, generator=rng))
    bones[..., :3, 3] = 0.2 * torch.randn(12, JOINTS, 3, generator=rng)
    return points, weights, centers(points, Hold.of(weights), faces), bones


def error(points, weights, about, bones, kept, joints) -> torch.Tensor:
    gaps = [skin(points, kept, joints, b) - skinned(points, weights, b, about) for b in bones]
    return torch.stack(gaps).square().sum((0, 2))


def test_weights_are_what_an_exact_solver_finds_for_the_same_bones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fewer, "FAITH", 1e-6)
    monkeypatch.setattr(fewer, "STEPS", 3000)
    points, weights, about, bones = scene()
    kept, joints = fitted(points, weights, about, bones)
    found = error(points, weights, about, bones, kept, joints)
    for v in range(0, len(points), 7):
        held = joints[v][kept[v] > 0]
        ends = (bones[:, held, :3, :3] @ points[v]) + bones[:, held, :3, 3]
        target = torch.stack([skinned(points, weights, b, about)[v] for b in bones])
        rows = ends.movedim(1, 2).reshape(-1, len(held)).double().numpy()
        heavy = np.concatenate([rows, 1e4 * np.ones((1, len(held)))])  # The sum is to be 1.
        exact, _ = nnls(heavy, np.append(target.flatten().double().numpy(), 1e4))
        np.testing.assert_allclose(kept[v][kept[v] > 0], exact, atol=5e-3)
    assert torch.isfinite(found).all()


def test_four_that_are_fitted_beat_the_four_heaviest_and_skin_of_one_bone_stays():
    points, weights, about, bones = scene(1)
    kept, joints = fitted(points, weights, about, bones)
    assert kept.shape == (60, 4) and (kept >= 0).all()
    torch.testing.assert_close(kept.sum(1), torch.ones(60))
    assert joints[:3, 0].tolist() == [0, 1, 2] and torch.equal(kept[:3, 0], torch.ones(3))
    heaviest, those = weights.topk(4)
    heaviest = heaviest / heaviest.sum(1, keepdim=True)
    ours = error(points, weights, about, bones, kept, joints)
    theirs = error(points, weights, about, bones, heaviest, those)
    assert ours.sum() < 0.9 * theirs.sum()
    assert (ours < theirs + 1e-3).float().mean() > 0.9  # Bones leave one by one: not always best.


def test_the_simplex_is_where_nothing_is_nearer():
    rng = torch.Generator().manual_seed(3)
    values = torch.randn(200, 5, generator=rng)
    free = torch.rand(200, 5, generator=rng) < 0.7
    free[:, 0] = True
    found = on_simplex(values, free)
    torch.testing.assert_close(found.sum(1), torch.ones(200))
    assert (found >= 0).all() and (found[~free] == 0).all()
    others = torch.rand(400, 200, 5, generator=rng) * free
    others = others / others.sum(2, keepdim=True).clamp_min(1e-9)
    others = torch.cat([others, torch.eye(5)[:, None].expand(5, 200, 5) * free])
    valid = (others.sum(2) - 1).abs() < 1e-5
    away = torch.where(valid, (others - values).norm(dim=2), torch.inf)
    assert ((found - values).norm(dim=1) <= away.amin(0) + 1e-5).all()
