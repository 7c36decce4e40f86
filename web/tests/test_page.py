"""The page in a browser: it draws what incarnate draws, and its sound moves its mouth."""

import io
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page
from scipy.io import wavfile

from incarnate.audio import Waveform, resampled
from incarnate.avatar import Avatar
from incarnate.cameras import Camera, look_at
from incarnate.figures import floor, raised
from incarnate.motion import EXPRESSIONS, POSES, pose_preset, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import render

READY = "() => window.incarnate && window.incarnate.frames > 2"
GROUND = 0xE8 / 255
SLOW = 60_000  # Milliseconds that software may take to draw.


def opened(tab: Page, where: str) -> Page:
    tab.goto(where)
    tab.wait_for_function(READY, timeout=SLOW)
    return tab


@pytest.fixture
def page(tab: Page, page_file: Path) -> Page:
    return opened(tab, page_file.as_uri())


def vertices(page: Page) -> NDArray[np.float32]:
    flat = page.evaluate("() => Array.from(window.incarnate.rig.vertices)")
    return np.array(flat, np.float32).reshape(-1, 4)[:, :3]


def own(avatar: Avatar) -> torch.Tensor:
    """The body's vertices that the page has."""
    return avatar.surface.body.faces[avatar.surface.discs.faces].unique()


def settled(page: Page, script: str) -> None:
    """Does something and waits until poses have become one another."""
    page.evaluate(script)
    page.evaluate(
        """() => {
          const { show, gaussians } = window.incarnate;
          for (let k = 0; k < 200; k++) show.step(0.05);
          gaussians.update();
        }"""
    )


def hold(page: Page, pose: str, face: str = "neutral") -> None:
    told = f"take({[*POSES, 'photo'].index(pose)}); show.smile({list(EXPRESSIONS).index(face)})"
    settled(
        page, f"() => {{ const {{ show }} = window.incarnate; show.lively = false; show.{told}; }}"
    )


@pytest.mark.parametrize("pose", ["arms-up", "sitting", "t-pose", "photo"])
def test_its_rig_bends_as_ours(page: Page, avatar: Avatar, pose: str):
    hold(page, pose)
    wanted = avatar.player.vertices(avatar.posed(pose)) + floor(avatar)
    np.testing.assert_allclose(vertices(page), wanted[own(avatar)], atol=2e-4)


@pytest.mark.parametrize("face", ["smile", "surprise", "look-left", "look-down"])
def test_its_face_moves_as_ours(page: Page, avatar: Avatar, face: str):
    hold(page, "stand", face)
    wanted = avatar.player.vertices(avatar.posed("stand", face)) + floor(avatar)
    np.testing.assert_allclose(vertices(page), wanted[own(avatar)], atol=1e-4)


def test_a_motion_plays_as_ours(page: Page, avatar: Avatar):
    walk = walk_cycle()
    page.evaluate(
        "() => { const { show } = window.incarnate; show.lively = false; show.choose(0); }"
    )
    for number, drive in enumerate(avatar.drives(walk)):
        if number % 8 == 3:
            page.evaluate(
                """(second) => {
                  const { show } = window.incarnate;
                  show.pause();
                  show.seek(second);
                  show.step(0);
                }""",
                number / 30,
            )
            wanted = (avatar.player.vertices(drive) + floor(avatar))[own(avatar)]
            np.testing.assert_allclose(vertices(page), wanted, atol=1e-3)


@pytest.mark.parametrize(
    ("pose", "face", "azimuth"), [("stand", "smile", 20), ("arms-up", "neutral", 180)]
)
def test_its_picture_is_ours(page: Page, avatar: Avatar, pose: str, face: str, azimuth: float):
    hold(page, pose, face)
    drive = avatar.posed(pose, face)
    camera, view = seen(page, avatar, azimuth)
    cloud = raised(avatar.gaussians(drive), floor(avatar))
    wanted = render(cloud, camera, torch.full((3,), GROUND)).rgb.clamp(0, 1).numpy()
    page.wait_for_timeout(1500)  # Gaussians are sorted beside the drawing.
    drawn = picture(page)[: camera.height, : camera.width]
    person = np.abs(wanted - GROUND).max(2) > 0.02
    error = ((drawn - wanted) ** 2)[person].mean()
    assert -10 * np.log10(error) > 30, view


def seen(page: Page, avatar: Avatar, azimuth: float) -> tuple[Camera, dict]:
    """Turns the page's camera, and ours alike."""
    view = page.evaluate(
        """(azimuth) => {
          const { stage } = window.incarnate;
          stage.look(stage.view, azimuth);
          stage.shadow.visible = false;
          const { position, fov } = stage.camera, { target } = stage.controls;
          const canvas = stage.renderer.domElement;
          return {
            position: position.toArray(), target: target.toArray(), fov,
            width: canvas.width, height: canvas.height,
          };
        }""",
        azimuth,
    )
    focal = view["height"] / 2 / np.tan(np.radians(view["fov"]) / 2)
    eye, target = torch.tensor(view["position"]).float(), torch.tensor(view["target"]).float()
    return look_at(eye, target, focal, view["width"], view["height"]), view


def picture(page: Page, where: str = "#stage") -> NDArray[np.float64]:
    with Image.open(io.BytesIO(page.locator(where).screenshot())) as image:
        return np.asarray(image.convert("RGB")) / 255


WATCHED = """(count) => {
  const { show, stage, gaussians } = window.incarnate, gl = stage.renderer.getContext();
  const { width, height } = stage.renderer.domElement;
  const box = [0.35 * width, 0.2 * height, 0.3 * width, 0.25 * height].map(Math.round);
  const seen = [];
  return new Promise((done) => {
    const look = () => {
      const pixels = new Uint8Array(4 * box[2] * box[3]);
      show.step(0);
      const times = [show.second, show.sounding.second];
      gaussians.update();
      stage.draw(true);
      gl.readPixels(...box, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
      seen.push([...times, Array.from(pixels)]);
      seen.length < count ? requestAnimationFrame(look) : done(seen);
    };
    requestAnimationFrame(look);
  });
}"""
"""Around the lips, once the head fills the picture: when, when by the sound, and the pixels."""


def watched(page: Page, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    seen = page.evaluate(WATCHED, count)
    return np.array([told[:2] for told in seen]), np.array([told[2] for told in seen]) / 255


def test_it_plays_from_disk_and_the_mouth_moves_with_the_sound(page: Page):
    assert page.inner_text("#time") in ("0:00 / 0:06", "0:00 / 0:07")
    page.click("[data-view=head]")
    page.wait_for_timeout(2000)
    _, before = watched(page, 5)
    page.click("#play")
    page.wait_for_function("() => window.incarnate.show.second > 0.3", timeout=SLOW)
    seconds, during = watched(page, 12)
    still = np.abs(np.diff(before, axis=0)).mean()
    moving = np.abs(np.diff(during, axis=0)).mean()
    assert moving > 5 * still and moving > 0.002
    playing = seconds[seconds[:, 0] < 6]
    assert len(playing) > 3 and (np.diff(playing[:, 0]) > 0).all()
    assert np.abs(playing[:, 0] - playing[:, 1]).max() < 0.02
    page.evaluate("() => { const { show } = window.incarnate; show.pause(); show.seek(3); }")
    assert page.evaluate("() => window.incarnate.show.sounding.second") == pytest.approx(3)


def test_its_sound_begins_when_the_recording_does(page: Page, folder: Path):
    rate, recorded = wavfile.read(folder / "hello.wav")
    told = page.evaluate(
        """async () => {
          const sound = await fetch(window.incarnate.show.sounding.element.src);
          const context = new OfflineAudioContext(1, 1, 16000);
          const heard = await context.decodeAudioData(await sound.arrayBuffer());
          return Array.from(heard.getChannelData(0));
        }"""
    )
    heard, wanted = np.array(told), resampled(Waveform(_floats(recorded), rate), 16_000).samples
    count = min(len(heard), len(wanted))
    spectrum = np.fft.rfft(heard[:count], 2 * count) * np.fft.rfft(wanted[:count], 2 * count).conj()
    lag = np.argmax(np.fft.irfft(spectrum))
    assert min(lag, 2 * count - lag) < 0.01 * 16_000


def jaws(page: Page, avatar: Avatar, seconds: float) -> NDArray[np.float64]:
    """How far the jaw is open, moment by moment, and how loud it is heard to be."""
    told = page.evaluate(
        """async (seconds) => {
          const { show } = window.incarnate, jaw = show.pack.facts.shapes.indexOf("jawOpen");
          const out = [];
          const end = performance.now() + 1000 * seconds;
          while (performance.now() < end) {
            await new Promise((resolve) => setTimeout(resolve, 20));
            show.step(0.02);
            const loud = show.ear ? Math.hypot(...show.ear.samples) : 0;
            out.push([show.shown.weights[jaw], loud]);
          }
          return out;
        }""",
        seconds,
    )
    return np.array(told)


def test_a_dropped_sound_drives_the_face(page: Page, avatar: Avatar, folder: Path):
    rate = 16_000
    time = np.arange(4 * rate) / rate
    vowel = sum(
        np.sin(2 * np.pi * f * time) / k for k, f in enumerate((120, 240, 600, 720, 1200), 1)
    )
    on = (time % 1) < 0.5  # Half a second of sound, half a second of silence.
    wavfile.write(folder / "ah.wav", rate, (8000 * vowel * on).clip(-32768, 32767).astype(np.int16))
    page.set_input_files("#file", str(folder / "ah.wav"))
    page.wait_for_function("() => window.incarnate.show.hears", timeout=SLOW)
    told = jaws(page, avatar, 3.5)
    assert told[:, 0].max() > 0.25 and told[:, 0].min() < 0.08
    assert np.corrcoef(told[5:, 0], told[:-5, 1])[0, 1] > 0.6  # A tenth of a second behind.


def test_what_is_no_sound_is_said_to_be_none(page: Page, folder: Path):
    (folder / "words.txt").write_text("no sound")
    page.set_input_files("#file", str(folder / "words.txt"))
    page.wait_for_selector("text=words.txt cannot be played here")


def test_no_microphone_from_disk(page: Page):
    assert page.locator("#microphone").is_hidden()


@pytest.fixture
def served(page_file: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page_file.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{page_file.name}"
    server.shutdown()
    server.server_close()


def test_over_loopback_the_microphone_drives_the_face(tab: Page, avatar: Avatar, served: str):
    page = opened(tab, served)
    page.click("#microphone")
    page.wait_for_function("() => window.incarnate.show.hears", timeout=SLOW)
    assert jaws(page, avatar, 4)[:, 0].max() > 0.15
    page.click("#microphone")
    assert not page.evaluate("() => window.incarnate.show.hears")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390)])
def test_a_telephone_shows_all_of_it(page: Page, width: int, height: int):
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(500)
    box = page.locator("#stage").bounding_box()
    assert box and box["width"] == width and box["height"] > 0.3 * height
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide == width
    for name in ("#play", "#seek", "[data-view=head]"):
        button = page.locator(name).bounding_box()
        assert button and button["y"] + button["height"] <= height


def test_a_drag_walks_round(page: Page):
    before = page.evaluate("() => window.incarnate.stage.camera.position.toArray()")
    page.mouse.move(200, 200)
    page.mouse.down()
    page.mouse.move(330, 200, steps=4)
    page.mouse.up()
    page.wait_for_timeout(2000)
    after = page.evaluate("() => window.incarnate.stage.camera.position.toArray()")
    assert np.linalg.norm(np.subtract(after, before)) > 0.3


def test_pose_buttons_and_sliders_do_what_they_say(page: Page, avatar: Avatar):
    page.click("#poses >> text=arms-up")
    arms_up = avatar.player.vertices(next(avatar.drives(pose_preset("arms-up"))))[:, 1].max()
    page.wait_for_function(
        """(height) => {
          const { vertices } = window.incarnate.rig;
          return vertices.some((y, k) => k % 4 === 1 && y > height);
        }""",
        arg=float(arms_up + floor(avatar)[1]) - 0.02,
        timeout=SLOW,
    )
    page.click("[data-view=full]")
    top = page.evaluate("() => window.incarnate.stage.view.center[1]") * 2
    assert top == pytest.approx(float(arms_up + floor(avatar)[1]), abs=0.05)
    page.click("#shapes")
    page.locator("#sliders label", has_text="jawOpen").locator("input").fill("1")
    jaw = ARKIT_NAMES.index("jawOpen")
    page.wait_for_function(f"() => window.incarnate.show.shown.weights[{jaw}] > 0.99", timeout=SLOW)


def _floats(recorded: NDArray[np.int16]) -> NDArray[np.float32]:
    return (recorded / 32768).astype(np.float32)
