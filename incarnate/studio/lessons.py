"""What priors learn people from: each seen from all sides, alone before grey, and in motion.

A person gives SHOTS_A_LESSON shots, in this order: STANCES poses from two cameras each, so that one
picture of a pair can be projected into the other, then one clip of CLIP_FRAMES frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from incarnate.motion import Motion, grounded, resampled
from incarnate.priors.vocabulary import ATTITUDES
from incarnate.recipe import Framing
from incarnate.studio.backgrounds import plain
from incarnate.studio.light import Light, light
from incarnate.studio.people import Person
from incarnate.studio.poses import Drive, danced, jittered, mood, preset, walked
from incarnate.studio.scenes import WORDS, Sample, framed, side_words
from incarnate.studio.shots import Posed, posed, shot

STANCES = 4
CLIP_FRAMES = 8
SHOTS_A_LESSON = 2 * STANCES + CLIP_FRAMES
GREY = 0.2140  # Linear: 0.5 as pictures encode it.
POSES = {preset: action for action, preset in ATTITUDES.items() if action != "sitting"}
"""Attitudes on one's feet, and what captions call them."""
FRAMED: dict[Framing, float] = {"full": 0.56, "upper": 0.2, "lower": 0.06, "head": 0.18}
"""How often a picture shows how much."""
APART = (0.3, 1.1)
"""Radians between the two cameras of a pose."""


@dataclass(frozen=True, eq=False)
class _Camera:
    """Where pictures are taken from."""

    framing: Framing
    azimuth: float
    elevation: float
    fov: float


def lesson(who: Person, rng: np.random.Generator, size: int) -> Iterator[Sample]:
    """SHOTS_A_LESSON shots of one person."""
    drives = [_drive(rng) for _ in range(STANCES)]
    seated = [drive.action == "sitting" for drive in drives]
    whole = _joined([drive.motion for drive in drives])
    for drive, view in zip(drives, posed(who, whole, seated), strict=True):
        first = _camera(rng)
        turn = float(rng.uniform(*APART) * rng.choice([-1, 1]))
        lit = light(rng, "studio")
        for one in (first, replace(first, azimuth=_wrapped(first.azimuth + turn))):
            yield _sample(view, view, one, drive.action, lit, size)
    action, motion = _moving(rng)
    views, camera = list(posed(who, motion)), _camera(rng)
    widest = max(views, key=lambda view: float(np.ptp(view.box, axis=0).max()))
    lit = light(rng, "studio")
    for k, view in enumerate(views):
        yield replace(_sample(view, widest, camera, action, lit, size), frame=k)


def _sample(
    view: Posed,
    framing: Posed,
    camera: _Camera,
    action: str,
    lit: Light,
    size: int,
) -> Sample:
    """The picture of `view` by a camera that has `framing` in its frame."""
    lens = framed(framing, camera.framing, camera.azimuth, camera.elevation, size, camera.fov)
    words = [view.person.words, action, WORDS[camera.framing], side_words(camera.azimuth)]
    behind = plain(GREY)
    taken = shot(view, lens, lit, behind)
    return Sample(taken, ", ".join(words), action, camera.framing, camera.azimuth, lit, behind)


def _camera(rng: np.random.Generator) -> _Camera:
    kinds = list(FRAMED)
    framing = kinds[rng.choice(len(kinds), p=list(FRAMED.values()))]
    return _Camera(
        framing,
        float(rng.uniform(-np.pi, np.pi)),
        float(np.clip(rng.normal(0.05, 0.1), -0.2, 0.4)),
        float(rng.uniform(0.35, 0.6)),
    )


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _drive(rng: np.random.Generator) -> Drive:
    """One frame; a quarter of the people stand."""
    chance = rng.random()
    names = list(POSES)
    if chance < 0.25:
        action, motion = POSES["stand"], preset("stand")
    elif chance < 0.6:
        name = names[rng.integers(1, len(names))]
        action, motion = POSES[name], preset(name)
    elif chance < 0.75:
        cycle = walked()
        k = int(rng.integers(len(cycle)))
        action, motion = "walking", cycle.frames(k, k + 1)
    elif chance < 0.8:
        action, motion = "sitting", preset("sitting")
    else:
        action, motion = "dancing", danced(rng)
    return Drive(action, _alive(motion, rng))


def _alive(motion: Motion, rng: np.random.Generator) -> Motion:
    return jittered(motion, rng).with_expression(torch.from_numpy(mood(rng))[None])


def _moving(rng: np.random.Generator) -> tuple[str, Motion]:
    """CLIP_FRAMES frames: some of a walk, or the way from one pose to another."""
    if rng.random() < 0.4:
        cycle, stride = walked(), int(rng.integers(2, 5))
        at = (int(rng.integers(len(cycle))) + stride * np.arange(CLIP_FRAMES)) % len(cycle)
        return "walking", _joined([cycle.frames(int(k), int(k) + 1) for k in at])
    ends = []
    while len(ends) < 2:
        drive = _drive(rng)
        if drive.action != "sitting":
            ends.append(drive)
    way = replace(_joined([drive.motion for drive in ends]), fps=1.0)
    return ends[1].action, grounded(resampled(way, float(CLIP_FRAMES - 1)))


def _joined(motions: list[Motion]) -> Motion:
    parts = ([getattr(m, name) for m in motions] for name in ("pose", "transl", "expression"))
    return Motion(30.0, *(torch.cat(part) for part in parts))
