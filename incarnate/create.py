"""Photo to avatar, and how alike the two are: reading, perception, tracking, method."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.avatars.tailor import resampled
from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.fit import Target
from incarnate.io.images import Photo, read_photo
from incarnate.io.runs import Run
from incarnate.methods.one_shot_one_talk import (
    PRESETS,
    Pictures,
    one_shot_one_talk,
    pictures_of,
    window,
)
from incarnate.perception.face import OVAL
from incarnate.perception.keypoints import Keypoints, choose, keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.perception.segment import Matte, given_matte, matte, onnx_matte
from incarnate.perception.surroundings import surroundings
from incarnate.perception.track import Fit, Track, Tracking, track
from incarnate.progress import Report

Quality = Literal["tiny", "draft", "normal", "high"]
MOST_PIXELS = 3_000_000  # Of the photo: beyond this nothing is gained but time and memory.


def from_photo(
    photo: Path,
    quality: Quality,
    person: int | None,
    seed: int,
    matting_model: Path | None,
    report: Report,
    run: Run | None = None,
) -> Avatar:
    """The avatar of one person in a photo; as `Avatar.from_photo`; `run` keeps stages to resume."""
    config = replace(PRESETS[quality], seed=seed)
    body = Anny.load()

    def captured() -> dict[str, Tensor]:
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
        return _flat(fitted, pictures_of(rgb, alpha, fitted, body, config), about, around)

    kept = captured() if run is None else run.stage("photo", captured)
    fitted, pictures, about = _unflat(kept)
    for warning in fitted.warnings:
        report.warn(warning)
    surface = one_shot_one_talk(config, fitted, pictures, body, report)
    meta = {"method": "one-shot-one-talk", "quality": quality, "seed": seed} | about
    drive = Drive(fitted.expression, fitted.pose, fitted.transl)
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


@dataclass(frozen=True)
class Likeness:
    """How alike an avatar and its photo are, at the photo's camera; nothing is held out."""

    psnr: float
    """dB over the matte (alpha > 0.5)."""
    face_psnr: float
    """dB over the face's box in the matte."""
    iou: float
    landmarks: float
    """Mean distance of the face's points, found again on the render, over the iris distance."""
    yaw: float
    lean: float
    knees: tuple[float, float]


def likeness(avatar: Avatar, photo: Path) -> Likeness:
    """Figures of an avatar beside the photo it was made from."""
    image = read_photo(photo).resized(MOST_PIXELS)
    with Perception() as perception:
        people = keypoints(image.rgb, perception)
        person = people[int(avatar.meta["person"]) - 1]
        cut = cut_out(image, person, None, PRESETS["normal"].matte_pixels)
        camera = avatar.camera
        box = avatar.meta["window"]
        truth = _truth(cut, box, camera)
        view = avatar.render(avatar.photo, camera, torch.full((3,), 0.5))
        render = (view.rgb.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
        again = keypoints(render, perception)
    shown = truth.rgb + (1 - truth.alpha[..., None]) * 0.5
    square = (view.rgb - shown).square().mean(-1)
    solid = truth.alpha > 0.5
    face = torch.zeros_like(solid)
    landmarks = float("nan")
    if person.face is not None:
        scale = camera.width / (box[2] - box[0])
        left, top, right, bottom = (
            int(round((edge - corner) * scale))
            for edge, corner in zip(person.face.box, (*box[:2], *box[:2]), strict=True)
        )
        face[max(0, top) : bottom, max(0, left) : right] = True
        if again and again[0].face is not None:
            inner = [i for i in range(468) if i not in OVAL]
            points = (person.face.landmarks[inner, :2] - np.array(box[:2])) * scale
            gaps = np.linalg.norm(again[0].face.landmarks[inner, :2] - points, axis=1)
            landmarks = float(gaps.mean() / (person.face.iris_distance * scale))
    drawn = view.alpha > 0.5
    fit = avatar.meta["fit"]
    return Likeness(
        _psnr(square[solid]),
        _psnr(square[solid & face]),
        float((drawn & solid).sum() / (drawn | solid).sum()),
        landmarks,
        fit["yaw"],
        fit["lean"],
        (fit["knees"][0], fit["knees"][1]),
    )


def _psnr(square: Tensor) -> float:
    return float(-10 * torch.log10(square.mean().clamp_min(1e-10)))


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


def _truth(cut: Matte, box: list[float], camera: Camera) -> Target:
    """The matted photo on the pixels of the avatar's own camera."""
    edges = [round(edge) for edge in box]
    alpha = torch.from_numpy(cut.alpha)[..., None]
    solid = torch.cat([torch.from_numpy(cut.foreground) * alpha, alpha], 2)
    small = resampled(
        solid, (edges[0], edges[1], edges[2], edges[3]), (camera.width, camera.height)
    )
    return Target(camera, small[..., :3], small[..., 3])
