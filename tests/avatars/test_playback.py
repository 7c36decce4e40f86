"""Playback against its definition, the surface avatar as a module in torch."""

import copy
from dataclasses import replace

import pytest
import roma
import torch

from incarnate import _native
from incarnate.avatars.playback import Player
from incarnate.avatars.surface import (
    Discs,
    Drive,
    SurfaceAvatar,
    carried,
    dense_weights,
    placed,
    scattered,
    triangle_frames,
)
from incarnate.body.anny import Anny
from incarnate.cameras import orbit
from incarnate.render import render
from incarnate.scene import Gaussians


@pytest.fixture(scope="module")
def surface() -> SurfaceAvatar:
    rng = torch.Generator().manual_seed(0)
    body = Anny.load()
    faces, barycentrics, _ = scattered(torch.ones(len(body.faces)), 5003, rng)
    n = len(faces)
    discs = Discs(
        faces,
        barycentrics,
        0.01 * torch.randn(n, 3, generator=rng),
        6 * torch.rand(n, generator=rng) - 3,
        torch.rand(n, 3, generator=rng) * 2 - 6,
        torch.randn(n, generator=rng),
        torch.rand(n, 3, generator=rng),
        torch.zeros(n, dtype=torch.long),
    )
    weights = dense_weights(body)
    # Skin that hangs on any bones at all, as cloth may: its triangles are torn far open.
    weights[::40] = torch.rand(weights[::40].shape, generator=rng).softmax(1)
    offsets = 0.002 * torch.randn(len(weights), 3, generator=rng)
    return SurfaceAvatar(body, body.default_betas(), offsets, weights, discs)


def drive(seed: int, surface: SurfaceAvatar) -> Drive:
    rng = torch.Generator().manual_seed(seed)
    turns = 0.3 * torch.randn(len(surface.joints), 3, generator=rng)
    expression = torch.rand(52, generator=rng) * (torch.rand(52, generator=rng) > 0.5)
    return Drive(expression, roma.rotvec_to_rotmat(turns), torch.randn(3, generator=rng))


def covariances(cloud: Gaussians) -> torch.Tensor:
    xyzw = torch.nn.functional.normalize(cloud.quats, dim=1).roll(-1, 1)
    axes = roma.unitquat_to_rotmat(xyzw) * cloud.scales[:, None]
    return axes @ axes.mT


def relative_error(ours: Gaussians, wanted: Gaussians) -> torch.Tensor:
    """How far covariances are off, in units of the largest scale's square."""
    largest = wanted.scales.amax(1)[:, None, None] ** 2
    return ((covariances(ours) - covariances(wanted)) / largest).abs().amax((1, 2))


def on_corners(vertices: torch.Tensor, surface: SurfaceAvatar) -> Gaussians:
    """The definition's Gaussians on a mesh as it is, in float64."""
    body, discs = surface.body, surface.discs
    wide = Discs(
        discs.faces,
        discs.barycentrics.double(),
        discs.offsets.double(),
        discs.spins.double(),
        discs.log_scales.double(),
        discs.logit_opacities.double(),
        discs.colors.double(),
        discs.labels,
    )
    rest = triangle_frames((surface.rest + surface.vertex_offsets).double(), body.faces)
    frames = triangle_frames(vertices.double(), body.faces)
    return placed(carried(wide, rest, frames), frames)


def heights(vertices: torch.Tensor, surface: SurfaceAvatar) -> torch.Tensor:
    """The least height of each disc's triangle."""
    a, b, c = vertices[surface.body.faces[surface.discs.faces]].unbind(1)
    longest = torch.stack([(b - a).norm(dim=1), (c - b).norm(dim=1), (a - c).norm(dim=1)]).amax(0)
    return torch.linalg.cross(b - a, c - a).norm(dim=1) / longest


def assert_same(player: Player, surface: SurfaceAvatar, now: Drive) -> None:
    with torch.no_grad():
        vertices, cloud = surface.vertices(now), surface(now)
    # Chains of a dozen products of numbers up to 4 m, each rounded to 6e-8 of itself.
    torch.testing.assert_close(player.vertices(now), vertices, rtol=0, atol=5e-6)
    # So far may a triangle turn and stretch that has such corners: radians, and shares of one.
    rest = surface.rest + surface.vertex_offsets
    unsure = 5e-6 * (1 / heights(vertices, surface) + 1 / heights(rest, surface))
    ours = player.gaussians(now)
    error = (ours.means - cloud.means).norm(dim=1)
    assert (error < 5e-6 + unsure * surface.discs.offsets.norm(dim=1)).all()
    # Round discs may turn freely: covariances are compared.
    assert (relative_error(ours, cloud) < 1e-5 + 4 * unsure).all()
    # Without what the corners are off, 1e-7 m of edges of a centimetre: a few roundings of 6e-8.
    assert relative_error(ours, on_corners(player.vertices(now), surface)).median() < 1e-6
    low, high = surface.discs.log_scales[:, :2].aminmax(dim=1)
    shrunk, grown = ours.log_scales[:, :2] - low[:, None], ours.log_scales[:, :2] - high[:, None]
    inside = (shrunk > -1.09862) & (grown < 1.09862)  # log 3
    assert inside.all() and torch.equal(ours.logit_opacities, cloud.logit_opacities)


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_frames_are_those_of_the_definition(surface: SurfaceAvatar, isa: str):
    best = _native.instruction_set()
    try:
        _native.set_instruction_set(isa)
    except ValueError:
        pytest.skip(f"this machine has no {isa}")
    try:
        player = Player(surface)
        for seed in range(3):
            assert_same(player, surface, drive(seed, surface))
    finally:
        _native.set_instruction_set(best)


def test_a_frame_that_differs_anywhere_is_worked_out_anew(surface: SurfaceAvatar):
    player, now = Player(surface), drive(0, surface)
    first = player.gaussians(now)
    assert torch.equal(player.gaussians(now).means, first.means)
    for other in (
        replace(now, transl=now.transl + 0.1),
        replace(now, expression=now.expression.flip(0)),
        replace(now, pose=now.pose.mT),
    ):
        assert not torch.equal(player.gaussians(other).means, first.means)
        assert torch.equal(player.gaussians(now).means, first.means)
    now.transl[0] += 1  # The same drive, changed in place.
    moved = player.gaussians(now).means - first.means
    assert (moved - torch.tensor([1.0, 0, 0])).abs().median() < 1e-6


def test_a_view_is_the_picture_of_the_gaussians(surface: SurfaceAvatar):
    player, now = Player(surface), drive(1, surface)
    cloud = player.gaussians(now)
    camera = orbit(cloud.means.mean(0), 2.0, 0.3, 0.1, 96, 128)
    background = torch.tensor([0.1, 0.5, 0.9])
    seen, wanted = player.view(now, camera, background), render(cloud, camera, background)
    # Scales went through a logarithm and back.
    torch.testing.assert_close(seen.rgb, wanted.rgb, rtol=0, atol=1e-3)
    assert (seen.rgb - wanted.rgb).abs().mean() < 1e-6


def test_a_triangle_without_area_has_finite_gaussians(surface: SurfaceAvatar):
    flat = replace(drive(0, surface), pose=torch.zeros(len(surface.joints), 3, 3))
    cloud = Player(surface).gaussians(flat)
    assert cloud.means.isfinite().all() and cloud.log_scales.isfinite().all()


def test_what_cannot_be_played_is_refused(surface: SurfaceAvatar):
    with pytest.raises(ValueError, match="float64"):
        Player(copy.deepcopy(surface).double())
