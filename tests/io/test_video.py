from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from incarnate.io.video import write_video

COLORS = np.array([(200, 60, 30), (20, 160, 90), (30, 40, 220)], np.uint8)


def stripes(height: int, width: int, count: int) -> Iterator[np.ndarray]:
    """Three stripes of colour that change places from frame to frame."""
    rows = np.arange(height) * 3 // height
    for i in range(count):
        yield np.broadcast_to(COLORS[(rows + i) % 3][:, None], (height, width, 3))


def decoded(path: Path, decoder: str, kind: str) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        context = av.CodecContext.create(decoder, "r")
        assert isinstance(context, av.VideoCodecContext)
        packets = film.demux(video=0)
        return [f.to_ndarray(format=kind) for p in packets for f in context.decode(p)]


@pytest.mark.parametrize(("suffix", "decoder"), [(".mp4", "h264"), (".webm", "libvpx-vp9")])
def test_a_film_holds_every_frame_in_its_colors(tmp_path: Path, suffix: str, decoder: str):
    path = tmp_path / f"film{suffix}"
    write_video(path, stripes(96, 64, 7), 25)
    if suffix == ".mp4":
        with av.open(str(path)) as film:
            frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
            assert film.streams.video[0].average_rate == 25
    else:
        frames = decoded(path, decoder, "rgb24")
    assert len(frames) == 7
    for ours, theirs in zip(stripes(96, 64, 7), frames, strict=True):
        middles = np.s_[16::32]  # Away from the edges, where half-size chroma bleeds.
        # 8-bit video colours round to 2 levels; untagged BT.601 would be off by 10 and more.
        assert np.abs(ours[middles].astype(int) - theirs[middles]).max() <= 4


def test_webm_keeps_straight_alpha(tmp_path: Path):
    path = tmp_path / "film.webm"
    frame = np.full((64, 96, 4), (200, 60, 30, 255), np.uint8)
    frame[:, 32:64, 3], frame[:, 64:, 3] = 128, 0
    write_video(path, [frame] * 3, 30)
    frames = decoded(path, "libvpx-vp9", "rgba")
    assert len(frames) == 3
    np.testing.assert_allclose(frames[1][32, [16, 48, 80], 3], [255, 128, 0], atol=2)
    np.testing.assert_allclose(frames[1][32, 48, :3], [200, 60, 30], atol=4)


def test_odd_sizes_grow_by_their_last_row_and_column(tmp_path: Path):
    write_video(tmp_path / "film.mp4", stripes(63, 33, 2), 24)
    with av.open(str(tmp_path / "film.mp4")) as film:
        shapes = {f.to_ndarray(format="rgb24").shape for f in film.decode(video=0)}
    assert shapes == {(64, 34, 3)}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_film_that_stops_half_way_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def broken() -> Iterator[np.ndarray]:
        yield from stripes(64, 64, 100)  # More than x264 looks ahead: the file is begun.
        assert len(list(tmp_path.iterdir())) == 2
        raise error

    with pytest.raises(error):
        write_video(path, broken(), 25)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("film.gif", (64, 64, 3), r"\.mp4 or \.webm \(with alpha\), not '\.gif'"),
        ("film.mp4", (64, 64, 4), r"mp4 has no transparency; use \.webm"),
        ("film.webm", (64, 64, 2), "2 channels"),
    ],
)
def test_what_cannot_be_filmed_says_what_can(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / name, [np.zeros(shape, np.uint8)], 25)
    assert not list(tmp_path.iterdir())


def test_frames_must_come_and_agree(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "film.mp4", [], 25)
    with pytest.raises(ValueError, match="first one was"):
        write_video(tmp_path / "film.mp4", [*stripes(64, 64, 1), *stripes(64, 32, 1)], 25)
