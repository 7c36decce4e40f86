"""The verbs that prepare what the others use, look at it or take it elsewhere.

Each does what `incarnate.verbs` says. Whatever is slow to import (torch above all) is imported
inside the verb that needs it.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from incarnate.progress import reporter
from incarnate.verbs import (
    Convert,
    Evaluate,
    Export,
    Inspect,
    Listed,
    Plan,
    Sample,
    Studio,
    Train,
    View,
    Weights,
)

FILMS = (".mp4", ".webm")
_BEGAN = time.perf_counter()


def prepare(
    verb: Export | Inspect | View | Evaluate | Studio | Train | Sample | Plan | Weights,
) -> None:
    """Runs such a verb."""
    match verb:
        case Export():
            _export(verb)
        case Inspect():
            _inspect(verb)
        case View():
            _view(verb)
        case Evaluate():
            _evaluate(verb)
        case Studio():
            _studio(verb)
        case Train():
            _train(verb)
        case Sample():
            _sample(verb)
        case Plan():
            _plan(verb)
        case Weights():
            _weights(verb)
        case _:
            assert_never(verb)


def _export(verb: Export) -> None:
    from incarnate.exporting import checked, exported, listed
    from incarnate.io.provenance import credited
    from incarnate.io.written_motions import ENDINGS
    from incarnate.origins import origin

    if verb.list:
        sys.stdout.write(listed())
        return
    order = checked(verb)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        motion = order.output.suffix.lower() in ENDINGS  # Shows nobody.
        told = None if motion else origin(verb, report)
        with credited(order.output, told, report) as output:
            written = exported(replace(order, output=output), report)
        for path in written:
            wrote(order.output.with_name(path.name))


def _inspect(verb: Inspect) -> None:
    from incarnate.inspecting import inspected

    with reporter(verb.quiet or verb.json) as report:
        found = inspected(verb.file, verb.trust, report)
    sys.stdout.write(found.json() if verb.json else found.text())


def _view(verb: View) -> None:
    from incarnate.viewer import check

    check(verb.port)
    with reporter(verb.quiet) as report:
        report.stage("loading")
        from incarnate.viewer.show import opened, shown
        from incarnate.viewer.takes import Studio

        puppet, overlay = opened(verb.avatar, verb.motion, verb.photo, verb.fps, verb.seed, report)
        studio = Studio(puppet, verb.avatar, Path.cwd(), verb.provenance, verb.fps, verb.seed)
    shown(studio, overlay, verb.port, said)


def _evaluate(verb: Evaluate) -> None:
    from incarnate.evaluate.ablation import expanded
    from incarnate.evaluate.command import Named, compare, evaluate

    if verb.compare is not None:
        if verb.methods:
            raise ValueError("--compare takes two earlier runs and no method")
        sys.stdout.write(compare(*verb.compare, verb.output))
        return wrote(verb.output / "compare.html")
    methods = verb.methods
    if methods[:1] == ("priors",):
        return _evaluate_priors(verb)
    if not methods:
        raise ValueError("name what to measure: one-shot, symmetric, projected, average, an avatar")
    counts = (verb.subjects, verb.workers)
    with reporter(verb.quiet) as report:
        report.stage("getting ready")
        summary = evaluate(
            expanded(methods) if verb.ablate else methods,
            verb.suite,
            Named(verb.photos, verb.makehuman, verb.data),
            verb.output,
            verb.quality,
            counts,
            verb.lpips,
            report,
        )
    sys.stdout.write(summary)
    wrote(verb.output / "report.html")


def _evaluate_priors(verb: Evaluate) -> None:
    from incarnate.evaluate.priors import evaluate_directory

    with reporter(verb.quiet) as report:
        summary = evaluate_directory(verb.methods[1:], verb.output, verb.data, verb.quality, report)
    sys.stdout.write(summary)
    wrote(verb.output / "report.html")


def _studio(verb: Studio) -> None:
    from incarnate.studio.shards import Order, make
    from incarnate.studio.sheet import film_of, sheet

    order = Order(
        verb.count, verb.size, verb.seed, verb.makehuman, verb.motion, verb.talking, verb.lessons
    )
    suffix = verb.output.suffix.lower()
    if suffix not in ("", ".png", *FILMS) and not verb.output.is_dir():
        raise ValueError(
            f"{verb.output}: the studio makes a .png, .mp4 or .webm, or a folder without a suffix"
        )
    if verb.talking and suffix and not verb.output.is_dir():
        raise ValueError(f"--talking fills a folder, and {verb.output} is not one")
    with reporter(verb.quiet) as report:
        if suffix in FILMS:
            film_of(order, verb.output, report)
        elif suffix == ".png":
            sheet(order, verb.output, report)
        else:
            make(order, verb.output, verb.workers, report)
    wrote(verb.output)


def _plan(verb: Plan) -> None:
    from incarnate.plan import named, plan

    weights = named(verb.weights)
    with reporter(verb.quiet or verb.json) as report:
        planned = plan(verb.method, weights, verb.device, report)
    sys.stdout.write(planned.json() if verb.json else planned.text())


def _weights(verb: Weights) -> None:
    match verb.do:
        case Listed():
            from incarnate.weights import TABLE

            for row in TABLE:
                sys.stdout.write(f"{row.name:<12} {row.licence:<24} {row.origin}\n")
        case Convert() as asked:
            from incarnate.priors.convert import convert

            with reporter(asked.quiet) as report:
                done = convert(asked.source, asked.output, asked.key, report)
                for one in done:
                    if one.left_behind:
                        report.say(f"left behind in {one.source.name}: {one.left_behind}")
            for one in done:
                wrote(one.target)
        case _:
            assert_never(verb.do)


def _train(verb: Train) -> None:
    from incarnate import distributed
    from incarnate.priors.train import train

    first = distributed.rank() == 0
    with reporter(verb.quiet or not first) as report:
        result = train(verb.recipe, report)
    if first:
        wrote(result)


def _sample(verb: Sample) -> None:
    from incarnate.io.pictures import picture_format, write_picture
    from incarnate.io.provenance import credited
    from incarnate.io.runs import check_output
    from incarnate.origins import marker, origin
    from incarnate.priors.lean import keep_memory, short_way
    from incarnate.sampled import FPS, checked, sampled

    film = verb.output.suffix.lower() in FILMS
    if film and not verb.clip:
        raise ValueError(f"{verb.output} is a film; give --clip, or write pictures to a .png")
    if not film:
        picture_format(verb.output, False)
    check_output(verb.output, 10_000_000)
    checked(verb)
    with reporter(verb.quiet) as report:
        report.stage("getting ready")
        short_way()
        keep_memory()
        told = origin(verb, report)
        made = sampled(verb, report, quick=True, clock=_running)
        mark = marker(told)
        with credited(verb.output, told, report) as output:
            if film:
                from incarnate.io.video import write_video

                write_video(output, map(mark, made.frames()), FPS)
            else:
                write_picture(output, mark(made.sheet()))
    sys.stdout.write(made.text())
    many = "" if verb.count == 1 else f", all {verb.count} after {_running():.1f} s"
    sys.stdout.write(
        f"seed {verb.seed}, {verb.steps} steps, guidance {verb.guidance_scale:g}; first after "
        f"{made.first:.1f} s{many}{_peak()}\n"
    )
    wrote(verb.output)


def _running() -> float:
    """Seconds since this process began, where the system tells; else since this was imported."""
    try:
        told = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(told[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError):
        return time.perf_counter() - _BEGAN


def _peak() -> str:
    """The most memory that the process has held, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows.
        return ""
    unit = 1 if sys.platform == "darwin" else 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"; at most {most / 1e6:.0f} MB of memory"


def wrote(path: Path) -> None:
    """Says where the result is."""
    sys.stdout.write(f"{path}\n")


def said(address: str) -> None:
    """Says where the viewer is."""
    sys.stdout.write(f"{address} shows it; Ctrl-C ends\n")
    sys.stdout.flush()
