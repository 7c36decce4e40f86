"""What people do in front of the camera: one frame at a time, or talking for a while."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import roma
import torch

from incarnate.audio import Waveform, resampled
from incarnate.io.motions import read_motion
from incarnate.motion import Motion, grounded, pose_preset, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.presets import Arm, Attitude, Leg, attitude_pose
from incarnate.motion.skeleton import INDEX
from incarnate.speech import Phoneme, Speaking, say, spoken
from incarnate.studio.sentences import sentence

ACTIONS = (
    "standing", "standing", "gesturing", "gesturing", "walking", "sitting", "dancing",
)  # fmt: skip
GESTURES = (
    "arms-up", "crossed", "waving", "hands-on-hips", "pointing", "fists", "peace", "t-pose",
)  # fmt: skip
DANCES = 24
JITTER = {"neck": 0.08, "head": 0.12, "shoulder": 0.10, "elbow": 0.10, "wrist": 0.15,
          "spine": 0.03, "hip": 0.03, "knee": 0.02}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drive:
    """Frames with a word for what is done."""

    action: str
    motion: Motion


@dataclass(frozen=True, eq=False)
class Talk:
    """Somebody who says something, with the truth about it."""

    text: str
    motion: Motion
    sound: Waveform
    phonemes: list[Phoneme]
    """With their exact times, as the voice was told them."""


def drive(rng: np.random.Generator, clips: tuple[Motion, ...] = ()) -> Drive:
    """One frame at random; half of them from `clips` where there are any."""
    if clips and rng.random() < 0.5:
        clip = clips[rng.integers(len(clips))]
        k = int(rng.integers(len(clip)))
        return Drive("moving", grounded(clip.frames(k, k + 1)))
    action = ACTIONS[rng.integers(len(ACTIONS))]
    match action:
        case "standing":
            motion = preset("stand")
        case "gesturing":
            motion = preset(GESTURES[rng.integers(len(GESTURES))])
        case "walking":
            cycle = walked()
            k = int(rng.integers(len(cycle)))
            motion = cycle.frames(k, k + 1)
        case "sitting":
            motion = preset("sitting")
        case _:
            motion = danced(rng)
    expression = torch.from_numpy(mood(rng))[None]
    return Drive(action, jittered(motion, rng).with_expression(expression))


@dataclass(frozen=True)
class Voice:
    """How the embedded voice is changed."""

    pitch: float = 1.0
    """Factor of all its frequencies, 0.7 to 1.4; formants go with them."""
    speed: float = 1.0
    """Factor of how fast it speaks."""


def voice(rng: np.random.Generator, woman: bool) -> Voice:
    """A voice at random; the embedded one is a woman's."""
    pitch = float(rng.uniform(0.94, 1.16) if woman else rng.uniform(0.74, 0.90))
    return Voice(pitch, float(rng.uniform(0.85, 1.2)))


def talk(
    rng: np.random.Generator,
    text: str | None = None,
    fps: float = 25.0,
    sounding: Voice = Voice(),  # noqa: B008
) -> Talk:
    """A sentence spoken by the embedded voice, with face, head and hands that go with it."""
    text = sentence(rng) if text is None else text
    seed = int(rng.integers(2**31))
    speech = say(text, sounding.speed / sounding.pitch, seed)
    sound, phonemes = speech.waveform, speech.phonemes
    if sounding.pitch != 1:
        # Played faster by a factor, frequencies rise by it, and every time is divided by it.
        fast = Waveform(sound.samples, round(sound.sample_rate * sounding.pitch))
        factor = fast.sample_rate / sound.sample_rate
        sound = resampled(fast, sound.sample_rate)
        phonemes = tuple(replace(p, start=p.start / factor, end=p.end / factor) for p in phonemes)
    style: Literal["calm", "lively"] = "lively" if rng.random() < 0.5 else "calm"
    motion = spoken(sound, phonemes, Speaking(style, fps), seed)
    return Talk(text, motion, sound, list(phonemes))


def clips(paths: tuple[Path, ...]) -> tuple[Motion, ...]:
    """The motions in files. ValueError or OSError says what is wrong with one."""
    return tuple(read_motion(path) for path in paths)


@cache
def preset(name: str) -> Motion:
    return pose_preset(name)


@cache
def walked() -> Motion:
    return walk_cycle(fps=30.0)


def danced(rng: np.random.Generator) -> Motion:
    """The legs of one dance with the trunk and the arms of another."""
    legs, rest = (_dance(int(rng.integers(DANCES))) for _ in range(2))
    below = [j for name, j in INDEX.items() if name.endswith(("hip", "knee", "ankle", "foot"))]
    pose = rest.pose.clone()
    pose[:, below] = legs.pose[:, below]
    return grounded(replace(rest, pose=pose))


@cache
def _dance(number: int) -> Motion:
    """Made once a process: a pose takes some 30 ms."""
    return Motion.still(attitude_pose(_attitudes()[number]))


@cache
def _attitudes() -> tuple[Attitude, ...]:
    rng = np.random.default_rng(np.random.SeedSequence([7, DANCES]))
    return tuple(_steps(rng) for _ in range(DANCES))


def _steps(rng: np.random.Generator) -> Attitude:
    def arm() -> Arm:
        upper = (
            float(rng.uniform(0.2, 1)),
            float(rng.uniform(-0.8, 0.9)),
            float(rng.normal(0.2, 0.3)),
        )
        fore = (
            float(rng.uniform(-0.4, 1)),
            float(rng.uniform(-0.4, 1)),
            float(rng.uniform(0.1, 0.9)),
        )
        return Arm(upper, fore, (-0.3, -0.3, 0.6))

    sway = float(rng.normal(0, 8))

    def leg() -> Leg:
        flex, aside = float(rng.uniform(-8, 35)), float(rng.uniform(2, 14))
        return Leg(flex, aside, 12.0, float(rng.uniform(5, 45)))

    turned = float(rng.normal(0, 8))
    head = (0.0, float(rng.normal(0, 6)), float(rng.normal(0, 12)))
    return Attitude(arm(), arm(), leg(), leg(), (2.0, sway, sway), (4.0, -sway, turned), head)


def mood(rng: np.random.Generator) -> np.ndarray:
    """ARKit weights of some mood: mostly slight, mouths mostly shut."""
    out = np.zeros(52, np.float32)
    at = ARKIT_NAMES.index
    smile, frown = max(0.0, rng.normal(0.2, 0.25)), max(0.0, rng.normal(-0.15, 0.2))
    for side in ("Left", "Right"):
        out[at(f"mouthSmile{side}")] = smile
        out[at(f"mouthFrown{side}")] = frown * (smile == 0)
        out[at(f"cheekSquint{side}")] = 0.4 * smile
        out[at(f"eyeBlink{side}")] = 0.8 if rng.random() < 0.03 else 0.05 * rng.random()
        out[at(f"browOuterUp{side}")] = max(0.0, rng.normal(0, 0.2))
    out[at("browInnerUp")] = max(0.0, rng.normal(0, 0.2))
    out[at("jawOpen")] = max(0.0, rng.normal(-0.05, 0.15))
    look = rng.normal(0, 0.15)
    out[at("eyeLookOutLeft")] = out[at("eyeLookInRight")] = max(0.0, look)
    out[at("eyeLookInLeft")] = out[at("eyeLookOutRight")] = max(0.0, -look)
    return out.clip(0, 1)


def jittered(motion: Motion, rng: np.random.Generator) -> Motion:
    """Each joint turned a little, as no two people stand alike."""
    turns = np.zeros((len(INDEX), 3), np.float32)
    for name, j in INDEX.items():
        for stem, size in JITTER.items():
            if stem in name:
                turns[j] = rng.normal(0, size, 3)
    by = roma.rotvec_to_rotmat(torch.from_numpy(turns))
    return replace(motion, pose=motion.pose @ by)
