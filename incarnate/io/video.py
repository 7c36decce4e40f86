"""Films: H.264 in .mp4 (opaque), VP9 in .webm (opaque or with alpha)."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from jaxtyping import UInt8

from incarnate.io.runs import replacing

Frame = UInt8[np.ndarray, "h w c"]
"""sRGB, with straight (not premultiplied) alpha if c is 4."""

WAITING = 3  # Frames that may wait for the encoder: they smooth its uneven pace.
BT709 = 1  # H.273's number for the primaries, transfer and matrix that players assume for sRGB.


@dataclass(frozen=True)
class Codec:
    """How frames of one kind are encoded."""

    name: Literal["libx264", "libvpx-vp9"]
    container: Literal["mp4", "webm"]
    pixels: Literal["yuv420p", "yuva420p"]
    options: dict[str, str]


# Of x264's presets the one whose films of avatars are the smallest, at half the time of `medium`.
_X264 = {"crf": "17", "preset": "veryfast", "movflags": "+faststart"}
H264 = Codec("libx264", "mp4", "yuv420p", _X264)
_VP9 = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
VP9 = Codec("libvpx-vp9", "webm", "yuv420p", _VP9)
VP9_ALPHA = Codec("libvpx-vp9", "webm", "yuva420p", _VP9 | {"auto-alt-ref": "0"})


def codec_for(path: Path, channels: int) -> Codec:
    """The codec that `path`'s suffix asks for; ValueError if it cannot hold such frames."""
    match path.suffix.lower(), channels:
        case ".mp4", 3:
            return H264
        case ".webm", 3:
            return VP9
        case ".webm", 4:
            return VP9_ALPHA
        case ".mp4", 4:
            raise ValueError(f"{path}: mp4 has no transparency; use .webm, or give a background")
        case suffix, (3 | 4):
            raise ValueError(f"{path}: films are .mp4 or .webm (with alpha), not '{suffix}'")
        case _:
            raise ValueError(f"frames have {channels} channels, 3 (rgb) or 4 (rgba) are wanted")


def write_video(path: Path, frames: Iterable[Frame], fps: float | int) -> None:
    """Encodes frames as they come; the file appears when the last one is in, or never.

    All frames have the size of the first. mp4 wants even sizes: an odd last row or column is
    doubled. Raises ValueError for no frames or frames that differ, OSError if writing fails.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: a film needs at least one frame")
    codec = codec_for(path, first.shape[2])
    with replacing(path) as part:
        try:
            _encode(part, codec, chain([first], frames), fps)
        except av.error.FFmpegError as error:
            raise OSError(error.errno, f"{path} could not be written: {error.strerror}") from error


def _encode(part: Path, codec: Codec, frames: Iterable[Frame], fps: float | int) -> None:
    """Encodes in a thread of its own, while the next frames are being made."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(part), "w", format=codec.container) as output:
        stream: VideoStream | None = None
        shape: tuple[int, ...] = ()

        def add(picture: av.VideoFrame, stream: VideoStream) -> None:
            output.mux(stream.encode(_yuv(picture, codec)))

        with ThreadPoolExecutor(1, "encoder") as encoder:
            pending: deque[Future[None]] = deque()
            for frame in frames:
                if stream is None:
                    shape, stream = frame.shape, output.add_stream(codec.name, rate, codec.options)
                    height, width = _evened(frame, codec).shape[:2]
                    stream.width, stream.height, stream.pix_fmt = width, height, codec.pixels
                    _tag_colors(stream)
                if frame.shape != shape:
                    raise ValueError(f"a frame is {frame.shape}, the first one was {shape}")
                if len(pending) == WAITING:
                    pending.popleft().result()
                pending.append(encoder.submit(add, _copied(_evened(frame, codec)), stream))
            for added in pending:
                added.result()
        if stream is not None:
            output.mux(stream.encode(None))


def _evened(frame: Frame, codec: Codec) -> UInt8[np.ndarray, "even_h even_w c"]:
    height, width = frame.shape[:2]
    if codec.container != "mp4" or not (height % 2 or width % 2):
        return frame
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _copied(frame: Frame) -> av.VideoFrame:
    kind = "rgb24" if frame.shape[2] == 3 else "rgba"
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)


def _yuv(picture: av.VideoFrame, codec: Codec) -> av.VideoFrame:
    return picture.reformat(
        format=codec.pixels,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


def _tag_colors(stream: VideoStream) -> None:
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = int(ColorRange.MPEG)
