"""How many pictures a second one core of the studio makes, all channels, people included.

    python benchmarks/studio.py --people 4 --size 256

Seconds are this process's own CPU time, so that other work on the machine counts less (it still
shares caches and hyperthreads); wall time is printed beside. A person is dressed once and then
pictured SHOTS_A_PERSON times, as in the shards. What a process does once (the body, noise, the
atlas, presets of poses: some seconds) is left out, by four people pictured beforehand.
"""

import argparse
import time

import numpy as np
import torch

from incarnate._native import set_threads
from incarnate.studio.people import person
from incarnate.studio.scenes import SHOTS_A_PERSON, pictured
from incarnate.studio.shards import encoded


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    set_threads(1)
    for k in range(4):
        list(pictured(person((0, k)), np.random.default_rng(k), args.size, 20))
    spent = np.zeros((3, 2))
    for k in range(args.people):
        marks = [_now()]
        who = person((1, k))
        marks.append(_now())
        rng = np.random.default_rng(k)
        shots = list(pictured(who, rng, args.size, SHOTS_A_PERSON, samples=args.samples))
        marks.append(_now())
        for shot in shots:
            list(encoded(shot))
        marks.append(_now())
        spent += np.diff(marks, axis=0)
    count = args.people * SHOTS_A_PERSON
    print(f"{count} pictures of {args.people} people at {args.size}, {args.samples}^2 samples")
    print("                     CPU ms   wall ms  (a picture)")
    for name, row in zip(("person / shots", "pose and shoot", "encode"), spent, strict=True):
        print(f"{name:18s} {row[0] / count * 1e3:8.1f} {row[1] / count * 1e3:9.1f}")
    for name, some in (("drawn", spent[:2]), ("drawn and encoded", spent)):
        cpu, wall = count / some.sum(0)
        print(f"{name}: {cpu:.1f} a CPU second, {wall:.1f} a second of wall time")


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


if __name__ == "__main__":
    main()
