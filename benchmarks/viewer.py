"""How many updates a second the viewer sends, and what watching costs while an avatar is made.

    PYTHONPATH=. python benchmarks/viewer.py [AVATAR] [--gaussians 60000] [--photo PHOTO]

An update is the whole way of a moved slider: the controls read, a drive, Gaussians, the wire's
format, viser's message, sent over loopback and taken in by a tab that draws nothing. Without an
avatar: the default body with that many discs, made in memory. With a photo: `create` at draft
quality with and without somebody watching, in turns, each thrice, the least of each.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import viser
import websockets
from viser import _messages
from websockets.sync.client import connect

from benchmarks.playback import machine, synthetic
from incarnate.avatar import Avatar
from incarnate.body.anny import Anny
from incarnate.create import captured, from_capture
from incarnate.methods.one_shot_one_talk import PRESETS
from incarnate.motion import walk_cycle
from incarnate.progress import Report, Silent
from incarnate.viewer.clips import Clip
from incarnate.viewer.looks import Look, drawn, painted
from incarnate.viewer.puppet import Bearing, Puppet
from incarnate.viewer.show import Show
from incarnate.viewer.site import Site
from incarnate.viewer.splats import packed
from incarnate.viewer.takes import Studio
from incarnate.viewer.watch import Watch

TAB = (1280, 900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", nargs="?", type=Path)
    parser.add_argument("--gaussians", type=int, default=60_000)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--photo", type=Path)
    arguments = parser.parse_args()
    print(machine())
    avatar = Avatar.load(arguments.avatar) if arguments.avatar else synthetic(arguments.gaussians)
    puppet = Puppet(avatar, (Clip("walk", walk_cycle(30.0)),))
    print(f"{len(avatar.surface.discs.faces):,} Gaussians, {arguments.updates} updates a row")
    updates(puppet, arguments.updates)
    parts(puppet, arguments.updates)
    if arguments.photo is not None:
        watching(arguments.photo)


def updates(puppet: Puppet, count: int) -> None:
    """The whole way, with a tab that receives, and with none."""
    for name, tabs in (("no tab", 0), ("one tab", 1), ("three tabs", 3)):
        site = Site(0)
        show = Show(site, Studio(puppet, Path("me.avatar"), Path.cwd()), None)
        with received(site, tabs) as taken:
            show.tick(0.0)
            before = taken()
            start = time.perf_counter()
            for k in range(count):
                show._pose._sliders["left arm", "raise"].value = 1.0 + k % 90
                assert show.tick(0.0)
            seconds = time.perf_counter() - start
            time.sleep(0.5)
            got = f", {(taken() - before) / 1e6 / seconds:.0f} MB/s received" if tabs else ""
            print(f"moved slider, {name:12} {count / seconds:6.1f} updates/s{got}", flush=True)
        site.close()


def parts(puppet: Puppet, count: int) -> None:
    """Milliseconds of each part of an update, and of the pictures drawn here."""
    avatar = puppet.avatar
    held = Bearing(degrees={("left arm", "raise"): 30.0})
    drives = [
        puppet.drive(Bearing(clip="walk", seconds=k / 30))
        for k in range(len(puppet.clips[0].motion))
    ]
    clouds = [puppet.gaussians(drive) for drive in drives[:2]]
    camera = avatar.framed(drives[0], width=500, height=500)
    look, deep = Look("parts"), Look("depth")
    timed("drive from sliders", lambda k: puppet.drive(held), count)
    timed("Gaussians from a drive", lambda k: puppet.gaussians(drives[k % len(drives)]), count)
    timed("colours (parts)", lambda k: painted(avatar.surface, clouds[0], look), count)
    timed("the wire's format", lambda k: packed(clouds[0], clouds[0].colors), count)
    shade = avatar.surface, clouds[0], camera, deep
    timed("depth drawn here, 500 x 500", lambda k: drawn(*shade), count // 4)


def timed(name: str, work: Callable[[int], object], count: int) -> None:
    work(0)
    start = time.perf_counter()
    for k in range(count):
        work(k)
    print(f"{name:28} {1000 * (time.perf_counter() - start) / count:7.1f} ms", flush=True)


def watching(photo: Path) -> None:
    """Seconds of the fitting (all after the photo is read) with and without a watcher."""
    config, body = PRESETS["draft"], Anny.load()
    kept = captured(photo, config, None, None, body, Silent())

    def made(report: Report) -> float:
        start = time.perf_counter()
        from_capture("one-shot", "draft", config, kept, body, report)
        return time.perf_counter() - start

    made(Silent())
    alone: list[float] = []
    watched: list[float] = []
    for _ in range(3):
        alone.append(made(Silent()))
        site = Site(0)
        with received(site, 1) as taken:
            watch = Watch(site, Silent())
            watch.stage("fitting")
            watched.append(made(watch))
            assert taken() > 0
        site.close()
    print(
        f"draft fitted in {min(alone):.2f} s alone, {min(watched):.2f} s watched: "
        f"{100 * (min(watched) / min(alone) - 1):+.1f} %"
    )


@contextmanager
def received(site: Site, tabs: int) -> Iterator[Callable[[], int]]:
    """Tabs in a thread each, and how many bytes they have taken together."""
    taken = [0] * tabs
    sockets = []
    for number in range(tabs):
        socket = connect(
            site.url.replace("http", "ws"),
            subprotocols=[websockets.Subprotocol(f"viser-v{viser.__version__}")],
            compression=None,
            max_size=None,
        )
        looks = _messages.ViewerCameraMessage(
            wxyz=(1.0, 0.0, 0.0, 0.0), position=(0.0, 10.0, -40.0), fov=0.4, near=0.01, far=1e3,
            image_height=TAB[1], image_width=TAB[0], look_at=(0.0, 10.0, 0.0),
            up_direction=(0.0, 1.0, 0.0),
        )  # fmt: skip
        socket.send(msgspec.msgpack.encode(looks.as_serializable_dict()))
        sockets.append(socket)

        def read(socket=socket, number=number) -> None:
            for raw in socket:
                taken[number] += len(raw)

        threading.Thread(target=read, daemon=True).start()
    while len(site.tabs()) < tabs:
        time.sleep(0.01)
    yield lambda: sum(taken)
    for socket in sockets:
        socket.close()


if __name__ == "__main__":
    main()
