"""Every figure moves the right way under known damage, and agrees with others' code."""

import math
from pathlib import Path

import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from incarnate import metrics
from incarnate.metrics.perceptual import BLOCKS, Lpips


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.from_numpy(astronaut()[:200, 120:320] / 255.0).float()


def blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(picture.numpy(), (sigma, sigma, 0)))


def shifted(picture: torch.Tensor, pixels: int) -> torch.Tensor:
    return picture.roll(pixels, 1)


def tinted(picture: torch.Tensor, amount: float) -> torch.Tensor:
    return (picture + torch.tensor([amount, 0.0, -amount])).clamp(0, 1)


DAMAGES = {"blur": (blurred, (0.6, 2.0)), "shift": (shifted, (1, 4)), "cast": (tinted, (0.05, 0.2))}
WORSE_IF = {"mse": 1, "l1": 1, "psnr": -1, "ssim": -1}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", WORSE_IF)
def test_more_damage_is_worse(name: str, damage: str, picture: torch.Tensor):
    harm, (little, much) = DAMAGES[damage]
    figure = getattr(metrics, name)
    none, some, more = (
        figure(p, picture) for p in (picture, harm(picture, little), harm(picture, much))
    )
    sign = WORSE_IF[name]
    assert sign * none < sign * some < sign * more


def test_psnr_and_ssim_agree_with_scikit_image(picture: torch.Tensor):
    harmed = tinted(blurred(shifted(picture, 1), 1.0), 0.05)
    a, b = picture.numpy(), harmed.numpy()
    assert metrics.psnr(picture, harmed) == pytest.approx(
        peak_signal_noise_ratio(a, b, data_range=1), abs=1e-3
    )
    theirs = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1,
        channel_axis=2,
    )  # fmt: skip
    assert metrics.ssim(picture, harmed) == pytest.approx(theirs, abs=2e-4)  # float32 variances.


@pytest.mark.parametrize("name", WORSE_IF)
def test_what_lies_outside_the_mask_does_not_count(name: str, picture: torch.Tensor):
    mask = torch.zeros(200, 200)
    mask[20:100] = 1
    harmed = picture.clone()
    harmed[120:] = 0  # Farther from the mask than half a window.
    figure = getattr(metrics, name)
    assert figure(harmed, picture, mask) == figure(picture, picture, mask)
    assert figure(harmed, picture) != figure(picture, picture)
    with pytest.raises(ValueError, match="the mask holds no pixel"):
        figure(harmed, picture, mask * 0)


def test_psnr_has_its_closed_form(picture: torch.Tensor):
    grey = torch.full((16, 16, 3), 0.5)
    assert metrics.psnr(grey, grey + 0.1) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(grey, grey) == 100


def test_silhouettes_of_two_boxes():
    a, b = torch.zeros(40, 40), torch.zeros(40, 40)
    a[:20, :20], b[:20, 10:30] = 1, 1
    assert metrics.silhouette_iou(a, b) == pytest.approx(200 / 600)
    assert metrics.silhouette_iou(a, a) == 1


def test_normals_turned_by_an_angle_are_off_by_it():
    a = torch.zeros(4, 4, 3)
    a[..., 2] = -2.0
    turn = math.radians(25)
    b = torch.zeros(4, 4, 3)
    b[..., 0], b[..., 2] = math.sin(turn), -math.cos(turn)
    assert metrics.normal_error(a, b, torch.ones(4, 4)) == pytest.approx(25, abs=1e-3)


def test_blur_takes_texture_and_an_outline_is_none(picture: torch.Tensor):
    everywhere = torch.ones(200, 200)
    sharp, soft, flat = (
        metrics.texture_energy(p, everywhere) for p in (picture, blurred(picture, 2), picture * 0)
    )
    assert sharp > 2 * soft > 0 == flat
    half = torch.zeros(200, 200)
    half[:, :100] = 1
    two = half[..., None].expand(-1, -1, 3).contiguous()
    assert metrics.texture_energy(two, half) == pytest.approx(0, abs=1e-4)


def test_noise_flickers_and_a_constant_error_does_not(picture: torch.Tensor):
    film = torch.stack([shifted(picture, i) for i in range(4)])
    noise = torch.rand(film.shape, generator=torch.Generator().manual_seed(0)) * 0.1
    assert metrics.flicker(film + 0.2, film) == pytest.approx(0, abs=1e-6)
    assert metrics.flicker(film + noise, film) == pytest.approx(0.1 / 3, rel=0.02)  # E|U - U'|.
    with pytest.raises(ValueError, match="wants at least two"):
        metrics.flicker(film[:1], film[:1])


def official(folder: Path) -> Path:
    """Files laid out as the official ones, of random weights."""
    rng = torch.Generator().manual_seed(0)
    trunk, heads, before = {}, {}, 3
    for number, (block, width) in enumerate(zip(BLOCKS, (64, 128, 256, 512, 512), strict=True)):
        for i in block:
            scale = (2 / before / 9) ** 0.5
            trunk[f"features.{i}.weight"] = torch.randn(width, before, 3, 3, generator=rng) * scale
            trunk[f"features.{i}.bias"] = torch.zeros(width)
            before = width
        heads[f"lin{number}.model.1.weight"] = torch.full((1, width, 1, 1), 0.2)
    torch.save(trunk, folder / "vgg16-397923af.pth")
    torch.save(heads, folder / "vgg.pth")
    return folder


def test_lpips_is_refused_without_its_weights_and_ranks_with_them(
    tmp_path: Path, picture: torch.Tensor
):
    with pytest.raises(OSError, match="LPIPS needs the official weights"):
        Lpips(tmp_path)
    (tmp_path / "vgg16.pth").touch()
    (tmp_path / "vgg.pth").touch()
    with pytest.raises(ValueError, match="holds no LPIPS weights"):
        Lpips(tmp_path)
    small = picture[:64, :64]
    (tmp_path / "vgg16.pth").unlink()
    lpips = Lpips(official(tmp_path))
    assert lpips.distance(small, small) == 0
    assert 0 < lpips.distance(small, blurred(small, 0.6)) < lpips.distance(small, blurred(small, 3))
    # By hand, first block only: unit features, squared gap, one weight for all channels.
    assert lpips.distance(small, small.flip(0)) > lpips.distance(small, blurred(small, 0.6))
