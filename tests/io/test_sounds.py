from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from incarnate.audio import Waveform
from incarnate.io.sounds import check_sound, read_sound, sound_blocks

KINDS = {  # Suffix: codec, container, sample format, rates that codec takes.
    "wav": ("pcm_s16le", "wav", "s16", (8000, 11025, 48000)),
    "flac": ("flac", "flac", "s16", (11025, 44100)),
    "mp3": ("libmp3lame", "mp3", "fltp", (22050, 44100)),
    "ogg": ("libopus", "ogg", "flt", (16000, 48000)),
    "m4a": ("aac", "ipod", "fltp", (22050, 44100)),
}
CASES = [(suffix, rate) for suffix, (*_, rates) in KINDS.items() for rate in rates]


def chirp(rate: int, seconds: float = 1.0) -> np.ndarray:
    """A click of tone at 0.4 s: where it lies tells when a sound was heard."""
    at = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 900 * at) * np.exp(-(((at - 0.4) / 0.03) ** 2))).astype(
        np.float32
    )


def write(path: Path, samples: np.ndarray, rate: int, channels: int = 1) -> Path:
    codec, container, kind, _ = KINDS[path.suffix[1:]]
    layout = "mono" if channels == 1 else "stereo"
    planes = np.stack([samples] * channels)
    if channels == 2:
        planes[1] *= -0.5  # The mean is a quarter of the left channel.
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate)
        stream.layout = layout
        stream.format = kind
        if len(samples):
            encode(output, stream, planes, rate)
    return path


def encode(output, stream, planes: np.ndarray, rate: int) -> None:
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(planes), format="fltp", layout=stream.layout.name
    )
    frame.sample_rate = rate
    frame.pts, frame.time_base = 0, Fraction(1, rate)  # Else the encoder's delay goes untold.
    if not stream.codec_context.is_open:
        stream.codec_context.open()
    fitted = av.AudioResampler(
        stream.format.name, stream.layout.name, rate, stream.codec_context.frame_size or None
    )
    for part in (frame, None):
        for packet in fitted.resample(part):
            output.mux(stream.encode(packet))
    output.mux(stream.encode(None))


def heard_at(sound: Waveform) -> float:
    """The second at which the click is loudest."""
    power = np.convolve(sound.samples.astype(np.float64) ** 2, np.hanning(sound.sample_rate // 50))
    return (power.argmax() - sound.sample_rate // 100) / sound.sample_rate


@pytest.mark.parametrize(("suffix", "rate"), CASES)
def test_any_sound_is_read_in_time_and_loudness(tmp_path, suffix, rate):
    sound = read_sound(write(tmp_path / f"a.{suffix}", chirp(rate), rate))
    assert sound.sample_rate == (48000 if suffix == "ogg" else rate)  # Opus knows but one rate.
    assert abs(heard_at(sound) - 0.4) < 0.005
    assert abs(sound.peak - 0.5) < 0.05
    assert abs(sound.seconds - 1.0) < 0.06  # Codecs pad to whole packets.


@pytest.mark.parametrize("suffix", KINDS)
def test_blocks_are_the_sound_at_the_rate_asked_for(tmp_path, suffix):
    rate = KINDS[suffix][3][-1]
    path = write(tmp_path / f"a.{suffix}", chirp(rate), rate)
    blocks = list(sound_blocks(path, 16000, seconds=0.13))
    assert {len(b.samples) for b in blocks[:-1]} == {2080}
    whole = read_sound(path, 16000)
    assert np.array_equal(np.concatenate([b.samples for b in blocks]), whole.samples)
    assert abs(heard_at(whole) - 0.4) < 0.005


def test_two_channels_become_their_mean(tmp_path):
    sound = read_sound(write(tmp_path / "a.wav", chirp(16000), 16000, channels=2))
    # 16 bits, and the mean of 1 and -0.5.
    assert np.abs(sound.samples - 0.25 * chirp(16000)).max() < 2e-4


def film(path: Path, with_sound: bool) -> Path:
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", 25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio = output.add_stream("aac", 44100, layout="mono") if with_sound else None
        for _ in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            encode(output, audio, chirp(44100)[None], 44100)
    return path


def test_the_track_of_a_film_is_read(tmp_path):
    assert abs(heard_at(read_sound(film(tmp_path / "a.mp4", True))) - 0.4) < 0.005


def test_what_is_no_sound_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is no sound at all, not by any means " * 20)
    (tmp_path / "none.wav").write_bytes(
        write(tmp_path / "a.wav", chirp(8000), 8000).read_bytes()[:78]
    )
    film(tmp_path / "mute.mp4", False)
    for name, words in (
        ("empty.wav", "is empty"),
        ("text.wav", "cannot be read as sound"),
        ("none.wav", "holds no sound"),
        ("mute.mp4", "no sound track"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read_sound(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_sound(tmp_path / "missing.wav")
    with pytest.raises(IsADirectoryError):
        read_sound(tmp_path)


def test_silence_is_refused_unless_allowed(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(16000, np.float32), 16000)
    with pytest.raises(ValueError, match="silent"):
        check_sound(path)
    assert check_sound(path, allow_silence=True) == pytest.approx(1.0)


def test_a_torn_file_is_refused_or_read_as_far_as_it_goes(tmp_path):
    path = write(tmp_path / "a.flac", chirp(16000, 3.0), 16000)
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read|damaged|holds no sound"):
        read_sound(path)
