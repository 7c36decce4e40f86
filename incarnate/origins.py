"""Where media come from: what a verb puts into content credentials and watermarks."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import numpy as np
from jaxtyping import UInt8

from incarnate.io.container import Meta, unpack
from incarnate.io.provenance import LONGEST, Making, Origin, ready
from incarnate.io.runs import file_hash
from incarnate.io.watermark import Watermark
from incarnate.progress import Report
from incarnate.verbs import Animate, Export, Render, Sample, Talk

Frame = UInt8[np.ndarray, "h w c"]
IDENTITY = 8
"""Hex digits of a watermark's identity."""


def origin(verb: Render | Animate | Talk | Export | Sample, report: Report) -> Origin | None:
    """What is to be said of the verb's output; None if the user wants nothing said.

    Raises ValueError or OSError now if nothing could be signed after minutes of work.
    """
    if not verb.provenance:
        report.say("--no-provenance: no content credentials, no watermark")
        return None
    ready()
    match verb:
        case Sample():
            named = hashlib.sha256(repr((verb.text, verb.seed)).encode()).hexdigest()
            making = Making("sample", "priors", verb.seed, None, named[:IDENTITY])
            return Origin(making, None)
        case Render():
            return of_avatar(verb.avatar, "render", None)
        case Animate():
            return of_avatar(verb.avatar, "animate", verb.seed)
        case Talk():
            return of_avatar(verb.avatar, "talk", verb.seed)
        case Export():
            if verb.avatar is None:
                raise ValueError("name the avatar that is exported")
            return of_avatar(verb.avatar, "export", verb.seed)
        case _:
            assert_never(verb)


def of_avatar(path: Path, verb: str, seed: int | None) -> Origin:
    """What is to be said of what a verb makes of an avatar file."""
    meta, _ = unpack(path)
    method, own = meta.get("method"), meta.get("seed")
    making = Making(
        verb,
        method if isinstance(method, str) else "unknown",
        seed,
        own if isinstance(own, int) else None,
        identity(path),
    )
    return Origin(making, consent(meta))


def identity(avatar: Path) -> str:
    """What the watermark of all pictures of an avatar says: the start of its file's sha256."""
    return file_hash(avatar)[:IDENTITY]


def consent(meta: Meta) -> str | None:
    """The words of consent that an avatar carries."""
    match meta.get("consent"):
        case str(words) if words:
            return words[:LONGEST]
        case _:
            return None


def stated(words: str | None) -> Meta:
    """The words of consent as an avatar carries them. ValueError if there are none, or too many."""
    if words is None:
        return {}
    if not words.strip() or len(words) > LONGEST:
        raise ValueError(f"--consent has {len(words)} characters; give 1 to {LONGEST}, in words")
    return {"consent": words.strip()}


def marker(told: Origin | None) -> Callable[[Frame], Frame]:
    """What puts the watermark into frames; without an origin they stay as they are."""
    if told is None:
        return lambda frame: frame
    return Watermark(int(told.making.identity, 16)).marked
