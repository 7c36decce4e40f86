"""Content credentials (C2PA) of what is made: written beside or into files, and read back.

A manifest says that a generative tool made the file, which, when, how, and what whoever is shown
agreed to; it is bound to the file's bytes by a hash and signed. It goes into .mp4, .png and .jpg,
and into a side-car (NAME.EXT.c2pa) of any other file. Nothing asks the network: no time stamp, no
revocation, no manifest from elsewhere.
"""

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, final

from incarnate.io.credentials import Credential, authorities, credential
from incarnate.io.runs import replacing
from incarnate.progress import Report

if TYPE_CHECKING:
    from c2pa import Context, Reader

EMBEDDED = {
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
"""Endings of files that hold a manifest themselves; c2pa 0.38 knows neither .webm nor 3D."""
SIDE_CAR = ".c2pa"
ANY = "application/octet-stream"
"""What c2pa takes as a whole, hashing every byte."""
GENERATIVE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CONSENT, MAKING = "incarnate.consent", "incarnate.making"
"""Our own assertions."""
NOT_STATED = "not stated"
State = Literal["trusted", "valid", "invalid", "unreadable"]
"""Valid: as it was signed, by whomever. Invalid: the file or the manifest was changed since."""
ABSENT = ("ManifestNotFound", "NotSupported")
"""How c2pa's errors begin where a file holds no manifest, or is of a kind that cannot."""
STATES: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "invalid"}
LONGEST = 2000
"""Characters of words of consent."""


@final
@dataclass(frozen=True)
class Making:
    """How something was made."""

    verb: str
    method: str
    """The avatar's; of `sample`, the priors'."""
    seed: int | None
    """What the verb left open was drawn with this."""
    avatar_seed: int | None
    identity: str
    """What the watermark of pictures says, in hex: the start of the sha256 of the avatar file."""


@final
@dataclass(frozen=True)
class Origin:
    """What a manifest says."""

    making: Making
    consent: str | None
    """The words in which whoever is shown agreed."""


@final
@dataclass(frozen=True)
class Manifest:
    """What a file's content credentials say, and whether they hold."""

    place: Literal["embedded", "side-car"]
    state: State
    faults: tuple[str, ...]
    """C2PA's codes for what is wrong."""
    signer: str = ""
    generator: str = ""
    source: str = ""
    """The digital source type, last word of its address; empty if none is given."""
    consent: str | None = None
    """None if nothing is said about it."""
    making: Mapping[str, Any] | None = None
    """As `Making`, if incarnate made the file."""


@contextmanager
def credited(path: Path, origin: Origin | None, report: Report) -> Iterator[Path]:
    """Where to write `path`: what is written there is signed and takes its place at the end.

    That is the same name in a hidden folder beside it; all that is written beside it goes along.
    Nothing stays if the block fails. Without an origin nothing is signed.
    """
    signer = None if origin is None else credential()
    folder = path.with_name(f".{path.name}.{os.getpid()}.unsigned")
    folder.mkdir()
    try:
        yield folder / path.name
        made = sorted(folder.iterdir())
        if origin is not None and signer is not None:
            report.stage("signing")
            for k, one in enumerate(made):
                sign(one, origin, signer)
                report.step(k + 1, len(made))
        for one in made:  # What lies beside them speaks of what was there before.
            side_car(path.with_name(one.name)).unlink(missing_ok=True)
        for one in sorted(folder.iterdir(), key=lambda one: one.suffix != SIDE_CAR):
            one.replace(path.with_name(one.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ready() -> None:
    """Raises now what `sign` would raise after minutes of work."""
    trial = Origin(Making("trial", "", None, None, ""), None)
    _manifest(trial, credential(), None, io.BytesIO(b"trial"), _Nowhere())


def sign(path: Path, origin: Origin, signer: Credential) -> None:
    """Puts a manifest into the file, or beside it; either is whole or as it was.

    ValueError if the certificate is none that C2PA takes, OSError if writing fails.
    """
    kind = EMBEDDED.get(path.suffix.lower())
    if kind is not None:
        with replacing(path) as part, path.open("rb") as source, part.open("w+b") as target:
            _manifest(origin, signer, kind, source, target)
        return
    with path.open("rb") as source:
        data = _manifest(origin, signer, None, source, _Nowhere())
    with replacing(side_car(path)) as part:
        part.write_bytes(data)


def side_car(path: Path) -> Path:
    """Where the manifest of a file lies that holds none itself."""
    return path.with_name(path.name + SIDE_CAR)


def read_manifest(path: Path, trusted: Path | None = None) -> Manifest | None:
    """What the file's credentials say; None if it has none, inside or beside it.

    `trusted` is a PEM file with authorities to trust. Raises OSError if a file cannot be read.
    """
    import c2pa

    beside = side_car(path)
    with _context(trusted) as context, path.open("rb") as file:
        try:
            with c2pa.Reader(None, file, context=context) as reader:
                return _told(reader, "embedded")
        except c2pa.C2paError as error:
            if not str(error).startswith(ABSENT):
                return Manifest("embedded", "unreadable", (str(error),))
        if not beside.is_file():
            return None
        file.seek(0)
        try:
            with c2pa.Reader(ANY, file, beside.read_bytes(), context) as reader:
                return _told(reader, "side-car")
        except c2pa.C2paError as error:
            return Manifest("side-car", "unreadable", (str(error),))


@final
class _Nowhere(io.RawIOBase):
    """Where c2pa writes the copy of a file whose manifest stays beside it."""

    def __init__(self) -> None:
        self._at = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._at if whence else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        self._at += len(data)
        return len(data)


def _context(trusted: Path | None = None) -> "Context":
    import c2pa

    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if trusted is not None:
        settings["trust"] = {"user_anchors": authorities(trusted)}
    return c2pa.Context.from_dict(settings)


def _manifest(
    origin: Origin,
    signer: Credential,
    kind: str | None,
    source: BinaryIO | io.BytesIO,
    target: BinaryIO | _Nowhere,
) -> bytes:
    """The signed manifest of `source`, embedded in its copy `target` if its kind is known."""
    import c2pa

    info = c2pa.C2paSignerInfo(signer.algorithm.encode(), signer.chain, signer.key, None)
    try:
        with _context() as context, c2pa.Builder(_definition(origin), context) as builder:
            if kind is None:
                builder.set_no_embed()
            with c2pa.Signer.from_info(info) as signing:
                return builder.sign(signing, kind or ANY, source, target)
    except c2pa.C2paError as error:
        raise ValueError(f"signing as {signer.holder!r} failed: {error}") from error


def _definition(origin: Origin) -> dict[str, Any]:
    agent = {"name": "incarnate", "version": version("incarnate")}
    created = {
        "action": "c2pa.created",
        "digitalSourceType": GENERATIVE,
        "softwareAgent": agent,
    }
    return {
        "claim_generator_info": [agent],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": CONSENT, "data": {"words": origin.consent or NOT_STATED}},
            {"label": MAKING, "data": asdict(origin.making)},
        ],
    }


def _told(reader: "Reader", place: Literal["embedded", "side-car"]) -> Manifest:
    """What a manifest says; it may be anybody's."""
    store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    results = store.get("validation_results", {}).get("activeManifest", {})
    said = {one["label"]: one["data"] for one in active.get("assertions", ())}
    said = {label: data for label, data in said.items() if isinstance(data, dict)}
    by = active.get("signature_info") or {}
    tools = active.get("claim_generator_info") or [{"name": active.get("claim_generator", "")}]
    consent = said.get(CONSENT, {}).get("words")
    return Manifest(
        place,
        STATES[store["validation_state"]],
        tuple(one["code"] for one in results.get("failure", ())),
        ", ".join(str(by[key]) for key in ("common_name", "issuer") if by.get(key)),
        " ".join(str(tools[0][key]) for key in ("name", "version") if key in tools[0]),
        _source(said),
        None if consent is None else str(consent),
        said.get(MAKING),
    )


def _source(said: Mapping[str, Any]) -> str:
    """The first digital source type that the actions name."""
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        for action in said.get(label, {}).get("actions", ()):
            if "digitalSourceType" in action:
                return str(action["digitalSourceType"]).rpartition("/")[2]
    return ""
