"""An avatar watched while it is made."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from incarnate.body.anny import Anny
from incarnate.create import captured, from_capture
from incarnate.methods.one_shot_one_talk import PRESETS
from incarnate.progress import Silent
from incarnate.scene import Gaussians
from incarnate.viewer.watch import Watch


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return captured(path, PRESETS["tiny"], None, None, Anny.load(), Silent())


def test_watched_or_not_the_avatar_is_the_same(kept, site, tab, until, tmp_path: Path):
    made = []
    watch = Watch(site, Silent())
    watch.stage("fitting the body")
    for name, report in (("alone", Silent()), ("watched", watch)):
        avatar = from_capture("one-shot", "tiny", PRESETS["tiny"], kept, Anny.load(), report)
        avatar.save(tmp_path / name)
        made.append((tmp_path / name).read_bytes())
    watch.close()
    assert made[0] == made[1]
    # Seen were stand-ins for the body, then the avatar in colours.
    until(lambda: len({len(buffer) for buffer in tab.buffers}) > 1)
    grey = {len(b) for b in tab.buffers if b.any() and plain(b)}
    colored = {len(b) for b in tab.buffers if b.any() and not plain(b)}
    assert grey and colored and not grey & colored
    told = watch._stages.content
    assert "face off, of the iris distance: " in told and "(limit 4.0 %)" in told
    assert told.count("✓ **") == 5 and "appearance" in told and "color 0." in told


def plain(buffer: np.ndarray) -> bool:
    rgb = buffer[:, 7:].copy().view(np.uint8)[:, :3]
    return bool((rgb == rgb[:, :1]).all())


def test_it_waits_while_paused_and_a_step_is_one(site, tab, until):
    watch = Watch(site, Silent())
    done = []

    def work() -> None:
        watch.stage("learning")
        for k in range(3):
            watch.step(k + 1, 3)
            done.append(k)

    tab.set("Pause", True)
    until(lambda: not watch._going.is_set())
    thread = threading.Thread(target=work)
    thread.start()
    for expected in ([], [0], [0, 1]):
        tab.set("Step", True)
        until(lambda expected=expected: done == expected and not watch._steps)
    thread.join(0.5)
    assert thread.is_alive() and done == [0, 1]
    tab.set("Pause", True)  # It says Go on now.
    thread.join(5)
    assert done == [0, 1, 2]


def test_pictures_come_at_intervals(site, avatar):
    cloud = avatar.gaussians(avatar.posed())
    asked = []

    def scene() -> Gaussians:
        asked.append(1)
        return cloud

    watch = Watch(site, Silent())
    watch.stage("appearance")
    for _ in range(50):
        watch.learnt({"color": 0.1}, scene)
    assert len(asked) == 1
