"""Films read frame by frame, upright, in constant memory: whatever FFmpeg decodes.

Frames come at even steps of time, the film's own mean rate unless that is above MAX_FPS: films of
telephones stamp their frames unevenly, so a frame may repeat or fall away. Large pictures are made
smaller while they are decoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import UInt8

MAX_FPS = 60.0
DEFAULT_FPS = 25.0  # Of films that do not tell.
LARGEST = 50_000_000  # Pixels of a frame; more is refused.
MAX_PIXELS = 2_200_000  # Pixels of a frame that is handed out, enough for 1080p.
MAX_GAP = 10.0  # Seconds between two frames; beyond, the time stamps are taken to be broken.


@dataclass(frozen=True, eq=False)
class FilmFrame:
    """One picture, and the second at which it is shown, the first at 0."""

    rgb: UInt8[np.ndarray, "h w 3"]
    seconds: float


@dataclass(frozen=True)
class FilmFacts:
    """What the file says of itself; `num_frames` is a guess, 0 where it says nothing."""

    fps: float
    num_frames: int


def film_facts(path: Path) -> FilmFacts:
    """Rate and length of a film; raises as `film_frames`."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        fps = _fps(stream)
        seconds = 0.0
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / av.time_base
        return FilmFacts(fps, max(0, round(seconds * fps)))


def film_frames(path: Path) -> Iterator[FilmFrame]:
    """The pictures of a film at even steps of time.

    Raises OSError if there is no such file, ValueError if it is empty, damaged or has no pictures.
    """
    count, last = 0, None
    fps = film_facts(path).fps
    for frame in _decoded(path):
        # Each picture is shown from half a step before its time: stamps are rounded.
        while last is not None and count / fps < frame.seconds - 0.5 / fps:
            yield FilmFrame(last.rgb, count / fps)
            count += 1
        last = frame
    if last is None:
        raise ValueError(f"{path} holds no picture; give a film that is not empty")
    yield FilmFrame(last.rgb, count / fps)


def _decoded(path: Path) -> Iterator[FilmFrame]:
    """Every picture with its own time, which never goes back."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        step = 1 / _fps(stream)
        began, now = 0.0, -step
        try:
            for frame in container.decode(stream):
                if frame.time is not None and now < 0:
                    began = frame.time
                ahead = now + step if frame.time is None else frame.time - began
                now = ahead if now <= ahead < now + MAX_GAP else now + step
                yield FilmFrame(_picture(frame), now)
        except av.error.FFmpegError as error:
            raise ValueError(
                f"{path} is damaged ({error.strerror}); give a film that plays to its end"
            ) from error


def _opened(path: Path) -> InputContainer:
    if not path.exists():
        raise FileNotFoundError(ENOENT, "no such file; give a film", str(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a film")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; give a film of a person")
    try:
        container = av.open(str(path), "r")
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read as a film ({error.strerror}); give an mp4, mov, webm, mkv or "
            "avi that plays"
        ) from error
    films = [s for s in container.streams.video if s.type == "video" and not _is_cover(s)]
    if not films:
        container.close()
        raise ValueError(f"{path} has no pictures, only sound; give a film of a person")
    size = films[0].width * films[0].height
    if not 0 < size <= LARGEST:
        container.close()
        raise ValueError(
            f"{path} has frames of {films[0].width} x {films[0].height} pixels; give a film of at "
            f"most {LARGEST // 1_000_000} million"
        )
    return container


def _is_cover(stream: VideoStream) -> bool:
    """A song's cover is stored as a film of one picture."""
    return bool(int(stream.disposition) & int(Disposition.attached_pic))


def _fps(stream: VideoStream) -> float:
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_FPS
    fps = float(rate)
    if not 1 <= fps <= 1000:
        return DEFAULT_FPS
    while fps > MAX_FPS:  # Slow motion: every second, third ... picture.
        fps /= 2
    return fps


def _picture(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    width, height = frame.width, frame.height
    scale = min(1.0, (MAX_PIXELS / (width * height)) ** 0.5)
    if scale < 1:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
