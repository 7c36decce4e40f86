"""`incarnate view`: an avatar on a site, until it is told to stop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import final

import numpy as np
import viser
from jaxtyping import UInt8

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.progress import Report
from incarnate.scene import Gaussians
from incarnate.viewer import views
from incarnate.viewer.clips import clips
from incarnate.viewer.looks import Look, drawn, painted
from incarnate.viewer.overlay import Overlay
from incarnate.viewer.panels import CameraPanel, FacePanel, LookPanel, PosePanel, bearing
from incarnate.viewer.puppet import OWN_POSE, Bearing, Puppet
from incarnate.viewer.site import Site, Tab
from incarnate.viewer.takes import Studio
from incarnate.viewer.taking import Taken, TakePanel
from incarnate.viewer.transport import Transport

FRAME = 1 / 30  # Seconds from one look at the controls to the next.
MOVING, RESTING = 250_000, 1_500_000
"""Pixels of a picture drawn here while something moves, and once nothing has for a while."""
WHILE = 0.4  # Seconds.


@dataclass(frozen=True, eq=False)
class Held:
    """The avatar as it is held now."""

    bearing: Bearing
    drive: Drive
    gaussians: Gaussians


@final
class Show:
    """One avatar, its panels and the tabs that look at it."""

    def __init__(self, site: Site, studio: Studio, overlay: Overlay | None) -> None:
        puppet = studio.puppet
        self._site, self._puppet, self._overlay = site, puppet, overlay
        self._lock = Lock()
        self._held = self._holding(Bearing())
        self._look = Look()
        self._sent: tuple[Bearing, Look] | None = None
        self._turned = time.monotonic()
        self._screens: dict[int, object] = {}
        gui = site.server.gui
        tabs = gui.add_tab_group()
        with tabs.add_tab("Pose"):
            self._pose = PosePanel(gui)
        with tabs.add_tab("Face"):
            self._face = FacePanel(gui)
        with tabs.add_tab("Motion"):
            self._transport = Transport(gui, puppet.clips)
        with tabs.add_tab("View"):
            self._camera = CameraPanel(gui)
            joints = puppet.avatar.surface.body.joint_names
            self._looking = LookPanel(gui, joints, overlay is not None)
        with tabs.add_tab("Take"):
            TakePanel(gui, studio, self._taken)
        self._camera.sides.on_click(lambda event: self._place(event.client))
        self._camera.framings.on_click(lambda event: self._place(event.client))
        self._looking.back.on_click(lambda event: self._into_photo(event.client))
        site.server.on_client_connect(self._place)

    def run(self, stop: Event) -> None:
        """Follows the controls until `stop` is set."""
        while not stop.is_set():
            began = time.monotonic()
            self.tick(began)
            stop.wait(max(FRAME - (time.monotonic() - began), 0.001))

    def tick(self, now: float) -> bool:
        """Sends what has changed; whether anything had."""
        wanted = bearing(self._pose, self._face, self._transport.playing())
        look, wipe = self._looking.look(), self._looking.wipe()
        if wanted != self._held.bearing:
            held = self._holding(wanted)
            with self._lock:
                self._held = held
        with self._lock:
            self._look = look
        ours = look.drawn or wipe is not None
        shown = (wanted, replace(look, background=(0, 0, 0), ours=ours))
        changed = shown != self._sent
        if changed:
            self._sent = shown
            if not ours:
                colors = painted(self._puppet.avatar.surface, self._held.gaussians, look)
                self._site.show(self._held.gaussians, colors)
            self._site.hide(ours)
        self._turn(now)
        for number, tab in self._site.tabs().items():
            self._behind(number, tab, look, wipe if self._overlay else None, now)
        return changed

    def _holding(self, wanted: Bearing) -> Held:
        drive = self._puppet.drive(wanted)
        return Held(wanted, drive, self._puppet.gaussians(drive))

    def _taken(self) -> Taken:
        with self._lock:
            return Taken(self._held.bearing, self._held.drive, self._look)

    def _behind(
        self, number: int, tab: Tab, look: Look, wipe: tuple[float, float] | None, now: float
    ) -> None:
        """Puts behind the tab's scene what belongs there, unless it is there already."""
        if not look.drawn and wipe is None:
            plain = np.array(look.background, np.uint8)
            if self._screens.get(number) != look.background:
                self._screens[number] = look.background
                tab.behind(np.broadcast_to(plain, (4, 4, 3)).copy())
            return
        view = tab.view()
        width, height = tab.size
        last = self._screens.get(number)
        what = (self._sent, look.background, wipe, view, width, height)
        match last:
            case (same, since, large) if same == what:
                if large or now - since < WHILE:
                    return
                pixels, since = RESTING, since
            case _:
                pixels, since = MOVING, now
        camera = tab.camera(*fitted(width, height, pixels))
        self._screens[number] = (what, since, pixels == RESTING)
        tab.behind(self._picture(camera, look, wipe))

    def _picture(
        self, camera: Camera, look: Look, wipe: tuple[float, float] | None
    ) -> UInt8[np.ndarray, "h w 3"]:
        picture = drawn(self._puppet.avatar.surface, self._held.gaussians, camera, look)
        if wipe is None or self._overlay is None:
            return picture
        return self._overlay.over(picture, camera, *wipe)

    def _turn(self, now: float) -> None:
        """The turntable: every tab walks on round what it looks at."""
        angle, self._turned = self._camera.pace() * (now - self._turned), now
        if angle:
            for tab in self._site.tabs().values():
                tab.look(views.orbited(tab.view(), angle))

    def _place(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        tab = Tab(client)
        with self._lock:
            drive = self._held.drive
        framing, side = self._camera.chosen()
        tab.look(views.preset(self._puppet.avatar, drive, framing, side, tab.aspect))

    def _into_photo(self, client: viser.ClientHandle | None) -> None:
        self._pose.set(OWN_POSE)
        if client is not None:
            avatar = self._puppet.avatar
            Tab(client).look(views.of_photo(avatar, Tab(client).aspect))


def opened(
    file: Path, motions: Sequence[Path], photo: Path | None, fps: float, seed: int, report: Report
) -> tuple[Puppet, Overlay | None]:
    """What there is to show.

    Raises ValueError or OSError as `Avatar.load`, `clips` and `Overlay.of` do.
    """
    avatar = Avatar.load(file)
    overlay = None if photo is None else Overlay.of(photo, avatar)
    return Puppet(avatar, clips(motions, fps, seed, report)), overlay


def shown(studio: Studio, overlay: Overlay | None, port: int, said: Callable[[str], None]) -> None:
    """Shows it until Ctrl-C; `said` is told the address once it answers."""
    site = Site(port)
    try:
        show = Show(site, studio, overlay)
        said(site.url)
        show.run(Event())
    except KeyboardInterrupt:
        pass
    finally:
        site.close()


def fitted(width: int, height: int, pixels: int) -> tuple[int, int]:
    """A size of the same shape, of at most so many pixels."""
    scale = min(1.0, (pixels / (width * height)) ** 0.5)
    return max(round(scale * width), 1), max(round(scale * height), 1)
