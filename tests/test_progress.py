import time
from pathlib import Path

import pytest

from incarnate import progress
from incarnate.progress import Bars, Lines, Silent, time_left


def test_time_left_is_what_the_steps_took_times_what_they_are_to_take():
    assert time_left(10.0, 5, 20) == "30 s"
    assert time_left(60.0, 1, 11) == "10 min"
    assert time_left(1.0, 0, 3) == time_left(1.0, 3, 3) == ""


def test_lines_are_few_and_tell_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = tmp_path / "log"
    with log.open("w") as stream, Lines(stream) as report:
        report.stage("fitting")
        for i in range(1, 13):
            now[0] += 1.0
            report.step(i, 12)
        report.warn("the feet are cut off")
    assert log.read_text().splitlines() == [
        "fitting",
        "fitting: 5/12, 7 s left",
        "fitting: 10/12, 2 s left",
        "warning: the feet are cut off",
    ]


def test_bars_show_text_as_it_is(tmp_path: Path):
    log = tmp_path / "log"
    with log.open("w") as stream, Bars(stream) as report:
        report.stage("fitting")
        report.step(1, 2)
        report.warn("[bold] is a word")
        report.say("[red] too")
    assert "warning: [bold] is a word" in log.read_text()
    assert "[red] too" in log.read_text()
    assert "fitting" in log.read_text()


def test_quiet_is_silent():
    match progress.reporter(quiet=True):
        case Silent():
            pass
        case other:
            pytest.fail(f"{other} speaks")
