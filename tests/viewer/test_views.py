import math

import pytest
import torch

from incarnate.cameras import look_at
from incarnate.rotations import matrix_to_quat
from incarnate.viewer.splats import SCALE
from incarnate.viewer.views import around, eye, of_photo, orbited, preset, seen

POINTS = torch.tensor([[0.1, 1.2, 0.0], [-0.3, 0.8, 0.1], [0.0, 1.6, -0.1]])


def through_a_tab(view, width: int, height: int):
    """The camera of a tab that was made to look so, by viser's rules: z ahead, -y nearest to up."""
    place, target, up = (torch.tensor(v) for v in (view.position, view.target, view.up))
    ahead = torch.nn.functional.normalize(target - place, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(ahead, up), dim=0)
    turn = torch.stack([right, torch.linalg.cross(ahead, right), ahead], 1)
    return seen(matrix_to_quat(turn[None])[0], place, view.fov, width, height)


def test_a_tab_sees_what_the_camera_sees():
    camera = look_at(torch.tensor([1.0, 1.5, 3]), torch.tensor([0.0, 1, 0]), 500.0, 400, 300)
    tab = through_a_tab(eye(camera, 3.0), 400, 300)
    torch.testing.assert_close(tab.project(POINTS), camera.project(POINTS), atol=0.02, rtol=0)


def test_the_middle_of_a_crop_is_in_the_middle_of_the_tab():
    camera = look_at(torch.tensor([0.0, 1, 3]), torch.tensor([0.0, 1, 0]), 500.0, 400, 300)
    crop = camera.cropped(150, 20, 160, 240)
    middle = torch.tensor([[80.0, 120.0]])
    view = eye(crop, 2.0)
    target = torch.tensor(view.target) / SCALE
    torch.testing.assert_close(crop.project(target[None]), middle, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("side", "way"),
    [("front", (0, 1)), ("left", (1, 0)), ("back", (0, -1)), ("right", (-1, 0))],
)
def test_sides_are_the_person_s_own(avatar, side, way):
    view = preset(avatar, avatar.posed(), "full", side, 1.5)
    place, target = torch.tensor(view.position), torch.tensor(view.target)
    ahead = (place - target)[[0, 2]]
    assert ahead @ torch.tensor(way, dtype=torch.float) > 0.99 * ahead.norm()


@pytest.mark.parametrize("aspect", [0.4, 1.0, 2.5])
def test_a_preset_and_the_photo_show_all_of_the_person(avatar, aspect: float):
    size = round(1000 * aspect), 1000
    for drive, view in (
        (avatar.posed(), preset(avatar, avatar.posed(), "full", "left", aspect)),
        (avatar.photo, of_photo(avatar, aspect)),
    ):
        vertices = avatar.player.vertices(drive)
        if drive is avatar.photo:  # Its camera sees only a part of them.
            own, edge = avatar.camera.project(vertices), torch.tensor([120.0, 160.0])
            vertices = vertices[((own > 0) & (own < edge)).all(1)]
        pixels = through_a_tab(view, *size).project(vertices)
        assert (pixels >= -1).all() and (pixels <= torch.tensor(size) + 1).all()


def test_a_walk_round_is_the_same_for_tabs_and_for_cameras(avatar):
    camera = avatar.framed(avatar.posed(), width=200, height=200)
    center = camera.center + 3.0 * camera.world_to_camera[2, :3]
    tab = through_a_tab(orbited(eye(camera, 3.0), 0.7), 200, 200)
    mine = around(camera, center, 0.7)
    torch.testing.assert_close(tab.project(POINTS), mine.project(POINTS), atol=0.02, rtol=0)
    to_left = around(camera, center, math.pi / 2).center - center
    assert to_left[0] > 2.9  # A quarter turn on, at the person's left.
