"""What the viewer's tests share: a small person, and a browser tab without a browser."""

import threading
import time
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
import torch
import viser
import websockets.sync.client
import zstandard
from viser import _messages

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Discs, Drive, SurfaceAvatar, dense_weights, scattered
from incarnate.body.anny import Anny
from incarnate.cameras import look_at
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.viewer.site import Site

COUNT = 2000


@pytest.fixture(scope="session")
def avatar() -> Avatar:
    """The default body with few discs, photographed from the front with one arm forward."""
    rng = torch.Generator().manual_seed(0)
    body = Anny.load()
    rest = body.shaped(body.default_betas())
    a, b, c = rest[body.faces].unbind(1)
    areas = torch.linalg.cross(b - a, c - a).norm(dim=1)
    faces, barycentrics, _ = scattered(areas, COUNT, rng)
    count = len(faces)
    discs = Discs(
        faces,
        barycentrics,
        torch.zeros(count, 3),
        torch.zeros(count),
        torch.tensor([0.02, 0.02, 0.004]).log().expand(count, 3).clone(),
        torch.full((count,), 3.0),
        torch.rand(count, 3, generator=rng),
        torch.arange(count) % 10,
    )
    surface = SurfaceAvatar(
        body, body.default_betas(), torch.zeros_like(rest), dense_weights(body), discs
    )
    camera = look_at(torch.tensor([0.1, 1, 4]), torch.tensor([0.0, 0.9, 0]), 300.0, 120, 160)
    pose = body.neutral_pose()
    turn = torch.tensor([[1.0, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]])
    pose[body.smplx_joints["left_shoulder"]] = turn
    photo = Drive(torch.zeros(len(ARKIT_NAMES)), pose, torch.zeros(3))
    meta = {"photo_pixels": [240, 320], "window": [60, 80, 180, 240]}
    return Avatar(surface, photo, camera, meta)


@dataclass
class FakeTab:
    """Speaks viser's protocol: what a browser tab would be sent, and what it would send."""

    url: str
    origin: str | None = None
    messages: list[dict] = field(default_factory=list)
    buffers: list[np.ndarray] = field(default_factory=list)
    """Splats received, as they came."""

    def __enter__(self) -> "FakeTab":
        self._socket = websockets.sync.client.connect(
            self.url.replace("http", "ws"),
            subprotocols=[websockets.typing.Subprotocol(f"viser-v{viser.__version__}")],
            additional_headers={"Origin": self.origin} if self.origin else None,
            compression=None,
            max_size=None,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._socket.close()
        self._reader.join(5)

    def looks(self, width: int = 400, height: int = 300) -> None:
        """Says where it looks from, by which a tab counts as connected."""
        self.send(
            _messages.ViewerCameraMessage(
                wxyz=(1.0, 0.0, 0.0, 0.0), position=(0.0, 10.0, -40.0), fov=0.4, near=0.01,
                far=1000.0, image_height=height, image_width=width, look_at=(0.0, 10.0, 0.0),
                up_direction=(0.0, 1.0, 0.0),
            )
        )  # fmt: skip

    def newer(self, than: np.ndarray | None = None) -> np.ndarray | None:
        """The last splats received, unless they are none, or `than`."""
        for buffer in self.buffers[:-2:-1]:
            if buffer.any() and (than is None or (buffer != than).any()):
                return buffer
        return None

    def control(self, label: str) -> str:
        """The uuid of the control with a label."""
        return wait_for(lambda: next((u for u, text in self._labels() if text == label), None))

    def set(self, label: str, value: object) -> None:
        """Moves a control, or presses a button (True)."""
        self.send(_messages.GuiUpdateMessage(self.control(label), {"value": value}))

    def send(self, message: _messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict()))

    def of_type(self, name: str) -> list[dict]:
        return [message for message in list(self.messages) if message["type"] == name]

    def _labels(self) -> list[tuple[str, str]]:
        return [
            (message["uuid"], message["props"]["label"])
            for message in list(self.messages)
            if "uuid" in message and "label" in message.get("props", {})
        ]

    def _read(self) -> None:
        try:
            for raw in self._socket:
                assert isinstance(raw, bytes)
                self._taken(raw)
        except websockets.exceptions.ConnectionClosed:
            pass

    def _taken(self, raw: bytes) -> None:
        size = int.from_bytes(raw[8:16], "little")
        inner = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(raw[16 : 16 + size]))
        at, arrays = 16 + size, []
        for length in inner["binaryBufferLengths"]:
            at += -at % 8
            arrays.append(raw[at : at + length])
            at += length
        for message in inner["messages"]:
            self.messages.append(message)
            held = message.get("props") or message.get("updates") or {}
            buffer = held.get("buffer") if isinstance(held, dict) else None
            if isinstance(buffer, dict):
                words = np.frombuffer(arrays[buffer["__binary_index"]], np.uint32)
                self.buffers.append(words.reshape(-1, 8))


def wait_for(answer, seconds: float = 20.0):
    """What `answer` gives once that is neither None, nor False, nor empty."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = answer()
        if found is not None and found is not False and (found is True or len(found)):
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


@pytest.fixture
def site():
    """A server on a free port."""
    site = Site(0)
    yield site
    site.close()


@pytest.fixture
def tab(site: Site):
    """A tab that looks at it."""
    with FakeTab(site.url) as tab:
        tab.looks()
        wait_for(site.tabs)
        yield tab


@pytest.fixture
def until():
    """Waits for something to come true."""
    return wait_for


@pytest.fixture
def visitor():
    """Makes tabs, from pages of any origin."""
    return FakeTab
