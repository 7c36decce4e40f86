"""The real server, on loopback, and tabs that speak its protocol."""

import threading
import urllib.request
from pathlib import Path

import pytest
import torch
import websockets.exceptions
from viser import _messages

from incarnate.viewer.puppet import Puppet
from incarnate.viewer.show import Show, fitted
from incarnate.viewer.site import HOST, Site
from incarnate.viewer.splats import SCALE
from incarnate.viewer.takes import Studio


@pytest.fixture
def show(site, avatar, tmp_path: Path):
    """An avatar on the site, followed in a thread."""
    stop = threading.Event()
    show = Show(site, Studio(Puppet(avatar), tmp_path / "me.avatar", tmp_path), None)
    thread = threading.Thread(target=show.run, args=(stop,))
    thread.start()
    yield show
    stop.set()
    thread.join(10)


def test_it_answers_on_loopback_alone(site: Site):
    sockets = site.server._websock_server
    assert sockets._host == HOST == "127.0.0.1"
    with urllib.request.urlopen(site.url, timeout=10) as page:
        assert page.status == 200
        assert b"<html" in page.read().lower()


def test_a_tab_is_sent_the_avatar_as_it_is_held(show, tab, avatar, until):
    first = until(tab.newer)
    cloud = avatar.gaussians(avatar.posed())
    means = torch.from_numpy(first[:, :3].copy().view("float32"))
    torch.testing.assert_close(means, SCALE * cloud.means)
    tab.set("pose", "arms-up")
    up = until(lambda: tab.newer(first))
    means = torch.from_numpy(up[:, :3].copy().view("float32"))
    torch.testing.assert_close(means, SCALE * avatar.gaussians(avatar.posed("arms-up")).means)


def test_a_slider_and_a_mode_change_what_is_sent(show, tab, avatar, until):
    first = until(tab.newer)
    tab.set("nod", 40.0)
    nodded = until(lambda: tab.newer(first))
    moved = (nodded[:, :3] != first[:, :3]).any(1)
    head = avatar.surface.body.region("head")
    carried = avatar.surface.body.faces[avatar.surface.discs.faces]
    assert moved[(head[carried] > 0.9).all(1).numpy()].all()
    tab.set("show", "parts")
    painted = until(lambda: tab.newer(nodded))
    assert len(set((painted[:, 7] & 0xFFFFFF).tolist())) == 10


def test_what_belongs_to_a_camera_is_drawn_behind(show, tab, until):
    tab.set("show", "depth")
    until(lambda: [m for m in tab.of_type("BackgroundImageMessage") if m["format"] == "jpeg"])
    until(lambda: [m for m in tab.of_type("SetSceneNodeVisibilityMessage") if not m["visible"]])


def test_pages_of_other_sites_are_turned_away(show, site, visitor, until):
    with visitor(site.url, origin="http://elsewhere.example") as stranger:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            for _ in range(200):
                stranger.looks()
                stranger._reader.join(0.02)
        assert not stranger.buffers
    with visitor(site.url, origin=site.url) as own:
        own.looks()
        until(lambda: own.buffers)


def test_nobody_can_have_it_led_into_the_world(site, tab):
    assert _messages.ShareUrlRequest not in site.server._websock_server._incoming_handlers


@pytest.mark.parametrize("size", [(400, 300), (3000, 100), (100, 4000)])
def test_pictures_are_small_enough_and_of_the_same_shape(size: tuple[int, int]):
    width, height = fitted(*size, 10_000)
    assert width * height <= 10_000 * 1.1
    assert width / height == pytest.approx(size[0] / size[1], rel=0.1)
    assert fitted(*size, 10**9) == size
