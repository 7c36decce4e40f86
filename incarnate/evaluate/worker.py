"""The process that measures one job: `python -m incarnate.evaluate.worker JOB`."""

import sys
from pathlib import Path

from incarnate.evaluate.figures import Row, save_row
from incarnate.evaluate.jobs import Job


def main(order: Path) -> None:
    """Writes the job's row beside it, also where its photo is refused."""
    job = Job.of(order.read_text())
    try:
        row = _measured(job)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        row = Row(job.subject.name, job.method, job.key, failure=reason)
    save_row(row, job.folder / "measured.json")


def _measured(job: Job) -> Row:
    match job.suite:
        case "photos":
            from incarnate.evaluate.photos import measure

            return measure(job)
        case "views4":
            from incarnate.evaluate.views4 import measure

            return measure(job)
        case "reenact" if job.subject.source is not None:
            from incarnate.evaluate.snapshots import measure

            return measure(job)
        case "reenact":
            from incarnate.evaluate.reenact import measure

            return measure(job)
        case "talk":
            from incarnate.evaluate.talk import measure

            return measure(job)
        case other:
            raise ValueError(f"there is no suite {other!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
