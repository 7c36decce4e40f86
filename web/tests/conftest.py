"""A browser without a screen, and an avatar as it is taken elsewhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from scipy.io import wavfile
from skimage.data import astronaut

from incarnate.avatar import Avatar
from incarnate.cli import main
from incarnate.motion import save_motion, walk_cycle
from incarnate.speech import say

SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
ALONE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)
SENTENCE = "Hello! One photo made me. Both my lips move, and every vowel opens my mouth."


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="session")
def path(folder: Path) -> Path:
    """The astronaut as a tiny avatar, beside her words and a walk."""
    Image.fromarray(astronaut()).save(folder / "astronaut.png")
    Avatar.from_photo(folder / "astronaut.png", "tiny").save(folder / "me.avatar")
    save_motion(walk_cycle(), folder / "walk.npz")
    spoken = say(SENTENCE).waveform
    wavfile.write(folder / "hello.wav", spoken.sample_rate, _pcm(spoken.samples))
    return folder / "me.avatar"


@pytest.fixture(scope="session")
def avatar(path: Path) -> Avatar:
    return Avatar.load(path)


@pytest.fixture(scope="session")
def page_file(path: Path) -> Path:
    """Says the sentence, and walks."""
    out = path.with_name("me.html")
    moves = [
        "--motion",
        str(path.with_name("walk.npz")),
        "--speech",
        str(path.with_name("hello.wav")),
    ]
    assert main(["export", str(path), str(out), "-q", *moves]) == 0
    return out


@pytest.fixture(scope="session")
def browser(path: Path) -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "Debian's chromium is wanted: apt-get install chromium"
    heard = path.with_name("hello.wav")
    fake = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    )
    args = ["--no-sandbox", "--ignore-gpu-blocklist", *SOFTWARE, *ALONE, *fake]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab in which nothing may go wrong: no errors, no address but its own file."""
    context = browser.new_context(viewport={"width": 480, "height": 720})
    context.set_default_timeout(60_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if _bad(said.type) else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if _abroad(asked.url) else None)
    yield page
    context.close()
    assert wrong == []


def _bad(kind: str) -> bool:
    return kind in ("error", "warning")


def _abroad(url: str) -> bool:
    return not url.startswith(("file:", "blob:", "data:", "http://127.0.0.1:"))


def _pcm(samples: np.ndarray) -> np.ndarray:
    return (samples.clip(-1, 1) * 32767).astype(np.int16)
