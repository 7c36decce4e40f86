"""Talking clips for shards: a film with its sound, and the exact truth of every frame.

000017.mp4   the film, 25 frames a second, with sound
000017.wav   the sound before it was packed, 16 bits
000017.json  text, phonemes [symbol, start, end] in seconds, caption, camera, body, light
000017.npz   of every frame: arkit (t 52), pose (t 55 3) rotation vectors, transl (t 3),
             joints and landmarks in pixels, joints_3d in metres, and which of them are seen
"""

import io
import json
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import roma
from numpy.typing import NDArray

from incarnate.audio import Waveform
from incarnate.recipe import Framing
from incarnate.studio.people import Person
from incarnate.studio.poses import talk, voice
from incarnate.studio.scenes import Take, film

FRAMINGS: tuple[Framing, ...] = ("head", "head", "upper", "upper", "full")


def clip(who: Person, rng: np.random.Generator, size: int) -> Iterator[tuple[str, bytes]]:
    """Suffix and bytes of each file of a clip of that person, who says a sentence."""
    sounding = voice(rng, who.woman)
    told = talk(rng, sounding=sounding)
    framing = FRAMINGS[rng.integers(len(FRAMINGS))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        take = film(who, told, path, rng, size, framing)
        yield "mp4", path.read_bytes()
    yield "wav", _wav(told.sound)
    words = {"voice": {"pitch": round(sounding.pitch, 4), "speed": round(sounding.speed, 4)}}
    yield "json", (json.dumps(_told(take) | words) + "\n").encode()
    yield "npz", _frames(take)


def rounded(values: NDArray, digits: int = 5) -> list[object]:
    """Nested lists for JSON."""
    return np.round(values.astype(np.float64), digits).tolist()


def _wav(sound: Waveform) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.sample_rate)
        file.writeframes(np.round(sound.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _told(take: Take) -> dict[str, object]:
    return {
        "text": take.talk.text,
        "phonemes": [[p.symbol, round(p.start, 6), round(p.end, 6)] for p in take.talk.phonemes],
        "fps": take.talk.motion.fps,
        "frames": len(take.frames),
        "sample_rate": take.talk.sound.sample_rate,
        "caption": take.caption,
        "framing": take.framing,
        "azimuth": round(take.azimuth, 5),
        "foreign": take.who.foreign,
        "world_to_camera": rounded(take.camera.world_to_camera.numpy()),
        "intrinsics": rounded(take.camera.intrinsics.numpy(), 3),
        "body": take.who.figure.body.name,
        "betas": rounded(take.who.figure.betas),
        "light": take.light.kind,
        "background": take.background.kind,
    }


def _frames(take: Take) -> bytes:
    motion, frames = take.talk.motion, take.frames
    out = io.BytesIO()
    np.savez_compressed(
        out,
        arkit=motion.expression.numpy(),
        pose=roma.rotmat_to_rotvec(motion.pose).numpy(),
        transl=motion.transl.numpy(),
        joints=np.nan_to_num(np.stack([f.joints for f in frames]), nan=-1.0),
        joints_seen=np.stack([f.joints_seen for f in frames]),
        joints_3d=np.nan_to_num(np.stack([f.joints_3d for f in frames])),
        landmarks=np.stack([f.landmarks for f in frames]),
        landmarks_seen=np.stack([f.landmarks_seen for f in frames]),
    )
    return out.getvalue()
