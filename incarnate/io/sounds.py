"""Sounds: whatever FFmpeg decodes (wav, mp3, flac, ogg, m4a, the track of a video), as one channel.

A film's track may begin after its picture: the silence before it is filled in, so that sample 0 is
the beginning of the film. Channels are averaged.
"""

from collections.abc import Iterator
from errno import ENOENT
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import Float32

from incarnate.audio import SILENCE, SPEECH_RATE, Waveform

_LATEST_START = 3600.0  # Seconds; a track said to begin later has broken time stamps.


def read_sound(path: Path, sample_rate: int | None = None) -> Waveform:
    """All of a file's sound, at its own rate unless another is given.

    Raises OSError if there is no such file, ValueError if it is empty, damaged or has no sound.
    """
    rate = _own_rate(path) if sample_rate is None else sample_rate
    return Waveform(np.concatenate([b.samples for b in sound_blocks(path, rate)]), rate)


def check_sound(path: Path, allow_silence: bool = False) -> float:
    """The seconds of sound in a file, all of which decodes and, unless allowed, is not silence.

    Raises as `read_sound` does, and ValueError for silence. Memory does not grow with length.
    """
    count, peak = 0, 0.0
    for block in sound_blocks(path):
        count, peak = count + len(block.samples), max(peak, block.peak)
    if peak < SILENCE and not allow_silence:
        raise ValueError(f"{path} is silent from end to end; give a recording of speech")
    return count / SPEECH_RATE


def sound_blocks(
    path: Path, sample_rate: int = SPEECH_RATE, seconds: float = 0.5
) -> Iterator[Waveform]:
    """A file's sound in blocks of so many seconds, the last one shorter; raises as `read_sound`."""
    size = max(1, round(seconds * sample_rate))
    kept: list[np.ndarray] = []
    held = total = 0
    for part in _decoded(path, sample_rate):
        kept.append(part)
        held += len(part)
        total += len(part)
        if held >= size:
            whole = np.concatenate(kept)
            for start in range(0, held - size + 1, size):
                yield Waveform(whole[start : start + size].copy(), sample_rate)
            kept = [whole[held - held % size :].copy()]
            held %= size
    if held:
        yield Waveform(np.concatenate(kept), sample_rate)
    if not total:
        raise ValueError(f"{path} holds no sound; give a recording that is not empty")


def _own_rate(path: Path) -> int:
    with _opened(path) as container:
        return container.streams.audio[0].rate or SPEECH_RATE


def _opened(path: Path) -> InputContainer:
    if not path.exists():
        raise FileNotFoundError(ENOENT, "no such file; give a sound or a film", str(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a sound or a film")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; give a recording of speech")
    try:
        container = av.open(str(path), "r")
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read as sound ({error.strerror}); give a wav, mp3, flac, ogg, m4a "
            "or a film with sound"
        ) from error
    if not container.streams.audio:
        container.close()
        raise ValueError(f"{path} has no sound track; give a recording or a film with sound")
    return container


def _decoded(path: Path, sample_rate: int) -> Iterator[Float32[np.ndarray, " n"]]:
    with _opened(path) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", rate=sample_rate)
        # An mp3's first sample is stamped with the encoder's delay, and so is the file's start.
        began, begun = (container.start_time or 0) / 1e6, False
        try:
            for frame in container.decode(stream):
                if not begun:
                    begun = True
                    late = 0.0 if frame.time is None else frame.time - began
                    if 0 < late < _LATEST_START:
                        yield np.zeros(round(late * sample_rate), np.float32)
                frame.pts = None  # Gaps and jumps in the stamps would make the resampler stumble.
                for out in resampler.resample(frame):
                    yield _mono(out)
            for out in resampler.resample(None) if begun else ():
                yield _mono(out)
        except av.error.FFmpegError as error:
            raise ValueError(
                f"{path} is damaged ({error.strerror}); give a file that plays to its end"
            ) from error


def _mono(frame: av.AudioFrame) -> Float32[np.ndarray, " n"]:
    return frame.to_ndarray().mean(axis=0, dtype=np.float32)
