"""Runs jobs, each in a process of its own, and keeps what is finished.

A finished row lies in `cache/rows/KEY`, where KEY names all it was made from: the photo's bytes,
the settings, the sources of method and measure. Started again, a run does what is not there yet. A
photo that makes no avatar gives a row that says why; so does a process that dies, but that one is
tried again next time.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from incarnate.evaluate.figures import Figure, Row, load_row, save_row
from incarnate.evaluate.jobs import Job
from incarnate.progress import Report

WORKER = "incarnate.evaluate.worker"


def run(todo: list[Job], workers: int, report: Report) -> list[Row]:
    """The rows of all jobs, in their order."""
    rows = {job.key: load_row(job.row) for job in todo if job.row.exists()}
    open_ = [job for job in todo if job.key not in rows]
    if rows:
        report.say(f"{len(rows)} of {len(todo)} are there already")
    report.stage("measuring")
    running: set[subprocess.Popen[bytes]] = set()
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(_process, job, running) for job in open_]
        try:
            for done in as_completed(waiting):
                row = done.result()
                rows[row.key] = row
                if row.failure is not None:
                    report.warn(f"{row.subject}, {row.method}: {row.failure}")
                report.step(len(rows), len(todo))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(running):
                process.terminate()
            raise
    return [rows[job.key] for job in todo]


def _process(job: Job, running: set[subprocess.Popen[bytes]]) -> Row:
    job.folder.mkdir(parents=True, exist_ok=True)
    order = job.folder / "job.json"
    order.write_text(job.text())
    began = time.perf_counter()
    log = job.folder / "log.txt"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(order)], stdout=errors, stderr=errors
        )
        running.add(process)
        _, status, usage = os.wait4(process.pid, 0)
        running.discard(process)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, peak = time.perf_counter() - began, usage.ru_maxrss / 2**20
    order.unlink()
    part = job.folder / "measured.json"
    if process.returncode or not part.exists():
        return replace(_broken(job, process.returncode, log), seconds=seconds, peak_gb=peak)
    row = replace(load_row(part), seconds=seconds, peak_gb=peak)
    if row.failure is None:
        memory = Figure("peak memory", peak, "GB", "down", "of the measuring process")
        row = replace(row, figures=(*row.figures, memory))
    save_row(row, job.row)
    part.unlink()
    log.unlink()
    return row


def _broken(job: Job, status: int, log: Path) -> Row:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    reason = lines[-1] if lines else f"the process ended with status {status}"
    return Row(job.subject.name, job.method, job.key, failure=f"{reason} (see {log.name})")
