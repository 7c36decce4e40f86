"""Shots at random: who, doing what, lit how, seen from where, with a caption."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from incarnate.audio import resampled
from incarnate.cameras import Camera, Stance
from incarnate.io.soundtrack import RATE, sounding
from incarnate.io.video import write_video
from incarnate.motion import Motion
from incarnate.recipe import Framing
from incarnate.studio.backgrounds import Background, background
from incarnate.studio.light import Light, light
from incarnate.studio.people import Person, person
from incarnate.studio.poses import Talk, drive
from incarnate.studio.shots import SAMPLES, Posed, Shot, posed, shot

FRAMINGS: tuple[Framing, ...] = ("full", "upper", "head")
WORDS = {
    "full": "full body",
    "upper": "upper body",
    "lower": "lower body",
    "head": "head and shoulders",
}
SHOTS_A_PERSON = 24


@dataclass(frozen=True, eq=False)
class Sample:
    """A shot with its words."""

    shot: Shot
    caption: str
    action: str
    framing: Framing
    azimuth: float
    """Radians, 0 before the face, positive to the person's left."""
    light: Light
    background: Background
    frame: int | None = None
    """Its number in a clip; None for a single picture."""


def framed(
    view: Posed, framing: Framing, azimuth: float, elevation: float, size: int, fov: float = 0.42
) -> Camera:
    """A square camera on a posed person."""
    box, pelvis, head = map(torch.from_numpy, (view.box, view.joints[0], view.joints[15]))
    stance = Stance(box.float(), pelvis, head, view.person.figure.trunk)
    return stance.camera(framing, azimuth, elevation, size, fov)


def samples(
    seed: int, index: int, size: int, count: int = SHOTS_A_PERSON, clips: tuple[Motion, ...] = ()
) -> Iterator[Sample]:
    """`count` shots of the person number `index`; the same seed gives the same shots."""
    who = person((seed, index))
    yield from pictured(who, np.random.default_rng([seed, index, 1]), size, count, clips)


def pictured(
    who: Person,
    rng: np.random.Generator,
    size: int,
    count: int,
    clips: tuple[Motion, ...] = (),
    samples: int = SAMPLES,
) -> Iterator[Sample]:
    """`count` shots at random of one person."""
    drives = [drive(rng, clips) for _ in range(count)]
    whole = Motion(
        30.0,
        torch.cat([d.motion.pose for d in drives]),
        torch.cat([d.motion.transl for d in drives]),
        torch.cat([d.motion.expression for d in drives]),
    )
    seated = [d.action == "sitting" for d in drives]
    for done, view in zip(drives, posed(who, whole, seated), strict=True):
        framing = FRAMINGS[rng.integers(len(FRAMINGS))]
        azimuth = float(rng.normal(0, 0.5) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi))
        azimuth = (azimuth + np.pi) % (2 * np.pi) - np.pi
        elevation = float(np.clip(rng.normal(0.06, 0.12), -0.2, 0.6))
        camera = framed(view, framing, azimuth, elevation, size, float(rng.uniform(0.25, 0.9)))
        behind = background(rng)
        lit = light(rng, "outdoor" if behind.kind == "outdoor" else "studio")
        if behind.kind in ("plain", "graded") and rng.random() < 0.5:
            lit = light(rng, "outdoor")
        caption = ", ".join([who.words, done.action, WORDS[framing], side_words(azimuth)])
        taken = shot(view, camera, lit, behind, samples)
        yield Sample(taken, caption, done.action, framing, azimuth, lit, behind)


def side_words(azimuth: float) -> str:
    """'front view', 'three-quarter view', 'side view' or 'back view'."""
    turned = abs((azimuth + np.pi) % (2 * np.pi) - np.pi)
    for limit, words in ((0.35, "front"), (1.1, "three-quarter"), (2.0, "side")):
        if turned < limit:
            return f"{words} view"
    return "back view"


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What is kept of each frame of a film."""

    joints: Float[NDArray, "55 2"]
    joints_seen: Bool[NDArray, " 55"]
    joints_3d: Float[NDArray, "55 3"]
    landmarks: Float[NDArray, "23 2"]
    landmarks_seen: Bool[NDArray, " 23"]

    @staticmethod
    def of(taken: Shot) -> "Keypoints":
        """Those of a shot."""
        return Keypoints(
            taken.joints,
            taken.joints_seen,
            taken.posed.joints,
            taken.landmarks,
            taken.landmarks_seen,
        )


@dataclass(frozen=True, eq=False)
class Take:
    """The truth about a film."""

    who: Person
    talk: Talk
    camera: Camera
    frames: list[Keypoints]
    caption: str
    framing: Framing
    azimuth: float
    light: Light
    background: Background


def film(
    who: Person,
    talk: Talk,
    path: Path,
    rng: np.random.Generator,
    size: int = 256,
    framing: Framing = "upper",
) -> Take:
    """Writes a film (.mp4, .webm) with sound of a person who talks, before a still camera."""
    behind = background(rng)
    lit = light(rng, "studio")
    first = next(posed(who, talk.motion.frames(0, 1)))
    azimuth = float(rng.normal(0, 0.15))
    camera = framed(first, framing, azimuth, 0.05, size)
    shots: list[Keypoints] = []

    def frames() -> Iterator[NDArray]:
        for view in posed(who, talk.motion):
            taken = shot(view, camera, lit, behind)
            shots.append(Keypoints.of(taken))
            yield taken.rgb

    with sounding(path, [resampled(talk.sound, RATE)]) as film:
        write_video(film, frames(), talk.motion.fps)
    caption = ", ".join([who.words, "talking", WORDS[framing], side_words(azimuth)])
    return Take(who, talk, camera, shots, caption, framing, azimuth, lit, behind)
