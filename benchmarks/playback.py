"""How fast an avatar plays: frames a second at 512 x 512, encoding included.

    python benchmarks/playback.py [AVATAR] [--frames 200] [--size 512] [--rival-frames 20]

A drive per frame (gait, face, gaze, all changing), Gaussians, picture, backdrop, H.264 file: what
`incarnate animate` does once it has started. Prints a row per framing and instruction set; start-up
(load, first frame) apart. The rival is the plain torch definition of everything before the
splatting, in the same run, one frame after the other. Without an avatar: a synthetic person, the
default body with 64,000 discs.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from incarnate import _native
from incarnate.avatar import Avatar, Framing
from incarnate.avatars.surface import Discs, Drive, SurfaceAvatar, dense_weights, scattered
from incarnate.body.anny import Anny
from incarnate.cameras import Camera, look_at
from incarnate.io.pictures import backdrop, finished
from incarnate.io.video import write_video
from incarnate.motion import walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import render

FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head")
FPS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rival-frames", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    start = time.perf_counter()
    avatar = Avatar.load(arguments.avatar) if arguments.avatar else synthetic()
    drives = list(islice(moving(avatar), arguments.frames))
    avatar.render(drives[0], avatar.framed(drives[0], "full", width=64, height=64))
    started = time.perf_counter() - start
    print(machine())
    print(
        f"{len(avatar.surface.discs.faces):,} Gaussians, {arguments.size} x {arguments.size}, "
        f"{arguments.frames} frames a row, start-up {started:.1f} s"
    )
    print(f"{'':24}" + "".join(f"{f:>20}" for f in FRAMINGS))
    print(f"{'':24}" + f"{'fps   cpu ms/frame':>20}" * 3)
    cameras = {f: framed(avatar, drives[0], f, arguments.size) for f in FRAMINGS}
    best = _native.instruction_set()
    for isa in available():
        _native.set_instruction_set(isa)
        speeds = [filmed(played(avatar, drives, c), len(drives)) for c in cameras.values()]
        row(f"incarnate ({isa})", speeds)
    _native.set_instruction_set(best)
    few = drives[: arguments.rival_frames]
    speeds = [filmed(plain(avatar, few, c), len(few)) for c in cameras.values()]
    row("torch, splatting native", speeds)


def played(avatar: Avatar, drives: list[Drive], camera: Camera) -> Iterator[np.ndarray]:
    behind = backdrop("#e8e8e8", camera.width, camera.height)
    for drive in drives:
        view = avatar.render(drive, camera)
        yield finished(view.rgb, view.alpha, behind)


def plain(avatar: Avatar, drives: list[Drive], camera: Camera) -> Iterator[np.ndarray]:
    """The same pictures by the definition: pose and discs in torch."""
    behind = backdrop("#e8e8e8", camera.width, camera.height)
    for drive in drives:
        with torch.no_grad():
            view = render(avatar.surface(drive), camera)
        yield finished(view.rgb, view.alpha, behind, "torch")


def filmed(frames: Iterator[np.ndarray], count: int) -> tuple[float, float]:
    """Frames a second, closing of the file included, and milliseconds of all cores a frame."""
    with tempfile.TemporaryDirectory() as folder:
        start, used = time.perf_counter(), time.process_time()
        write_video(Path(folder) / "film.mp4", frames, FPS)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        return count / seconds, 1000 * used / count


def framed(avatar: Avatar, drive: Drive, framing: Framing, size: int) -> Camera:
    return avatar.framed(drive, framing, width=size, height=size)


def moving(avatar: Avatar) -> Iterator[Drive]:
    """Walking on the spot, talking with the whole face; no frame repeats."""
    phases = torch.linspace(0, 6, len(ARKIT_NAMES))
    for i, drive in enumerate(cycle(avatar.drives(walk_cycle(FPS)))):
        face = 0.3 + 0.3 * (0.7 * i + phases).sin()
        yield Drive(face, drive.pose, torch.zeros(3))


def synthetic(number: int = 64_000) -> Avatar:
    """The default body, painted all over with about so many discs."""
    rng = torch.Generator().manual_seed(0)
    body = Anny.load()
    rest = body.shaped(body.default_betas())
    a, b, c = rest[body.faces].unbind(1)
    areas = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    faces, barycentrics, _ = scattered(areas, number, rng)
    count = len(faces)
    radius = float((areas.sum() / count).sqrt())
    discs = Discs(
        faces,
        barycentrics,
        torch.zeros(count, 3),
        torch.zeros(count),
        torch.tensor([radius, radius, radius / 4]).log().expand(count, 3).clone(),
        torch.full((count,), 3.5),
        torch.rand(count, 3, generator=rng),
        torch.zeros(count, dtype=torch.long),
    )
    none = torch.zeros_like(rest)
    surface = SurfaceAvatar(body, body.default_betas(), none, dense_weights(body), discs)
    camera = look_at(torch.tensor([0.0, 1, 4]), torch.tensor([0.0, 1, 0]), 500.0, 512, 512)
    still = Drive(torch.zeros(len(ARKIT_NAMES)), body.neutral_pose(), torch.zeros(3))
    return Avatar(surface, still, camera, {})


def available() -> list[str]:
    found = []
    best = _native.instruction_set()
    for name in ("baseline", "v3", "v4"):
        try:
            _native.set_instruction_set(name)
        except ValueError:
            continue
        found.append(name)
    _native.set_instruction_set(best)
    return found[::-1]


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    model = (models or [platform.processor()])[0]
    return f"{model}, {os.cpu_count()} cores, load before {load}, torch {torch.__version__}"


def row(name: str, speeds: list[tuple[float, float]]) -> None:
    print(f"{name:24}" + "".join(f"{fps:11.1f}{cpu:9.1f}" for fps, cpu in speeds), flush=True)


if __name__ == "__main__":
    main()
