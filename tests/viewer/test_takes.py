from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from incarnate.audio import Waveform
from incarnate.io import page
from incarnate.io.provenance import read_manifest
from incarnate.io.soundtrack import RATE
from incarnate.io.watermark import read
from incarnate.motion import Motion, walk_cycle
from incarnate.progress import Silent
from incarnate.viewer import takes
from incarnate.viewer.clips import Clip
from incarnate.viewer.looks import Look
from incarnate.viewer.puppet import Bearing, Puppet
from incarnate.viewer.takes import EXPORTS, Studio
from tests.io.page_reader import read_page


@pytest.fixture
def studio(avatar, tmp_path: Path) -> Studio:
    sound = Waveform(np.zeros(RATE // 2, np.float32), RATE)
    said = Clip("said", Motion.still(num_frames=5, fps=10.0), sound=sound)
    file = tmp_path / "me.avatar"
    avatar.save(file)
    return Studio(Puppet(avatar, (said, Clip("walk", walk_cycle(5.0)))), file, tmp_path)


@pytest.fixture
def camera(avatar):
    return avatar.framed(avatar.posed(), width=48, height=64)


def test_pictures_have_names_of_their_own(studio: Studio, avatar, camera):
    first, second = (
        studio.picture(avatar.posed(), camera, Look("parts"), Silent()) for _ in range(2)
    )
    assert (first.name, second.name) == ("me-1.png", "me-2.png")
    with Image.open(first) as one, Image.open(second) as other:
        assert one.size == (48, 64)
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_what_is_taken_says_where_it_comes_from_unless_told_not_to(studio: Studio, avatar):
    camera = avatar.framed(avatar.posed(), "head", width=384, height=384)
    path = studio.picture(avatar.posed(), camera, Look(), Silent())
    manifest = read_manifest(path)
    assert manifest is not None and manifest.making is not None
    assert manifest.making["verb"] == "view" and manifest.state == "valid"
    with Image.open(path) as picture:
        found = read([np.asarray(picture)])
    assert found is not None and f"{found.identity:08x}" == manifest.making["identity"]
    silent = replace(studio, provenance=False)
    assert read_manifest(silent.picture(avatar.posed(), camera, Look(), Silent())) is None


def test_a_page_is_exported_whole(studio: Studio, avatar, monkeypatch):
    template = studio.folder / "template.html"
    template.write_text("{{title}}{{data}}")
    monkeypatch.setattr(page, "TEMPLATE", template)
    (path,) = studio.export(avatar.posed(), ".html", Silent())
    assert read_page(path).facts["poses"]


def test_a_clip_is_filmed_whole_with_its_sound(studio: Studio, camera):
    path = studio.clip(Bearing(clip="said", seconds=0.3), camera, Look(), Silent())
    with av.open(str(path)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 5
        assert film.streams.video[0].average_rate == 10
    with av.open(str(path)) as film:
        assert sum(frame.samples for frame in film.decode(audio=0)) >= RATE // 2 - 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["me-1.mp4", "me.avatar"]
    with pytest.raises(ValueError, match="choose a motion first"):
        studio.clip(Bearing(), camera, Look(), Silent())


def test_a_turn_shows_front_left_back_and_right(studio: Studio, avatar, camera, monkeypatch):
    monkeypatch.setattr(takes, "TURN_SECONDS", 4 / 30)
    path = studio.turn(avatar.posed(), camera, Look(), Silent())
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 4
    apart = [np.abs(frame - frame[0, 0].astype(int)) > 24 for frame in frames]
    wide = [int(one.any(2).any(0).sum()) for one in apart]
    assert min(wide[0], wide[2]) > max(wide[1], wide[3])  # Arms are seen from front and back.


def test_gaussians_are_exported_as_they_stand(studio: Studio, avatar):
    from incarnate.io.splats import read_splats

    drive = avatar.posed("arms-up")
    (path,) = studio.export(drive, ".ply", Silent())
    cloud, back = avatar.gaussians(drive), read_splats(path)
    shift = back.means - cloud.means
    torch.testing.assert_close(shift, shift[:1].expand_as(shift), atol=1e-5, rtol=0)
    assert ".glb" in EXPORTS and ".bvh" not in EXPORTS
