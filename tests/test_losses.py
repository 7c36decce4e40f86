import pytest
import torch
from skimage.metrics import structural_similarity

from incarnate import _native
from incarnate.losses import l1, ssim


def pictures(height: int = 43, width: int = 57, channels: int = 3) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(0)
    a = torch.rand(height, width, channels, generator=rng)
    noise = torch.randn(height, width, channels, generator=rng)
    return a, (a + 0.2 * noise).clamp(0, 1)


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_ssim_is_the_one_of_skimage(backend):
    a, b = pictures()
    wanted = structural_similarity(
        a.double().numpy(),
        b.double().numpy(),
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    assert ssim(a, b, backend).item() == pytest.approx(wanted, abs=1e-6)


@pytest.fixture(params=_native.instruction_sets())
def instruction_set(request):
    best = _native.instruction_set()
    _native.set_instruction_set(request.param)
    yield request.param
    _native.set_instruction_set(best)


# Strips of 128 columns, tasks of 32 rows: fewer and more, and a window that reaches over a strip.
SHAPES = [(11, 11, 1), (12, 30, 4), (43, 57, 3), (77, 53, 3), (45, 149, 1), (44, 31, 17)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("instruction_set")
def test_native_ssim_agrees_with_its_definition(shape):
    results = []
    for backend in ("torch", "native"):
        a, b = (p.requires_grad_() for p in pictures(*shape))
        mean = ssim(a, b, backend)
        (3 * mean).backward()
        results.append((mean.detach(), a.grad, b.grad))
    for theirs, ours in zip(*results, strict=True):
        # Float32 variances as differences: 1e-6 of the largest slope, with room.
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


@pytest.mark.parametrize(
    "brightness", [(0.0, 0.0), (1.0, 1.0), (1.0, 0.9), (0.5, 0.45), (0.02, 0.0)]
)
@pytest.mark.usefixtures("instruction_set")
def test_native_ssim_of_flat_pictures_has_no_variance_to_lose(brightness):
    results = []
    for precise in (True, False):
        a, b = (torch.full((43, 57, 3), x, requires_grad=True) for x in brightness)
        one, other = (a.double(), b.double()) if precise else (a, b)
        mean = ssim(one, other, "torch" if precise else "native")
        (1e3 * mean).backward()
        results.append((mean.detach().float(), a.grad, b.grad))
    (mean, *wanted), (ours, *gradients) = results
    # Float32 weights sum to 1 but for 1e-7: so much is left of a variance, beside a C2 of 9e-4.
    assert ours.item() == pytest.approx(mean.item(), abs=1e-5)
    for theirs, own in zip(wanted, gradients, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-3, atol=5e-5)


def test_native_ssim_does_not_depend_on_threads():
    had, results = _native.threads(), []
    try:
        for count in (1, 3):
            _native.set_threads(count)
            a, b = pictures(150, 57)
            mean = ssim(a.requires_grad_(), b)
            mean.backward()
            results.append((mean.detach(), a.grad))
    finally:
        _native.set_threads(had)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_ssim_of_a_picture_with_itself_is_one_and_is_highest():
    a, _ = pictures()
    same = a.clone().requires_grad_()
    mean = ssim(same, a)
    mean.backward()
    assert mean.item() == pytest.approx(1, abs=1e-6)
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-6


def test_ssim_refuses_what_is_smaller_than_its_window():
    with pytest.raises(ValueError, match="11 x 11"):
        a, b = pictures(10, 30)
        ssim(a, b)


def test_native_ssim_refuses_what_the_core_does_not_take():
    a, b = pictures()
    with pytest.raises(ValueError, match="b came as torch.float64 .* use backend='torch'"):
        ssim(a, b.double())


def test_l1_counts_only_weighed_pixels():
    a, b = torch.zeros(4, 4, 3), torch.ones(4, 4, 3)
    b[:2] = 0.25
    weights = torch.zeros(4, 4)
    assert l1(a, b).item() == pytest.approx(0.625)
    assert l1(a, b, weights).item() == 0
    weights[:2] = 2
    assert l1(a, b, weights).item() == pytest.approx(0.25)
