"""What a long job tells whoever waits for it.

A job is a row of stages; a stage may count steps. Everything goes to standard error, so that
standard output holds results only.
"""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, final

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY = 5.0  # Seconds between plain lines of one stage: a log file stays readable.


class Onlooker(ABC):
    """Whoever watches something being learnt; it changes nothing of it."""

    @abstractmethod
    def learnt(self, losses: Mapping[str, float], scene: Callable[[], object]) -> None:
        """What a step reached, and what it would show: a scene (`incarnate.scene`), worked out
        only if called, and to be called before this returns."""

    @abstractmethod
    def measured(self, name: str, value: float, limit: float) -> None:
        """A figure of the present stage; beyond the limit the user is warned."""


@final
class Nobody(Onlooker):
    """Does not look."""

    def learnt(self, losses: Mapping[str, float], scene: Callable[[], object]) -> None: ...

    def measured(self, name: str, value: float, limit: float) -> None: ...


class Report(ABC):
    """Where a job tells how far it is."""

    onlooker: Onlooker = Nobody()
    """Who is told what it learns."""

    @abstractmethod
    def stage(self, name: str) -> None:
        """A new stage begins and the one before is done."""

    @abstractmethod
    def step(self, index: int, count: int) -> None:
        """`index` of `count` steps of the present stage are done."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """Something the user should know, but need not act on."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A plain remark."""

    @abstractmethod
    def close(self) -> None:
        """The last stage is done, or the job was stopped."""

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


@final
class Silent(Report):
    """Tells nothing: for the library and for tests."""

    def stage(self, name: str) -> None: ...

    def step(self, index: int, count: int) -> None: ...

    def warn(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


@final
@dataclass
class Lines(Report):
    """One line for a stage, and one every few seconds within it: for logs and pipes."""

    stream: TextIO
    _stage: str = ""
    _began: float = 0.0
    _spoke: float = 0.0

    def stage(self, name: str) -> None:
        self._stage, self._began = name, time.monotonic()
        self._spoke = self._began
        self._write(name)

    def step(self, index: int, count: int) -> None:
        now = time.monotonic()
        if now - self._spoke < LINE_EVERY:
            return
        self._spoke = now
        left = time_left(now - self._began, index, count)
        self._write(f"{self._stage}: {index}/{count}" + (f", {left} left" if left else ""))

    def warn(self, text: str) -> None:
        self._write(f"warning: {text}")

    def say(self, text: str) -> None:
        self._write(text)

    def close(self) -> None: ...

    def _write(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


@final
class Bars(Report):
    """A bar a stage with the time left: for terminals."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Left(compact=True),
            console=Console(file=stream),
        )
        self._task: TaskID | None = None

    def stage(self, name: str) -> None:
        self._finish()
        self._progress.start()
        self._task = self._progress.add_task(name, total=None)

    def step(self, index: int, count: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=index, total=count)

    def warn(self, text: str) -> None:
        from rich.markup import escape

        self._progress.console.print(f"[yellow]warning:[/] {escape(text)}", highlight=False)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is None:
            return
        total = self._progress.tasks[self._task].total or 1
        self._progress.update(self._task, completed=total, total=total)
        self._task = None


def reporter(quiet: bool) -> Report:
    """The report that suits standard error: bars on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    if sys.stderr.isatty():
        return Bars(sys.stderr)
    return Lines(sys.stderr)


def time_left(elapsed: float, index: int, count: int) -> str:
    """'12 s' or '3 min' from `elapsed` seconds for `index` of `count` steps; '' if unknown."""
    if index <= 0 or count <= index:
        return ""
    seconds = elapsed / index * (count - index)
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
