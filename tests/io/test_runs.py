import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from torch import Tensor

from incarnate.io.runs import check_output, open_run, replacing


def test_a_stopped_run_continues_behind_its_last_whole_stage(tmp_path: Path):
    worked: list[str] = []

    def work(name: str, value: float) -> dict[str, Tensor]:
        worked.append(name)
        return {"x": torch.tensor([value])}

    def job(resume: bool, stop: bool) -> Tensor:
        run = open_run(tmp_path / "me.avatar", {"seed": 1}, resume)
        first = run.stage("first", lambda: work("first", 0.1))
        if stop:
            raise KeyboardInterrupt
        second = run.stage("second", lambda: work("second", 0.2))
        run.done()
        return first["x"] + second["x"]

    with pytest.raises(KeyboardInterrupt):
        job(resume=False, stop=True)
    resumed = job(resume=True, stop=False)
    assert worked == ["first", "second"]
    assert torch.equal(resumed, job(resume=False, stop=False))
    assert worked == ["first", "second", "first", "second"]
    assert not list(tmp_path.iterdir())


def test_only_the_same_work_continues(tmp_path: Path):
    output = tmp_path / "me.avatar"
    begun = open_run(output, {"seed": 1}, resume=True)
    assert not list(tmp_path.iterdir()), "nothing is written before a stage is finished"
    begun.stage("first", lambda: {"x": torch.ones(1)})
    with pytest.raises(ValueError, match="other settings"):
        open_run(output, {"seed": 2}, resume=True)
    run = open_run(output, {"seed": 1}, resume=True)
    (run.folder / "first.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged; start again without --resume"):
        run.stage("first", dict)
    open_run(output, {"seed": 2}, resume=False)
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "file"
    with replacing(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_output_that_cannot_be_written_is_known_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(OSError, match="does not exist; create it first"):
        check_output(tmp_path / "nowhere" / "me.avatar", 0)
    with pytest.raises(OSError, match="is a folder"):
        check_output(tmp_path, 0)
    check_output(tmp_path / "me.avatar", 1000)
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2_000_000, 0, 2_000_000))
    with pytest.raises(OSError, match="2 MB free.*3 MB wanted"):
        check_output(tmp_path / "me.avatar", 3_000_000)
