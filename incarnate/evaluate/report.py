"""The page that people look at: one HTML file with every picture in it."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from incarnate.evaluate import ablation
from incarnate.evaluate.figures import Evaluation, Figure, Row, Stage
from incarnate.evaluate.page import inlined, number, write_page
from incarnate.metrics import Interval, paired

HEADLINE = ("psnr, held out 15°", "psnr", "sync confidence")
"""What subjects are ordered by, worst first: the first of these that a row has."""
PICTURES = {
    "film.jpg": "Frames of the film: the truth above, the avatar beneath",
    "close.jpg": "Face and hands: the truth above, the avatar beneath",
    "talk.jpg": "The film that lips and face are judged by",
    "hands.jpg": "The film in which hands are looked for",
    "views.jpg": "Front, left, back and right: the truth above, the avatar beneath",
    "contact.jpg": "Photo; four sides, four poses; the head, three sides and four moods",
    "turntable.jpg": "Once round",
    "photo.jpg": "Photo and avatar, from the photo's camera",
    "held-out.jpg": "Photo, and the avatars made of a render from beside",
    "turnaround.jpg": "Turnaround sheet (left of each pair) and the avatar of its front: "
    "front, back, sides",
}
TINTS = ("#2456a6", "#3f8fd2", "#5bb5a2", "#9ac25a", "#e0b43c", "#e08a3c", "#cf5b4d", "#9b5fae")


def write_report(evaluation: Evaluation, cache: Path, path: Path) -> None:
    """Writes the page of a run whose rows lie in `cache`."""
    body = [
        f"<h1>incarnate evaluate: {escape(evaluation.suite)}</h1>",
        f"<p class=soft>{_settings(evaluation)}</p>",
        "<h2>Figures</h2>",
        f"<div class=card>{_summary(evaluation)}<p><small>Means over subjects with 95 % bootstrap "
        "intervals; n in brackets where some subjects lack the figure. Green: the best mean. "
        "Hover over a name for what judged it.</small></p></div>",
        *ablation.page(evaluation),
        "<h2>Time and memory</h2>",
        f"<div class=card>{_times(evaluation)}</div>",
        "<h2>Subjects, worst first</h2>",
        *(_card(row, cache) for row in ordered(evaluation.rows)),
    ]
    write_page("incarnate evaluate", body, path)


def write_comparison(a: Evaluation, b: Evaluation, names: tuple[str, str], path: Path) -> str:
    """Writes the page of two runs side by side; returns its table as plain text."""
    pairs = _pairs(a, b)
    if not pairs:
        raise ValueError("the two runs have no subject and figure in common; nothing to compare")
    lines, body = (
        [],
        [
            "<h1>incarnate evaluate: two runs</h1>",
            f"<p class=soft>A: {escape(names[0])} &nbsp; {_settings(a)}<br>"
            f"B: {escape(names[1])} &nbsp; {_settings(b)}</p>",
        ],
    )
    for (one, other), figures in pairs.items():
        title = f"{one} (A) and {other} (B)"
        cells = [
            "<tr><th>figure</th><th>A</th><th>B</th><th>B − A</th><th>p</th><th>n</th>"
            "<th></th></tr>"
        ]
        lines.append(title)
        for figure, (ours, theirs) in figures.items():
            cells.append(_compared(figure, ours, theirs, lines))
        body.append(
            f"<h2>{escape(title)}</h2><div class=card><table>{''.join(cells)}</table></div>"
        )
    body.append(
        "<p class=soft>Differences in pairs, subject by subject: 95 % bootstrap interval; p by the "
        "sign-flip permutation test. Many figures are compared: expect one in twenty to look "
        "significant by chance.</p>"
    )
    write_page("incarnate evaluate: comparison", body, path)
    return "\n".join(lines) + "\n"


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Failures, then the worst by the headline figure."""

    def rank(row: Row) -> tuple[int, float]:
        if row.failure is not None:
            return 0, 0.0
        values = {figure.name: figure.value for figure in row.figures}
        return 1, next((values[name] for name in HEADLINE if name in values), math.inf)

    return sorted(rows, key=rank)


def table(evaluation: Evaluation) -> str:
    """The summary as Markdown."""
    methods = evaluation.methods
    lines = [f"| | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for name, by in _by_name(evaluation).items():
        cells = []
        for method in methods:
            figure = by.get(method)
            cells.append("" if figure is None else number(figure.value) + _span(figure.interval))
        first = next(iter(by.values()))
        arrow = "↑" if first.better == "up" else "↓"
        unit = f" ({first.unit})" if first.unit else ""
        lines.append(f"| {name}{unit} {arrow} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_name(evaluation: Evaluation) -> dict[str, dict[str, Figure]]:
    found: dict[str, dict[str, Figure]] = {}
    for method in evaluation.methods:
        for figure in evaluation.summary(method):
            found.setdefault(figure.name, {})[method] = figure
    return found


def _summary(evaluation: Evaluation) -> str:
    methods = evaluation.methods
    counts = [f"{sum(r.failure is None for r in evaluation.of(m))} of {len(evaluation.of(m))}"
              for m in methods]  # fmt: skip
    head = "".join(
        f"<th>{escape(Path(m).name)}<span class=interval>{n} subjects</span></th>"
        for m, n in zip(methods, counts, strict=True)
    )
    rows = [f"<tr><th>figure</th>{head}</tr>"]
    most = max(len(evaluation.of(method)) for method in methods)
    for name, by in _by_name(evaluation).items():
        first = next(iter(by.values()))
        best = (max if first.better == "up" else min)(f.value for f in by.values())
        cells = [_cell(by.get(m), best if len(by) > 1 else math.nan, most) for m in methods]
        arrow = "↑" if first.better == "up" else "↓"
        rows.append(
            f'<tr><td title="{escape(first.source)}">{escape(name)} {arrow} '
            f"<small>{escape(first.unit)}</small></td>{''.join(cells)}</tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _cell(figure: Figure | None, best: float, most: int) -> str:
    if figure is None:
        return "<td>–</td>"
    kind = " class=best" if figure.value == best else ""
    n = f" ({figure.n})" if figure.n != most else ""
    span = _span(figure.interval)
    return f"<td{kind}>{number(figure.value)}{n}<span class=interval>{span}</span></td>"


def _span(interval: Interval | None) -> str:
    return "" if interval is None else f" [{number(interval.low)}, {number(interval.high)}]"


def _times(evaluation: Evaluation) -> str:
    parts = []
    for method in evaluation.methods:
        rows = [row for row in evaluation.of(method) if row.failure is None]
        if not rows:
            continue
        names = dict.fromkeys(stage.name for row in rows for stage in row.stages)
        means = []
        for name in names:
            mine = [s for row in rows for s in row.stages if s.name == name]
            seconds = sum(s.seconds for s in mine) / len(mine)
            means.append(Stage(name, seconds, max(s.peak_gb for s in mine)))
        total = sum(row.seconds for row in rows) / len(rows)
        peak = max(row.peak_gb for row in rows)
        parts.append(
            f"<div class=head><h3>{escape(Path(method).name)}</h3><span class=soft>"
            f"{total:.0f} s a subject with imports, peak {peak:.2f} GB</span></div>"
            f"{_bar(means)}{_stages(means)}"
        )
    return "<br>".join(parts)


def _bar(stages: list[Stage]) -> str:
    total = sum(stage.seconds for stage in stages) or 1.0
    pieces = "".join(
        f'<span title="{escape(s.name)}" style="width:{100 * s.seconds / total:.2f}%;'
        f'background:{TINTS[i % len(TINTS)]}"></span>'
        for i, s in enumerate(stages)
    )
    return f"<div class=bar>{pieces}</div>"


def _stages(stages: Sequence[Stage]) -> str:
    chips = "".join(
        f'<span><span style="color:{TINTS[i % len(TINTS)]}">●</span> {escape(s.name)} '
        f"<b>{s.seconds:.1f} s</b> <small>{s.peak_gb:.2f} GB</small></span>"
        for i, s in enumerate(stages)
    )
    return f"<div class=chips>{chips}</div>"


def _card(row: Row, cache: Path) -> str:
    title = (
        f"<div class=head><h3>{escape(row.subject)} · {escape(Path(row.method).name)}</h3>"
        f"<span class=soft>{row.seconds:.0f} s, {row.peak_gb:.2f} GB</span></div>"
    )
    if row.failure is not None:
        return f"<div class=card>{title}<p class=bad>{escape(row.failure)}</p></div>"
    folder = cache / "rows" / row.key
    chips = "".join(
        f'<span title="{escape(f.source)}">{escape(f.name)} <b>{number(f.value)}</b> '
        f"<small>{escape(f.unit)}</small></span>"
        for f in row.figures
    )
    pictures = "".join(
        f"<figure><figcaption>{escape(text)}</figcaption>"
        f'<img loading=lazy alt="{escape(text)}" src="{inlined(folder / name)}"></figure>'
        for name, text in PICTURES.items()
        if (folder / name).exists()
    )
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in row.notes)
    return (
        f"<div class=card>{title}<div class=chips>{chips}</div>{pictures}"
        f"<details><summary>time and memory by stage{', notes' if notes else ''}</summary>"
        f"{_stages(row.stages)}{notes}</details></div>"
    )


def _pairs(a: Evaluation, b: Evaluation):
    """By the pair of methods, by figure: the values of the subjects that both have."""
    alike = [(m, m) for m in a.methods if m in b.methods]
    alike = alike or [(m, n) for m in a.methods for n in b.methods]
    found: dict[tuple[str, str], dict[Figure, tuple[list[float], list[float]]]] = {}
    for one, other in alike:
        theirs = {(r.subject, f.name): f.value for r in b.of(other) for f in r.figures}
        figures: dict[str, tuple[Figure, list[float], list[float]]] = {}
        for row in a.of(one):
            for figure in row.figures:
                if (row.subject, figure.name) in theirs:
                    _, x, y = figures.setdefault(figure.name, (figure, [], []))
                    x.append(figure.value)
                    y.append(theirs[row.subject, figure.name])
        if figures:
            found[one, other] = {figure: (x, y) for figure, x, y in figures.values()}
    return found


def _compared(figure: Figure, a: list[float], b: list[float], lines: list[str]) -> str:
    means = [sum(values) / len(values) for values in (a, b)]
    test = paired(a, b)
    gap = means[1] - means[0]
    verdict, kind = "", ""
    if test is not None and test.significant:
        better = (gap > 0) == (figure.better == "up")
        verdict, kind = ("B better", "best") if better else ("B worse", "bad")
    span = "" if test is None else _span(test.interval)
    p = "" if test is None else f"{test.p:.3f}"
    lines.append(
        f"  {figure.name:32s} {number(means[0]):>9s} {number(means[1]):>9s} {number(gap):>9s}"
        f"{span:24s} p {p:6s} n {len(a)}  {verdict}"
    )
    return (
        f'<tr><td title="{escape(figure.source)}">{escape(figure.name)} '
        f"{'↑' if figure.better == 'up' else '↓'} <small>{escape(figure.unit)}</small></td>"
        f"<td>{number(means[0])}</td><td>{number(means[1])}</td>"
        f"<td class={kind or 'soft'}>{number(gap)}<span class=interval>{span}</span></td>"
        f"<td>{p}</td><td>{len(a)}</td><td class={kind or 'soft'}>{verdict}</td></tr>"
    )


def _settings(evaluation: Evaluation) -> str:
    return " · ".join(
        f"{escape(name)} {escape(value)}" for name, value in evaluation.settings.items()
    )
