from dataclasses import replace

import numpy as np
import pytest
import torch

from incarnate.avatars.garments import LABELS
from incarnate.cameras import look_at
from incarnate.io.pictures import backdrop, finished
from incarnate.scene import Gaussians
from incarnate.viewer.looks import MATERIALS, Look, drawn, legend, painted

CAMERA = look_at(torch.tensor([0.0, 0, 3]), torch.zeros(3), 200.0, 64, 64)


def discs(z: torch.Tensor, quats: torch.Tensor | None = None) -> Gaussians:
    """Opaque discs side by side, at depths, facing +z unless turned."""
    count = len(z)
    x = torch.linspace(-0.35, 0.35, count)
    facing = torch.tensor([1.0, 0, 0, 0]).expand(count, 4) if quats is None else quats
    scales = torch.tensor([0.06, 0.06, 0.001]).log().expand(count, 3)
    means = torch.stack([x, torch.zeros(count), z], 1)
    return Gaussians(means, facing, scales, torch.full((count,), 8.0), torch.rand(count, 3))


def at(picture: np.ndarray, point: torch.Tensor) -> np.ndarray:
    column, row = CAMERA.project(point).long().tolist()
    return picture[row, column].astype(int)


def test_rgb_drawn_here_is_what_render_draws(avatar):
    drive = avatar.posed("waving")
    camera = avatar.framed(drive, width=96, height=128)
    view = avatar.render(drive, camera)
    theirs = finished(view.rgb, view.alpha, backdrop("#0a6432", 96, 128))
    ours = drawn(
        avatar.surface, avatar.gaussians(drive), camera, Look(background=(10, 100, 50), ours=True)
    )
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_alpha_is_white_inside_and_black_outside(avatar):
    scene = discs(torch.zeros(3))
    picture = drawn(avatar.surface, scene, CAMERA, Look("alpha"))
    assert (at(picture, scene.means[1]) > 240).all()
    assert (picture[0, 0] == 0).all()


def test_depth_is_whiter_the_nearer(avatar):
    scene = discs(torch.tensor([0.5, 0.0, -0.5]))
    picture = drawn(avatar.surface, scene, CAMERA, Look("depth"))
    near, middle, far = (at(picture, point)[0] for point in scene.means)
    assert near > middle > far
    assert (picture[0, 0] == 232).all()


def test_normals_are_told_in_the_axes_of_the_camera(avatar):
    half = torch.tensor(torch.pi / 4)  # Of a quarter turn: +z to +x, then +z to +y.
    turns = torch.tensor(
        [
            [half.cos(), 0, half.sin() * 0.5, 0],
            [1.0, 0, 0, 0],
            [half.cos(), -half.sin() * 0.5, 0, 0],
        ]
    )
    scene = discs(torch.zeros(3), turns)
    picture = drawn(avatar.surface, scene, CAMERA, Look("normals"))
    right, facing, up = (at(picture, point) for point in scene.means)
    assert right[0] > 200 and abs(right[1] - 128) < 12
    assert (abs(facing[:2] - 128) < 4).all() and facing[2] > 245
    assert up[1] > 200 and abs(up[0] - 128) < 12


def test_parts_have_a_colour_each(avatar):
    colors = painted(avatar.surface, avatar.gaussians(avatar.posed()), Look("parts"))
    for k in range(len(LABELS)):
        own = colors[avatar.surface.discs.labels == k]
        assert (own == own[0]).all()
        assert (own[0] * 255).round().int().tolist() == list(bytes.fromhex(MATERIALS[k][1:]))
    assert len(colors.unique(dim=0)) == len(LABELS) == len(MATERIALS)


def test_weights_are_brightest_where_the_joint_moves_all(avatar):
    surface = avatar.surface
    joint = surface.body.smplx_joints["head"]
    colors = painted(
        surface, avatar.gaussians(avatar.posed()), Look("weights", surface.body.joint_names[joint])
    )
    corners = surface.weights[surface.body.faces[surface.discs.faces], joint]
    share = (corners * surface.discs.barycentrics).sum(1)
    assert colors[share > 0.99].sum(1).min() > colors[share < 0.01].sum(1).max()
    with pytest.raises(ValueError, match="no joint is called 'wing'"):
        painted(surface, avatar.gaussians(avatar.posed()), Look("weights", "wing"))


def test_large_gaussians_are_yellow_and_fine_ones_dark(avatar):
    scene = discs(torch.zeros(3))
    sizes = torch.tensor([1e-4, 3e-3, 5e-2])[:, None].expand(3, 3).log()
    dark, _, yellow = painted(avatar.surface, replace(scene, log_scales=sizes), Look("scale"))
    assert dark.sum() < 0.8 and yellow[0] > 0.9 and yellow[2] < 0.2


@pytest.mark.parametrize("mode", ["alpha", "normals", "depth", "parts", "weights", "scale"])
def test_colours_that_mean_something_are_explained(mode):
    assert legend(Look(mode))
