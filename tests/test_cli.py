import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from incarnate import cli, doctor, weights
from incarnate.doctor import Check, Diagnosis


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_help_imports_nothing_slow(tmp_path: Path):
    code = (
        "import sys, incarnate.cli\n"
        "try: incarnate.cli.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "slow = {'torch', 'numpy', 'scipy', 'cv2', 'mediapipe', 'av', 'PIL', 'rich', 'typeguard'}\n"
        "sys.exit(f'imported {slow & set(sys.modules)}' if slow & set(sys.modules) else 0)\n"
    )
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    for verb in ("create", "render", "animate", "talk", "evaluate", "doctor"):
        assert verb in done.stdout


REFUSALS = {
    "no photo": (
        ["create", "nobody.jpg", "-o", "me.avatar"],
        "No such file or directory: nobody.jpg",
    ),
    "no folder for the avatar": (
        ["create", "text.jpg", "-o", "nowhere/me.avatar"],
        "nowhere does not exist; create it first",
    ),
    "an avatar by another name": (["create", "text.jpg", "-o", "me.png"], "must end in .avatar"),
    "no avatar": (["render", "nobody.avatar", "-o", "me.png"], "No such file or directory"),
    "a damaged avatar": (["render", "text.avatar", "-o", "me.png"], "not an avatar, or is damaged"),
    "no folder for the picture": (
        ["render", "text.avatar", "-o", "nowhere/me.png"],
        "nowhere does not exist; create it first",
    ),
    "a film nobody plays": (["render", "text.avatar", "-o", "me.gif"], "pictures are .png, .jpg"),
    "a transparent mp4": (
        ["render", "text.avatar", "-o", "me.mp4", "--background", "none"],
        "mp4 has no transparency; use .webm",
    ),
    "an odd size": (["render", "text.avatar", "-o", "me.png", "--size", "1x2x3"], "neither like"),
    "a huge size": (["render", "text.avatar", "-o", "me.png", "--size", "9000"], "out of range"),
    "a film of no length": (
        ["render", "text.avatar", "-o", "me.mp4", "--seconds", "0"],
        "at least one frame",
    ),
    "a colour nobody knows": (
        ["render", "text.avatar", "-o", "me.png", "--background", "blurple"],
        "neither a picture nor a colour",
    ),
    "a motion into a picture": (
        ["animate", "text.avatar", "walk.bvh", "-o", "me.png"],
        "must end in .mp4 or .webm",
    ),
    "talk about nothing": (["talk", "text.avatar", "-o", "me.mp4"], "give either a recording or"),
    "talk about two things": (
        ["talk", "text.avatar", "text.jpg", "--say", "Hello.", "-o", "me.mp4"],
        "give either a recording or",
    ),
    "words nobody can read": (
        ["talk", "text.avatar", "--say", "?!", "-o", "me.mp4"],
        "nothing to say",
    ),
    "a weight beyond all": (
        ["talk", "text.avatar", "--say", "Hi.", "-o", "me.mp4", "--body", "walk.bvh@7"],
        "give 0 to 1",
    ),
    "nothing to measure": (["evaluate"], "name what to measure"),
    "a suite nobody knows": (["evaluate", "one-shot", "--suite", "x"], "no suite 'x'"),
    "a method nobody knows": (["evaluate", "magic"], "is no method; give one-shot"),
    "no such photos": (["evaluate", "one-shot", "--photos", "no"], "no does not exist"),
    "runs that never were": (["evaluate", "--compare", "one", "two"], "No such file or directory"),
    "a picture as speech": (
        ["talk", "text.avatar", "text.jpg", "-o", "me.mp4"],
        "has no sound track",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    args, message = REFUSALS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "text.avatar").write_text("text")
    before = sorted(tmp_path.iterdir())
    status = cli.main([*args, *(["-q"] if "-q" not in args else [])])
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert said.err.startswith("incarnate: ") and said.err.count("\n") == 1, said.err
    assert message in said.err
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written stays behind"


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        cli.main(["render", "me.avatar", "-o", "me.png", "--azimut", "3"])
    assert stop.value.code == 2
    assert "--azimuth" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(tmp_path: Path, stop: signal.Signals):
    code = (
        "import signal, sys, time, incarnate.cli as cli\n"
        # A shell starts what runs in its background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def wait(verb): print('begun', flush=True); time.sleep(60)\n"
        "cli._create = wait\n"
        "sys.exit(cli.main(['create', 'me.jpg', '-o', 'me.avatar']))\n"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    assert job.stdout.readline() == "begun\n"
    began = time.monotonic()
    os.kill(job.pid, stop)
    _, err = job.communicate(timeout=30)
    assert job.returncode == 130
    assert err == "incarnate: stopped; continue with --resume\n"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("text", "size"), [("640x480", (640, 480)), ("512", (512, 512)), ("64X32", (64, 32))]
)
def test_sizes(text: str, size: tuple[int, int]):
    assert cli.picture_size(text) == size


@pytest.mark.parametrize("state", ["missing", "optional"])
def test_the_doctor_fails_only_if_something_needed_is_missing(
    state: doctor.State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    checks = (Check("left", "ok", "here", "not said"), Check("right", state, "gone", "fetch it"))
    monkeypatch.setattr(doctor, "diagnosis", lambda: Diagnosis(checks))
    assert cli.main(["doctor"]) == (1 if state == "missing" else 0)
    said = capsys.readouterr().out
    assert "-> fetch it" in said and "not said" not in said
    cli.main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["healthy"] is (state == "optional")
    assert [check["name"] for check in answer["checks"]] == ["left", "right"]


def test_the_doctor_finds_weights_that_are_not_as_shipped(monkeypatch: pytest.MonkeyPatch):
    def states() -> dict[str, doctor.State]:
        return {check.name: check.state for check in doctor.diagnosis().checks}

    assert states()["pose weights"] == "ok"
    changed = [replace(row, sha256="0" * 64) for row in doctor.TABLE if row.name == "pose"]
    moved = [replace(row, name="hand", file="nowhere.task") for row in changed]
    monkeypatch.setattr(weights, "TABLE", (*changed, *moved))
    monkeypatch.setattr(doctor, "TABLE", (*changed, *moved))
    assert states()["pose weights"] == "missing"
    assert states()["hand weights"] == "missing"
