"""`create --viewer`: an avatar shown while it is made.

A report that passes everything on to the one that was there before, and looks on. The work runs in
its own thread and waits here while it is paused; nothing of what it computes changes.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import final

import numpy as np
import torch
import viser
from viser import uplot

from incarnate.avatar import Avatar
from incarnate.cameras import orbit
from incarnate.progress import Onlooker, Report
from incarnate.scene import Gaussians
from incarnate.viewer.clips import clips
from incarnate.viewer.overlay import Overlay
from incarnate.viewer.puppet import Puppet
from incarnate.viewer.show import Show
from incarnate.viewer.site import Site, Tab
from incarnate.viewer.takes import Studio
from incarnate.viewer.views import Eye, eye

SHOWN_EVERY = 0.5  # Seconds between pictures of what is being learnt.
TOLD_EVERY = 0.25  # Seconds between moves of bar and curves.
ROOM = 1.15  # Of the person's height in the picture.
BACKGROUND = 232
TINTS = ("#1c7ed6", "#e8590c", "#2f9e44")
WAITED = 0.2  # Seconds between looks at whether a pause is over.
FPS = 30.0


@contextlib.contextmanager
def watched(report: Report, port: int) -> "Iterator[Watch]":
    """A site on which to watch what else would go to `report` alone; its address is said there."""
    site = Site(port)
    try:
        report.say(f"{site.url} shows it")
        yield Watch(site, report)
    finally:
        site.close()


@dataclass
class _Stage:
    """One line of the list, and what belongs under it."""

    name: str
    began: float
    seconds: float | None = None
    losses: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        took = "" if self.seconds is None else f", {self.seconds:.1f} s"
        spans = [f", {name} {v[0]:.4f} → {v[-1]:.4f}" for name, v in self.losses.items()]
        sign = "…" if self.seconds is None else "✓"
        return [f"- {sign} **{self.name}**{took}{''.join(spans)}", *self.notes]


@final
class Watch(Report, Onlooker):
    """Stages with their gates, losses, pause and step, and the avatar of the moment."""

    def __init__(self, site: Site, inner: Report) -> None:
        self._site, self._inner = site, inner
        self.onlooker = self
        self._told = self._shown = 0.0
        self._past: list[_Stage] = []
        self._fresh, self._over = True, False
        self._view: Eye | None = None
        self._lock = Lock()
        self._going, self._steps = Event(), 0
        self._going.set()
        gui = site.server.gui
        self._stages = gui.add_markdown("starting ...")
        self._bar = gui.add_progress_bar(0.0)
        self._pause = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
        self._step = gui.add_button("Step", icon=viser.Icon.PLAYER_SKIP_FORWARD)
        self._curves: dict[str, viser.GuiUplotHandle] = {}
        self._pause.on_click(lambda _: self._pressed())
        self._step.on_click(lambda _: self._one())
        site.server.on_client_connect(self._place)

    def stage(self, name: str) -> None:
        """Ends the stage before."""
        self._ended()
        self._past.append(_Stage(name, time.monotonic()))
        self._fresh, self._bar.value = True, 0.0
        self._listed()
        self._inner.stage(name)
        self._waited()

    def step(self, index: int, count: int) -> None:
        """Waits here while paused."""
        self._inner.step(index, count)
        now = time.monotonic()
        if now - self._told > TOLD_EVERY or index == count or not self._going.is_set():
            self._told = now
            self._bar.value = 100 * index / count
            self._plotted()
        self._waited()

    def warn(self, text: str) -> None:
        """Kept beside its stage."""
        self._noted(f"⚠ {text}")
        self._inner.warn(text)

    def say(self, text: str) -> None:
        """Passed on."""
        self._inner.say(text)

    def close(self) -> None:
        """The last stage is done."""
        self._ended()
        self._inner.close()

    def learnt(self, losses: Mapping[str, float], scene: Callable[[], object]) -> None:
        """Keeps the losses; shows the scene, unless one was shown a moment ago."""
        for name, value in losses.items():
            self._past[-1].losses.setdefault(name, []).append(value)
        now = time.monotonic()
        if not self._fresh and self._going.is_set() and now - self._shown < SHOWN_EVERY:
            return
        with torch.no_grad():
            made = scene()
        match made:
            case Gaussians():
                self._show(made)
        # From its end: what a picture costs must not eat up the time between two.
        self._shown, self._fresh = time.monotonic(), False

    def measured(self, name: str, value: float, limit: float) -> None:
        """A gate of the present stage."""
        sign = "✓" if value <= limit else "✗"
        self._noted(f"{sign} {name}: {100 * value:.1f} % (limit {100 * limit:.1f} %)")

    def go_on(self, avatar: Avatar, file: Path, photo: Path) -> None:
        """Shows the finished avatar on the same site, to be posed and played, until Ctrl-C."""
        self.close()
        self._over = True
        self._site.server.gui.reset()
        puppet = Puppet(avatar, clips((), FPS, 0, self._inner))
        self._inner.say(f"{self._site.url} goes on showing it; Ctrl-C ends")
        with contextlib.suppress(KeyboardInterrupt):
            studio = Studio(puppet, file, Path.cwd())
            Show(self._site, studio, Overlay.of(photo, avatar)).run(Event())

    def _show(self, gaussians: Gaussians) -> None:
        cloud = gaussians
        if cloud.colors.shape[1] != 3:  # Stand-ins for the body's surface.
            depth = cloud.means[:, 2]
            share = (depth - depth.min()) / (depth.max() - depth.min()).clamp_min(1e-6)
            cloud = Gaussians(
                cloud.means,
                cloud.quats,
                cloud.log_scales,
                cloud.logit_opacities,
                (0.35 + 0.4 * share)[:, None].expand(-1, 3),
            )
        self._site.show(cloud, cloud.colors)
        if self._view is None:
            low, high = cloud.means.amin(0), cloud.means.amax(0)
            extent = ROOM * float((high - low).max())
            camera = orbit((low + high) / 2, extent, 0.0, 0.0, 512, 512)
            self._view = eye(camera, float((camera.center - (low + high) / 2).norm()))
            for tab in self._site.tabs().values():
                tab.look(self._view)

    def _place(self, client: viser.ClientHandle) -> None:
        if self._over:
            return
        Tab(client).behind(np.full((4, 4, 3), BACKGROUND, np.uint8))
        if self._view is not None:
            Tab(client).look(self._view)

    def _noted(self, text: str) -> None:
        if self._past:
            self._past[-1].notes.append(f"    - {text}")
            self._listed()

    def _ended(self) -> None:
        if self._past and self._past[-1].seconds is None:
            self._plotted()
            self._past[-1].seconds = time.monotonic() - self._past[-1].began
            self._listed()

    def _listed(self) -> None:
        if not self._over:
            self._stages.content = "\n".join(line for one in self._past for line in one.lines())

    def _plotted(self) -> None:
        for name, values in self._past[-1].losses.items():
            if name not in self._curves:
                tint = TINTS[len(self._curves) % len(TINTS)]
                self._curves[name] = _curve(self._site.server.gui, name, tint)
            self._curves[name].data = (np.arange(1.0, len(values) + 1), np.array(values))

    def _pressed(self) -> None:
        paused = self._going.is_set()
        self._pause.label = "Go on" if paused else "Pause"
        self._pause.icon = viser.Icon.PLAYER_PLAY if paused else viser.Icon.PLAYER_PAUSE
        if paused:
            self._going.clear()
        else:
            self._going.set()

    def _one(self) -> None:
        with self._lock:
            self._steps += 1

    def _waited(self) -> None:
        """Returns at once while going, else after Go on or a Step."""
        while not self._going.wait(WAITED):
            with self._lock:
                if self._steps:
                    self._steps -= 1
                    return
        with self._lock:
            self._steps = 0


def _curve(gui: viser.GuiApi, name: str, tint: str) -> viser.GuiUplotHandle:
    """A chart of one loss over the steps of its stage."""
    return gui.add_uplot(
        (np.zeros(1), np.zeros(1)),
        (uplot.Series(label="step"), uplot.Series(label=name, stroke=tint, width=2)),
        title=f"{name}: mean distance from the photo",
        scales={"x": uplot.Scale(time=False)},
        aspect=2.0,
    )
