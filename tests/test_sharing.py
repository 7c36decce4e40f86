"""The page's avatar is ours, but for what its small numbers lose."""

import io
import math
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import roma
import torch

from incarnate.audio import Waveform
from incarnate.avatar import Avatar
from incarnate.avatars.surface import carried, placed, triangle_frames
from incarnate.cli import main
from incarnate.figures import floor
from incarnate.io import page as pages
from incarnate.io.soundtrack import RATE, mp3
from incarnate.motion import POSES, Motion, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.sharing import UNIT, notice, restored, shared
from incarnate.sources import Source
from tests.io.page_reader import read_page
from tests.test_exporting import path as path  # The astronaut.


@pytest.fixture(scope="module")
def avatar(path: Path) -> Avatar:
    return Avatar.load(path)


def walking(sound: bool = False) -> Source:
    motion = walk_cycle(fps=10.0)
    time = np.arange(RATE) / RATE
    tone = Waveform(np.sin(2 * np.pi * 440 * time).astype(np.float32), RATE)
    heard = (lambda: iter([tone])) if sound else None
    return Source(10.0, len(motion), lambda: iter([motion]), heard)


@pytest.fixture(scope="module")
def made(avatar: Avatar):
    return shared(avatar, "me", [("walk", walking(sound=True))], floor(avatar))


def test_its_gaussians_are_ours(avatar, made):
    page, fidelity = made
    faces = torch.from_numpy(page.arrays["faces"].astype(np.int64))
    points = torch.from_numpy(page.arrays["points"])
    own = torch.arange(len(faces)).repeat_interleave(torch.from_numpy(page.arrays["counts"]).int())
    back = {
        name: restored(name, page.arrays[name], page.facts["ranges"]).float()
        for name in ("barycentrics", "offsets", "log_scales", "colors", "opacities")
    }
    frames = triangle_frames(points, faces)
    u, v = back["barycentrics"].unbind(1)
    means = (frames.origins[own] * torch.stack([1 - u - v, u, v], 1)[..., None]).sum(1)
    means = means + (frames.axes[own] * back["offsets"][:, None]).sum(2)
    discs, surface = avatar.surface.discs, avatar.surface
    ours = placed(carried(discs, surface.rest_frames, surface.rest_frames), surface.rest_frames)
    order = discs.faces.argsort(stable=True)
    gaps = (means - ours.means[order] - floor(avatar)).norm(dim=1)
    assert gaps.max() < fidelity.position + 1e-6 < 2e-5
    assert (back["colors"] - discs.colors[order]).abs().max() < 0.5 / 255 + 1e-6
    ratio = (back["log_scales"] - discs.log_scales[order]).abs().max().expm1()
    assert ratio == pytest.approx(fidelity.scale, rel=1e-3)


def test_its_expressions_are_ours(avatar, made):
    page, fidelity = made
    moves = restored("moves", page.arrays["moves"], page.facts["ranges"])
    body, starts = avatar.surface.body, page.arrays["move_starts"]
    own = avatar.surface.body.faces[avatar.surface.discs.faces].unique()
    for shape, (start, end) in enumerate(zip(starts, starts[1:], strict=False)):
        wanted = body.face(torch.eye(len(ARKIT_NAMES))[shape])[own]
        got = torch.zeros_like(wanted)
        got[torch.from_numpy(page.arrays["move_points"][start:end].astype(np.int64))] = moves[
            start:end
        ].float()
        assert (got - wanted).norm(dim=1).max() < fidelity.expression + 1e-7 < 5e-6


def test_a_clip_keeps_every_joint_that_moves(avatar, made):
    page, _ = made
    told = page.facts["clips"][0]
    drives = list(avatar.drives(walk_cycle(fps=10.0)))
    assert told == {"name": "walk", "fps": 10.0, "frames": len(drives), "speaks": False, "sound": 0}
    quats = page.arrays["clip0_quats"] / UNIT
    np.testing.assert_allclose(np.linalg.norm(quats, axis=-1), 1, atol=1e-4)
    joints = page.arrays["clip0_joints"].tolist()
    for number, drive in enumerate(drives):
        pose = torch.eye(3).repeat(len(avatar.surface.joints), 1, 1)
        pose[joints] = roma.unitquat_to_rotmat(torch.from_numpy(quats[number]).float())
        np.testing.assert_allclose(pose, drive.pose, atol=2e-3)
    assert page.facts["poses"] == [*POSES, "photo"]


def test_its_sound_is_an_mp3_as_long_as_the_recording(made):
    page, _ = made
    with av.open(io.BytesIO(page.sounds[0]), "r") as container:
        assert container.streams.audio[0].codec_context.name.startswith("mp3")
        frames = list(container.decode(container.streams.audio[0]))
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert len(heard) / RATE == pytest.approx(1, abs=0.06)
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * RATE / len(heard) == pytest.approx(440, abs=5)


def test_it_says_what_it_is_and_who_agreed(avatar, made):
    assert "generative tool" in made[0].facts["notice"]
    assert made[0].facts["notice"].endswith("Consent: not stated.")
    agreed = replace(avatar, meta=avatar.meta | {"consent": "Ada agreed, 1 May"})
    assert notice(agreed).endswith("Consent: Ada agreed, 1 May")


def test_a_still_motion_of_one_frame_is_kept(avatar):
    one = Motion.still(walk_cycle().pose[0])
    source = Source(30.0, 1, lambda: iter([one]))
    page, _ = shared(avatar, "me", [("still", source)], floor(avatar))
    assert page.facts["clips"][0]["frames"] == 1
    assert page.facts["view"] == "full"
    assert all(math.isfinite(x) for view in page.facts["views"].values() for x in view["center"])


def test_sound_comes_at_one_rate():
    with pytest.raises(ValueError, match="48000 are wanted"):
        mp3(iter([Waveform(np.zeros(100, np.float32), 16_000)]))


def test_the_command_writes_a_page(path, tmp_path, monkeypatch, capsys):
    template = tmp_path / "template.html"
    template.write_text("<title>{{title}}</title>{{data}}")
    monkeypatch.setattr(pages, "TEMPLATE", template)
    out = tmp_path / "me.html"
    walk = str(path.with_name("walk.npz"))
    assert main(["export", str(path), str(out), "-q", "--motion", walk]) == 0
    back = read_page(out)
    assert [clip["name"] for clip in back.facts["clips"]] == ["walk", "idle"]
    template.unlink()
    assert main(["export", str(path), str(out), "-q"]) == 2
    assert "make page" in capsys.readouterr().err
    assert read_page(out).facts == back.facts  # What there was is left alone.
