"""Speech as motion: what is heard goes in, frames of a person speaking come out.

`performed` is the whole of it, a stream: stretches of sound with their phonemes in, frames out,
each as soon as LOOK_AHEAD more has been heard. `spoken` runs it over a recording. The same sound,
phonemes and seed give the same frames, however the sound is cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.motion.motion import Motion
from incarnate.motion.presets import ATTITUDES, attitude_pose
from incarnate.motion.skeleton import INDEX, LEG_LENGTH
from incarnate.speech.cues import Cue, Heard, cues, heard
from incarnate.speech.face import Face, faced
from incarnate.speech.gestures import Hands, arm_turns, beaten
from incarnate.speech.manner import MANNERS, Manner, Style
from incarnate.speech.phonemes import Phoneme
from incarnate.speech.springs import turns
from incarnate.speech.trunk import Bearing, Trunk, borne

_SHIFT = 0.022
"""Metres by which the pelvis goes over to a leg."""
_BLOCK = SPEECH_RATE // 2


@dataclass(frozen=True)
class Speaking:
    """How speech is performed."""

    style: Style = "calm"
    """Calm suits an explanation, lively a story."""
    fps: float = 30.0
    """Frames per second, 24 to 60."""


def spoken(
    waveform: Waveform,
    phonemes: Sequence[Phoneme],
    config: Speaking = Speaking(),
    seed: int = 0,
) -> Motion:
    """The motion of somebody who says this: face, head, hands and body, from second 0 to the end.

    Raises ValueError if there is no sound at all.
    """
    samples = resampled(waveform, SPEECH_RATE).samples
    blocks = (
        Waveform(samples[k : k + _BLOCK], SPEECH_RATE) for k in range(0, len(samples), _BLOCK)
    )
    parts = list(performed(heard(blocks, phonemes), config, seed))
    if not parts:
        raise ValueError("the sound has no samples; give a recording of speech")
    return Motion(
        config.fps,
        torch.cat([p.pose for p in parts]),
        torch.cat([p.transl for p in parts]),
        torch.cat([p.expression for p in parts]),
    )


def performed(
    stream: Iterable[Heard], config: Speaking = Speaking(), seed: int = 0, at_once: int = 16
) -> Iterator[Motion]:
    """Frames of somebody who says what is heard, `at_once` of them at a time, the last ones fewer.

    Memory does not grow with length. A frame waits for LOOK_AHEAD of sound after it, and for those
    it comes out with: live use takes them one at a time.
    """
    if not 20 <= config.fps <= 120:
        raise ValueError(f"fps is {config.fps}; speech is performed at 20 to 120 frames a second")
    manner = MANNERS[config.style]
    frames: list[_Frame] = []
    for frame in _frames(cues(stream, config.fps), manner, seed, 1 / config.fps):
        frames.append(frame)
        if len(frames) == at_once:
            yield _motion(frames, config.fps)
            frames = []
    if frames:
        yield _motion(frames, config.fps)


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame as numbers, before it is a pose."""

    face: Float[np.ndarray, "52"]
    bearing: Bearing
    hands: Hands


def _frames(stream: Iterable[Cue], manner: Manner, seed: int, step: float) -> Iterator[_Frame]:
    face, trunk, hands = Face(), Trunk(), Hands()
    for cue in stream:
        trunk, bearing = borne(trunk, cue, manner, seed, step)
        hands = beaten(hands, cue, manner, seed, step)
        turned = (bearing.head[2] + bearing.spine[2], bearing.head[0] + bearing.spine[0])
        face, weights = faced(face, cue, turned, manner, seed, step)
        yield _Frame(weights, bearing, hands)


def _motion(frames: list[_Frame], fps: float) -> Motion:
    count = len(frames)
    pose = _stand().repeat(count, 1, 1, 1)
    head = np.array([f.bearing.head for f in frames])
    spine = np.array([f.bearing.spine for f in frames])
    breath = np.array([f.bearing.breath for f in frames])
    for name, share in (("spine1", 1 / 3), ("spine2", 1 / 3), ("spine3", 1 / 3)):
        pose[:, INDEX[name]] = _tensor(turns(share * spine))
    for name, share in (("neck", 0.45), ("head", 0.55)):
        pose[:, INDEX[name]] = _tensor(turns(share * head))
    joints, arms = arm_turns(_tensor(np.stack([f.hands.shares for f in frames])))
    pose[:, list(joints)] = arms
    for side, sign in (("left", 1.0), ("right", -1.0)):  # Shoulders rise with the breath.
        lift = np.stack([0 * breath, -sign * 1.1 * breath, 0 * breath], 1)
        collar = INDEX[f"{side}_collar"]
        pose[:, collar] = _tensor(turns(lift)) @ pose[:, collar]
    shift = _SHIFT * np.array([f.bearing.weight for f in frames])
    _lean(pose, shift)
    transl = torch.zeros(count, 3)
    transl[:, 0] = _tensor(shift)
    transl[:, 1] = _tensor(np.sqrt(LEG_LENGTH**2 - shift**2) - LEG_LENGTH)
    weights = _tensor(np.stack([f.face for f in frames]))
    return Motion(fps, pose, transl, weights)


@cache
def _stand() -> Float[Tensor, "55 3 3"]:
    return attitude_pose(ATTITUDES["stand"])


def _lean(pose: Float[Tensor, "f 55 3 3"], shift: Float[np.ndarray, " f"]) -> None:
    """Legs lean so that feet stay while the pelvis goes `shift` metres to the left."""
    angle = np.rad2deg(np.arcsin(shift / LEG_LENGTH))
    lean = _tensor(turns(np.stack([0 * angle, angle, 0 * angle], 1)))
    for side in ("left", "right"):
        hip, knee, ankle = (INDEX[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        shin = pose[:, hip] @ pose[:, knee]
        pose[:, hip] = lean @ pose[:, hip]
        pose[:, ankle] = shin.mT @ lean.mT @ shin @ pose[:, ankle]


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
