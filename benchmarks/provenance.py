"""What the watermark costs and outlasts, and what signing costs.

    PYTHONPATH=. python benchmarks/provenance.py AVATAR [--frames 48]

For an avatar that walks, in shots as `incarnate` takes them: PSNR of marked frames to unmarked
ones (of transparent ones where they are seen), milliseconds of processor time a frame, by how much
our own .mp4 and a .png grow, and of 64 bits how many are wrong in a frame, and after all frames
have voted, behind x264 (preset medium, yuv420p) at four settings, JPEG at quality 85, and at 0.6
times the size. Then how far the bits of unmarked frames are from fair. Then bytes and milliseconds
of signing.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8
from playback import machine

from incarnate.avatar import Avatar, Framing
from incarnate.io.credentials import credential
from incarnate.io.pictures import backdrop, finished, write_picture
from incarnate.io.provenance import Making, Origin, side_car, sign
from incarnate.io.video import write_video
from incarnate.io.watermark import BITS, FINE, SIDES, Watermark, _told, false_alarms, read
from incarnate.motion import walk_cycle
from incarnate.stage import in_photo
from tests.io.encoders import jpeg, x264

MARK = Watermark(0xC0FFEE42)
CRFS = (18, 23, 28, 33)
Frames = Sequence[UInt8[np.ndarray, "h w c"]]


@dataclass(frozen=True)
class Shot:
    """How the avatar is taken."""

    width: int
    height: int
    framing: Framing
    background: str

    def __str__(self) -> str:
        return f"{self.width} x {self.height}, {self.framing}, {self.background}"


SHOTS = (
    Shot(768, 1024, "full", "#e8e8e8"),
    Shot(768, 1024, "full", "photo"),
    Shot(512, 512, "head", "#e8e8e8"),
    Shot(512, 512, "upper", "white"),
    Shot(512, 512, "upper", "black"),
    Shot(256, 256, "head", "#e8e8e8"),
)
CLEAR = Shot(768, 1024, "full", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    chosen = parser.parse_args()
    avatar = Avatar.load(chosen.avatar)
    cv2.setNumThreads(1)
    print(machine())
    print(f"{chosen.frames} frames, wrong of {BITS} bits: a frame / after the vote")
    names = [*(f"CRF {crf}" for crf in CRFS), "JPEG 85", "x 0.6"]
    print(
        f"{'':32}{'PSNR':>6}{'ms':>6}{'.mp4':>7}{'.png':>7}"
        + "".join(f"{name:>11}" for name in names)
    )
    unmarked = [line for shot in SHOTS for line in shown(avatar, shot, chosen.frames)]
    clear(avatar, chosen.frames)
    fair = np.mean(unmarked)
    print(f"unmarked: {fair:.1%} of {len(unmarked)} bits fit; a mark is found by chance in at most")
    print(f"one of {1 / false_alarms():,.0f} files")
    signing(avatar)


def frames_of(avatar: Avatar, shot: Shot, count: int) -> list[UInt8[np.ndarray, "h w c"]]:
    """The avatar walking."""
    drives = list(avatar.drives(walk_cycle(fps=30.0)))
    drives = [drives[k % len(drives)] for k in range(count)]
    if shot.background == "photo":
        camera, behind = in_photo(avatar, drives[0], shot.framing, shot.width, shot.height)
    else:
        camera = avatar.framed(drives[0], shot.framing, 0, 0, shot.width, shot.height)
        behind = backdrop(shot.background, shot.width, shot.height)
    views = (avatar.render(drive, camera) for drive in drives)
    return [finished(view.rgb, view.alpha, behind) for view in views]


def shown(avatar: Avatar, shot: Shot, count: int) -> list[bool]:
    """Prints a line of the table; for each bit of unmarked frames whether it fits."""
    frames = frames_of(avatar, shot, count)
    marked, seconds = clocked(frames)
    pairs = zip(marked, frames, strict=True)
    noise = np.mean([np.square(one - other.astype(float)).mean() for one, other in pairs])
    with tempfile.TemporaryDirectory() as folder:
        film, still = Path(folder) / "film.mp4", Path(folder) / "still.png"
        sizes = []
        for each in (frames, marked):
            write_video(film, each, 30)
            write_picture(still, each[0])
            sizes.append((film.stat().st_size, still.stat().st_size))
    (film_before, still_before), (film_after, still_after) = sizes
    seen = [x264(marked, crf) for crf in CRFS]
    seen.append([jpeg(frame, 85) for frame in marked[:8]])
    smaller = (shot.width * 3 // 5, shot.height * 3 // 5)
    seen.append([cv2.resize(one, smaller, interpolation=cv2.INTER_AREA) for one in marked[:8]])
    side = SIDES[0] if min(shot.width, shot.height) >= FINE else SIDES[1]
    line = f"{shot!s:32}{10 * np.log10(255**2 / noise):6.1f}{1000 * seconds:6.1f}"
    print(
        line
        + f"{film_after / film_before - 1:7.0%}{still_after / still_before - 1:7.0%}"
        + "".join(f"{wrong(s, side):>11}" for s in seen),
        flush=True,
    )
    return list((_told(frames[0], side) * MARK.bits > 0).tolist())


def clear(avatar: Avatar, count: int) -> None:
    """Prints what is left of the mark on transparent pictures and films."""
    frames = frames_of(avatar, CLEAR, count)
    marked, seconds = clocked(frames)
    there = [frame[..., 3] > 0 for frame in frames]
    noise = np.mean(
        [
            np.square(one[at][:, :3] - other[at][:, :3].astype(float)).mean()
            for one, other, at in zip(marked, frames, there, strict=True)
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.webm"
        write_video(film, marked, 30)
        with av.open(str(film)) as source:
            decoded = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    alpha = [frame[..., 3:] / 255 for frame in marked]
    grey = [
        np.rint(frame[..., :3] * a + 232 * (1 - a)).astype(np.uint8)
        for frame, a in zip(marked, alpha, strict=True)
    ]
    print(
        f"{CLEAR!s:32}{10 * np.log10(255**2 / noise):6.1f}{1000 * seconds:6.1f}   "
        f".png {wrong([np.array(f[..., :3]) for f in marked], SIDES[0])}, "
        f".webm {wrong(decoded, SIDES[0])} (read: {read(decoded) is not None}), "
        f"laid on grey {wrong(grey, SIDES[0])}"
    )


def clocked(frames: Frames) -> tuple[list[UInt8[np.ndarray, "h w c"]], float]:
    """The frames with the mark, and the median of seconds of processor time a frame."""
    marked, seconds = [], []
    for frame in frames:
        start = time.thread_time()
        marked.append(MARK.marked(frame))
        seconds.append(time.thread_time() - start)
    return marked, float(np.median(seconds))


def wrong(frames: Frames, side: int) -> str:
    """Wrong bits: in a frame on average, and in the sum of all frames."""
    told = np.stack([_told(frame, side) for frame in frames]) * MARK.bits
    return f"{(told < 0).sum(1).mean():.1f} / {(told.sum(0) < 0).sum()}"


def signing(avatar: Avatar) -> None:
    """Prints what credentials add to files, and how long it takes."""
    origin = Origin(Making("render", "one-shot-one-talk", None, 0, "c0ffee42"), "x" * 100)
    signer = credential()
    frames = frames_of(avatar, SHOTS[0], 24)
    kinds: dict[str, Callable[[Path], object]] = {
        "me.mp4": lambda path: write_video(path, frames, 30),
        "me.png": lambda path: write_picture(path, frames[0]),
        "me.jpg": lambda path: write_picture(path, frames[0]),
        "me.webm": lambda path: write_video(path, frames, 30),
        "me.glb": lambda path: path.write_bytes(bytes(4_000_000)),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, write in kinds.items():
            path, kept = Path(folder) / name, Path(folder) / "kept"
            write(path)
            shutil.copy(path, kept)
            seconds = []
            for _ in range(7):
                shutil.copy(kept, path)
                start = time.perf_counter()
                sign(path, origin, signer)
                seconds.append(time.perf_counter() - start)
            beside = side_car(path)
            more = path.stat().st_size - kept.stat().st_size
            more += beside.stat().st_size if beside.exists() else 0
            place = "side-car" if beside.exists() else "embedded"
            print(f"{name:8}{place:>10}{more:8,} bytes{1000 * np.median(seconds):7.1f} ms")


if __name__ == "__main__":
    main()
