"""`incarnate evaluate priors`: figures of the embedded priors, and pictures they make.

Writes metrics.json, report.html, CARD.md and the sheets (.jpg) into a folder.
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from incarnate.create import Quality
from incarnate.evaluate.bench import EFFORTS, Bench, Findings
from incarnate.evaluate.figures import Evaluation, Row
from incarnate.evaluate.heldout import AZIMUTHS, asked, held_out
from incarnate.evaluate.nearest import Nearest
from incarnate.evaluate.readback import drawn_as_told, measured
from incarnate.evaluate.readback_page import (
    caption_sheet,
    card,
    save_clip,
    save_sheet,
    strip_sheet,
    table,
    write_readback,
)
from incarnate.evaluate.readers import Readers
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.io.runs import replacing
from incarnate.priors.embedded import FOLDER, Priors
from incarnate.progress import Report
from incarnate.recipe import Framing, Shows
from incarnate.sampled import by_words

CAPTIONS: tuple[tuple[str, Framing, str], ...] = (
    ("a tall slim woman with long blond hair, in a red dress and black shoes, standing",
     "full", "front view"),
    ("a heavy man with short black hair, in a blue t-shirt, grey shorts and white sneakers, waving",
     "full", "front view"),
    ("a woman with a brown ponytail, in a yellow knitted sweater, navy denim jeans and brown "
     "boots, walking", "full", "left side view"),
    ("an old man with a bald head, in a white shirt, black trousers and brown shoes, with hands "
     "on hips", "full", "right side view"),
    ("a muscular man with black cropped hair, in a green tank top, black sweatpants and white "
     "sneakers, with raised arms", "full", "back view"),
    ("a young woman with black afro hair, in an orange t-shirt, a blue long skirt and white "
     "sneakers, standing", "full", "back view"),
    ("a tall woman with long brown hair, in a purple dress and black boots, walking",
     "full", "right side view"),
    ("a short man with short curly brown hair, in a pink turtleneck, beige trousers, brown shoes "
     "and a red beanie, with crossed arms", "full", "front view"),
    ("a man with combed-back grey hair, in a white shirt, grey trousers, a black blazer and black "
     "shoes, standing", "upper", "front view"),
    ("a woman with a red bob, in a black striped t-shirt and light blue denim jeans, pointing",
     "upper", "left side view"),
    ("an old woman with a white bun, in a teal blouse and black trousers, standing",
     "head", "front view"),
    ("a young man with short blond hair, in a red t-shirt and blue denim jeans, standing",
     "head", "right side view"),
)  # fmt: skip
"""What sample grids are made of: text, framing, side."""
TITLES = {
    "captions": "Twelve captions, drawn as skeletons as by `sample`: normals, depth, rgb",
    "nearest": ", beside each the nearest training sample",
}
LIMITS = (
    "It knows the studio's people alone: MakeHuman bodies, about a dozen cuts of clothes, ten of "
    "hair, 21 colours. Characters, uniforms, professions, animals and things mean nothing to it.",
    "128 x 128 pixels: no readable face, fingers, letters or prints; a head fills a few pixels.",
    "Heads that fill the picture are shapeless.",
    "Small colours (shoes, hats) are often exchanged with larger ones; patterns are coarse.",
    "Poses in words are obeyed partly; give a skeleton where the pose matters.",
    "One person, standing free before grey or black; no scenes, no furniture but a stool.",
    "Clips are eight frames of slow motion; longer ones go through windows.",
)
"""What it cannot do, whatever the figures say."""
NOISE = 11  # Seed of the sheet's noise: what is shown was not picked.


@dataclass(frozen=True)
class Trained:
    """What a directory of weights says of its training."""

    samples_seen: Mapping[str, int]
    """By stage."""
    losses: Mapping[str, float]
    megabytes: float

    @staticmethod
    def of(folder: Path) -> "Trained":
        """Of `training.json` and the sizes of all files."""
        path = folder / "training.json"
        told = json.loads(path.read_text()) if path.exists() else {}
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        losses = {stage: float(kept["loss"]) for stage, kept in told.items() if "loss" in kept}
        return Trained(
            {stage: int(kept["samples"]) for stage, kept in told.items()},
            {stage: loss for stage, loss in losses.items() if math.isfinite(loss)},
            size / 1e6,
        )


def evaluate_directory(
    named: Sequence[str], out: Path, data: Path | None, quality: Quality, report: Report
) -> str:
    """`evaluate_priors` of a directory of weights, the embedded one if none is named.

    ValueError for more than one, or for weights that are not whole.
    """
    if len(named) > 1:
        raise ValueError(f"{len(named)} directories of priors came; measure one at a time")
    folder = Path(named[0]) if named else FOLDER
    priors = Priors.embedded(folder=folder)
    return evaluate_priors(priors, Trained.of(folder), out, data, quality, report)


def evaluate_priors(
    priors: Priors,
    trained: Trained,
    out: Path,
    data: Path | None,
    quality: Quality,
    report: Report,
) -> str:
    """Measures and writes everything; the table as text.

    With `data`, the folder of shards that was trained on, nearest samples stand beside.
    """
    out.mkdir(parents=True, exist_ok=True)
    near = None if data is None else Nearest.of(data, out / "cache", report)
    effort, readers, watch = EFFORTS[quality], Readers(), Stopwatch()
    report.stage("drawing people who were not trained on")
    truth = held_out(effort.people, effort.size, report.step)
    wished = asked(effort.captions, truth.pairs)
    watch.stage("sampling and judging")
    bench = Bench(priors, effort, truth, report)
    findings = measured(bench, wished, readers)
    report.stage("sheets")
    sheets = pictured(bench, findings, near)
    for name, (_, sheet) in sheets.items():
        save_sheet(sheet, out / f"{name}.jpg")
    for strip in findings.strips:
        if strip.name == "clip":
            save_clip(strip.rows[strip.made], out / "clip.png")
    watch.close()
    row = Row("held-out people", "embedded", "", tuple(findings.figures), tuple(watch.stages))
    settings = {
        "quality": quality,
        "steps": str(effort.steps),
        "guidance scale": str(effort.guidance_scale),
        "pixels": str(effort.size),
        "incarnate": version("incarnate"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    Evaluation("priors", settings, (row,)).save(out / "metrics.json")
    about = " · ".join(f"{name} {value}" for name, value in settings.items())
    write_readback(findings, sheets, about, out / "report.html")
    of = (trained.samples_seen, trained.losses, trained.megabytes)
    titles = {name: title for name, (title, _) in sheets.items()}
    text = card(findings.figures, *of, LIMITS, titles)
    with replacing(out / "CARD.md") as part:
        part.write_text(text)
    return table(findings.figures)


def pictured(
    bench: Bench, findings: Findings, near: Nearest | None
) -> Mapping[str, tuple[str, Image.Image]]:
    """The sheets by name: what each shows, and the picture."""
    made = drawn_captions(bench)
    close: dict[Shows, Tensor] = {}
    if near is not None:
        close = {shows: near.to(x, shows) for shows, x in made.items()}
    captions = [f"{text}, {side}" for text, _, side in CAPTIONS]
    title = TITLES["captions"] + (TITLES["nearest"] if close else "")
    sheets = {"captions": (title, caption_sheet(captions, made, close))}
    for strip in findings.strips:
        title = strip.title
        if near is not None:
            nearest = near.to(strip.rows[strip.made][:8], strip.shows)
            strip = replace(strip, rows={**strip.rows, "nearest training sample": nearest})
        sheets[strip.name] = (title, strip_sheet(strip))
    return sheets


def drawn_captions(bench: Bench) -> dict[Shows, Float[Tensor, "n h w 3"]]:
    """CAPTIONS in every domain, from one noise, after skeletons of what they say."""

    told = drawn_as_told(
        [(text, AZIMUTHS[side], framing) for text, framing, side in CAPTIONS], bench.effort.size
    )
    shown: tuple[Shows, ...] = ("normal", "depth", "rgb")
    return {s: bench.drawn(by_words(bench.priors, s), told, len(CAPTIONS), NOISE) for s in shown}
