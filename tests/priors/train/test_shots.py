"""Samples as pictures: axes and colours by hand, and the studio's real shards."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from incarnate.motion import SMPLX_JOINTS
from incarnate.priors.train.shards import Shards
from incarnate.priors.train.shots import (
    Shot,
    decoded,
    depth_map,
    mirrored,
    normal_map,
    picture,
    prompt,
    skeleton,
)
from incarnate.progress import Silent
from incarnate.recipe import Framing
from incarnate.studio.shards import DEPTH_UNIT, Order, make

RIGHT_DOWN_AWAY = np.eye(3)  # OpenCV's camera axes.
FILES = ("png", "alpha.png", "normal.png", "depth.png", "json")


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def files(normals, **told):
    """Files of a 2 x 2 picture with these four normals."""
    normals = np.array(normals, dtype=float).reshape(2, 2, 3)
    stored = np.round((normals + 1) * 32767.5).astype(np.uint16)
    return {
        "normal.png": png(stored[..., ::-1]),
        "alpha.png": png(np.full((2, 2), 255, np.uint8)),
        "json": json.dumps({"caption": "a man", **told}).encode(),
    }


def shot(caption="a man", azimuth: float | None = 0.0, framing: Framing | None = "full", **parts):
    return Shot(caption, azimuth, framing, (), None, 2, **parts)


def known(part):
    assert part is not None
    return part


def test_normals_get_humannorms_colours():
    right, down, away = RIGHT_DOWN_AWAY
    seen = normal_map(decoded(files([right, -down, -away, -right])), 2)
    by_hand = [[[1, 0.5, 0.5], [0.5, 1, 0.5]], [[0.5, 0.5, 1], [0, 0.5, 0.5]]]
    np.testing.assert_allclose(seen, by_hand, atol=1 / 30_000)


def test_normals_at_an_edge_are_mixed_with_black_and_none_is_black():
    normal = np.zeros((2, 2, 3), np.float32)
    normal[0] = [0, 0, -1]
    alpha = np.array([[1, 0.25], [0, 0]], np.float32)
    seen = normal_map(shot(normal=normal, alpha=alpha), 2)
    np.testing.assert_allclose(seen[0], [[0.5, 0.5, 1], [0.125, 0.125, 0.25]], atol=1e-6)
    assert not seen[1].any()


def test_shrunk_normals_keep_their_length():
    normal = np.zeros((4, 4, 3), np.float32)
    normal[:, ::2], normal[:, 1::2] = [1, 0, 0], [0, 0, -1]
    seen = normal_map(replace(shot(normal=normal, alpha=np.ones((4, 4), np.float32)), size=4), 2)
    half = 0.5 + 0.5 * 0.5**0.5
    np.testing.assert_allclose(seen, np.broadcast_to([half, 0.5, half], (2, 2, 3)), atol=1e-6)


def test_depth_is_inverse_and_runs_from_the_farthest_to_the_nearest():
    depth = np.array([[2.0, 4.0], [3.0, 0.0]], np.float32)
    alpha = np.array([[1, 1], [1, 0]], np.float32)
    seen = depth_map(shot(depth=depth, alpha=alpha), 2)
    # 1/2 -> 1, 1/4 -> 0, 1/3 -> (1/3 - 1/4) / (1/2 - 1/4).
    np.testing.assert_allclose(seen[..., 0], [[1, 0], [1 / 3, 0]], atol=1e-6)
    assert (seen[..., 0] == seen[..., 1]).all() and (seen[..., 0] == seen[..., 2]).all()
    doubled = depth_map(shot(depth=2 * depth, alpha=alpha), 2)
    np.testing.assert_allclose(doubled, seen, atol=1e-6)


def test_flat_and_empty_depths_are_finite():
    ones = np.ones((2, 2), np.float32)
    assert (depth_map(shot(depth=ones, alpha=ones), 2) == 1).all()
    assert (depth_map(shot(depth=0 * ones, alpha=0 * ones), 2) == 0).all()


@pytest.mark.parametrize(
    ("shows", "says"),
    [
        ("normal", "a man, walking, black background, normal map, only head, left side view"),
        ("depth", "a man, walking, black background, depth map, only head, left side view"),
        ("rgb", "a man, walking, only head, left side view"),
    ],
)
def test_captions_say_what_guidance_will_ask_for(shows, says):
    seen = shot("a man, walking, head and shoulders, side view", azimuth=1.5, framing="head")
    assert prompt(seen, shows) == says


def test_captions_without_a_camera_stay_as_they_are():
    seen = shot("a man, side view", azimuth=None, framing=None)
    assert prompt(seen, "normal") == "a man, side view, black background, normal map"


def test_dropped_parts_leave_what_it_shows_and_the_view():
    seen = shot("a man, walking, front view", azimuth=0.1)
    said = prompt(seen, "normal", np.array([False, True, True]))
    assert said == "walking, black background, normal map, full body, front view"


def test_a_mirrored_shot_is_seen_from_the_other_side():
    right, down, away = RIGHT_DOWN_AWAY
    told = {"azimuth": 1.5, "framing": "full", "joints": [[0.5, 1.0], [1.5, 1.0], [-1, -1]]}
    told["caption"] = "a man with his left leg up"
    names = ("left_hip", "right_hip", "pelvis")
    seen = decoded(files([right, -away, down, -away], **told), names)
    turned = mirrored(seen)
    np.testing.assert_allclose(known(turned.normal)[0], [-away, -right], atol=1e-4)
    np.testing.assert_allclose(known(turned.joints), [[0.5, 1], [1.5, 1], [np.nan, np.nan]])
    assert turned.caption == "a man with his right leg up"
    assert prompt(turned, "rgb").endswith("full body, right side view")
    back = mirrored(turned)
    np.testing.assert_array_equal(back.normal, seen.normal)
    np.testing.assert_array_equal(back.joints, seen.joints)
    assert (back.caption, back.azimuth) == (seen.caption, seen.azimuth)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"json": b"{}"}, "holds no caption"),
        ({"json": b"not json"}, "holds no caption"),
        ({"json": b'{"caption": "a", "framing": "knee"}'}, "framing is 'knee'"),
        ({"normal.png": b""}, "normal.png cannot be read"),
        ({"normal.png": png(np.zeros((2, 2), np.uint8))}, "should have 3 channels"),
        ({"alpha.png": png(np.zeros((3, 3), np.uint8))}, "one square"),
    ],
)
def test_bad_files_are_refused(changes, says):
    good = files(np.zeros((4, 3)))
    decoded(good)
    with pytest.raises(ValueError, match=says):
        decoded({**good, **changes})


def test_missing_joints_are_refused():
    with pytest.raises(ValueError, match="holds no 2 joints"):
        decoded(files(np.zeros((4, 3)), joints=[[1, 2]]), ("pelvis", "neck"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    make(Order(8, size=64), folder, 1, Silent())
    return Shards.of(folder, FILES, named_joints=True)


def test_the_studios_shards_are_read(studio):
    assert len(studio) == 8
    assert studio.joints == SMPLX_JOINTS
    for i in range(8):
        files = studio.files(i)
        seen, told = decoded(files, studio.joints), json.loads(files["json"])
        hit = known(seen.depth) > 0
        length = np.linalg.norm(known(seen.normal), axis=-1)
        np.testing.assert_allclose(length[hit], 1, atol=1e-5)
        assert not length[~hit].any()
        # What is seen faces the camera: away from OpenCV's z, towards HumanNorm's.
        assert (known(seen.normal)[hit][:, 2] < 0).mean() > 0.97
        colors = normal_map(seen, 64)
        solid = seen.alpha == 1
        assert colors[solid & hit][:, 2].mean() > 0.6
        assert not colors[seen.alpha == 0].any()
        assert "black background, normal map" in prompt(seen, "normal")
        assert prompt(seen, "normal").count("view") == 1
        assert picture(seen, "rgb", 32).shape == (32, 32, 3)
        assert told["caption"].startswith(prompt(seen, "rgb").split(",")[0])


def test_the_studios_normals_fit_its_depths(studio):
    """Where depth grows to the right, normals point right; where it grows downwards, down."""
    slopes, pointing = [], []
    for i in range(8):
        seen = decoded(studio.files(i), studio.joints)
        colors, distance = normal_map(seen, 64), DEPTH_UNIT * known(seen.depth)
        slope = np.stack(tuple(np.gradient(distance)), -1)
        near = cv2.erode((distance > 0).astype(np.uint8), np.ones((3, 3))) > 0
        inside = near & (np.abs(slope).max(-1) < 0.05)  # Metres a pixel: not across an edge.
        slopes.append(slope[inside])
        pointing.append(colors[inside][:, 1::-1])
    down, right = np.concatenate(slopes).T
    green, red = np.concatenate(pointing).T
    assert len(red) > 1000
    assert np.corrcoef(right, red)[0, 1] > 0.5
    assert np.corrcoef(down, green)[0, 1] < -0.5


def test_the_studios_skeletons_lie_on_the_person(studio):
    inside = []
    for i in range(8):
        seen = decoded(studio.files(i), studio.joints)
        lines = skeleton(seen, 64).any(-1)
        assert lines.any()
        inside.append((lines & (known(seen.alpha) > 0)).sum() / lines.sum())
    assert np.mean(inside) > 0.85
