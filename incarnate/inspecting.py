"""What `incarnate inspect` reads in a file: content credentials, watermark, an avatar's own words.

Files may be anybody's: what they say is shown without control characters, and never obeyed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import UInt8

from incarnate.io.container import unpack
from incarnate.io.film import film_frames
from incarnate.io.images import read_photo
from incarnate.io.provenance import Manifest, read_manifest
from incarnate.io.watermark import BITS, CHECKS, Found, false_alarms, read
from incarnate.origins import consent, identity
from incarnate.progress import Report

Search = Callable[[Path], Iterator[UInt8[np.ndarray, "h w 3"]]]
FRAMES = 64
"""Of a film, from its beginning, are looked at for a watermark."""
FACTS = ("method", "quality", "seed", "framing", "incarnate")
"""Of an avatar's own words."""
STATES = {
    "trusted": "hold, signed by somebody trusted",
    "valid": "hold; nobody trusted vouches for the signer",
    "invalid": "DO NOT HOLD: the file or its credentials were changed",
    "unreadable": "CANNOT BE READ: the file or its credentials are damaged",
}
UNTRUSTED = "signingCredential.untrusted"


@final
@dataclass(frozen=True)
class Avatar:
    """What an avatar file says of itself."""

    identity: str
    """As in the watermark of its pictures."""
    consent: str | None
    facts: dict[str, Any]


@final
@dataclass(frozen=True)
class Inspected:
    """What was found in a file."""

    path: Path
    manifest: Manifest | None
    pictures: Literal["film", "picture"] | None
    """What was searched for a watermark."""
    watermark: Found | None
    avatar: Avatar | None

    def text(self) -> str:
        """For people: a line each."""
        lines = [("file", str(self.path)), *self._credentials()]
        lines += [("watermark", self._watermark())] if self.avatar is None else _of(self.avatar)
        return "".join(f"{name:<12}  {_plain(said)}\n" for name, said in lines)

    def json(self) -> str:
        """For machines; null is what was not found."""
        mark = self.watermark
        told = None if mark is None else asdict(mark) | {"identity": f"{mark.identity:08x}"}
        found = {
            "file": str(self.path),
            "credentials": None if self.manifest is None else asdict(self.manifest),
            "searched": self.pictures,
            "watermark": told,
            "avatar": None if self.avatar is None else asdict(self.avatar),
        }
        return json.dumps(found, indent=1, default=str) + "\n"

    def _credentials(self) -> Iterator[tuple[str, str]]:
        told = self.manifest
        if told is None:
            yield "credentials", "none, in the file or beside it"
            return
        yield "credentials", f"{told.place}; {STATES[told.state]}"
        faults = ", ".join(fault for fault in told.faults if fault != UNTRUSTED)
        if faults:
            yield "", faults
        if told.state == "unreadable":
            return
        yield "signed by", told.signer or "not said"
        yield "made with", told.generator or "not said"
        yield "source", told.source or "not said"
        if told.making is not None:
            yield "made how", ", ".join(f"{k} {v}" for k, v in told.making.items() if v is not None)
        yield "consent", told.consent or "nothing is said"

    def _watermark(self) -> str:
        if self.pictures is None:
            return "not looked for: neither a picture nor a film that can be read"
        mark = self.watermark
        if mark is None:
            return f"none found in this {self.pictures}"
        voted = ""
        if mark.frames > 1:
            voted = f"; {mark.alone} of {mark.frames} frames say all {BITS} bits by themselves"
        return (
            f"{mark.identity:08x}, by {mark.checks} of {CHECKS} check bits, {mark.agreement:.1%} "
            f"of bits agree{voted}; by chance in one file of {1 / false_alarms():,.0f}"
        )


def _picture(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    yield read_photo(path).rgb


def _film(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    return (frame.rgb for frame in islice(film_frames(path), FRAMES))


SEARCHES: tuple[tuple[Literal["picture", "film"], Search], ...] = (
    ("picture", _picture),
    ("film", _film),
)


def inspected(path: Path, trusted: Path | None, report: Report) -> Inspected:
    """What a file says of where it comes from. OSError or ValueError if it cannot be read."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    with path.open("rb") as file:
        if not file.read(1):
            raise ValueError(f"{path} is empty")
    report.stage("reading credentials")
    manifest = read_manifest(path, trusted)
    report.stage("looking for a watermark")
    if path.suffix.lower() == ".avatar":
        return Inspected(path, manifest, None, None, _avatar(path))
    for kind, frames in SEARCHES:
        try:
            mark = read(frames(path))
        except (ValueError, OSError):
            continue
        return Inspected(path, manifest, kind, mark, None)
    return Inspected(path, manifest, None, None, None)


def _avatar(path: Path) -> Avatar:
    meta, _ = unpack(path)
    facts = {name: meta[name] for name in FACTS if name in meta}
    return Avatar(identity(path), consent(meta), facts)


def _of(avatar: Avatar) -> Iterator[tuple[str, str]]:
    yield "avatar", ", ".join(f"{name} {value}" for name, value in avatar.facts.items())
    yield "watermark", f"pictures made of it say {avatar.identity}"
    yield "consent", avatar.consent or "nothing is said"


def _plain(text: str) -> str:
    """Text of anybody's, on one line and without what terminals would obey."""
    return "".join(c if c.isprintable() else " " for c in text)
