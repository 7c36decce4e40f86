"""`incarnate inspect`, on what the other verbs write; and what their files must not carry."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from PIL.ExifTags import GPS, IFD, Base
from skimage.data import astronaut

from incarnate import create, exporting
from incarnate.avatar import Avatar
from incarnate.cli import main
from incarnate.io.provenance import read_manifest
from incarnate.origins import identity, origin
from incarnate.progress import Lines, Silent
from incarnate.verbs import Render, Shot
from tests.priors import tiny_embedded

SECRET = "Quittengelee-4711"
CONSENT = "I, Eileen, agree to \x1b[31mfilms\x1b[0m of me for the museum."


def photo(path: Path) -> Path:
    """A portrait whose file tells where, when and by whom it was taken, wherever a file can."""
    image = Image.fromarray(astronaut())
    exif = Image.Exif()
    exif[Base.Artist.value] = exif[Base.ImageDescription.value] = SECRET
    exif.get_ifd(IFD.Exif)[Base.UserComment.value] = SECRET.encode()
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSLatitudeRef.value] = "N"
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude.value] = (48.0, 8.0, 13.37)
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSAreaInformation.value] = SECRET.encode()
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>{SECRET}</a></x:xmpmeta>'.encode()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(path, exif=exif, xmp=xmp, icc_profile=profile + SECRET.encode(), comment=SECRET)
    assert path.read_bytes().count(SECRET.encode()) >= 6
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar of that photo, made with consent, and one file of each kind made of it."""
    folder = tmp_path_factory.mktemp("inspect")
    found = create.with_photo(photo(folder / "me.jpg"), "tiny", None, 0, None, Silent())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(create, "with_photo", lambda *_: found)
        made = ("-o", folder / "me.avatar", "--no-review", "--consent", CONSENT)
        run("create", folder / "me.jpg", *made)
    small = ("--size", "384", "--framing", "head")
    of = folder / "me.avatar"
    run("render", of, "-o", folder / "me.png", *small)
    run("render", of, "-o", folder / "me.jpeg", *small, "--background", "photo")
    run("render", of, "-o", folder / "clear.png", *small, "--background", "none")
    run("render", of, "-o", folder / "me.mp4", *small, "--frames", "4")
    run("render", of, "-o", folder / "me.webm", *small, "--frames", "4")
    run("talk", of, "--say", "Hm.", "-o", folder / "hm.mp4", "--size", "384", "--seed", "5")
    whole = exporting.pictures
    with pytest.MonkeyPatch.context() as patch:  # Three views of 53: quicker, as good for this.
        patch.setattr(exporting, "pictures", lambda avatar: whole(avatar)[-3:])
        run("export", of, folder / "me.glb", "--texture", "64")
    run("export", of, folder / "me.ply")
    return folder


def run(*said: object) -> None:
    assert main([*map(str, said), "-q"]) == 0


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main(["inspect", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


MARKED = {"me.png": "picture", "me.jpeg": "picture", "clear.png": "picture"}
FILMED = {"me.mp4": "film", "me.webm": "film", "hm.mp4": "film"}


@pytest.mark.parametrize("name", [*MARKED, *FILMED, "me.glb", "me.ply"])
def test_every_kind_says_where_it_comes_from(name: str, folder: Path, capsys):
    found = told(folder / name, capsys)
    said = found["credentials"]
    assert said["state"] == "valid" and said["source"] == "trainedAlgorithmicMedia"
    assert said["consent"] == CONSENT
    verb = {"hm.mp4": "talk", "me.glb": "export", "me.ply": "export"}.get(name, "render")
    seed = {"talk": 5, "export": 0, "render": None}[verb]
    own = identity(folder / "me.avatar")
    assert said["making"] == {
        "verb": verb,
        "method": "one-shot-one-talk",
        "seed": seed,
        "avatar_seed": 0,
        "identity": own,
    }
    assert found["searched"] == (MARKED | FILMED).get(name)
    if found["searched"]:
        assert found["watermark"]["identity"] == own
        assert found["watermark"]["frames"] >= (4 if name in FILMED else 1)
    else:
        assert found["watermark"] is None


def test_an_avatar_tells_its_consent_and_what_its_pictures_say(folder: Path, capsys):
    found = told(folder / "me.avatar", capsys)
    assert found["avatar"]["consent"] == CONSENT
    assert found["avatar"]["identity"] == identity(folder / "me.avatar")
    assert found["avatar"]["facts"]["method"] == "one-shot-one-talk"


def test_people_read_it_too_and_terminals_are_not_told_what_to_do(folder: Path, capsys):
    assert main(["inspect", str(folder / "me.mp4"), "-q"]) == 0
    out = capsys.readouterr().out
    assert "credentials   embedded; hold; nobody trusted vouches for the signer" in out
    assert "consent       I, Eileen, agree to" in out and "\x1b" not in out
    assert f"watermark     {identity(folder / 'me.avatar')}, by 32 of 32 check bits" in out


def test_what_is_taken_off_is_told(folder: Path, tmp_path: Path, capsys):
    copied = Image.open(folder / "me.png")
    copied.save(tmp_path / "again.jpg", quality=85)
    found = told(tmp_path / "again.jpg", capsys)
    assert found["credentials"] is None
    assert found["watermark"]["identity"] == identity(folder / "me.avatar")
    data = bytearray((folder / "me.mp4").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    assert main(["inspect", str(tmp_path / "changed.mp4"), "-q"]) == 0
    assert "DO NOT HOLD" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["me.png", "me.mp4", "me.ply"])
def test_nothing_is_said_if_so_asked(name: str, folder: Path, tmp_path: Path, capsys):
    out = tmp_path / name
    if name.endswith("ply"):
        said = ["export", folder / "me.avatar", out]
    else:
        said = ["render", folder / "me.avatar", "-o", out, "--size", "384", "--frames", "2"]
    run(*said, "--no-provenance")
    assert [one.name for one in tmp_path.iterdir()] == [name]
    found = told(out, capsys)
    assert found["credentials"] is None and found["watermark"] is None


def test_leaving_it_out_is_said_in_one_line(tmp_path: Path):
    verb = Render(tmp_path / "me.avatar", tmp_path / "x.png", Shot(), provenance=False)
    with (tmp_path / "heard.txt").open("w") as heard:
        assert origin(verb, Lines(heard)) is None
    said = (tmp_path / "heard.txt").read_text()
    assert said == "--no-provenance: no content credentials, no watermark\n"


def test_files_of_others_say_nothing(tmp_path: Path, capsys):
    Image.fromarray(astronaut()).save(tmp_path / "other.png")
    (tmp_path / "other.txt").write_text("hello")
    assert main(["inspect", str(tmp_path / "other.png"), "-q"]) == 0
    out = capsys.readouterr().out
    assert "credentials   none, in the file or beside it" in out
    assert "watermark     none found in this picture" in out
    assert main(["inspect", str(tmp_path / "other.txt"), "-q"]) == 0
    assert "not looked for: neither a picture nor a film" in capsys.readouterr().out


REFUSALS = {
    "nowhere.png": "No such file or directory",
    "folder": "is a folder; name a file",
    "empty.mp4": "is empty",
    "text.avatar": "is not an avatar, or is damaged",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused_in_one_line(name: str, tmp_path: Path, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avatar").write_text("text")
    assert main(["inspect", str(tmp_path / name), "-q"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and REFUSALS[name] in said.err


def test_words_of_consent_are_words(tmp_path: Path, capsys):
    said = ["create", "me.jpg", "-o", str(tmp_path / "me.avatar"), "-q", "--consent"]
    for words in (" ", "x" * 2001):
        assert main([*said, words]) == 2
        assert "give 1 to 2000, in words" in capsys.readouterr().err


def test_samples_are_signed_and_marked(tmp_path: Path, capsys):
    made = tiny_embedded.written(tmp_path / "priors")
    said = ["sample", "a man", "--priors", str(made), "--steps", "1", "--count", "9", "-q"]
    assert main([*said, "-o", str(tmp_path / "grid.png")]) == 0
    found = told(tmp_path / "grid.png", capsys)
    assert found["credentials"]["making"]["verb"] == "sample"
    assert found["credentials"]["consent"] == "not stated"
    assert found["watermark"]["identity"] == found["credentials"]["making"]["identity"]


def test_nothing_of_the_photos_file_gets_into_what_is_made(folder: Path):
    latitude = np.array([48, 1, 8, 1, 1337, 100], ">u4").tobytes()
    secrets = [SECRET.encode(), SECRET.encode("utf-16-le"), SECRET.encode("utf-16-be")]
    secrets += [latitude, np.frombuffer(latitude, ">u4").astype("<u4").tobytes()]
    assert sum(secret in (folder / "me.jpg").read_bytes() for secret in secrets) >= 2
    made = [path for path in folder.iterdir() if path.name != "me.jpg"]
    assert len(made) >= 10
    for path in made:
        data = path.read_bytes()
        assert not any(secret in data for secret in secrets), path.name
    for name in MARKED:
        with Image.open(folder / name) as image:
            image.load()
            assert not image.getexif()
            assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)
            if isinstance(image, PngImagePlugin.PngImageFile):
                assert not image.text


def test_frames_and_sequences_are_signed_each(folder: Path, tmp_path: Path):
    from incarnate.motion import save_motion, walk_cycle

    save_motion(walk_cycle(fps=2.0), tmp_path / "walk.npz")
    out = tmp_path / "frames"
    out.mkdir()
    run(
        *("export", folder / "me.avatar", out / "%02d.ply", "--fps", "2"),
        *("--motion", tmp_path / "walk.npz"),
    )
    clouds = sorted(out.glob("*.ply"))
    assert clouds and sorted(out.iterdir()) == sorted(
        [*clouds, *(path.with_name(path.name + ".c2pa") for path in clouds)]
    )
    for cloud in clouds:
        found = read_manifest(cloud)
        assert found is not None and found.state == "valid"
    run(
        *("export", folder / "me.avatar", out / "%02d.ply", "--fps", "2", "--no-provenance"),
        *("--motion", tmp_path / "walk.npz"),
    )
    assert sorted(out.iterdir()) == clouds  # None speaks of what was there before.


def test_consent_stays_with_the_avatar(folder: Path, tmp_path: Path):
    Avatar.load(folder / "me.avatar").save(tmp_path / "again.avatar")
    assert Avatar.load(tmp_path / "again.avatar").meta["consent"] == CONSENT
