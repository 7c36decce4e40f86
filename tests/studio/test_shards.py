"""Shards: alike in every run, whole after a stop, true to what was drawn, strict about orders."""

import hashlib
import io
import json
import tarfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from incarnate.cli import main
from incarnate.progress import reporter
from incarnate.studio import shards
from incarnate.studio.mhclo import fitting, wardrobe
from incarnate.studio.shards import DEPTH_UNIT, Order, make

ORDER = Order(count=3, size=32, seed=5)


def made(folder: Path, order: Order = ORDER, workers: int = 1) -> int:
    with reporter(quiet=True) as report:
        return make(order, folder, workers, report)


def hashes(folder: Path) -> dict[str, str]:
    found = sorted(folder.glob("*"))
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One shot a shard, so that three shots are three shards.

    People are made once: test_people proves that a seed makes the same one again.
    """
    monkeypatch.setattr(shards, "person", cache(shards.person))
    monkeypatch.setattr(shards, "SHOTS_A_SHARD", 1)
    monkeypatch.setattr(shards, "PEOPLE_A_SHARD", 1)
    monkeypatch.setattr(shards, "SHOTS_A_PERSON", 1)


@pytest.mark.usefixtures("small")
def test_two_runs_and_a_stopped_one_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(tmp_path / "one") == 3
    assert made(tmp_path / "two") == 3
    whole = shards.encoded

    def stopped(sample):  # The second shard is half written when the power goes.
        yield from list(whole(sample))[:3]
        if (tmp_path / "cut" / "studio-000000.tar").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(shards, "encoded", stopped)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "cut")
    left = {p.name for p in (tmp_path / "cut").iterdir()}
    assert left == {"studio.json", "studio-000000.tar"}  # No part of a shard stays behind.
    (tmp_path / "cut" / "studio-000000.tar").unlink()  # It was made by the stub.
    monkeypatch.setattr(shards, "encoded", whole)
    made(tmp_path / "cut")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "cut")
    assert made(tmp_path / "one") == 0


def test_a_sample_reads_back_as_it_was_told(tmp_path: Path) -> None:
    made(tmp_path / "out", Order(count=1, size=48, seed=1))
    with tarfile.open(tmp_path / "out" / "studio-000000.tar") as tar:
        files = {m.name: tar.extractfile(m) for m in tar.getmembers()}
        data = {name: f.read() for name, f in files.items() if f is not None}
    assert set(data) == {
        f"000000.{s}" for s in ("png", "alpha.png", "normal.png", "depth.png", "parts.png", "json")
    }

    def picture(name: str) -> np.ndarray:
        raw = np.frombuffer(io.BytesIO(data[name]).read(), np.uint8)
        out = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
        assert out is not None
        return out

    told = json.loads(data["000000.json"])
    parts, depth = picture("000000.parts.png"), picture("000000.depth.png")
    assert depth.dtype == np.uint16 and ((depth > 0) == (parts > 0)).all()
    solid = picture("000000.alpha.png") == 255
    normal = picture("000000.normal.png")[..., ::-1][solid] / 32767.5 - 1
    assert np.abs(np.linalg.norm(normal, axis=-1) - 1).max() < 1e-3
    camera = np.array(told["world_to_camera"])
    joints = np.array(told["joints_3d"])[told["joints_seen"]]
    z = (joints @ camera[:3, :3].T + camera[:3, 3])[:, 2]
    x, y = np.array(told["joints"])[told["joints_seen"]].astype(int).T
    assert (np.abs(z - depth[y, x] * DEPTH_UNIT) < 0.2).all()
    assert told["caption"].endswith("view")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--count", "0"], "count is 0"),
        (["--size", "7"], "size is 7"),
        (["--workers", "0"], "0 workers"),
        (["--seed", "-1"], "seed is -1"),
        (["--makehuman", "nowhere"], "no MakeHuman clothes"),
        (["--motion", "nowhere.bvh"], "nowhere.bvh"),
        (["--talking", "-1"], "-1 talking clips"),
        (["--talking", "1", "--output", "x.png"], "x.png is not one"),
        (["--output", "out.xyz"], "out.xyz: the studio makes a .png, .mp4 or .webm"),
    ],
)
def test_bad_orders_are_refused_in_one_line(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / (flags[-1] if "--output" in flags else "out")
    flags = flags[: flags.index("--output")] if "--output" in flags else flags
    assert main(["studio", str(output), "-q", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_another_order_is_refused_for_a_folder_that_holds_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    shards._open(ORDER, tmp_path / "out")
    with pytest.raises(ValueError, match="holds another order"):
        made(tmp_path / "out", Order(count=3, size=32, seed=6))


MHCLO = """# A square on three points.
basemesh hm08
name patch
obj_file patch.obj
x_scale 5399 11998 1.0
z_scale 962 5320 1.0
y_scale 791 881 1.0
material none
verts 0
10
11
12
0 1 2 0.2 0.3 0.5 0.0 0.0 0.1
delete_verts
5 7 - 9
"""
OBJ = "vt 0 0\nvt 1 1\nf 1/1 2/1 3/2 4/2\n"


def test_mhclo_files_are_read_and_fitted(tmp_path: Path) -> None:
    from incarnate.studio.figure import embedded, figure
    from incarnate.studio.mhclo import fitted

    for kind in ("clothes", "hair"):
        folder = tmp_path / kind / "patch"
        folder.mkdir(parents=True)
        (folder / "patch.mhclo").write_text(MHCLO)
        (folder / "patch.obj").write_text(OBJ)
    found = wardrobe(tmp_path)
    asset = fitting(found.suits[0])
    assert asset.hides.tolist() == [5, 7, 8, 9] and asset.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    shape = figure(embedded().default_betas().numpy())
    shell = fitted(shape, asset)
    assert np.allclose(shell.vertices[:3], shape.vertices[10:13])  # hm08's first are our first.
    middle = np.array([0.2, 0.3, 0.5]) @ shape.vertices[:3]
    deep = shell.vertices[3] - middle
    assert deep[0] == pytest.approx(0, abs=1e-6) and deep[2] > 0.001
    assert np.allclose(shell.weights.sum(1), 1, atol=1e-4)


def test_a_broken_mhclo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.mhclo"
    path.write_text(MHCLO.replace("0 1 2 0.2", "0 1 0.2"))
    with pytest.raises(ValueError, match="not a .mhclo"):
        fitting(path)
