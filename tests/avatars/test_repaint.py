"""Colours solved for: renders are linear in them, and overlaps of discs must not show."""

from dataclasses import replace

import torch

from incarnate.avatars.repaint import solved
from incarnate.cameras import look_at
from incarnate.render import render
from incarnate.scene import Gaussians

CAMERA = look_at(torch.tensor([0.0, 0, 2]), torch.zeros(3), 150.0, 96, 96)


def scales(count: int = 600) -> Gaussians:
    """Flat discs on a square of 0.8 m at random depths within 2 mm, that overlap like scales."""
    rng = torch.Generator().manual_seed(0)
    means = torch.rand(count, 3, generator=rng) - 0.5
    means = means * torch.tensor([0.8, 0.8, 0.002])
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4)
    log_scales = torch.tensor([0.03, 0.03, 0.001]).log().expand(count, 3)
    return Gaussians(
        means, quats, log_scales, torch.full((count,), 3.5), torch.full((count, 3), 0.5)
    )


def striped(cloud: Gaussians) -> tuple[Gaussians, torch.Tensor, torch.Tensor]:
    """The discs in the colours of stripes 20 cm wide; the stripes as a picture, and where."""
    x = (torch.arange(96) + 0.5 - 48) / 75
    wave = 0.5 + 0.3 * torch.sin(x * 2 * torch.pi / 0.2)
    mask = ((x.abs() < 0.35)[:, None] & (x.abs() < 0.35)).float()
    own = 0.5 + 0.3 * torch.sin(cloud.means[:, :1] * 2 * torch.pi / 0.2)
    return replace(cloud, colors=own.expand(-1, 3)), wave[None, :, None].expand(96, 96, 3), mask


def gap(cloud: Gaussians, rgb: torch.Tensor, mask: torch.Tensor) -> float:
    shown = render(cloud, CAMERA).rgb
    return float(((shown - rgb) * mask[..., None]).square().sum() / mask.sum())


def test_the_picture_is_met_better_than_by_discs_of_its_own_colours():
    cloud, rgb, mask = striped(scales())
    colors = solved(cloud, torch.ones(600, dtype=torch.bool), [(CAMERA, rgb, mask)])
    assert gap(replace(cloud, colors=colors), rgb, mask) < 0.4 * gap(cloud, rgb, mask)


def test_only_what_is_asked_for_and_shown_changes():
    cloud, rgb, mask = striped(scales())
    mine = cloud.means[:, 0] < 0
    behind = torch.tensor([0.0, 0, -0.5]) + cloud.means[:50]
    far = replace(
        cloud,
        means=torch.cat([cloud.means[50:], behind]),
        colors=cloud.colors.roll(-50, 0),
    )
    mine = torch.cat([mine[50:], torch.ones(50, dtype=torch.bool)])
    colors = solved(far, mine, [(CAMERA, rgb, mask)])
    changed = (colors != far.colors).any(1)
    assert changed[:550][mine[:550]].float().mean() > 0.5
    assert not changed[~mine].any()
    assert changed[550:].float().mean() < 0.2  # Hidden, but for gaps.


def test_a_picture_that_is_met_changes_nothing():
    cloud, _, mask = striped(scales())
    rgb = render(cloud, CAMERA).rgb
    colors = solved(cloud, torch.ones(600, dtype=torch.bool), [(CAMERA, rgb, mask)])
    torch.testing.assert_close(colors, cloud.colors, rtol=0, atol=1e-5)
