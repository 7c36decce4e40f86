"""Films of made-up people's mouths with what they say, for `train_sync.py`.

Person and sentence of a clip follow from its number; every tenth clip is held out, with a person
and a sentence that no other clip has. Half of the mouths move by the voice's own times, half by
pocketsphinx', so that no one timing is learnt. What there is already is not made again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from incarnate.audio import SPEECH_RATE, resampled
from incarnate.cameras import Camera, orbit
from incarnate.evaluate import aligner
from incarnate.io.runs import replacing
from incarnate.metrics.mouths import REACH, SIDE, crops, face_points
from incarnate.motion import Motion
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.perception.landmarkers import Perception
from incarnate.speech import Speaking, say, spoken
from incarnate.studio.backgrounds import background
from incarnate.studio.light import light
from incarnate.studio.people import Person, person
from incarnate.studio.shots import Posed, posed, shot

SEED = 90
"""Of people; the suites' people have others."""
HELD_OUT = 10
MARGIN = 1.5
"""By how much the kept pictures are wider than the network's, for shifts and scales."""
KEPT = int(SIDE * MARGIN)
FPS = 25.0
PIXELS = 160
SUBJECTS = (
    "my mother", "the old farmer", "a young doctor", "our neighbour", "the whole family",
    "nobody", "every child", "the new teacher", "a famous singer", "your brother", "the baker",
    "somebody", "the blue bird", "a quiet man", "this woman", "the pilot", "my best friend",
)  # fmt: skip
VERBS = (
    "bought", "found", "will move", "often paints", "gave away", "never saw", "brought home",
    "should fix", "remembers", "wants to open", "has put down", "must wash", "is looking for",
    "threw away", "likes to show", "would keep", "can hear", "built", "forgot", "measures",
)  # fmt: skip
OBJECTS = (
    "a purple umbrella", "five yellow boats", "the broken window", "some fresh bread",
    "two small puppies", "the wooden table", "an empty bottle", "the longest rope",
    "many warm gloves", "a cheap radio", "the beautiful map", "your favorite book",
    "a bowl of soup", "every single page", "the heavy boxes", "a piece of paper",
    "the orange lamp", "a very good joke", "the huge machine", "her silver watch",
)  # fmt: skip
ENDINGS = (
    "by the river", "above the piano", "before the summer", "in the garden", "without a word",
    "from far away", "after lunch", "behind the house", "on Monday morning", "with both hands",
    "near the market", "for the first time", "at half past nine", "under the bridge", "again",
    "because of the weather", "while we were asleep", "in front of the shop", "and laughed",
)  # fmt: skip


def sentence(rng: np.random.Generator) -> str:
    """A sentence of a small grammar."""
    parts = [str(rng.choice(some)) for some in (SUBJECTS, VERBS, OBJECTS, ENDINGS)]
    return (" ".join(parts) + ".").capitalize()


def clip(index: int, folder: Path, perception: Perception) -> Path | None:
    """The file of clip number `index`, made if it is not there; None if no face was found."""
    path = folder / f"{index:04d}.npz"
    if path.exists():
        return path
    rng = np.random.default_rng([SEED, index])
    text = sentence(rng)
    speech = say(text, float(rng.uniform(0.85, 1.2)), int(rng.integers(2**31)))
    phonemes = list(speech.phonemes)
    if index % 2 and aligner.available():
        try:
            phonemes = aligner.phonemes(aligner.phones(speech.waveform, text))
        except ValueError:
            pass  # A word that pocketsphinx does not hear: the voice's own times will do.
    style = "lively" if rng.random() < 0.5 else "calm"
    motion = spoken(speech.waveform, phonemes, Speaking(style, FPS), int(rng.integers(2**31)))
    who = headed(person((SEED, index)))
    if index % 4 >= 2:
        who = who.displaced(0.008, rng)
    frames = _pictures(who, _moody(motion, rng), rng)
    points = face_points(frames, perception)
    try:
        pictures = crops(frames, points, KEPT, REACH * MARGIN)
    except ValueError:
        return None
    sound = resampled(speech.waveform, SPEECH_RATE).samples
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file, mouths=pictures, sound=(sound * 32767).astype(np.int16), text=text
        )
    return path


def headed(who: Person) -> Person:
    """The head alone, which is drawn three times as fast."""
    cut = who.figure.joint("neck")[1] - 0.05
    pieces, kept = [], who.body_vertices
    for number, piece in enumerate(who.pieces):
        shell = piece.shell
        high = (shell.vertices[:, 1] > cut)[shell.faces].any(1)
        if not high.any():
            continue
        smaller, used = shell.compact(shell.faces[high])
        normals = None if piece.normals is None else piece.normals[used]
        pieces.append(
            replace(
                piece,
                shell=smaller,
                uvs=piece.uvs[high],
                materials=piece.materials[high],
                normals=normals,
            )
        )
        if number == 0:
            kept = kept[used]
    return replace(who, pieces=tuple(pieces), body_vertices=kept)


def _moody(motion: Motion, rng: np.random.Generator) -> Motion:
    """The same words said with other force, on another face."""
    gain = torch.ones(len(ARKIT_NAMES))
    for k, name in enumerate(ARKIT_NAMES):
        if name.startswith(("mouth", "jaw")):
            gain[k] = float(np.exp(rng.normal(0, 0.12)))
    mood = torch.zeros(len(ARKIT_NAMES))
    for name in ("mouthSmile", "mouthFrown", "cheekSquint"):
        both = max(0.0, rng.normal(0.0, 0.12))
        for side in ("Left", "Right"):
            mood[ARKIT_NAMES.index(name + side)] = both
    force = float(np.exp(rng.normal(0, 0.15)))
    return motion.with_expression((motion.expression * gain * force + mood).clamp(0, 1))


def _pictures(who: Person, motion: Motion, rng: np.random.Generator) -> list[np.ndarray]:
    kind = "studio" if rng.random() < 0.6 else "outdoor"
    lit = light(rng, kind)
    behind = background(rng, "plain" if rng.random() < 0.5 else "graded")
    camera = None
    frames = []
    azimuth, elevation = float(rng.normal(0, 0.25)), float(rng.normal(0.03, 0.1))
    fov = float(rng.uniform(0.25, 0.7))
    for view in posed(who, motion):
        camera = camera or _camera(view, azimuth, elevation, fov)
        frames.append(shot(view, camera, lit, behind).rgb)
    return frames


def _camera(view: Posed, azimuth: float, elevation: float, fov: float) -> Camera:
    scale = view.person.figure.scale
    target = view.joints[15] + np.array([0, 0.05, 0.05]) * scale
    middle = torch.tensor(target, dtype=torch.float32)
    return orbit(middle, 0.34 * scale, azimuth, elevation, PIXELS, PIXELS, fov)
