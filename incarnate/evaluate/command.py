"""What `incarnate evaluate` does: measures methods, or compares two runs."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from incarnate.create import Quality
from incarnate.evaluate import ablation
from incarnate.evaluate.figures import Evaluation
from incarnate.evaluate.jobs import (
    MAKERS,
    Subject,
    check_method,
    check_suite,
    jobs,
    source_hash,
    subjects,
)
from incarnate.evaluate.report import table, write_comparison, write_report
from incarnate.evaluate.runner import run
from incarnate.progress import Report


@dataclass(frozen=True)
class Named:
    """What the user has, by folder (or one photo)."""

    photos: Path | None = None
    makehuman: Path | None = None
    data: Path | None = None


ANGLES = (15.0, -15.0)
"""Degrees from the camera at which photos are held out."""


def evaluate(
    methods: tuple[str, ...],
    suite: str,
    named: Named,
    out: Path,
    quality: Quality,
    counts: tuple[int | None, int],
    lpips: Path | None,
    report: Report,
) -> str:
    """Measures methods (or avatars) and writes metrics.json and report.html; the summary's table.

    `counts`: how many subjects (None for all) and how many at once. ValueError or OSError, before
    anything is made, if there is nothing to measure.
    """
    check_suite(suite)
    for method in methods:
        check_method(method)
    limit, workers = counts
    if (limit is not None and limit < 1) or workers < 1:
        raise ValueError("--subjects and --workers are at least 1")
    people = _people(suite, named, limit, methods, out, report)
    if any(method.endswith(".avatar") for method in methods) and len(people) != 1:
        raise ValueError(
            f"an avatar is measured against its own photo, but {len(people)} subjects are named; "
            "give that one photo with --photos"
        )
    if lpips is not None:
        from incarnate.metrics.perceptual import Lpips

        Lpips(lpips)  # Refuses now what would fail in every process.
    out.mkdir(parents=True, exist_ok=True)
    cache = out / "cache"
    rows = run(jobs(suite, people, list(methods), quality, ANGLES, cache, lpips), workers, report)
    settings = {
        "quality": quality,
        "subjects": str(len(people)),
        "incarnate": version("incarnate"),
        "sources": source_hash(MAKERS)[:12],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "workers": str(workers),
    }
    evaluation = Evaluation(suite, settings, tuple(rows))
    evaluation.save(out / "metrics.json")
    write_report(evaluation, cache, out / "report.html")
    if all(row.failure is not None for row in rows):
        raise ValueError(f"no avatar could be measured; the first says: {rows[0].failure}")
    parts = ablation.table(evaluation)
    return table(evaluation) + (f"\n{parts}" if parts else "")


def _people(
    suite: str,
    named: Named,
    limit: int | None,
    methods: tuple[str, ...],
    out: Path,
    report: Report,
) -> list[Subject]:
    """Whom the suite is about."""
    if named.data is not None:
        from incarnate.evaluate import datasets

        if named.photos is not None or any(method.endswith(".avatar") for method in methods):
            raise ValueError("--data goes with methods, and without --photos and avatars")
        report.stage("reading the data set")
        return datasets.subjects(named.data, suite, limit, out / "cache" / "people")
    if suite == "photos" or suite == "talk" and named.photos is not None:
        return subjects(named.photos)[:limit]
    if named.photos is not None:
        raise ValueError(f"the suite {suite} draws its own people; leave --photos out")
    if any(method.endswith(".avatar") for method in methods):
        hint = ", or the avatar's photo with --photos" if suite == "talk" else ", no .avatar"
        raise ValueError(f"the suite {suite} makes its avatars itself; name methods{hint}")
    from incarnate.evaluate import reenact, talk, views4

    report.stage("drawing people")
    folder = out / "cache" / "people"
    if suite != "views4":
        return (reenact if suite == "reenact" else talk).subjects(limit, folder)
    return views4.subjects(limit, out / "cache" / "people", named.makehuman)


def compare(a: Path, b: Path, out: Path) -> str:
    """Writes compare.html about two runs and returns its table as text."""
    runs = Evaluation.load(a), Evaluation.load(b)
    if runs[0].suite != runs[1].suite:
        raise ValueError(
            f"{a} ran {runs[0].suite} and {b} ran {runs[1].suite}; compare like suites"
        )
    out.mkdir(parents=True, exist_ok=True)
    return write_comparison(*runs, (str(a), str(b)), out / "compare.html")
