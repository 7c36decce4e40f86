"""The command line: what each of the verbs (`incarnate.verbs`) does.

Exit status: 0 done, 1 `doctor` found something missing, 2 bad input (one line says which),
130 stopped. Results go to standard output, progress and warnings to standard error. Whatever is
slow to import (torch above all) is imported inside the verb that needs it.
"""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import tyro

from incarnate import core
from incarnate.preparing import FILMS, prepare, wrote
from incarnate.progress import Report, reporter
from incarnate.verbs import (
    Animate,
    Create,
    Doctor,
    Evaluate,
    Mix,
    Render,
    Shot,
    Talk,
    Train,
    Verb,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from incarnate.avatar import Avatar
    from incarnate.avatars.surface import Drive
    from incarnate.cameras import Camera
    from incarnate.fit import Target
    from incarnate.io.container import Meta
    from incarnate.io.runs import Run
    from incarnate.io.video import Frame
    from incarnate.sources import Source
    from incarnate.speech import Speaking

MOST_PIXELS = 40_000_000
AVATAR_BYTES = 200_000_000  # An avatar and the stages kept for --resume, generously.
BITS_A_PIXEL = 1.0  # Generous for H.264 at crf 18; a turntable measures 0.1 to 0.2.

DESCRIPTION = "One photo becomes a 3D person you can pose, film and animate."


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
            case Train() if os.environ.get("RANK", "0") != "0":
                pass  # The first of torchrun's processes says it.
            case Create() | Train():
                sys.stderr.write("incarnate: stopped; continue with --resume\n")
            case Evaluate():
                sys.stderr.write("incarnate: stopped; the same command goes on from here\n")
            case _:
                sys.stderr.write("incarnate: stopped; nothing was written\n")
        return 130


def _run(verb: Verb) -> int:
    match verb:
        case Doctor():  # Has more to say of a core that does not load.
            return _doctor(verb)
        case _:
            core.loaded()
    match verb:
        case Create():
            _create(verb)
        case Render():
            _render(verb)
        case Animate():
            _animate(verb)
        case Talk():
            _talk(verb)
        case _:
            prepare(verb)
    return 0


def _doctor(verb: Doctor) -> int:
    from incarnate.doctor import diagnosis

    checks = diagnosis()
    sys.stdout.write(checks.json() if verb.json else checks.text())
    return 0 if checks.healthy else 1


def _create(verb: Create) -> None:
    from incarnate.io.runs import check_output, file_hash, open_run
    from incarnate.methods.parts import checked
    from incarnate.origins import stated
    from incarnate.viewer import check as check_viewer

    if verb.output.suffix != ".avatar":
        raise ValueError(f"the output {verb.output} must end in .avatar")
    check_output(verb.output, AVATAR_BYTES)
    agreed = stated(verb.consent)
    model = verb.matting_model
    settings = {
        "photo": file_hash(verb.photo),
        "matting_model": None if model is None else file_hash(model),
        "method": verb.method,
        "quality": verb.quality,
        "person": verb.person,
        "seed": verb.seed,
        "without": ",".join(checked(verb.without)),
    }
    if verb.viewer:
        check_viewer(verb.port)
    run = open_run(verb.output, settings, verb.resume)
    with reporter(verb.quiet) as report:
        if not verb.viewer:
            _made(verb, run, agreed, report)
            return
        from incarnate.viewer.watch import watched

        with watched(report, verb.port) as watch:
            watch.go_on(_made(verb, run, agreed, watch), verb.output, verb.photo)


def _made(verb: Create, run: "Run", agreed: "Meta", report: Report) -> "Avatar":
    """Makes the avatar, and writes it and its review."""
    report.stage("getting ready")
    from incarnate.create import with_photo

    model = verb.matting_model
    try:
        avatar, seen = with_photo(
            verb.photo, verb.quality, verb.person, verb.seed, model, report, run, verb.without
        )
        avatar = replace(avatar, meta=avatar.meta | agreed)
        avatar.save(verb.output)
    except ValueError:
        run.done()  # This photo makes no avatar, so there is nothing to continue.
        raise
    run.done()
    wrote(verb.output)
    if verb.review:
        _review(avatar, seen, verb.output.with_suffix(".review.html"), report)
    return avatar


def _review(avatar: "Avatar", seen: "Target", path: Path, report: Report) -> None:
    from incarnate.evaluate.review import review, summary
    from incarnate.evaluate.review_page import write_review

    report.stage("looking at it")
    found = review(avatar, seen)
    write_review(found, avatar, seen, path)
    report.say(summary(found))
    wrote(path)


def _render(verb: Render) -> None:
    film = verb.output.suffix.lower() in FILMS
    count = 1 if not film else verb.frames or round(verb.seconds * verb.shot.fps)
    if count < 1:
        raise ValueError("a film has at least one frame; give longer --seconds or more --frames")
    _check_shot(verb.shot, verb.output, count)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.avatar import Avatar
        from incarnate.io.provenance import credited
        from incarnate.origins import marker, origin

        avatar = Avatar.load(verb.avatar)
        told = origin(verb, report)
        drive = avatar.posed(verb.pose, verb.expression)
        camera, behind = _scene(avatar, drive, verb.shot)
        turn = 360 / count if verb.turntable and verb.shot.background != "photo" else 0.0
        shots = (
            (drive, _camera(avatar, drive, verb.shot, verb.shot.azimuth + i * turn))
            if turn
            else (drive, camera)
            for i in range(count)
        )
        with credited(verb.output, told, report) as output:
            _shoot(avatar, shots, behind, count, verb.shot.fps, output, report, marker(told))
    wrote(verb.output)


def _animate(verb: Animate) -> None:
    _check_film(verb)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.sources import source
        from incarnate.speech import Speaking

        config = Speaking(fps=verb.shot.fps)
        moving = source(verb.motion, config, verb.seed, report)
        _film(verb.avatar, moving, verb.mix, config, verb, report)
    wrote(verb.output)


def _talk(verb: Talk) -> None:
    _check_film(verb)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.sources import recording, sentence
        from incarnate.speech import Speaking

        config = Speaking(verb.style, verb.shot.fps)
        match verb.say, verb.speech:
            case str(text), None:
                speaking = sentence(text, config, verb.seed)
            case None, Path() as path:
                speaking = recording(path, verb.text, config, verb.seed, verb.allow_silence, report)
            case _:
                raise ValueError('give either a recording or --say "a sentence"')
        _film(verb.avatar, speaking, verb.mix, config, verb, report)
    wrote(verb.output)


def _film(
    path: Path,
    moving: "Source",
    mix: Mix,
    config: "Speaking",
    verb: Animate | Talk,
    report: Report,
) -> None:
    """Films what moves the avatar, with other sources mixed in, and puts the sound to it."""
    from incarnate.avatar import Avatar
    from incarnate.io.provenance import credited
    from incarnate.io.soundtrack import sounding
    from incarnate.origins import marker, origin
    from incarnate.sources import Share, mixed, source

    for region in ("face", "head", "hands", "body"):
        other = getattr(mix, region)
        if other is not None:
            name, weight = _weighted(other)
            over = source(Path(name), config, verb.seed, report)
            moving = mixed(moving, over, Share(**{region: weight}))
    avatar = Avatar.load(path)
    avatar = avatar.speaking() if moving.speaks else avatar
    first = next(avatar.drives(next(moving.parts())))
    camera, behind = _scene(avatar, first, verb.shot)
    shots = ((drive, camera) for part in moving.parts() for drive in avatar.drives(part))
    told = origin(verb, report)
    count, mark = moving.num_frames, marker(told)
    with credited(verb.output, told, report) as output:
        with sounding(output, moving.sound and moving.sound()) as film:
            _shoot(avatar, shots, behind, count, verb.shot.fps, film, report, mark)


def _weighted(text: str) -> tuple[str, float]:
    """File and weight of 'walk.bvh' or 'walk.bvh@0.5'."""
    name, at, weight = text.rpartition("@")
    if not at:
        return text, 1.0
    try:
        share = float(weight)
    except ValueError:
        return text, 1.0  # An @ of the file's own.
    if not 0 <= share <= 1:
        raise ValueError(f"the weight in {text!r} is {weight}; give 0 to 1")
    return name, share


def _scene(
    avatar: "Avatar", drive: "Drive", shot: Shot
) -> "tuple[Camera, Float[Tensor, 'h w 3'] | None]":
    """The shot's camera on the avatar, and what stands behind them."""
    from incarnate.io.pictures import backdrop

    width, height = picture_size(shot.size)
    if shot.background == "photo":
        from incarnate.stage import in_photo

        if shot.azimuth or shot.elevation:
            raise ValueError("with --background photo the camera is the photo's; give no angles")
        return in_photo(avatar, drive, shot.framing, width, height)
    return _camera(avatar, drive, shot, shot.azimuth), backdrop(shot.background, width, height)


def _camera(avatar: "Avatar", drive: "Drive", shot: Shot, azimuth: float) -> "Camera":
    """The shot's camera from `azimuth` degrees."""
    width, height = picture_size(shot.size)
    turned, raised = math.radians(azimuth), math.radians(shot.elevation)
    return avatar.framed(drive, shot.framing, turned, raised, width, height)


def _shoot(
    avatar: "Avatar",
    shots: "Iterable[tuple[Drive, Camera]]",
    behind: "Float[Tensor, 'h w 3'] | None",
    count: int,
    fps: float,
    output: Path,
    report: Report,
    mark: "Callable[[Frame], Frame]",
) -> None:
    """Renders each drive from its camera into a film, or the first into a picture; marks them."""
    from incarnate.io.pictures import finished, write_picture
    from incarnate.io.video import write_video

    def frames() -> "Iterator[Frame]":
        for i, (drive, camera) in enumerate(shots):
            view = avatar.render(drive, camera)
            yield mark(finished(view.rgb, view.alpha, behind))
            report.step(min(i + 1, count), count)

    report.stage("filming" if count > 1 else "rendering")
    if output.suffix.lower() in FILMS:
        write_video(output, frames(), fps)
    else:
        write_picture(output, next(frames()))


def _check_film(verb: Animate | Talk) -> None:
    if verb.output.suffix.lower() not in FILMS:
        raise ValueError(f"the film {verb.output} must end in {' or '.join(FILMS)}")
    _check_shot(verb.shot, verb.output, 300)
    if verb.provenance:
        from incarnate.io.provenance import ready

        ready()


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

    photo = shot.background == "photo"
    transparent = not photo and backdrop(shot.background, width, height) is None
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


def _refused(message: str) -> int:
    sys.stderr.write(f"incarnate: {' '.join(message.split())}\n")
    return 2


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
