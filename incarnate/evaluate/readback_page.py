"""What `incarnate evaluate priors` shows: a table, sheets of pictures, a page, the card."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from incarnate.evaluate.bench import ASKED, CONTROLS, Findings, Strip
from incarnate.evaluate.figures import Figure
from incarnate.evaluate.page import inlined, number, write_page
from incarnate.io.runs import replacing
from incarnate.recipe import Shows

PAPER, INK = (250, 250, 250), (40, 44, 52)
COLUMNS = 8
"""Pictures a row of a strip."""
LINE = 15
"""Pixels from one line of text to the next."""


def verdict(figure: Figure) -> str:
    """'pass', 'short', 'aim reached', or nothing where nothing was asked."""
    if figure.name not in ASKED:
        return ""
    least, aim = ASKED[figure.name]
    if figure.value < least:
        return "short"
    return "aim reached" if aim is not None and figure.value >= aim else "pass"


def wanted(figure: Figure) -> str:
    """What was asked, in words."""
    if figure.name not in ASKED:
        return ""
    least, aim = ASKED[figure.name]
    return f"at least {number(least)}" + ("" if aim is None else f" (aim {number(aim)})")


def table(figures: Sequence[Figure]) -> str:
    """All figures as Markdown: those that something was asked of first."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    lines += [f"| {' | '.join(_cells(one, figures))} |" for one in _in_order(figures)]
    return "\n".join(lines) + "\n"


HEAD = ("figure", "found", "asked", "", "control", "n", "judged by")


def _cells(one: Figure, figures: Sequence[Figure]) -> tuple[str, ...]:
    beside = [_with_unit(f) for f in figures if f.name == CONTROLS.get(one.name)]
    found = (one.name, _with_unit(one), wanted(one), verdict(one), *(beside or [""]))
    return (*found, str(one.n), one.source)


def _in_order(figures: Sequence[Figure]) -> list[Figure]:
    """What something was asked of first; controls stand beside, not below."""
    beside = set(CONTROLS.values()) - set(ASKED)
    told = [one for one in figures if one.name not in beside]
    return sorted(told, key=lambda one: one.name not in ASKED)


def _with_unit(figure: Figure) -> str:
    return f"{number(figure.value)} {figure.unit}".strip()


# Sheets of pictures.


def strip_sheet(strip: Strip, columns: int = COLUMNS) -> Image.Image:
    """The strip's first pictures, a row each of what they follow, are, and should be."""
    names = list(strip.rows)
    some = [strip.rows[name][:columns] for name in names]
    height, width = some[0].shape[1:3]
    left, top = 96, 4
    sheet = Image.new("RGB", (left + len(some[0]) * width, top + len(some) * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (name, pictures) in enumerate(zip(names, some, strict=True)):
        _written(draw, name, (6, top + i * height + height // 2 - 12), left - 12)
        for k, picture in enumerate(pictures):
            sheet.paste(to_image(picture), (left + k * width, top + i * height))
    return sheet


def caption_sheet(
    captions: Sequence[str],
    pictures: Mapping[Shows, Float[Tensor, "n h w 3"]],
    nearest: Mapping[Shows, Float[Tensor, "n h w 3"]],
    across: int = 2,
) -> Image.Image:
    """A card a caption: its text, a picture a domain, and the nearest training samples, smaller."""
    size = next(iter(pictures.values())).shape[1]
    small = size // 2 if nearest else 0
    width = len(pictures) * (size + small) + 12
    head = 10 + LINE * max(len(_lines(caption, width - 12)) for caption in captions)
    down = -(-len(captions) // across)
    sheet = Image.new("RGB", (across * width, down * (head + size + 4)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for k, caption in enumerate(captions):
        x, y = k % across * width + 6, k // across * (head + size + 4)
        _written(draw, caption, (x, y + 3), width - 12)
        for shown in pictures:
            sheet.paste(to_image(pictures[shown][k]), (x, y + head))
            x += size
            if shown in nearest:
                close = to_image(nearest[shown][k]).resize((small, small), Image.Resampling.BOX)
                sheet.paste(close, (x, y + head + size - small))
                x += small
    return sheet


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(6, int(width / 5.8)))


def _written(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], width: int) -> None:
    font = ImageFont.load_default(11)
    draw.multiline_text(at, "\n".join(_lines(text, width)), INK, font, spacing=2)


def to_image(picture: Float[Tensor, "h w 3"]) -> Image.Image:
    """As 8 bits."""
    return Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """A JPEG small enough to be kept."""
    with replacing(path) as part:
        sheet.save(part, "JPEG", quality=84, optimize=True)


def save_clip(clip: Float[Tensor, "f h w 3"], path: Path, fps: float = 8.0) -> None:
    """A film of PNG frames that plays for ever."""
    frames = [to_image(frame) for frame in clip]
    with replacing(path) as part:
        frames[0].save(
            part, "PNG", save_all=True, append_images=frames[1:], duration=1000 / fps, loop=0
        )


# The page and the card.


def write_readback(
    findings: Findings, sheets: Mapping[str, tuple[str, Image.Image]], about: str, path: Path
) -> None:
    """The page of a run; `sheets` by name: what each shows, and the picture."""
    body = [
        "<h1>incarnate evaluate: priors</h1>",
        f"<p class=soft>{escape(about)}</p>",
        f"<h2>Figures</h2><div class=card>{_html(findings.figures)}</div>",
        "<h2>Samples</h2>",
    ]
    for title, sheet in sheets.values():
        body.append(
            f"<div class=card><h3>{escape(title)}</h3><figure>"
            f'<img loading=lazy alt="{escape(title)}" src="{inlined(sheet)}"></figure></div>'
        )
    write_page("incarnate evaluate: priors", body, path)


def _html(figures: Sequence[Figure]) -> str:
    rows = [f"<tr>{''.join(f'<th>{name}</th>' for name in HEAD)}</tr>"]
    for one in _in_order(figures):
        said = verdict(one)
        kind = "bad" if said == "short" else "best" if said else "soft"
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in _cells(one, figures)[:-1])
        cells = cells.replace(f"<td>{said}</td>", f"<td class={kind}>{said}</td>", 1)
        rows.append(f"<tr>{cells}<td><small>{escape(one.source)}</small></td></tr>")
    return f"<table>{''.join(rows)}</table>"


def card(
    figures: Sequence[Figure],
    seen: Mapping[str, int],
    losses: Mapping[str, float],
    megabytes: float,
    limits: Sequence[str],
    sheets: Mapping[str, str],
) -> str:
    """The weights' card, as Markdown; `sheets` are titles by the name of a picture beside it."""
    short = [one for one in figures if verdict(one) == "short"]
    stages = [
        f"| {stage} | {count:,} | {losses[stage]:.4f} |"
        if stage in losses
        else f"| {stage} | {count:,} | |"
        for stage, count in seen.items()
    ]
    missed = [
        f"- Falls short: {one.name} is {_with_unit(one)}, {wanted(one)} was asked." for one in short
    ]
    parts = [
        "# incarnate's embedded priors",
        f"Diffusion priors of people at 128 x 128 pixels, {megabytes:.1f} MB in float16: one "
        "latent UNet for rgb, normal and depth by words, with guiders for skeletons, normals and "
        "projected views, and motion modules. Small enough to come with the package, and meant "
        "for running every method the minute it is installed; use weights of your own for quality.",
        "## Data",
        "The README.md beside the weights says what they were trained on.",
        "## Training",
        "`make priors` (`scripts/train_priors.py`): v-prediction with zero terminal SNR, AdamW, "
        "the mean of the weights. Samples seen, and the loss at the end:",
        "| stage | samples seen | loss |\n|---|---|---|\n" + "\n".join(stages),
        "## Figures",
        "`incarnate evaluate priors`, on people that were not trained on (seed 9). Readers "
        "are classifiers (`incarnate weights list` says of whom they learnt); what they get right "
        "on held-out pictures stands beside.",
        table(figures).strip(),
        "## Samples",
        "\n".join(f"![{title}]({name}.jpg)" for name, title in sheets.items()),
        "## Limits",
        "\n".join([*missed, *(f"- {limit}" for limit in limits)]),
        "## Licence",
        "Apache-2.0, like the package. Do not use it to deceive; it knows nobody in particular.",
    ]
    return "\n\n".join(parts) + "\n"
