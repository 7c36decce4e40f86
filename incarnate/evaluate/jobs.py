"""What is to be measured: subjects, methods, and the content that a result depends on."""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from incarnate.create import LESS, Quality, parsed
from incarnate.evaluate.figures import Figure, Row, Stage
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.io.runs import file_hash

SUITES = ("photos", "views4", "reenact", "talk")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
PHOTO, SHEET = "amateur_posture.jpg", "character_sheet.jpg"
MAKERS = ("avatars", "body", "methods", "perception", "render", "scene")
MAKERS += ("create.py", "fit.py", "losses.py", "cameras.py")
"""Whatever decides what an avatar becomes; its source is the method's version."""
JUDGES = (
    "metrics",
    *(f"evaluate/{name}.py" for name in ("fingers", "likeness", "photos", "turned", "views4")),
)
JUDGES += ("evaluate/wholeness.py", "studio", "speech", "weights.py")
JUDGES += tuple(f"evaluate/{name}.py" for name in ("aligner", "driven", "reenact", "talk"))
JUDGES += tuple(f"evaluate/{name}.py" for name in ("datasets", "scans", "snapshots"))
"""Whatever decides what is found of it."""


@dataclass(frozen=True)
class Subject:
    """A person: a photo, and a turnaround sheet if there is one."""

    name: str
    photo: Path
    sheet: Path | None
    source: Path | None = None
    """The folder of others that the truth comes from: MakeHuman's assets, or a data set's."""


@dataclass(frozen=True)
class Job:
    """One subject under one method; an avatar's path counts as a method."""

    suite: str
    subject: Subject
    method: str
    quality: Quality
    angles: tuple[float, ...]
    cache: Path
    key: str
    capture_key: str
    sheet_key: str | None
    lpips: Path | None = None

    @property
    def folder(self) -> Path:
        """Where its row and pictures go."""
        return self.cache / "rows" / self.key

    @property
    def row(self) -> Path:
        """Its row."""
        return self.folder / "row.json"

    def measured(
        self, figures: Sequence[Figure], made: list[Stage], watch: Stopwatch, notes: list[str]
    ) -> Row:
        """Its row, once all is measured; stops the watch."""
        watch.close()
        said = tuple(dict.fromkeys(notes + watch.warnings))
        stages = (*made, *watch.stages)
        return Row(self.subject.name, self.method, self.key, tuple(figures), stages, notes=said)

    def text(self) -> str:
        """As JSON, for the process that does it."""
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def of(text: str) -> "Job":
        """From `text`."""
        kept = json.loads(text)
        person = kept["subject"]
        sheet = person["sheet"] and Path(person["sheet"])
        source = person["source"] and Path(person["source"])
        subject = Subject(person["name"], Path(person["photo"]), sheet, source)
        lists = {"subject": subject, "angles": tuple(kept["angles"]), "cache": Path(kept["cache"])}
        return Job(**(kept | lists | {"lpips": kept["lpips"] and Path(kept["lpips"])}))


def subjects(photos: Path | None) -> list[Subject]:
    """People in a folder laid out as openpeople's, or in a folder of photos, or of one photo.

    Without a folder those of the openpeople package. ValueError or OSError if there are none.
    """
    if photos is None:
        found = importlib.util.find_spec("openpeople")
        if found is None:
            raise ValueError("name a folder of photos with --photos, or pip install openpeople")
        photos = Path(str(files("openpeople"))) / "data" / "curated"
    if photos.is_file():
        return [Subject(photos.stem, photos, None)]
    if not photos.is_dir():
        raise FileNotFoundError(f"{photos} does not exist; name a folder of photos with --photos")
    people = [
        Subject(folder.name, folder / "assets" / PHOTO, _there(folder / "assets" / SHEET))
        for folder in sorted(photos.iterdir())
        if (folder / "assets" / PHOTO).is_file()
    ]
    if not people:
        pictures = sorted(p for p in photos.iterdir() if p.suffix.lower() in PICTURES)
        people = [Subject(p.stem, p, None) for p in pictures]
    if not people:
        raise ValueError(f"{photos} holds neither photos nor folders with assets/{PHOTO}")
    return people


def check_suite(suite: str) -> None:
    """ValueError if there is no such suite."""
    if suite not in SUITES:
        raise ValueError(f"there is no suite {suite!r}; there is {', '.join(SUITES)}")


def check_method(method: str) -> None:
    """ValueError or OSError if this is neither a method nor an avatar."""
    if not method.endswith(".avatar"):
        try:
            parsed(method)
        except ValueError as error:
            others = "" if LESS in method else " or a .avatar file"
            raise ValueError(f"{error}{others}") from None
        return
    if not Path(method).is_file():
        raise FileNotFoundError(f"{method} does not exist; name an avatar that `create` made")


def jobs(
    suite: str,
    people: list[Subject],
    methods: list[str],
    quality: Quality,
    angles: tuple[float, ...],
    cache: Path,
    lpips: Path | None,
) -> list[Job]:
    """All of them, subject by subject, so that what methods share is worked out once."""
    source, judge = source_hash(MAKERS), source_hash(JUDGES)
    return [
        _job(subject, method, quality, angles, cache, lpips, (suite, source, judge))
        for subject in people
        for method in methods
    ]


def _job(subject, method, quality, angles, cache, lpips, content: tuple[str, str, str]) -> Job:
    photo = file_hash(subject.photo)
    capture = keyed(photo, quality, content[1])
    sheet = None if subject.sheet is None else keyed(file_hash(subject.sheet), quality, content[1])
    made = file_hash(Path(method)) if method.endswith(".avatar") else method
    rest = (str(lpips), str(sheet), *map(str, angles), *content)
    key = keyed(capture, made, subject.name, *rest)
    return Job(content[0], subject, method, quality, angles, cache, key, capture, sheet, lpips)


def keyed(*parts: str) -> str:
    """A name for this content."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def source_hash(names: tuple[str, ...]) -> str:
    """The hash of the package's sources under these names, and its version."""
    root = Path(str(files("incarnate")))
    digest = hashlib.sha256(version("incarnate").encode())
    for name in names:
        path = root / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None
