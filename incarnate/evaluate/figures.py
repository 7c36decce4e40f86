"""What a suite finds: figures by subject and method, and what they come to."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from incarnate.io.runs import replacing
from incarnate.metrics import Interval, bootstrap

Better = Literal["up", "down"]
FORMAT = 1
"""Of metrics.json; files of another one are refused."""


@dataclass(frozen=True)
class Figure:
    """One number, and what it needs to mean something."""

    name: str
    value: float
    unit: str
    better: Better
    source: str
    """The model that judged, or the definition, with its version."""
    n: int = 1
    interval: Interval | None = None


@dataclass(frozen=True)
class Stage:
    """What a part of the work took; the peak is that of the process up to its end."""

    name: str
    seconds: float
    peak_gb: float


@dataclass(frozen=True)
class Row:
    """One subject under one method."""

    subject: str
    method: str
    key: str
    """Of the content it was made from; names its folder under `cache/rows`."""
    figures: tuple[Figure, ...] = ()
    stages: tuple[Stage, ...] = ()
    seconds: float = 0.0
    peak_gb: float = 0.0
    failure: str | None = None
    notes: tuple[str, ...] = ()
    """What could not be measured, and why."""


@dataclass(frozen=True)
class Evaluation:
    """A finished run: what metrics.json holds."""

    suite: str
    settings: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def methods(self) -> list[str]:
        """In the order they were asked for."""
        return list(dict.fromkeys(row.method for row in self.rows))

    def of(self, method: str) -> list[Row]:
        """The method's rows."""
        return [row for row in self.rows if row.method == method]

    def summary(self, method: str) -> list[Figure]:
        """Means over the method's subjects, with bootstrap intervals."""
        return summarised(self.of(method))

    def save(self, path: Path) -> None:
        """Writes metrics.json, whole or not at all."""
        content = {"format": FORMAT, "suite": self.suite, "settings": self.settings}
        content["summary"] = {
            method: [_plain(figure) for figure in self.summary(method)] for method in self.methods
        }
        content["rows"] = [_plain(row) for row in self.rows]
        with replacing(path) as part:
            part.write_text(json.dumps(content, indent=1, allow_nan=False))

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        """Reads metrics.json, or that of a folder. OSError or ValueError in one line."""
        path = path / "metrics.json" if path.is_dir() else path
        text = path.read_text()
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"{path} has format {content['format']}; measure again")
            rows = tuple(row_of(row) for row in content["rows"])
            return cls(content["suite"], content["settings"], rows)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no metrics.json of `evaluate` ({error})") from error


def summarised(rows: Sequence[Row]) -> list[Figure]:
    """The mean of every figure over the rows that have it."""
    firsts = {figure.name: figure for row in rows for figure in reversed(row.figures)}
    order = dict.fromkeys(figure.name for row in rows for figure in row.figures)
    summary = []
    for name in order:
        values = [figure.value for row in rows for figure in row.figures if figure.name == name]
        first, mean = firsts[name], math.fsum(values) / len(values)
        interval = bootstrap(values)
        summary.append(
            Figure(name, mean, first.unit, first.better, first.source, len(values), interval)
        )
    return summary


def save_row(row: Row, path: Path) -> None:
    """Writes one row."""
    with replacing(path) as part:
        part.write_text(json.dumps(_plain(row), allow_nan=False))


def load_row(path: Path) -> Row:
    """Reads one row; ValueError if it is damaged."""
    try:
        return row_of(json.loads(path.read_text()))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it") from error


def row_of(content: dict[str, Any]) -> Row:
    """A row from JSON's lists and dictionaries."""
    figures = tuple(
        Figure(**(f | {"interval": f["interval"] and Interval(**f["interval"])}))
        for f in content["figures"]
    )
    stages = tuple(Stage(**stage) for stage in content["stages"])
    lists = {"figures": figures, "stages": stages, "notes": tuple(content["notes"])}
    return Row(**(content | lists))


def _plain(thing: Row | Figure) -> dict[str, Any]:
    return asdict(thing)
