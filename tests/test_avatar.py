"""A photo becomes an avatar, end to end, at the quality made for tests."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, coffee

from incarnate import cli
from incarnate.avatar import Avatar
from incarnate.evaluate.likeness import likeness
from incarnate.io.sounds import read_sound


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def avatar(photo: Path) -> Avatar:
    return Avatar.from_photo(photo, "tiny")


def test_what_is_saved_comes_back_and_saves_alike(avatar: Avatar, tmp_path: Path):
    first, again = tmp_path / "first.avatar", tmp_path / "again.avatar"
    avatar.save(first)
    avatar.save(again)
    assert first.read_bytes() == again.read_bytes()
    back = Avatar.load(first)
    ours, theirs = avatar.render(avatar.photo, avatar.camera), back.render(back.photo, back.camera)
    assert (ours.rgb - theirs.rgb).abs().max() < 1 / 255
    assert (ours.alpha - theirs.alpha).abs().max() < 1 / 255
    back.save(again)
    assert first.read_bytes() == again.read_bytes()


def test_same_photo_and_seed_make_the_same_file(avatar: Avatar, photo: Path, tmp_path: Path):
    avatar.save(tmp_path / "one.avatar")
    Avatar.from_photo(photo, "tiny").save(tmp_path / "two.avatar")
    assert (tmp_path / "one.avatar").read_bytes() == (tmp_path / "two.avatar").read_bytes()


def test_the_method_beats_a_flat_picture(avatar: Avatar, photo: Path):
    left, top, right, bottom = (round(edge) for edge in avatar.meta["window"])
    solid = Image.fromarray(astronaut()).crop((left, top, right, bottom))
    small = np.asarray(solid.resize((avatar.camera.width, avatar.camera.height))) / 255.0
    shown = avatar.render(avatar.photo, avatar.camera).alpha.numpy() > 0.5
    flat = -10 * np.log10(np.square(small[shown] - small[shown].mean(0)).mean())
    alike = likeness(avatar, photo)
    assert alike.psnr > flat + 3
    assert alike.iou > 0.9


def test_the_jaw_moves_the_head_alone(avatar: Avatar):
    still = avatar.gaussians(avatar.posed()).means
    moved = avatar.gaussians(avatar.posed(expression="jawOpen=1")).means - still
    body, discs = avatar.surface.body, avatar.surface.discs
    height = avatar.surface.rest[body.faces[discs.faces], 1].mean(1)
    neck = avatar.surface.joints[body.smplx_joints["neck"], 1]
    assert moved[height > neck].norm(dim=1).max() > 0.01
    assert moved[height < neck - 0.05].norm(dim=1).max() < 1e-5


def test_an_avatar_talks_in_its_photo(avatar: Avatar, tmp_path: Path):
    avatar.save(tmp_path / "me.avatar")
    said = ["--say", "Mom.", "--background", "photo", "--size", "96", "--fps", "24", "--quiet"]
    film = tmp_path / "talk.mp4"
    assert cli.main(["talk", str(tmp_path / "me.avatar"), *said, "-o", str(film)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["me.avatar", "talk.mp4"]
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert abs(len(frames) / 24 - read_sound(film).seconds) < 1 / 24 + 0.03  # An AAC frame.
    changes = np.abs(frames[0].astype(int) - frames[len(frames) // 2]).max(-1)
    assert changes[48:].max() > 40, "the mouth moves"
    assert changes[:8, :8].max() < 12, "the photo behind stands still"


def test_a_photo_of_nobody_is_refused(tmp_path: Path):
    Image.fromarray(coffee()).save(tmp_path / "coffee.png")
    with pytest.raises(ValueError, match="no person found in the photo"):
        Avatar.from_photo(tmp_path / "coffee.png", "tiny")
