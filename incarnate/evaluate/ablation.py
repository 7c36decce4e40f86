"""What each part of a method is worth: the same subjects with it and without it."""

from collections.abc import Sequence
from html import escape

from incarnate.create import LESS, parsed
from incarnate.evaluate.figures import Evaluation, Figure
from incarnate.methods.parts import MEANINGS, PARTS
from incarnate.metrics import Paired, paired

SHOWN = (
    "psnr", "face psnr", "ssim", "perceptual (own)", "iou", "psnr, held out 15°",
    "identity 30°", "back skin", "back top", "back hair",
    "psnr, back", "normals", "landmarks", "purity",
)  # fmt: skip
"""Figures that a table of parts holds, where a suite has them."""


def expanded(methods: Sequence[str]) -> tuple[str, ...]:
    """Each method, and after it the method without each part, one at a time.

    ValueError if no method has parts.
    """
    found: list[str] = []
    for method in methods:
        found.append(method)
        if method == "one-shot":
            found += [f"{method}{LESS}{part}" for part in PARTS]
    if len(found) == len(methods):
        raise ValueError("nothing here has parts to leave out; --ablate goes with one-shot")
    return tuple(dict.fromkeys(found))


def table(evaluation: Evaluation) -> str:
    """Markdown: a row for each part, how much a figure changes without it; "" where none was left
    out. A star marks a change whose 95 % interval leaves out 0."""
    names, rows = _changes(evaluation)
    if not rows:
        return ""
    lines = [f"| without | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for title, cells in rows:
        lines.append(f"| {title} | {' | '.join(map(_text, cells))} |")
    return "\n".join(lines) + "\n"


def page(evaluation: Evaluation) -> list[str]:
    """The same as a part of the report; nothing where no part was left out."""
    names, rows = _changes(evaluation)
    if not rows:
        return []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = []
    for title, cells in rows:
        meaning = "; ".join(MEANINGS[part] for part in PARTS if part in title.split(", "))
        body.append(
            f'<tr><td title="{escape(meaning)}">{escape(title)}<span class=interval>'
            f"{escape(meaning)}</span></td>{''.join(map(_cell, cells))}</tr>"
        )
    return [
        "<h2>What each part is worth</h2>",
        f"<div class=card><table><tr><th>without</th>{head}</tr>{''.join(body)}</table><p><small>"
        "How much a figure changes when the part is left out, in pairs, subject by subject. Green: "
        "better with the part, red: better without, both where the 95 % interval leaves out 0. "
        "Many changes are compared: expect one in twenty to stand out by chance.</small></p></div>",
    ]


Change = tuple[Figure, float, Paired | None] | None


def _changes(evaluation: Evaluation) -> tuple[list[str], list[tuple[str, list[Change]]]]:
    whole: dict[str, dict[tuple[str, str], Figure]] = {}
    for method in evaluation.methods:
        whole[method] = {
            (row.subject, f.name): f for row in evaluation.of(method) for f in row.figures
        }
    less = [m for m in evaluation.methods if LESS in m and m.split(LESS)[0] in whole]
    have = {name for method in less for _, name in whole[method]}
    names = [name for name in SHOWN if name in have]
    rows = []
    for method in less:
        bare = method.split(LESS)[0]
        title = ", ".join(parsed(method)[1])
        title = title if bare == "one-shot" else f"{title} ({bare})"
        rows.append((title, [_change(whole[bare], whole[method], name) for name in names]))
    return names, rows


def _change(
    a: dict[tuple[str, str], Figure], b: dict[tuple[str, str], Figure], name: str
) -> Change:
    both = [key for key in a if key[1] == name and key in b]
    if not both:
        return None
    ours, theirs = [a[key].value for key in both], [b[key].value for key in both]
    return a[both[0]], (sum(theirs) - sum(ours)) / len(both), paired(ours, theirs)


def _text(change: Change) -> str:
    if change is None:
        return ""
    _, gap, test = change
    return f"{gap:+.3g}{'*' if test is not None and test.significant else ''}"


def _cell(change: Change) -> str:
    if change is None:
        return "<td>–</td>"
    figure, gap, test = change
    kind, span = "", ""
    if test is not None:
        span = f"[{test.interval.low:+.3g}, {test.interval.high:+.3g}]"
        if test.significant:
            kind = " class=bad" if (gap > 0) == (figure.better == "up") else " class=best"
    return f"<td{kind}>{gap:+.3g}<span class=interval>{span}</span></td>"
