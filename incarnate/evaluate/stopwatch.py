"""Seconds and memory of stages, as a report that other code tells its stages to."""

import resource
import time
from typing import final

from incarnate.evaluate.figures import Stage
from incarnate.progress import Report


@final
class Stopwatch(Report):
    """Times stages; `warnings` are what it was warned of."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.warnings: list[str] = []
        self._open: tuple[str, float] | None = None

    def stage(self, name: str) -> None:
        """Ends the stage before and begins `name`."""
        self.close()
        self._open = (name, time.perf_counter())

    def step(self, index: int, count: int) -> None: ...

    def warn(self, text: str) -> None:
        """Kept."""
        self.warnings.append(text)

    def say(self, text: str) -> None: ...

    def close(self) -> None:
        """Ends the stage."""
        if self._open is not None:
            name, began = self._open
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            self.stages.append(Stage(name, time.perf_counter() - began, peak))
            self._open = None
