"""Whatever drives an avatar: a motion file, a film of somebody, a recording, a sentence.

A source is motion in parts, so that a long one needs no more memory than a short one, and the
sound that belongs to it.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import av.error
import torch
from av.stream import Disposition

from incarnate.audio import Waveform, resampled
from incarnate.io.motions import READERS, read_motion
from incarnate.io.sounds import check_sound, read_sound, sound_blocks
from incarnate.io.soundtrack import RATE
from incarnate.motion import Motion, blended
from incarnate.motion import resampled as at_rate
from incarnate.progress import Report
from incarnate.speech import Speaking, aligned, hama_loads, heard, performed, say, transcribed

MOTION_FILES = (*READERS, ".npz")
PART = 64  # Frames.


@dataclass(frozen=True, eq=False)
class Source:
    """What moves an avatar, at one frame rate."""

    fps: float
    num_frames: int
    parts: Callable[[], Iterator[Motion]]
    """The motion from its start, a part at a time."""
    sound: Callable[[], Iterator[Waveform]] | None = None
    """What is heard with it, in blocks at `incarnate.io.soundtrack.RATE`."""
    speaks: bool = False
    """Whether its mouth says something, so that the photo's smile must not stay on the lips."""


@dataclass(frozen=True)
class Share:
    """How far each region of the body follows a source, 0 to 1."""

    face: float = 0.0
    head: float = 0.0
    hands: float = 0.0
    body: float = 0.0


def sentence(text: str, config: Speaking, seed: int) -> Source:
    """Somebody who says `text`. ValueError for text that the synthesizer cannot read."""
    speech = say(text, seed=seed)
    whole = resampled(speech.waveform, RATE)
    blocks = _blocks(resampled(speech.waveform, 16_000))
    return Source(
        config.fps,
        math.ceil(speech.waveform.seconds * config.fps),
        lambda: performed(heard(iter(blocks), speech.phonemes), config, seed),
        lambda: iter(_blocks(whole)),
        speaks=True,
    )


def recording(
    path: Path,
    transcript: str | None,
    config: Speaking,
    seed: int,
    allow_silence: bool,
    report: Report,
) -> Source:
    """Somebody who says what is heard in a sound file or a film's track.

    With a transcript its words are looked for in the sound; without, the sounds are recognized.
    Raises OSError or ValueError as `incarnate.io.sounds` does, and ValueError where no speech is
    found, unless silence is allowed: then the person breathes and blinks.
    """
    seconds = check_sound(path, allow_silence)
    if transcript is not None:
        phonemes = aligned(read_sound(path), transcript)
    else:
        listener = "hama" if hama_loads() else "loudness"
        if listener == "loudness":
            report.warn(
                "speech recognition (hama) has no library here: the mouth follows loudness alone; "
                "give the words with --text for lips that close"
            )
        phonemes = transcribed(sound_blocks(path), listener, allow_silence)
    return Source(
        config.fps,
        math.ceil(seconds * config.fps),
        lambda: performed(heard(sound_blocks(path), phonemes), config, seed),
        lambda: sound_blocks(path, RATE),
        speaks=True,
    )


def source(path: Path, config: Speaking, seed: int, report: Report) -> Source:
    """What a file says: a motion (.bvh, .glb, ...), a film with a person in it, or a recording.

    Raises OSError if there is no such file, ValueError if it is none of these.
    """
    if path.suffix.lower() in MOTION_FILES:
        return still(at_rate(read_motion(path), config.fps))
    has_picture, has_sound = _tracks(path)
    if not has_picture:
        return recording(path, None, config, seed, False, report)
    from incarnate.perception.film import motion_from_film

    motion = at_rate(motion_from_film(path, report), config.fps)
    return still(motion, (lambda: sound_blocks(path, RATE)) if has_sound else None)


def mixed(base: Source, over: Source, share: Share) -> Source:
    """`base` with regions drawn towards `over`, which begins again when it ends before `base`.

    The sound is that of `base`, or of `over` if only that has any.
    """
    whole = joined(over.parts())

    def parts() -> Iterator[Motion]:
        start = 0
        for part in base.parts():
            index = torch.arange(start, start + len(part)) % len(whole)
            turn = replace(
                whole,
                pose=whole.pose[index],
                transl=whole.transl[index],
                expression=whole.expression[index],
            )
            start += len(part)
            yield blended(part, turn, share.face, share.head, share.hands, share.body)

    speaks = over.speaks and share.face > 0 or base.speaks and share.face < 1
    return replace(base, parts=parts, sound=base.sound or over.sound, speaks=speaks)


def joined(parts: Iterable[Motion]) -> Motion:
    """Parts of a motion as one."""
    kept = list(parts)
    return Motion(
        kept[0].fps,
        torch.cat([part.pose for part in kept]),
        torch.cat([part.transl for part in kept]),
        torch.cat([part.expression for part in kept]),
    )


def unlike(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it if it is taken."""
    return name if name not in taken else f"{name} ({len(taken) + 1})"


def still(motion: Motion, sound: Callable[[], Iterator[Waveform]] | None = None) -> Source:
    """A motion that is known as a whole."""
    count = len(motion)

    def parts() -> Iterator[Motion]:
        return (motion.frames(k, min(k + PART, count)) for k in range(0, count, PART))

    return Source(motion.fps, count, parts, sound)


def _tracks(path: Path) -> tuple[bool, bool]:
    """Whether a file holds moving pictures, and whether sound."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; name a motion, a film or a recording")
    try:
        with av.open(str(path)) as container:
            cover = Disposition.attached_pic  # A song's picture is no film.
            films = [s for s in container.streams.video if not s.disposition & cover]
            return bool(films), bool(container.streams.audio)
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}); wanted is a motion (.bvh, .glb, .npz), a "
            "film or a recording"
        ) from error


def _blocks(waveform: Waveform) -> list[Waveform]:
    """Half seconds."""
    step, rate = waveform.sample_rate // 2, waveform.sample_rate
    return [
        Waveform(waveform.samples[k : k + step], rate)
        for k in range(0, len(waveform.samples), step)
    ]
