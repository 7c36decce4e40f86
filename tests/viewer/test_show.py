"""`incarnate view` from the command line."""

import os
import signal
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from incarnate import cli, doctor


@pytest.fixture
def file(avatar, tmp_path: Path) -> Path:
    avatar.save(tmp_path / "me.avatar")
    return tmp_path / "me.avatar"


def test_it_answers_at_the_address_it_says_and_ends_with_ctrl_c(file: Path):
    code = (
        "import signal, sys, incarnate.cli as cli\n"
        # A shell starts what runs in its background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.exit(cli.main(['view', {str(file)!r}, '--port', '0', '-q']))\n"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    address = job.stdout.readline().split()[0]
    with urllib.request.urlopen(address, timeout=10) as page:
        assert page.status == 200
    os.kill(job.pid, signal.SIGINT)
    out, err = job.communicate(timeout=30)
    assert (job.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("verb", ["view", "create"])
def test_without_viser_one_line_says_how_to_get_it(
    verb: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (file.parent / "me.jpg").write_text("a photo")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: name != "viser" and find_spec(name) or None
    )
    monkeypatch.chdir(file.parent)
    asked = {
        "view": ["view", "me.avatar"],
        "create": ["create", "me.jpg", "-o", "new.avatar", "--viewer"],
    }
    assert cli.main(asked[verb]) == 2
    said = capsys.readouterr()
    assert said.err == "incarnate: the viewer needs viser: pip install 'incarnate[viewer]'\n"
    assert sorted(path.name for path in file.parent.iterdir()) == ["me.avatar", "me.jpg"]
    assert doctor._viewer().state == "optional"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--port", "70000"], "--port is 70000; give 1 to 65535"),
        (["--motion", "nowhere.bvh"], "nowhere.bvh"),
        (["--fps", "0"], "--fps is 0; give 1 to 240"),
        (["--photo", "nowhere.jpg"], "nowhere.jpg does not exist"),
    ],
)
def test_bad_input_is_refused_before_anything_is_served(
    more: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["view", str(file), "-q", *more]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and said.err.count("\n") == 1
