"""The suite `photos`: one photo a person, and what can be known without ground truth.

- Self-consistency: the avatar beside its own photo, from the photo's camera. Nothing is held out.
- Fingers: hand points found again on the avatar, beside the photo's.
- Held out: the avatar is rendered from beside the camera, another avatar is made of that render
  alone, and that one is compared with the photo.
- Identity: the face from other angles beside the photo's, by an embedding, if it is installed.
- Turnaround: an avatar made of the front figure of a turnaround sheet, beside the sheet's own
  sides and back, which it never saw.
- Wholeness: holes, faces on the back of the head, mixed colours, a back without texture.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.body.anny import Anny
from incarnate.create import PRESETS, captured, from_capture, parsed
from incarnate.evaluate import fingers, turned, wholeness
from incarnate.evaluate.figures import Better, Figure, Row, Stage
from incarnate.evaluate.jobs import Job, keyed, source_hash
from incarnate.evaluate.likeness import GREY, Likeness, Truth, compared, to_bytes, truth_of
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.io.runs import packed_tensors, replacing
from incarnate.metrics import identity, perceptual
from incarnate.perception.keypoints import NoPersonError
from incarnate.perception.landmarkers import Perception
from incarnate.progress import Report, Silent

BEHIND = torch.full((3,), GREY)
PIXELS, MESHES = "torchmetrics 1.9 over incarnate's matte", "incarnate's own definition"
POINTS, COLORS = "MediaPipe face landmarker", "CIEDE2000 (Sharma et al. 2005)"
HANDS = "MediaPipe hand landmarker, on hands that it saw in the photo"
TALL = f"px at {fingers.TALL}"
IDENTITY_TURNS = (0, 30, -30)
SIDES = ((2, (180.0,)), (1, (-90.0, 90.0)), (3, (-90.0, 90.0)))
"""Tiles of a sheet and the azimuths they may show: sheets do not agree on which side is left."""


def measure(job: Job) -> Row:
    """The row of one job; its pictures are written beside it."""
    watch, body, notes = Stopwatch(), Anny.load(), []
    job.folder.mkdir(parents=True, exist_ok=True)
    avatar, made = made_avatar(job, body, watch)
    with Perception() as perception:
        watch.stage("likeness")
        truth = _truth(job, avatar, perception)
        view = avatar.render(avatar.photo, avatar.camera, BEHIND)
        figures = _alike(compared(view, truth, perception))
        strip([truth.shown, view.rgb], job.folder / "photo.jpg")
        figures += _perceptual(job, view.rgb, truth, notes)
        watch.stage("held out")
        figures += _held_out(job, avatar, body, truth, perception, notes)
        watch.stage("identity")
        figures += _identity(avatar, truth, notes)
        watch.stage("turnaround")
        figures += _turnaround(job, body, notes)
        watch.stage("wholeness")
        figures += _whole(avatar, perception)
    watch.stage("pictures")
    wholeness.contact_sheet(avatar, truth.shown).save(job.folder / "contact.jpg", quality=82)
    wholeness.turntable(avatar).save(job.folder / "turntable.jpg", quality=82)
    seconds = sum(stage.seconds for stage in made)
    if made:
        figures.append(_figure("create", seconds, "s", "down", "wall time without imports"))
    kept = [f for f in figures if math.isfinite(f.value)]
    missing = [
        f"{f.name}: no {'hand found on both' if f.source == HANDS else 'face found'}"
        for f in figures
        if not math.isfinite(f.value)
    ]
    return job.measured(kept, made, watch, notes + missing)


def made_avatar(job: Job, body: Anny, watch: Stopwatch) -> tuple[Avatar, list[Stage]]:
    """The avatar, and what its stages took (when they were worked out)."""
    if job.method.endswith(".avatar"):
        return Avatar.load(Path(job.method)), []
    kept, stages = _captured(job, job.subject.photo, job.capture_key, body)
    avatar = _made(job, kept, body, watch)
    watch.close()
    made = stages + watch.stages
    watch.stages.clear()
    return avatar, made


def _made(job: Job, kept: dict[str, Tensor], body: Anny, report: Report) -> Avatar:
    method, without = parsed(job.method)
    config = PRESETS[job.quality].leaving_out(without)
    return from_capture(method, job.quality, config, kept, body, report)


def _captured(job: Job, photo: Path, key: str, body: Anny) -> tuple[dict[str, Tensor], list[Stage]]:
    """What every method learns from a photo; worked out once for all of them."""
    file, times = (job.cache / "captures" / f"{key}{end}" for end in (".safetensors", ".json"))
    if not (file.exists() and times.exists()):
        watch = Stopwatch()
        kept = captured(photo, PRESETS[job.quality], None, None, body, watch)
        watch.close()
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(times) as part:
            part.write_text(json.dumps([asdict(stage) for stage in watch.stages]))
        with replacing(file) as part:
            part.write_bytes(packed_tensors(kept))
    stages = [Stage(**stage) for stage in json.loads(times.read_text())]
    return safetensors.torch.load(file.read_bytes()), stages


def _truth(job: Job, avatar: Avatar, perception: Perception) -> Truth:
    """The photo as the avatar's camera sees it; worked out once for all methods."""
    camera = f"{avatar.meta['window']} {avatar.camera.width} {avatar.camera.height}"
    kept = keyed(job.capture_key, camera, source_hash(("evaluate/likeness.py",)))
    file = job.cache / "truths" / f"{kept}.safetensors"
    if not file.exists():
        truth = truth_of(avatar, job.subject.photo, perception)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            part.write_bytes(packed_tensors(truth.tensors()))
    return Truth.of(safetensors.torch.load(file.read_bytes()))


def _alike(alike: Likeness, at: str = "") -> list[Figure]:
    return [
        _figure(f"psnr{at}", alike.psnr, "dB", "up", PIXELS),
        _figure(f"face psnr{at}", alike.face_psnr, "dB", "up", PIXELS),
        _figure(f"ssim{at}", alike.ssim, "", "up", PIXELS),
        _figure(f"iou{at}", alike.iou, "", "up", "incarnate's matte"),
        _figure(f"landmarks{at}", 100 * alike.landmarks, "% of iris distance", "down", POINTS),
        _figure(f"finger error{at}", alike.fingers, TALL, "down", HANDS),
        _figure(f"hands found again{at}", alike.hands, "share", "up", HANDS),
    ]


def _perceptual(job: Job, rgb: Tensor, truth: Truth, notes: list[str]) -> list[Figure]:
    judges = perceptual.judges(job.lpips)
    if job.lpips is None:
        notes.append(f"lpips: {perceptual.MISSING}")
    return [
        _figure(name, judge.distance(rgb.clamp(0, 1), truth.shown), "", "down", model)
        for name, (judge, model) in judges.items()
    ]


def _held_out(
    job: Job, avatar: Avatar, body: Anny, truth: Truth, perception: Perception, notes: list[str]
) -> list[Figure]:
    """Means over the angles at which another avatar could be made."""
    if job.method.endswith(".avatar"):
        notes.append("held out: a finished avatar is not made again")
        return []
    found, views = [], [truth.shown]
    for degrees in job.angles:
        photo = job.folder / "held-out.png"
        Image.fromarray(turned.held_out_photo(avatar, degrees)).save(photo)
        try:
            kept = captured(photo, PRESETS[job.quality], None, None, body, Silent())
        except ValueError as error:
            notes.append(f"held out at {degrees:+.0f} degrees: {error}")
            continue
        finally:
            photo.unlink()
        again = _made(job, kept, body, Silent())
        view = turned.seen_back(again, avatar, degrees, BEHIND)
        found.append(compared(view, truth, perception))
        views.append(view.rgb)
    if not found:
        return []
    strip(views, job.folder / "held-out.jpg")
    means = {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
        for name in asdict(found[0])
        if (values := [asdict(alike)[name] for alike in found])
    }
    size = max(abs(angle) for angle in job.angles)
    return _alike(Likeness(**means), f", held out {size:.0f}°")


def _identity(avatar: Avatar, truth: Truth, notes: list[str]) -> list[Figure]:
    """The head from other angles beside the photo's face."""
    if not identity.available():
        notes.append(f"identity: {identity.MISSING}")
        return []
    who = identity.Identity()
    box = truth.box + torch.tensor([-1.0, -1.0, 1.0, 1.0]) * 0.6 * (truth.box[2] - truth.box[0])
    left, top, right, bottom = (max(0, round(edge)) for edge in box.tolist())
    face = Image.fromarray(to_bytes(truth.shown)).crop((left, top, right, bottom))
    own = who.embedding(np.asarray(face.resize((512, 512 * face.height // max(1, face.width)))))
    if own is None:
        notes.append("identity: dlib finds no face in the photo")
        return []
    gaps: dict[int, list[float]] = {}
    for turn in IDENTITY_TURNS:
        drive = avatar.posed()
        camera = avatar.framed(drive, "head", math.radians(turn), 0.0, 512, 512)
        theirs = who.embedding(to_bytes(avatar.render(drive, camera, BEHIND).rgb))
        if theirs is None:
            notes.append(f"identity at {turn} degrees: dlib finds no face")
        else:
            gaps.setdefault(abs(turn), []).append(float(np.linalg.norm(own - theirs)))
    return [
        _figure(f"identity {turn}°", float(np.mean(found)), "L2", "down", identity.MODEL)
        for turn, found in gaps.items()
    ]


def _turnaround(job: Job, body: Anny, notes: list[str]) -> list[Figure]:
    if job.subject.sheet is None or job.sheet_key is None or job.method.endswith(".avatar"):
        return []
    tiles = turned.tiles(np.asarray(Image.open(job.subject.sheet).convert("RGB")))
    front = job.folder / "front.png"
    Image.fromarray(tiles[0]).save(front)
    try:
        kept, _ = _captured(job, front, job.sheet_key, body)
    except NoPersonError as error:
        notes.append(f"turnaround: {error}")
        return []
    finally:
        front.unlink()
    avatar = _made(job, kept, body, Silent())
    matches = [turned.matched(avatar, tiles[0], 0.0)]
    for tile, azimuths in SIDES:
        options = [turned.matched(avatar, tiles[tile], azimuth) for azimuth in azimuths]
        matches.append(max(options, key=lambda match: match.iou))
    strip([p for m in matches for p in (m.theirs, m.ours)], job.folder / "turnaround.jpg")
    back, sides = matches[1], matches[2:]
    figures = []
    for name in turned.PARTS:
        if name in back.gaps:
            figures.append(_figure(f"back {name}", back.gaps[name], "ΔE00", "down", COLORS))
        beside = [match.gaps[name] for match in sides if name in match.gaps]
        if beside:
            figures.append(_figure(f"side {name}", np.mean(beside), "ΔE00", "down", COLORS))
    figures.append(_figure("back iou", back.iou, "", "up", MESHES))
    figures.append(_figure("side iou", np.mean([m.iou for m in sides]), "", "up", MESHES))
    ours, theirs = back.textures
    figures.append(_figure("back texture of truth's", ours / theirs, "ratio", "up", MESHES))
    return figures


def _whole(avatar: Avatar, perception: Perception) -> list[Figure]:
    behind = wholeness.faces_behind(avatar, perception)
    figures = [
        _figure("faces behind", behind, "share of 3 views", "down", POINTS),
        _figure("solid", wholeness.holes(avatar), "least share of 16 views", "up", MESHES),
        _figure("texture back / front", wholeness.back_texture(avatar), "ratio", "up", MESHES),
    ]
    purity = wholeness.purity(avatar)
    if purity is not None:
        figures.append(_figure("purity", purity, "share of discs", "up", MESHES))
    return figures


def _figure(
    name: str, value: float | np.floating, unit: str, better: Better, source: str
) -> Figure:
    return Figure(name, float(value), unit, better, source)


def strip(pictures: list[Tensor], path: Path, height: int = 480) -> None:
    """Pictures of one height side by side, in a JPEG."""
    row = Image.fromarray(to_bytes(torch.cat(pictures, 1)))
    row.resize((row.width * height // row.height, height), Image.Resampling.LANCZOS).save(
        path, quality=82
    )
