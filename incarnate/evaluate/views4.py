"""The suite `views4`: SVAD's protocol on THuman (Sec. 4.1 there), on people of the studio.

An avatar is made of one front picture. Posed by the true pose, it is drawn from the front, both
sides and behind, and compared with the truth there, which turns as on a turntable: camera and
lights stay. What one picture cannot tell is given: size and place, by one scale and one shift that
bring the avatar's joints onto the true ones.

Every second person has a shape from outside the body model ("outside"), and MakeHuman's clothes and
hair where a folder of them is named: the others flatter whoever fits that model.
"""

import math
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from incarnate import metrics
from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.body.anny import Anny
from incarnate.body.retarget import pose_for
from incarnate.cameras import Camera
from incarnate.evaluate import fingers, scans, wholeness
from incarnate.evaluate.datasets import Frame
from incarnate.evaluate.figures import Better, Figure, Row
from incarnate.evaluate.jobs import Job, Subject
from incarnate.evaluate.photos import made_avatar, strip
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.io.runs import replacing
from incarnate.metrics import perceptual
from incarnate.motion import pose_preset
from incarnate.motion.skeleton import INDEX
from incarnate.render import rasterize, shade
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals
from incarnate.studio.backgrounds import Background, background
from incarnate.studio.light import Light, light
from incarnate.studio.mhclo import dressed, wardrobe
from incarnate.studio.people import Person, person
from incarnate.studio.scenes import framed
from incarnate.studio.shots import Posed, Shot, posed, shot

AZIMUTHS = {"front": 0.0, "left": math.pi / 2, "back": math.pi, "right": -math.pi / 2}
NUM_SUBJECTS = 8
SEED = 4  # Of the people.
PHOTO_SIDE, VIEW_SIDE = 1024, 512  # Pixels.
DISPLACEMENT = 0.01  # Metres by which shapes stray from the body model, one deviation.
HALVES = ("inside", "outside")
VEILS = ("bob01", "bob02")
"""Cuts whose fringe hides half the face where its texture's gaps are not drawn."""
SCANNED = "against the scan, drawn by incarnate's rasterizer"
BARE = (
    "outside the body model by displacement only: clothes and hair are the studio's own; name a "
    "MakeHuman assets folder with --makehuman"
)
PIXELS, TRUTH = "torchmetrics 1.9 over the picture, on white", "against the studio's exact truth"


def subjects(count: int | None, folder: Path, makehuman: Path | None = None) -> list[Subject]:
    """People of the studio, and their front pictures, drawn where they are not there yet.

    Those outside the body model wear clothes and hair of `makehuman`, if it is named; ValueError
    if it holds none.
    """
    if makehuman is not None:
        wardrobe(makehuman)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{HALVES[i % 2]}-{i:03d}" for i in range(count or NUM_SUBJECTS)]
    found = []
    for name in names:
        assets = makehuman if name.startswith("outside") else None
        photo = folder / f"{name}.png" if assets is None else folder / f"{name}-makehuman.png"
        if not photo.exists():
            rng = _rng(name, 1)
            behind = background(rng)
            picture = _taken(name, _posed(name, assets), 0.0, PHOTO_SIDE, behind)
            with replacing(photo) as part:
                Image.fromarray(picture.rgb).save(part, "PNG")
        found.append(Subject(name, photo, None, assets))
    return found


def measure(job: Job) -> Row:
    """The row of one job; its pictures are written beside it."""
    watch, notes = Stopwatch(), []
    avatar, made = made_avatar(job, Anny.load(), watch)
    watch.stage("views")
    found, pictures = figures(avatar, job.subject, job.lpips, notes)
    strip(pictures, job.folder / "views.jpg", 720)
    wholeness.turntable(avatar).save(job.folder / "turntable.jpg", quality=82)
    return job.measured(found, made, watch, notes)


def figures(
    avatar: Avatar, who: Subject, lpips: Path | None, notes: list[str]
) -> tuple[list[Figure], list[Tensor]]:
    """Means over the four views, and true and own pictures of each, one above the other."""
    half = who.name.split("-")[0]
    truth = SCANNED if half == "thuman" else TRUTH
    if half == "outside" and who.source is None:
        notes.append(BARE)
    drive, place, wanted = _scanned(avatar, who) if half == "thuman" else _studio(avatar, who)
    judges = perceptual.judges(lpips)
    if lpips is None:
        notes.append(f"lpips: {perceptual.MISSING}")
    found: list[dict[str, float]] = []
    pictures = []
    for seen, normal in wanted:
        camera = shrunk(seen.camera, *place)
        view = avatar.render(drive, camera, torch.ones(3))
        ours, theirs = view.rgb.clamp(0, 1), torch.from_numpy(seen.rgb).float() / 255
        alpha = torch.from_numpy(seen.alpha)
        both = (alpha > 0.5) & (view.alpha > 0.5)
        one = {
            "psnr": metrics.psnr(ours, theirs),
            "psnr on the person": metrics.psnr(ours, theirs, alpha),
            "psnr, outline alone": outline_psnr(ours, theirs, both),
            "ssim": metrics.ssim(ours, theirs),
            "iou": metrics.silhouette_iou(view.alpha, alpha),
            "normals": metrics.normal_error(
                _normals(avatar, drive, camera), torch.from_numpy(normal), both.float()
            ),
        }
        one |= {kind: judge.distance(ours, theirs) for kind, (judge, _) in judges.items()}
        found.append(one)
        pictures.append(torch.cat([theirs, ours]))
    means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    each = {f"psnr, {view}": one["psnr"] for view, one in zip(AZIMUTHS, found, strict=True)}
    if half in HALVES:
        each[f"psnr, {half} the body model"] = means["psnr"]
        each |= _fingers(avatar, _posed(who.name, who.source), notes)
    return [_figure(key, value, truth) for key, value in (means | each).items()], pictures


def outline_psnr(
    ours: Float[Tensor, "h w 3"], theirs: Float[Tensor, "h w 3"], both: Bool[Tensor, "h w"]
) -> float:
    """What the PSNR would be if all that both cover had the true colours."""
    return metrics.psnr(torch.where(both[..., None], theirs, ours), theirs)


def _fingers(avatar: Avatar, truth: Posed, notes: list[str]) -> dict[str, float]:
    """Of the photo's pose, before the photo's camera."""
    camera = framed(truth, "full", 0.0, 0.0, PHOTO_SIDE)
    gap = fingers.true(avatar, torch.from_numpy(truth.joints).float(), camera)
    if math.isfinite(gap):
        return {"finger joints": gap}
    notes.append("finger joints: the tracker saw no hand in the photo")
    return {}


def _studio(avatar: Avatar, who: Subject):
    """Drive, scale and shift, and (frame, normals) of the four views of a studio's person."""
    truth = _posed(who.name, who.source)
    shots = [_taken(who.name, truth, azimuth, VIEW_SIDE, _white()) for azimuth in AZIMUTHS.values()]
    return *_brought(avatar, truth), [(Frame(s.camera, s.rgb, s.alpha), s.normal) for s in shots]


def _scanned(avatar: Avatar, who: Subject):
    """The same of a scan."""
    if who.source is None:
        raise ValueError(f"{who.name} has lost its scan; name its data set with --data again")
    drive, scale, shift = scans.brought(avatar, scans.scan(who.source))
    return drive, (scale, shift), scans.views(who.source, list(AZIMUTHS.values()))


def _figure(name: str, value: float, truth: str) -> Figure:
    kind = name.split(",")[0].split()[0]
    known: dict[str, tuple[str, Better, str]] = {
        "psnr": ("dB", "up", PIXELS),
        "ssim": ("", "up", PIXELS),
        "iou": ("", "up", truth),
        "normals": ("°", "down", f"the avatar's mesh {truth}"),
        "perceptual": ("", "down", perceptual.OWN),
        "lpips": ("", "down", perceptual.MODEL),
        "finger": (f"px at {fingers.TALL}", "down", truth),
    }
    return Figure(name, value, *known[kind])


def _brought(avatar: Avatar, truth: Posed) -> tuple[Drive, tuple[float, Float[Tensor, "3"]]]:
    """The avatar in the true pose, and the scale and shift that bring it onto the truth."""
    drive = next(avatar.drives(truth.motion))
    body, joints = avatar.surface.body, avatar.surface.joints
    own = pose_for(body, truth.motion, joints)
    bones = body.bones(joints, own.pose[0], own.transl[0])
    moved = (bones[:, :3, :3] @ joints[..., None])[..., 0] + bones[:, :3, 3]
    names = [n for n in body.smplx_joints if INDEX[n] < 22]
    ours = moved[[body.smplx_joints[n] for n in names]]
    theirs = torch.from_numpy(truth.joints[[INDEX[n] for n in names]])
    return drive, similarity(ours, theirs)


def shrunk(camera: Camera, scale: float, shift: Float[Tensor, "3"]) -> Camera:
    """The camera that sees x where `camera` sees scale x + shift."""
    matrix = camera.world_to_camera.clone()  # R (s x + d) + t and its s-th part: the same pixel.
    matrix[:3, 3] = (matrix[:3, :3] @ shift + matrix[:3, 3]) / scale
    return replace(camera, world_to_camera=matrix)


def similarity(
    source: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"]
) -> tuple[float, Float[Tensor, "3"]]:
    """The scale s and shift d that bring s x + d nearest to the target, without a turn."""
    a, b = source - source.mean(0), target - target.mean(0)
    scale = float((a * b).sum() / a.square().sum())
    return scale, target.mean(0) - scale * source.mean(0)


def _normals(avatar: Avatar, drive: Drive, camera: Camera) -> Float[Tensor, "h w 3"]:
    """The avatar's mesh's normals in camera axes."""
    vertices, faces = avatar.player.vertices(drive), avatar.surface.body.faces
    normals = vertex_normals(vertices, faces) @ camera.world_to_camera[:3, :3].T
    mesh = Mesh(vertices, faces, normals)
    return shade(mesh, rasterize(mesh, camera)).rgb


@cache
def _posed(name: str, makehuman: Path | None) -> Posed:
    return next(posed(_person(name, makehuman), pose_preset("stand")))


def _person(name: str, makehuman: Path | None) -> Person:
    half, number = name.split("-")
    who = person((SEED, int(number)))
    if makehuman is not None:
        clothes = wardrobe(makehuman)
        cuts = tuple(cut for cut in clothes.hair if cut.stem not in VEILS)
        who = dressed(who, replace(clothes, hair=cuts or clothes.hair), _rng(name, 3))
    return who if half == "inside" else who.displaced(DISPLACEMENT, _rng(name, 0))


def _light(name: str) -> Light:
    return light(_rng(name, 2), "studio")


def _taken(name: str, view: Posed, azimuth: float, side: int, behind: Background) -> Shot:
    """By a camera that stands with the lights while the person turns: scans have no lit side."""
    lit = _light(name).turned(azimuth)
    return shot(view, framed(view, "full", azimuth, 0.0, side), lit, behind)


def _white() -> Background:
    return Background("plain", np.ones((128, 128, 3), np.float32), None)


def _rng(name: str, purpose: int) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode()), purpose])
