"""The suite `reenact`: One Shot, One Talk's self-driven protocol (Sec. 4.2 there) on the studio.

A person of the studio talks before a still camera. An avatar is made of the first frame, driven by
the film's true motion, and drawn by the film's camera over white; what is scored are neighbouring
pairs of frames, spread over the film. One picture does not tell size and place: one scale and one
shift for the whole film bring the avatar's upper body onto the true joints.

Every second person has a shape from outside the body model ("outside").
"""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from incarnate import metrics
from incarnate.avatar import Avatar
from incarnate.body.anny import Anny
from incarnate.cameras import Camera, orbit
from incarnate.evaluate import driven
from incarnate.evaluate.figures import Better, Figure, Row
from incarnate.evaluate.jobs import Job, Subject
from incarnate.evaluate.photos import made_avatar, strip
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.evaluate.views4 import shrunk, similarity
from incarnate.io.runs import replacing
from incarnate.metrics import perceptual
from incarnate.metrics.pictures import WINDOW
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX
from incarnate.studio.backgrounds import SIDE, Background, background
from incarnate.studio.light import light
from incarnate.studio.people import Person, person
from incarnate.studio.poses import talk
from incarnate.studio.shots import Posed, posed, shot

NUM_SUBJECTS = 4
SEED = 5  # Of the people.
PHOTO_SIDE, FILM_SIDE = 1024, 512  # Pixels.
FPS, SECONDS, PAIRS = 25.0, 3.0, 8
DISPLACEMENT = 0.01  # Metres by which shapes stray from the body model, one deviation.
HALVES = ("inside", "outside")
PIXELS = "torchmetrics 1.9 over the picture, on white"
OWN = "incarnate's own definition"


@dataclass(frozen=True, eq=False)
class Film:
    """The true frames that are scored: neighbours are 0 and 1, 2 and 3, and so on."""

    frames: UInt8[np.ndarray, "t h w 3"]
    motion: Motion
    joints: Float[Tensor, "t 55 3"]
    camera: Camera
    scale: float
    """The person's size over the average adult's."""

    def save(self, path: Path) -> None:
        """As an .npz."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(
                file,
                frames=self.frames,
                pose=self.motion.pose.numpy(),
                transl=self.motion.transl.numpy(),
                expression=self.motion.expression.numpy(),
                joints=self.joints.numpy(),
                world_to_camera=self.camera.world_to_camera.numpy(),
                intrinsics=self.camera.intrinsics.numpy(),
                scale=self.scale,
            )

    @staticmethod
    def load(path: Path) -> "Film":
        """Reads what `save` wrote."""
        kept = np.load(path, allow_pickle=False)
        tensors = {n: torch.from_numpy(kept[n]) for n in kept.files if n not in ("frames", "scale")}
        frames = kept["frames"]
        height, width = frames.shape[1:3]
        return Film(
            frames,
            Motion(FPS, tensors["pose"], tensors["transl"], tensors["expression"]),
            tensors["joints"],
            Camera(tensors["world_to_camera"], tensors["intrinsics"], width, height),
            float(kept["scale"]),
        )


def subjects(count: int | None, folder: Path) -> list[Subject]:
    """People of the studio: the first frame of each film, and the film beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{HALVES[i % 2]}-{i:03d}" for i in range(count or NUM_SUBJECTS)]
    found = []
    for name in names:
        photo = folder / f"{name}.png"
        if not (photo.exists() and film_beside(photo).exists()):
            taken(name, photo).save(film_beside(photo))
        found.append(Subject(name, photo, None))
    return found


def film_beside(photo: Path) -> Path:
    """Where the film of a photo lies."""
    return photo.with_suffix(".film.npz")


def taken(name: str, photo: Path) -> Film:
    """The film of a person; its first frame is written, with a background, to `photo`."""
    rng, who = _rng(name, 1), _person(name)
    said = talk(rng, fps=FPS).motion
    said = said.frames(0, min(len(said), round(SECONDS * FPS)))
    at = [k for first in driven.spots(len(said), PAIRS) for k in (first, first + 1)]
    chosen, lit = driven.picked(said, at), light(_rng(name, 2), "studio")
    views = list(posed(who, driven.picked(said, [0, *at])))
    camera = _camera(views[0], float(rng.normal(0, 0.1)))
    frames = [shot(view, camera, lit, _white()).rgb for view in views[1:]]
    picture = shot(views[0], camera.resized(PHOTO_SIDE, PHOTO_SIDE), lit, background(rng))
    with replacing(photo) as part:
        Image.fromarray(picture.rgb).save(part, "PNG")
    joints = torch.from_numpy(np.stack([view.joints for view in views[1:]])).float()
    return Film(np.stack(frames), chosen, joints, camera, who.figure.scale)


def measure(job: Job) -> Row:
    """The row of one job; its pictures are written beside it."""
    watch, notes = Stopwatch(), []
    avatar, made = made_avatar(job, Anny.load(), watch)
    watch.stage("film")
    film = Film.load(film_beside(job.subject.photo))
    ours, apart = drawn(avatar, film)
    watch.stage("figures")
    half = job.subject.name.split("-")[0]
    found = figures(ours, film, job.lpips, notes)
    found.append(_figure("joints", apart))
    mean = next(f for f in found if f.name == "psnr")
    found.append(_figure(f"psnr, {half} the body model", mean.value))
    theirs = torch.from_numpy(film.frames).float() / 255
    show = range(0, len(ours), 2)
    strip([torch.cat([theirs[k], ours[k]]) for k in show], job.folder / "film.jpg", 640)
    _close_up(ours, theirs, film, job.folder / "close.jpg")
    return job.measured(found, made, watch, notes)


def drawn(avatar: Avatar, film: Film) -> tuple[Float[Tensor, "t h w 3"], float]:
    """The avatar under the film's motion, by the film's camera, on white; and how far its joints
    are from the true ones, in centimetres.

    Its mouth rests as in speech: what the first frame's does is in the motion already.
    """
    known = [INDEX[name] for name in driven.UPPER_BODY]
    own = driven.joints(avatar, film.motion)[:, known].reshape(-1, 3)
    true = film.joints[:, known].reshape(-1, 3)
    scale, shift = similarity(own, true)
    apart = (scale * own + shift - true).norm(dim=1).mean()
    views = avatar.speaking().animate(film.motion, shrunk(film.camera, scale, shift), torch.ones(3))
    return torch.stack([view.rgb.clamp(0, 1) for view in views]), 100 * float(apart)


def figures(
    ours: Float[Tensor, "t h w 3"], film: Film, lpips: Path | None, notes: list[str]
) -> list[Figure]:
    """Means over frames: of the picture, of crops about the true face and hands, of flicker."""
    theirs = torch.from_numpy(film.frames).float() / 255
    judges = perceptual.judges(lpips)
    if lpips is None:
        notes.append(f"lpips: {perceptual.MISSING}")
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        note("mse", 1e3 * metrics.mse(a, b))
        note("l1", 1e2 * metrics.l1(a, b))
        note("psnr", metrics.psnr(a, b))
        note("ssim", metrics.ssim(a, b))
        for kind, (judge, _) in judges.items():
            note(kind, judge.distance(a, b))
        for part, box in boxes(film, k):
            one, other = driven.cut(a, box), driven.cut(b, box)
            if min(one.shape[:2]) < WINDOW:
                continue
            note(f"{part} psnr", metrics.psnr(one, other))
            note(f"{part} ssim", metrics.ssim(one, other))
            note(f"{part} psnr, placed", placed_psnr(a, other, box))
    for k in range(0, len(ours) - 1, 2):
        pair = slice(k, k + 2)
        note("flicker", 100 * metrics.flicker(ours[pair], theirs[pair]))
        for part, box in boxes(film, k):
            both = [
                torch.stack([driven.cut(p, box) for p in some[pair]]) for some in (ours, theirs)
            ]
            note(f"{part} flicker", 100 * metrics.flicker(*both))
    return [_figure(name, float(np.mean(values))) for name, values in found.items()]


def placed_psnr(
    ours: Float[Tensor, "h w 3"], crop: Float[Tensor, "y x 3"], box: driven.Box
) -> float:
    """The best PSNR of a true crop over shifts of whole pixels, up to a third of its size."""
    room_x, room_y = crop.shape[1] // 3, crop.shape[0] // 3
    white = cv2.copyMakeBorder(
        ours.numpy(), room_y, room_y, room_x, room_x, cv2.BORDER_CONSTANT, value=(1.0, 1.0, 1.0)
    )
    left, top, right, bottom = box
    around = white[top : bottom + 2 * room_y, left : right + 2 * room_x]
    square = float(cv2.matchTemplate(around, crop.numpy(), cv2.TM_SQDIFF).min())
    return min(100.0, -10 * math.log10(max(square / crop.numel(), 1e-10)))


def boxes(film: Film, k: int) -> list[tuple[str, driven.Box]]:
    """Where the true face and hands are in frame k."""
    places = film.joints[k]
    head = places[INDEX["head"]] + torch.tensor([0, 0.06, 0.05]) * film.scale
    found = [("face", driven.square(head, driven.FACE * film.scale, film.camera))]
    for side in driven.SIDES:
        box = driven.hand_box(places, side, film.camera, driven.HAND * film.scale)
        found.append(("hands", box))
    return [(part, box) for part, box in found if box is not None]


def _figure(name: str, value: float) -> Figure:
    kind = name if name == perceptual.OWN_NAME else name.split(",")[0].split()[-1]
    known: dict[str, tuple[str, Better, str]] = {
        "mse": ("×10⁻³", "down", PIXELS),
        "l1": ("×10⁻²", "down", PIXELS),
        "psnr": ("dB", "up", PIXELS),
        "ssim": ("", "up", PIXELS),
        "lpips": ("", "down", perceptual.MODEL),
        perceptual.OWN_NAME: ("", "down", perceptual.OWN),
        "flicker": ("% of white", "down", OWN),
        "joints": ("cm", "down", "upper body, against the studio's exact truth"),
    }
    return Figure(name, value, *known[kind])


def _close_up(ours: Tensor, theirs: Tensor, film: Film, path: Path) -> None:
    """Faces and hands of four frames, the truth above."""
    cells = []
    for k in range(0, len(ours), max(2, len(ours) // 4)):
        for _, box in boxes(film, k):
            both = [driven.cut(some[k], box).permute(2, 0, 1)[None] for some in (theirs, ours)]
            large = [torch.nn.functional.interpolate(p, (192, 192)) for p in both]
            cells.append(torch.cat([p[0].permute(1, 2, 0) for p in large]))
    strip(cells, path, 384)


def _camera(view: Posed, azimuth: float) -> Camera:
    """From the top of the head to hanging hands."""
    size = view.person.figure.scale
    middle = 0.55 * view.joints[INDEX["pelvis"]] + 0.45 * view.joints[INDEX["head"]]
    target = torch.tensor(middle + np.array([0, 0.04 * size, 0]), dtype=torch.float32)
    return orbit(target, 1.22 * size, azimuth, 0.05, FILM_SIDE, FILM_SIDE, 0.42)


def _person(name: str) -> Person:
    half, number = name.split("-")
    who = person((SEED, int(number)))
    return who if half == "inside" else who.displaced(DISPLACEMENT, _rng(name, 0))


def _white() -> Background:
    return Background("plain", np.ones((SIDE, SIDE, 3), np.float32), None)


def _rng(name: str, purpose: int) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode()), purpose])
