"""Photo to avatar: reading, perception, tracking, method."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, assert_never, cast, get_args

import numpy as np
import torch
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.fit import Target
from incarnate.io.images import Photo, read_photo
from incarnate.io.runs import Run
from incarnate.methods import baselines
from incarnate.methods.evidence import Pictures, pictures_of, window
from incarnate.methods.one_shot_one_talk import PRESETS, OneShot, one_shot_one_talk
from incarnate.methods.parts import Part, checked
from incarnate.perception.keypoints import Keypoints, choose, keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.perception.segment import Matte, given_matte, matte, onnx_matte
from incarnate.perception.surroundings import surroundings
from incarnate.perception.track import Fit, Track, Tracking, gates, track
from incarnate.progress import Report

Quality = Literal["tiny", "draft", "normal", "high"]
MOST_PIXELS = 3_000_000  # Of the photo: beyond this nothing is gained but time and memory.


Method = Literal["one-shot", "symmetric", "projected", "average"]
"""One Shot, One Talk, and the baselines it is measured against."""
LESS = ":no-"


def parsed(name: str) -> tuple[Method, tuple[Part, ...]]:
    """A method as `evaluate` names it: `one-shot`, or `one-shot:no-teeth,no-lining` without parts.

    ValueError for a method or a part that there is not.
    """
    bare, less, parts = name.partition(LESS)
    if bare not in get_args(Method):
        raise ValueError(f"{bare!r} is no method; give {', '.join(get_args(Method))}")
    without = checked(parts.split(",no-")) if less else ()
    if without and bare not in ("one-shot", "symmetric"):
        raise ValueError(f"{bare} has no parts to leave out; one-shot and symmetric have")
    return cast(Method, bare), without


def with_photo(
    photo: Path,
    quality: Quality,
    person: int | None,
    seed: int,
    matting_model: Path | None,
    report: Report,
    run: Run | None = None,
    without: Iterable[str] = (),
) -> tuple[Avatar, Target]:
    """The avatar of one person in a photo, and the photo as the avatar's camera sees it.

    `run` keeps stages to resume; `without` names parts of the method to leave out.
    """
    config = replace(PRESETS[quality], seed=seed).leaving_out(without)
    body = Anny.load()

    def capture() -> dict[str, Tensor]:
        return captured(photo, config, person, matting_model, body, report)

    kept = capture() if run is None else run.stage("photo", capture)
    return from_capture("one-shot", quality, config, kept, body, report), _unflat(kept)[1].full


def captured(
    photo: Path,
    config: OneShot,
    person: int | None,
    matting_model: Path | None,
    body: Anny,
    report: Report,
) -> dict[str, Tensor]:
    """All that any method learns from a photo, as tensors that can be kept in a file."""
    report.stage("finding the person")
    image = read_photo(photo).resized(MOST_PIXELS)
    number, chosen = found(image, person, report)
    cut = cut_out(image, chosen, matting_model, config.matte_pixels)
    report.stage("fitting the body")
    fitted = fit_body(body, chosen, cut, image, report)
    rgb, alpha = torch.from_numpy(cut.foreground), torch.from_numpy(cut.alpha)
    about = {
        "fit": asdict(fitted.fit),
        "framing": fitted.framing,
        "hands_seen": list(fitted.hands_seen),
        "warnings": list(fitted.warnings),
        "window": list(window(alpha)),
        "person": number,
        "photo_pixels": [alpha.shape[1], alpha.shape[0]],
    }
    around = surroundings(image.rgb, cut.alpha) if image.alpha is None else None
    pictures = pictures_of(rgb, alpha, fitted, body, config.long_side, config.head_side)
    return _flat(fitted, pictures, about, around)


def from_capture(
    method: Method,
    quality: Quality,
    config: OneShot,
    kept: dict[str, Tensor],
    body: Anny,
    report: Report,
) -> Avatar:
    """The avatar that a method makes of what `captured` found."""
    fitted, pictures, about = _unflat(kept)
    for figure in gates(fitted.fit):
        report.onlooker.measured(*figure)
    for warning in fitted.warnings:
        report.warn(warning)
    drive = Drive(fitted.expression, fitted.pose, fitted.transl)
    match method:
        case "one-shot":
            surface = one_shot_one_talk(config, fitted, pictures, body, report)
        case "symmetric":
            surface = baselines.symmetric(config, fitted, pictures, body, report)
        case "projected":
            surface = baselines.projected(config, fitted, pictures, body, report)
        case "average":
            surface = baselines.average(config, fitted, pictures, body, report)
            drive = baselines.standing_in(fitted, body)
        case _:
            assert_never(method)
    name = "one-shot-one-talk" if method == "one-shot" else method
    meta = {"method": name, "quality": quality, "seed": config.seed} | about
    if config.without:
        meta["without"] = list(config.without)
    return Avatar(surface, drive, pictures.full.camera, meta, kept.get("surroundings"))


def found(image: Photo, person: int | None, report: Report) -> tuple[int, Keypoints]:
    """Number (1 is the largest) and keypoints of the person whose avatar is to be made."""
    with Perception() as perception:
        people = keypoints(image.rgb, perception)
    chosen = choose(people, person)
    if len(people) > 1 and person is None:
        report.say(f"{len(people)} people found; the largest is taken, --person N chooses another")
    return person or 1, chosen


def cut_out(image: Photo, person: Keypoints, model: Path | None, max_pixels: int) -> Matte:
    """The person without the background: by the photo's own alpha, a named model, or ours."""
    if image.alpha is not None:
        return given_matte(image.rgb, image.alpha.astype(np.float32))
    if model is not None:
        return onnx_matte(model, image.rgb)
    return matte(image.rgb, person, max_pixels)


def fit_body(body: Anny, person: Keypoints, cut: Matte, image: Photo, report: Report) -> Track:
    """The body fitted to the photo."""
    height, width = image.rgb.shape[:2]
    config = Tracking(focal=image.focal_pixels())
    return track(body, person, torch.from_numpy(cut.alpha), width, height, config, report)


def _flat(
    fitted: Track, pictures: Pictures, about: dict, around: Tensor | None
) -> dict[str, Tensor]:
    """A stage's result as tensors: what --resume reads back."""
    tensors = {
        "betas": fitted.betas,
        "expression": fitted.expression,
        "pose": fitted.pose,
        "transl": fitted.transl,
        **_flat_camera("camera", fitted.camera),
    }
    for name in ("full", "head", "coarse"):
        target: Target = getattr(pictures, name)
        tensors |= {f"{name}_rgb": target.rgb, f"{name}_alpha": target.alpha}
        tensors |= _flat_camera(name, target.camera)
    if around is not None:
        tensors["surroundings"] = around
    tensors["about"] = torch.tensor(list(json.dumps(about).encode()), dtype=torch.uint8)
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _unflat(tensors: dict[str, Tensor]) -> tuple[Track, Pictures, dict]:
    about = json.loads(bytes(tensors["about"].tolist()))
    targets = [
        Target(_unflat_camera(name, tensors), tensors[f"{name}_rgb"], tensors[f"{name}_alpha"])
        for name in ("full", "head", "coarse")
    ]
    left, right = about["hands_seen"]
    fitted = Track(
        tensors["betas"],
        tensors["expression"],
        tensors["pose"],
        tensors["transl"],
        _unflat_camera("camera", tensors),
        (left, right),
        about["framing"],
        _fit(about["fit"]),
        tuple(about["warnings"]),
    )
    return fitted, Pictures(*targets), about


def _fit(about: dict[str, Any]) -> Fit:
    lists = {"hands": tuple(about["hands"]), "knees": tuple(about["knees"])}
    values: dict[str, Any] = about | lists  # JSON knows no tuples.
    return Fit(**values)


def _flat_camera(name: str, camera: Camera) -> dict[str, Tensor]:
    return {
        f"{name}_pose": camera.world_to_camera,
        f"{name}_intrinsics": camera.intrinsics,
        f"{name}_size": torch.tensor([camera.width, camera.height]),
    }


def _unflat_camera(name: str, tensors: dict[str, Tensor]) -> Camera:
    width, height = tensors[f"{name}_size"].tolist()
    return Camera(tensors[f"{name}_pose"], tensors[f"{name}_intrinsics"], width, height)
