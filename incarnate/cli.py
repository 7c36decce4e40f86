"""The command line: one verb a subcommand, one documented field a flag.

Exit status: 0 done, 1 `doctor` found something missing, 2 bad input (one line says which),
130 stopped. Results go to standard output, progress and warnings to standard error. Whatever is
slow to import (torch above all) is imported inside the verb that needs it.
"""

import math
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, Union, assert_never

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from incarnate.progress import Report, reporter

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from incarnate.avatar import Avatar
    from incarnate.avatars.surface import Drive
    from incarnate.cameras import Camera

FILMS = (".mp4", ".webm")
MOST_PIXELS = 40_000_000
AVATAR_BYTES = 200_000_000  # An avatar and the stages kept for --resume, generously.
BITS_A_PIXEL = 1.0  # Generous for H.264 at crf 18; a turntable measures 0.1 to 0.2.

DESCRIPTION = "One photo becomes a 3D person you can pose, film and animate."

Output = Annotated[Path, arg(aliases=["-o"])]
Switch = FlagCreatePairsOff[bool]
Quiet = Annotated[Switch, arg(aliases=["-q"])]


@dataclass(frozen=True)
class Create:
    """Make an avatar from a photo of a person."""

    photo: Positional[Path]
    """The photo: JPEG, PNG, WebP or any other format Pillow reads."""
    output: Output
    """The avatar to write, such as me.avatar."""
    method: Literal["one-shot"] = "one-shot"
    """How it is made: one-shot learns from this one photo alone."""
    person: int | None = None
    """Which person, counted from 0 by size; the largest if not given."""
    quality: Literal["draft", "normal", "high"] = "normal"
    """Draft answers in seconds; high takes minutes."""
    seed: int = 0
    """Same photo, settings and seed: same avatar, byte for byte on one machine."""
    resume: Switch = False
    """Continue where a stopped run left off, if there was one."""
    matting_model: Path | None = None
    """An ONNX matting model to cut the person out with, instead of the built-in way."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Shot:
    """How the picture is taken."""

    azimuth: float = 0.0
    """Degrees: 0 looks at the face, 90 at the person's left side, 180 at the back."""
    elevation: float = 0.0
    """Degrees above eye level, -89 to 89."""
    framing: Literal["full", "upper", "head"] = "full"
    """What fills the picture."""
    size: str = "768x1024"
    """Pixels: width x height, or one number for a square."""
    background: str = "#e8e8e8"
    """A colour, a picture file, or none (transparent: .png and .webm)."""
    fps: float = 30.0
    """Frames per second of a film."""


@dataclass(frozen=True)
class Render:
    """Take a picture (.png, .jpg) or a film (.mp4, .webm) of an avatar."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    output: Output
    """The picture or film to write."""
    shot: OmitArgPrefixes[Shot]
    pose: str = "stand"
    """A preset: stand, arms-up, crossed, sitting, ... or photo. A wrong name lists them all."""
    expression: str = "neutral"
    """A preset (smile, mouth-open, ...), ARKit weights (jawOpen=0.5,eyeBlinkLeft=1), or both."""
    turntable: bool = True
    """In a film, walk the camera once round the person."""
    seconds: float = 4.0
    """How long a film is."""
    frames: int | None = None
    """How many frames a film has, instead of --seconds."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Animate:
    """Film an avatar that moves as a motion file says."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    motion: Positional[Path]
    """The motion: .bvh, or SMPL-X/AMASS .npz."""
    output: Output
    """The film to write: .mp4 or .webm."""
    shot: OmitArgPrefixes[Shot]
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Doctor:
    """Say what this installation has, what is missing, and how to get it."""

    json: Switch = False
    """For machines."""


# Union, and help given here: for `|` tyro imports typeguard, and for help it parses typing.py,
# which doubles the time to --help.
Verb = Annotated[Union[Create, Render, Animate, Doctor], arg(help="What to do.")]  # noqa: UP007


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    verb = tyro.cli(Verb, prog="incarnate", description=DESCRIPTION, args=args)
    signal.signal(signal.SIGTERM, _stop)
    # torch's threads spin while they wait: beside any other busy program that costs half the speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _run(verb)
    except OSError as error:
        if error.strerror is None:
            return _refused(str(error))
        return _refused(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    except ValueError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        match verb:
            case Create():
                sys.stderr.write("incarnate: stopped; continue with --resume\n")
            case _:
                sys.stderr.write("incarnate: stopped; nothing was written\n")
        return 130


def _run(verb: Verb) -> int:
    match verb:
        case Create():
            _create(verb)
        case Render():
            _render(verb)
        case Animate():
            _animate(verb)
        case Doctor():
            from incarnate.doctor import diagnosis

            checks = diagnosis()
            sys.stdout.write(checks.json() if verb.json else checks.text())
            return 0 if checks.healthy else 1
        case _:
            assert_never(verb)
    return 0


def _create(verb: Create) -> None:
    from incarnate.io.runs import check_output, file_hash, open_run

    if verb.output.suffix != ".avatar":
        raise ValueError(f"the output {verb.output} must end in .avatar")
    check_output(verb.output, AVATAR_BYTES)
    model = verb.matting_model
    settings = {
        "photo": file_hash(verb.photo),
        "matting_model": None if model is None else file_hash(model),
        "method": verb.method,
        "quality": verb.quality,
        "person": verb.person,
        "seed": verb.seed,
    }
    run = open_run(verb.output, settings, verb.resume)
    with reporter(verb.quiet) as report:
        report.stage("getting ready")
        from incarnate.create import from_photo

        try:
            avatar = from_photo(
                verb.photo, verb.quality, verb.person, verb.seed, model, report, run
            )
            avatar.save(verb.output)
        except ValueError:
            run.done()  # This photo makes no avatar, so there is nothing to continue.
            raise
    run.done()
    _wrote(verb.output)


def _render(verb: Render) -> None:
    film = verb.output.suffix.lower() in FILMS
    count = 1 if not film else verb.frames or round(verb.seconds * verb.shot.fps)
    if count < 1:
        raise ValueError("a film has at least one frame; give longer --seconds or more --frames")
    _check_shot(verb.shot, verb.output, count)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.avatar import Avatar

        avatar = Avatar.load(verb.avatar)
        drive = avatar.posed(verb.pose, verb.expression)
        turn = 360 / count if verb.turntable else 0.0
        shots = (
            (drive, _camera(avatar, drive, verb.shot, verb.shot.azimuth + i * turn))
            for i in range(count)
        )
        _shoot(avatar, shots, count, verb.shot, verb.output, report)
    _wrote(verb.output)


def _animate(verb: Animate) -> None:
    if verb.output.suffix.lower() not in FILMS:
        raise ValueError(f"the film {verb.output} must end in {' or '.join(FILMS)}")
    _check_shot(verb.shot, verb.output, 300)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.avatar import Avatar
        from incarnate.io.motions import read_motion
        from incarnate.motion import resampled

        motion = resampled(read_motion(verb.motion), verb.shot.fps)
        avatar = Avatar.load(verb.avatar)
        first = next(avatar.drives(motion))
        camera = _camera(avatar, first, verb.shot, verb.shot.azimuth)
        shots = ((drive, camera) for drive in avatar.drives(motion))
        _shoot(avatar, shots, len(motion), verb.shot, verb.output, report)
    _wrote(verb.output)


def _camera(avatar: "Avatar", drive: "Drive", shot: Shot, azimuth: float) -> "Camera":
    """The shot's camera from `azimuth` degrees."""
    width, height = picture_size(shot.size)
    turned, raised = math.radians(azimuth), math.radians(shot.elevation)
    return avatar.framed(drive, shot.framing, turned, raised, width, height)


def _shoot(
    avatar: "Avatar",
    shots: "Iterable[tuple[Drive, Camera]]",
    count: int,
    shot: Shot,
    output: Path,
    report: Report,
) -> None:
    """Renders each drive from its camera into a film, or the first into a picture."""
    from incarnate.io.pictures import backdrop, finished, write_picture
    from incarnate.io.video import write_video

    behind = backdrop(shot.background, *picture_size(shot.size))

    def frames() -> "Iterator[UInt8[np.ndarray, 'h w c']]":
        for i, (drive, camera) in enumerate(shots):
            view = avatar.render(drive, camera)
            yield finished(view.rgb, view.alpha, behind)
            report.step(i + 1, count)

    report.stage("filming" if count > 1 else "rendering")
    if output.suffix.lower() in FILMS:
        write_video(output, frames(), shot.fps)
    else:
        write_picture(output, next(frames()))


def _check_shot(shot: Shot, output: Path, frames: int) -> None:
    """Refuses now what would fail after minutes of rendering."""
    width, height = picture_size(shot.size)
    if not -89 <= shot.elevation <= 89:
        raise ValueError(f"the elevation is {shot.elevation} degrees; give -89 to 89")
    if not 1 <= shot.fps <= 240:
        raise ValueError(f"fps is {shot.fps}; give 1 to 240 frames per second")
    from incarnate.io.pictures import backdrop, picture_format
    from incarnate.io.runs import check_output
    from incarnate.io.video import codec_for

    transparent = backdrop(shot.background, width, height) is None
    if output.suffix.lower() in FILMS:
        codec_for(output, 4 if transparent else 3)
    else:
        picture_format(output, transparent)
    check_output(output, 1_000_000 + int(width * height * frames * BITS_A_PIXEL / 8))


def picture_size(text: str) -> tuple[int, int]:
    """Width and height from '640x480' or '512'; ValueError for anything else."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"the size {text!r} is neither like 768x1024 nor like 512")
    width, height = int(parts[0]), int(parts[-1])
    if min(width, height) < 16 or width * height > MOST_PIXELS:
        raise ValueError(f"the size {text} is out of range; give sides from 16 and at most 40 MP")
    return width, height


def _wrote(path: Path) -> None:
    sys.stdout.write(f"{path}\n")


def _refused(message: str) -> int:
    sys.stderr.write(f"incarnate: {' '.join(message.split())}\n")
    return 2


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
