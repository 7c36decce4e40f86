"""Motions to be played, and the clock that plays them.

A clock is a value: playing, seeking and the rest give another one. Its times are seconds, `now`
that of any clock that does not jump (`time.monotonic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from incarnate.audio import Waveform
from incarnate.motion import Motion, walk_cycle
from incarnate.progress import Report
from incarnate.sources import joined, source, unlike
from incarnate.speech import Speaking


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion as a whole, with its sound."""

    name: str
    motion: Motion
    path: Path | None = None
    """The file it was read from."""
    sound: Waveform | None = None
    speaks: bool = False

    @property
    def seconds(self) -> float:
        """How long it plays: its last frame stays for as long as any other."""
        return len(self.motion) / self.motion.fps

    def index(self, seconds: float) -> int:
        """Which frame is shown at a time."""
        return min(max(int(seconds * self.motion.fps + 1e-6), 0), len(self.motion) - 1)

    def frame(self, seconds: float) -> Motion:
        """The one frame shown at a time."""
        index = self.index(seconds)
        return self.motion.frames(index, index + 1)


@dataclass(frozen=True)
class Clock:
    """Where in a clip we are: at `since`, at `start` seconds of it."""

    seconds: float
    """Of the clip."""
    start: float = 0.0
    since: float = 0.0
    playing: bool = False
    speed: float = 1.0
    loop: bool = True

    def at(self, now: float) -> float:
        """Seconds into the clip."""
        if not self.playing:
            return self.start
        reached = self.start + self.speed * (now - self.since)
        return reached % self.seconds if self.loop else min(reached, self.seconds)

    def ended(self, now: float) -> bool:
        """Whether it has played to its end."""
        return self.playing and not self.loop and self.at(now) >= self.seconds

    def play(self, now: float) -> "Clock":
        """It goes on from here, or from its start if it is at its end."""
        here = self.at(now)
        return replace(self, start=here if here < self.seconds else 0.0, since=now, playing=True)

    def pause(self, now: float) -> "Clock":
        """It stays here."""
        return replace(self, start=self.at(now), playing=False)

    def seek(self, seconds: float, now: float) -> "Clock":
        """It goes on, or stays, there."""
        return replace(self, start=min(max(seconds, 0.0), self.seconds), since=now)

    def paced(self, speed: float, loop: bool, now: float) -> "Clock":
        """It goes on from here at another speed."""
        return replace(self, start=self.at(now), since=now, speed=speed, loop=loop)


def clips(paths: Sequence[Path], fps: float, seed: int, report: Report) -> tuple[Clip, ...]:
    """Motions, films of a person and recordings of speech; then a walk, always there.

    Raises ValueError or OSError as `incarnate.sources.source` does.
    """
    if not 1 <= fps <= 240:
        raise ValueError(f"--fps is {fps:g}; give 1 to 240")
    found: list[Clip] = []
    for path in paths:
        report.stage(f"reading {path.name}")
        moving = source(path, Speaking(fps=fps), seed, report)
        sound = None
        if moving.sound is not None:
            blocks = list(moving.sound())
            samples = np.concatenate([block.samples for block in blocks])
            sound = Waveform(samples, blocks[0].sample_rate)
        name = unlike(path.name, [clip.name for clip in found])
        found.append(Clip(name, joined(moving.parts()), path, sound, moving.speaks))
    return (*found, Clip("walk", walk_cycle(fps)))
