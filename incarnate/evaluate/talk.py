"""The suite `talk`: an avatar says a sentence; do lips, face and hands belong to it?

The embedded voice speaks. Lips are driven twice: by the voice's own times of its sounds and by
those of pocketsphinx, which is foreign to whatever drives them; both halves are reported. On the
head's film: SyncNet's offset search (`incarnate.metrics.sync`), closed and open lips at the sounds
as pocketsphinx times them, and the face's distance to the photo. On a film of the upper body: how
sure a hand finder is, and how much the hands move.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from incarnate.audio import Waveform
from incarnate.avatar import Avatar
from incarnate.body.anny import Anny
from incarnate.cameras import Camera, orbit
from incarnate.evaluate import aligner, driven, reenact
from incarnate.evaluate.figures import Better, Figure, Row
from incarnate.evaluate.jobs import Job, Subject
from incarnate.evaluate.likeness import GREY, to_bytes
from incarnate.evaluate.photos import made_avatar, strip
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.metrics import identity, mouths, sync
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX
from incarnate.perception.face import faces_in
from incarnate.perception.landmarkers import Perception
from incarnate.speech import Phoneme, Speaking, Speech, say, spoken

SENTENCES = (
    "My mother bought five beautiful blue vases, and you know who moved them above the piano.",
    "Bob and Pam often fly to Paris; if we move far from home, who will feed the puppy?",
    "The farmer who found a purple ball above the barn put it on top of the box.",
)
"""Many lips to close; none is among those that the embedding was trained on."""
NUM_SUBJECTS = 3
HEAD_SIDE, UPPER_SIDE, HAND_SIDE = 384, 640, 256  # Pixels.
FACES, HANDS = 10, 12  # Frames in which a face is recognized and hands are looked for.
HAND_ROOM = 0.34  # Metres of the picture in which a hand is looked for.
BEHIND = torch.full((3,), GREY)
POINTS = "MediaPipe face landmarker, sounds by pocketsphinx en-us"
HAND_MODEL = "MediaPipe hand landmarker (lite)"

Frames = list[UInt8[np.ndarray, "h w 3"]]


@dataclass(frozen=True, eq=False)
class Hands:
    """What a hand finder says of a film."""

    found: float
    """Share of the hands that are in the picture."""
    confidence: float
    """Mean score of those hands, 0 for what is not found."""
    variance: float
    """Deviation of a keypoint's place over the film, of the picture's height."""


def subjects(count: int | None, folder: Path) -> list[Subject]:
    """The people of `reenact`, by the first frames of their films."""
    return reenact.subjects(count or NUM_SUBJECTS, folder)


def measure(job: Job) -> Row:
    """The row of one job; its pictures are written beside it."""
    watch, notes = Stopwatch(), []
    avatar, made = made_avatar(job, Anny.load(), watch)
    number = zlib.crc32(job.subject.name.encode())
    text, seed = SENTENCES[number % len(SENTENCES)], number % 2**31
    watch.stage("voice")
    speech = say(text, seed=seed)
    phones = _phones(speech, text, notes)
    with Perception() as perception:
        watch.stage("head film")
        motion = performed(speech.waveform, speech.phonemes, seed)
        frames = filmed(avatar, motion)
        watch.stage("lips")
        points = mouths.face_points(frames, perception)
        found = _synchrony("", frames, points, speech.waveform, notes)
        found += _articulation(points, phones)
        watch.stage("other aligner")
        if phones:
            found += _foreign(avatar, speech.waveform, phones, seed, perception, notes)
        watch.stage("identity")
        found += _identity(frames, job.subject.photo, perception, notes)
        watch.stage("hands")
        seen, pictures = handed(avatar, motion, perception)
        found += _hands(seen, notes)
    _shown(frames, job.folder / "talk.jpg")
    strip(pictures, job.folder / "hands.jpg", 320)
    return job.measured(found, made, watch, notes)


def performed(sound: Waveform, phonemes: Sequence[Phoneme], seed: int) -> Motion:
    """Somebody who says this, at the rate at which synchrony is measured."""
    return spoken(sound, phonemes, Speaking("calm", sync.FPS), seed)


def filmed(avatar: Avatar, motion: Motion) -> Frames:
    """The head, before a still camera."""
    talking = avatar.speaking()
    first = next(talking.drives(motion.frames(0, 1)))
    camera = talking.framed(first, "head", width=HEAD_SIDE, height=HEAD_SIDE)
    return [to_bytes(view.rgb) for view in talking.animate(motion, camera, BEHIND)]


def handed(
    avatar: Avatar, motion: Motion, perception: Perception
) -> tuple[Hands, list[Float[Tensor, "h w 3"]]]:
    """Hands over a film of the upper body, and some of its pictures.

    A hand is looked for about where the avatar has it; one elsewhere is none.
    """
    at = np.linspace(0, len(motion) - 1, min(HANDS, len(motion))).round().astype(int).tolist()
    few = driven.picked(motion, at)
    places = driven.joints(avatar, few)
    camera = _upper(places[0])
    wanted, pictures = 0, []
    scores: list[float] = []
    points: dict[str, list[np.ndarray]] = {side: [] for side in driven.SIDES}
    for k, view in enumerate(avatar.speaking().animate(few, camera, BEHIND)):
        picture = to_bytes(view.rgb)
        if k % 3 == 0:
            pictures.append(view.rgb)
        for side in driven.SIDES:
            box = driven.hand_box(places[k], side, camera, HAND_ROOM)
            if box is None:
                continue
            wanted += 1
            seen = hand_in(picture, box, perception)
            scores.append(0.0 if seen is None else seen[0])
            if seen is not None:
                points[side].append(seen[1] / UPPER_SIDE)
    spread = [np.std(p, 0).mean() for p in points.values() if len(p) > 1]
    share = float(np.mean(np.array(scores) > 0)) if scores else float("nan")
    confidence = float(np.mean(scores)) if scores else float("nan")
    return Hands(share, confidence, float(np.mean(spread)) if spread else float("nan")), pictures


def hand_in(
    picture: UInt8[np.ndarray, "h w 3"], box: driven.Box, perception: Perception
) -> tuple[float, Float[np.ndarray, "21 2"]] | None:
    """Score and points (in pixels of the picture) of the hand nearest to a box's middle."""
    left, top, right, bottom = box
    part = picture[top:bottom, left:right]
    if min(part.shape[:2]) < 16:
        return None
    scale = HAND_SIDE / max(part.shape[:2])
    large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    middle = np.array(large.shape[1::-1]) / 2
    best, least = None, 0.35 * HAND_SIDE
    for hand in perception.hands(large):
        gap = float(np.linalg.norm(hand.points[:, :2].mean(0) - middle))
        if gap < least:
            best, least = hand, gap
    if best is None:
        return None
    return float(best.score), best.points[:, :2] / scale + np.array([left, top])


def _upper(places: Float[Tensor, "55 3"]) -> Camera:
    """From the head to hanging hands."""
    pelvis, head = places[INDEX["pelvis"]], places[INDEX["head"]]
    middle = 0.55 * pelvis + 0.45 * head
    size = float((head - pelvis).norm()) / 0.58  # Of an average adult 1.
    return orbit(middle, 1.15 * size, 0.0, 0.0, UPPER_SIDE, UPPER_SIDE)


def _phones(speech: Speech, text: str, notes: list[str]) -> list[mouths.Phone]:
    try:
        return aligner.phones(speech.waveform, text)
    except (OSError, ValueError) as error:
        notes.append(f"lip closure and the other aligner's film: {error}")
        return []


def _synchrony(
    half: str, frames: Frames, points: np.ndarray, sound: Waveform, notes: list[str]
) -> list[Figure]:
    try:
        found = sync.synchrony(mouths.crops(frames, points), sound)
    except ValueError as error:
        notes.append(f"lip sync{half}: {error}")
        return []
    return [
        _figure(f"sync confidence{half}", found.confidence, "LSE-C", "up", sync.MODEL),
        _figure(f"sync distance{half}", found.distance, "LSE-D", "down", sync.MODEL),
        _figure(f"sync offset{half}", abs(found.offset), "frames, size", "down", sync.MODEL),
    ]


def _articulation(points: np.ndarray, phones: list[mouths.Phone]) -> list[Figure]:
    found = mouths.articulated(mouths.gaps(points), sync.FPS, phones)
    closed = _figure("lips closed", found.closed, "share of m, b, p", "up", POINTS)
    opened = _figure("lips open", found.opened, "share of open vowels", "up", POINTS)
    return [figure for figure in (closed, opened) if np.isfinite(figure.value)]


def _foreign(
    avatar: Avatar,
    sound: Waveform,
    phones: list[mouths.Phone],
    seed: int,
    perception: Perception,
    notes: list[str],
) -> list[Figure]:
    """Synchrony of lips that another aligner times."""
    frames = filmed(avatar, performed(sound, aligner.phonemes(phones), seed))
    points = mouths.face_points(frames, perception)
    return _synchrony(", other aligner", frames, points, sound, notes)


def _identity(
    frames: Frames, photo: Path, perception: Perception, notes: list[str]
) -> list[Figure]:
    if not identity.available():
        notes.append(f"identity: {identity.MISSING}")
        return []
    who = identity.Identity()
    own = who.embedding(_face(np.asarray(Image.open(photo).convert("RGB")), perception))
    at = np.linspace(0, len(frames) - 1, min(FACES, len(frames))).round().astype(int)
    theirs = [found for k in at if (found := who.embedding(frames[k])) is not None]
    if own is None or not theirs:
        notes.append("identity: dlib finds no face in the " + ("photo" if own is None else "film"))
        return []
    apart = [float(np.linalg.norm(own - one)) for one in theirs]
    return [
        _figure("identity, talking", float(np.mean(apart)), "L2", "down", identity.MODEL),
        _figure("identity variance", 1e3 * float(np.var(apart)), "×10⁻³", "down", identity.MODEL),
    ]


def _face(rgb: UInt8[np.ndarray, "h w 3"], perception: Perception) -> np.ndarray:
    """The photo's largest face with room around it, as large as in the film; or the whole photo."""
    faces = faces_in(rgb, perception)
    if not faces:
        return rgb
    left, top, right, bottom = max((face.box for face in faces), key=lambda box: box[3] - box[1])
    room = 0.6 * (right - left)
    box = [max(0, round(float(e))) for e in (left - room, top - room, right + room, bottom + room)]
    part = Image.fromarray(rgb).crop((box[0], box[1], min(box[2], rgb.shape[1]),
                                      min(box[3], rgb.shape[0])))  # fmt: skip
    return np.asarray(part.resize((HEAD_SIDE, HEAD_SIDE * part.height // part.width)))


def _hands(seen: Hands, notes: list[str]) -> list[Figure]:
    if not np.isfinite(seen.found):
        notes.append("hands: none is in the picture")
        return []
    found = [
        _figure("hands found", seen.found, "share", "up", HAND_MODEL),
        _figure("hand confidence", seen.confidence, "HKC", "up", HAND_MODEL),
    ]
    if np.isfinite(seen.variance):
        moved = 100 * seen.variance
        found.append(_figure("hand variance", moved, "HKV, % of height", "up", HAND_MODEL))
    return found


def _figure(name: str, value: float, unit: str, better: Better, source: str) -> Figure:
    return Figure(name, float(value), unit, better, source)


def _shown(frames: Frames, path: Path) -> None:
    """Twelve frames in two rows."""
    at = np.linspace(0, len(frames) - 1, 12).round().astype(int)
    some = [torch.from_numpy(frames[k]).float() / 255 for k in at]
    strip([torch.cat([some[k], some[k + 6]]) for k in range(6)], path, 640)
