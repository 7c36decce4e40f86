"""Sound put to a film: its frames stay as they are encoded, AAC goes into .mp4, Opus into .webm.

For pages it becomes a file of its own."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet

from incarnate.audio import Waveform
from incarnate.io.runs import replacing

RATE = 48_000  # Hertz; what Opus wants and AAC plays everywhere.
CODECS = {".mp4": ("mp4", "aac"), ".webm": ("webm", "libopus")}
BITS_A_SECOND = 128_000
PAGE_BITS_A_SECOND = 80_000  # Of speech.
_BASE = Fraction(1, RATE)


def add_sound(film: Path, sound: Iterable[Waveform], path: Path) -> None:
    """Writes `film` again as `path`, with sound from its first frame on.

    `sound` comes in blocks at RATE. The file is whole or absent. Raises ValueError for a suffix
    that holds no sound, OSError if writing fails.
    """
    if path.suffix.lower() not in CODECS:
        raise ValueError(f"{path}: films with sound are {' or '.join(CODECS)}")
    kind, codec = CODECS[path.suffix.lower()]
    with replacing(path) as part:
        try:
            with av.open(str(film)) as source, av.open(str(part), "w", format=kind) as output:
                picture = source.streams.video[0]
                stream = output.add_stream_from_template(picture)
                track = cast(AudioStream, output.add_stream(codec, RATE, layout="mono"))
                track.bit_rate = BITS_A_SECOND
                heard = _packets(track, sound)
                late = next(heard, None)
                for packet in source.demux(picture):
                    if packet.dts is None:
                        continue
                    while late is not None and _seconds(late) <= _seconds(packet):
                        output.mux(late)
                        late = next(heard, None)
                    packet.stream = stream
                    output.mux(packet)
                for packet in chain([late] if late is not None else [], heard):
                    output.mux(packet)
        except av.error.FFmpegError as error:
            raise OSError(error.errno, f"{path} could not be written: {error.strerror}") from error


@contextmanager
def sounding(path: Path, sound: Iterable[Waveform] | None) -> Iterator[Path]:
    """Where to write a film without sound: at the end of the block it is `path`, with the sound.

    That is `path` itself if there is none. Nothing stays if the block fails.
    """
    if sound is None:
        yield path
        return
    silent = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield silent
        add_sound(silent, sound, path)
    finally:
        silent.unlink(missing_ok=True)


def mp3(sound: Iterable[Waveform]) -> bytes:
    """Sound as a file of its own that every browser plays; it comes in blocks at RATE.

    OSError if it cannot be encoded.
    """
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp3") as output:
            track = cast(AudioStream, output.add_stream("libmp3lame", RATE, layout="mono"))
            track.bit_rate = PAGE_BITS_A_SECOND
            output.mux(list(_packets(track, sound)))
    except av.error.FFmpegError as error:
        raise OSError(error.errno, f"sound cannot be encoded: {error.strerror}") from error
    return file.getvalue()


def _seconds(packet: Packet) -> float:
    return float((packet.dts or 0) * packet.time_base)


def _packets(track: AudioStream, sound: Iterable[Waveform]) -> Iterator[Packet]:
    """The encoded sound; the encoder cuts it into its own frames."""
    resampler = av.AudioResampler(format=track.format, layout="mono", rate=RATE)
    at = 0
    for block in sound:
        if block.sample_rate != RATE:
            raise ValueError(f"the sound comes at {block.sample_rate} Hz, {RATE} are wanted")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.samples.clip(-1, 1)[None]), format="fltp", layout="mono"
        )
        # Stamped from 0 on: without a stamp the encoder's delay would be lost, and 23 ms with it.
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, _BASE
        at += len(block.samples)
        for ready in resampler.resample(frame):
            yield from track.encode(ready)
    for ready in resampler.resample(None) if at else ():
        yield from track.encode(ready)
    yield from track.encode(None)
