"""The tab in which pictures, films and exports are taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import final

import viser
from viser._gui_handles import GuiProgressBarHandle

from incarnate.avatars.surface import Drive
from incarnate.progress import Report
from incarnate.viewer.looks import Look
from incarnate.viewer.puppet import Bearing
from incarnate.viewer.site import Tab
from incarnate.viewer.takes import EXPORTS, Studio

SIZES = ("768x1024", "1080x1920", "1920x1080", "512x512", "2048x2048")
MOST_SENT = 200_000_000  # Bytes that a tab is offered to download.

Doing = Callable[["Taken", Tab, Report], list[Path]]


@dataclass(frozen=True, eq=False)
class Taken:
    """What is in front of the camera."""

    bearing: Bearing
    drive: Drive
    look: Look


@final
class TakePanel:
    """Buttons, one job at a time; each file is written, said, and offered for download."""

    def __init__(self, gui: viser.GuiApi, studio: Studio, now: Callable[[], Taken]) -> None:
        self._studio, self._now = studio, now
        self._busy = Lock()
        self._size = gui.add_dropdown("size", SIZES, initial_value=SIZES[0])
        picture = gui.add_button("Screenshot (.png)", icon=viser.Icon.CAMERA)
        turn = gui.add_button("Film a turn (.mp4)", icon=viser.Icon.ROTATE_360)
        clip = gui.add_button("Film the motion (.mp4)", icon=viser.Icon.VIDEO)
        self._ending = gui.add_dropdown("kind", EXPORTS, initial_value=".ply")
        export = gui.add_button("Export", icon=viser.Icon.DOWNLOAD)
        self._bar = gui.add_progress_bar(0.0, visible=False)
        self._said = gui.add_markdown(f"Files go to {studio.folder}, and to you.")
        picture.on_click(lambda event: self._do(event, self._picture))
        turn.on_click(lambda event: self._do(event, self._turn))
        clip.on_click(lambda event: self._do(event, self._clip))
        export.on_click(lambda event: self._do(event, self._export))

    def _picture(self, taken: Taken, tab: Tab, report: Report) -> list[Path]:
        camera = tab.camera(*self._wanted())
        return [self._studio.picture(taken.drive, camera, taken.look, report)]

    def _turn(self, taken: Taken, tab: Tab, report: Report) -> list[Path]:
        return [self._studio.turn(taken.drive, tab.camera(*self._wanted()), taken.look, report)]

    def _clip(self, taken: Taken, tab: Tab, report: Report) -> list[Path]:
        return [self._studio.clip(taken.bearing, tab.camera(*self._wanted()), taken.look, report)]

    def _export(self, taken: Taken, tab: Tab, report: Report) -> list[Path]:
        return self._studio.export(taken.drive, self._ending.value, report)

    def _wanted(self) -> tuple[int, int]:
        width, height = self._size.value.split("x")
        return int(width), int(height)

    def _do(self, event: viser.GuiEvent, doing: Doing) -> None:
        if event.client is None or not self._busy.acquire(blocking=False):
            return
        try:
            self._bar.visible = True
            paths = doing(self._now(), Tab(event.client), Told(self._bar, self._said))
            self._said.content = "Wrote " + ", ".join(path.name for path in paths)
            for path in paths:
                if path.stat().st_size <= MOST_SENT:
                    event.client.send_file_download(path.name, path.read_bytes())
        except (ValueError, OSError) as error:
            self._said.content = f"Not done: {error}"
        finally:
            self._bar.visible = False
            self._busy.release()


@final
@dataclass(frozen=True)
class Told(Report):
    """A bar and a line in the tab."""

    bar: GuiProgressBarHandle
    line: viser.GuiMarkdownHandle

    def stage(self, name: str) -> None:
        self.bar.value = 0.0
        self.line.content = f"{name} ..."

    def step(self, index: int, count: int) -> None:
        share = round(100 * index / count)
        if share != self.bar.value:
            self.bar.value = share

    def warn(self, text: str) -> None:
        self.line.content = text

    def say(self, text: str) -> None:
        self.line.content = text

    def close(self) -> None: ...
