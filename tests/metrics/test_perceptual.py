"""The embedded distance: what a distance must do, on a photo, of which it learnt nothing."""

import pytest
import torch
from jaxtyping import Float
from skimage.data import astronaut, coffee
from torch import Tensor

from incarnate import weights
from incarnate.metrics.perceptual import StudioDistance


@pytest.fixture(scope="module")
def judge() -> StudioDistance:
    return StudioDistance()


@pytest.fixture(scope="module")
def photo() -> Float[Tensor, "h w 3"]:
    return torch.from_numpy(astronaut()[20:276, 130:386]).float() / 255


def blurred(rgb: Tensor, reach: int) -> Tensor:
    planes = torch.nn.functional.pad(rgb.permute(2, 0, 1)[None], (reach,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(planes, 2 * reach + 1, 1)[0].permute(1, 2, 0)


def noisy(rgb: Tensor, amount: float) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return (rgb + amount * torch.randn(rgb.shape, generator=rng)).clamp(0, 1)


def shifted(rgb: Tensor, pixels: float) -> Tensor:
    return rgb.roll(round(pixels), 1)


DAMAGES = {
    "blur": (blurred, (1, 2, 4, 8)),
    "noise": (noisy, (0.02, 0.05, 0.1, 0.2)),
    "shift": (shifted, (1, 3, 6, 12)),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_more_damage_is_farther(kind: str, judge: StudioDistance, photo: Tensor):
    damage, amounts = DAMAGES[kind]
    far = [judge.distance(photo, damage(photo, amount)) for amount in amounts]
    assert far == sorted(far) and far[0] > 0 and far[-1] > 2 * far[0]


def test_equal_pictures_are_not_apart_and_order_does_not_count(
    judge: StudioDistance, photo: Tensor
):
    other = torch.from_numpy(coffee()[:256, :256]).float() / 255
    assert judge.distance(photo, photo.clone()) == 0
    assert judge.distance(photo, other) == pytest.approx(judge.distance(other, photo), rel=1e-5)


def test_another_picture_is_farther_than_a_shifted_one_though_squares_say_otherwise(
    judge: StudioDistance, photo: Tensor
):
    """What it is for: a shift of 3 pixels costs more squared error than a strong blur."""
    moved, soft = shifted(photo, 3), blurred(photo, 3)
    assert (moved - photo).square().mean() > (soft - photo).square().mean()
    assert judge.distance(photo, moved) < judge.distance(photo, soft)


def test_it_is_small_and_says_what_it_wants(judge: StudioDistance):
    assert weights.path("perceptual").stat().st_size <= 500_000
    with pytest.raises(ValueError, match="15 x 40 pixels and wants 16"):
        judge.distance(torch.zeros(40, 15, 3), torch.zeros(40, 15, 3))
