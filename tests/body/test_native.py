"""The compiled kernels of skinning against their definitions in torch, and these by loops."""

import pytest
import torch

from incarnate import _native
from incarnate.body import native, skinning

BATCHES = [(), (3,), (2, 2)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng)


def skin_inputs(batch: tuple[int, ...], n: int) -> list[torch.Tensor]:
    joints = torch.randint(7, (n, 4), generator=torch.Generator().manual_seed(1))
    weights = random(n, 4).softmax(1) * (joints % 3 > 0)  # Some count for nothing.
    bones = random(*batch, 7, 4, 4)
    bones[..., 3, :] = torch.tensor([0.0, 0, 0, 1])
    return [random(*batch, n, 3), weights, joints, bones]


def shape_inputs(batch: tuple[int, ...], n: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    counts = torch.randint(4, (n,), generator=rng)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    shapes = torch.randint(5, (int(counts.sum()),), generator=rng)
    return [random(*batch, 5), random(len(shapes), 3), shapes, starts]


def results(function, inputs: list[torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
    """The value, and gradients to whatever is no index."""
    floats = [x.is_floating_point() for x in inputs]
    inputs = [x.to(dtype).requires_grad_() if f else x for x, f in zip(inputs, floats, strict=True)]
    out = function(*inputs)
    own = [x for x, f in zip(inputs, floats, strict=True) if f]
    return [out.detach(), *torch.autograd.grad(out, own, random(*out.shape, seed=2).to(dtype))]


def assert_same(name: str, inputs: list[torch.Tensor]) -> None:
    ours = results(getattr(native, name), inputs, torch.float32)
    theirs = results(getattr(skinning, name), inputs, torch.float64)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            a.double(), b, rtol=1e-5, atol=1e-6 * max(1, float(b.abs().max()))
        )


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_kernels_agree_with_their_definitions(batch, isa):
    best = _native.instruction_set()
    if isa not in _native.instruction_sets():
        pytest.skip(f"this machine has no {isa}")
    _native.set_instruction_set(isa)
    try:
        assert_same("skin", [x.detach() for x in skin_inputs(batch, 2500)])
        assert_same("blend_shapes", shape_inputs(batch, 2500))
    finally:
        _native.set_instruction_set(best)


def test_the_definition_of_blend_shapes_is_the_loop():
    weights, moves, shapes, starts = shape_inputs((2,), 9)
    wanted = torch.zeros(2, 9, 3)
    for b in range(2):
        for i in range(9):
            for m in range(int(starts[i]), int(starts[i + 1])):
                wanted[b, i] += weights[b, shapes[m]] * moves[m]
    ours = skinning.blend_shapes(weights, moves, shapes, starts)
    torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("name", ["skin", "blend_shapes"])
def test_results_do_not_depend_on_the_number_of_threads(name):
    inputs = skin_inputs((2,), 40_000) if name == "skin" else shape_inputs((2,), 40_000)
    before, found = _native.threads(), []
    try:
        for count in (1, 2, 5):
            _native.set_threads(count)
            found.append(results(getattr(native, name), inputs, torch.float32))
    finally:
        _native.set_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_no_points_are_none():
    assert native.skin(*skin_inputs((), 0)).shape == (0, 3)
    assert native.blend_shapes(*shape_inputs((2,), 0)).shape == (2, 0, 3)


def test_what_points_nowhere_is_refused():
    points, weights, joints, bones = skin_inputs((), 5)
    with pytest.raises(ValueError, match="float64"):
        native.skin(points.double(), weights, joints, bones)
    with pytest.raises(ValueError, match="bone that is not there"):
        native.skin(points, weights, joints + 7, bones)
    with pytest.raises(ValueError, match="shapes want"):
        native.blend_shapes(random(5), random(3, 3), torch.tensor([0, 9, 1]), torch.tensor([0, 3]))
