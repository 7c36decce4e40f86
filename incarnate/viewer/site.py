"""The viewer's web server: viser on this machine's loopback, and the tabs that look at it."""

import contextlib
import io
from dataclasses import dataclass
from typing import final
from urllib.parse import urlsplit

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor
from viser import _messages
from viser.infra import WebsockClientConnection

from incarnate.cameras import Camera
from incarnate.scene import Gaussians
from incarnate.viewer.splats import packed
from incarnate.viewer.views import Eye, seen

HOST = "127.0.0.1"
LOCAL = (HOST, "localhost", "::1")
NEAR = 0.05  # In the tabs' larger world.


@final
@dataclass(frozen=True, eq=False)
class Tab:
    """A browser tab."""

    client: viser.ClientHandle

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its picture."""
        return self.client.camera.image_width, self.client.camera.image_height

    @property
    def aspect(self) -> float:
        """Width over height."""
        width, height = self.size
        return width / height

    def camera(self, width: int, height: int) -> Camera:
        """Its camera as ours, for a picture of that size."""
        own = self.client.camera
        wxyz, position = (torch.from_numpy(np.array(v)).float() for v in (own.wxyz, own.position))
        return seen(wxyz, position, own.fov, width, height)

    def view(self) -> Eye:
        """Where it looks from."""
        own = self.client.camera
        place, target, up = (
            (float(x), float(y), float(z))
            for x, y, z in (own.position, own.look_at, own.up_direction)
        )
        return Eye(place, target, up, own.fov)

    def look(self, view: Eye) -> None:
        """Makes it look from there."""
        own = self.client.camera
        with self.client.atomic():
            own.fov = view.fov
            own.up_direction = view.up
            own.position = view.position
            own.look_at = view.target

    def behind(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Puts a picture behind its scene, as large as the tab."""
        flat = picture.shape[0] < 8  # JPEG would tint it.
        self.client.scene.set_background_image(
            picture, "png" if flat else "jpeg", jpeg_quality=None if flat else 92
        )


@final
class Site:
    """A running server with one avatar on it."""

    def __init__(self, port: int) -> None:
        """Serves on `port`, or the next one that is free."""
        with contextlib.redirect_stdout(io.StringIO()):  # viser draws a table, asked not to.
            self.server = viser.ViserServer(HOST, port, verbose=False)
        self.server.scene.set_up_direction("+y")
        self.server.initial_camera.near = NEAR
        self.server.gui.configure_theme(show_logo=False, show_share_button=False)
        wire = self.server._websock_server
        # A tab could ask viser to lead the world in by a tunnel. Nobody leaves this machine here.
        wire.unregister_handler(_messages.ShareUrlRequest)
        wire.on_client_connect(self._turned_away)
        self._splats: viser.GaussianSplatHandle | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.server.get_port()}"

    def tabs(self) -> dict[int, Tab]:
        """Those that look at it now, by number."""
        return {number: Tab(client) for number, client in self.server.get_clients().items()}

    def show(self, gaussians: Gaussians, colors: Float[Tensor, "n 3"]) -> None:
        """Sends Gaussians to all tabs; what they have not received of the last ones is dropped."""
        buffer = packed(gaussians, colors)
        if self._splats is None or len(self._splats.buffer) != len(buffer):
            none = np.zeros((len(buffer), 9), np.float32)
            self._splats = self.server.scene.add_gaussian_splats(
                "/avatar", none[:, :3], none.reshape(-1, 3, 3), none[:, :3], none[:, :1]
            )
        self._splats.buffer = buffer

    def hide(self, hidden: bool) -> None:
        """Whether tabs leave the Gaussians out: a picture of them stands behind."""
        if self._splats is not None:
            self._splats.visible = not hidden

    def close(self) -> None:
        """Ends it."""
        with contextlib.redirect_stdout(io.StringIO()):  # viser says so, asked not to.
            self.server.stop()

    async def _turned_away(self, connection: WebsockClientConnection) -> None:
        """Closes connections from pages of other sites, which browsers open on anyone's behalf."""
        live = self.server._websock_server._live_connections[connection.client_id]
        origin = live.request.headers.get("Origin") if live.request is not None else None
        if origin is not None and urlsplit(origin).hostname not in LOCAL:
            await live.close(1008, "the viewer answers pages of its own alone")
