"""A known body distilled from an ellipsoid: silhouettes, normals and seconds, beside controls.

    python benchmarks/distillation.py                       # the embedded prior
    python benchmarks/distillation.py --prior DIR           # another directory laid out like it
    python benchmarks/distillation.py --seeds 3 --pose stand

Rows: the ellipsoid, regularisers alone, the prior, and a prior that knows the truth (which shows
what renderer and optimiser leave undone). The picture: held views of prior, control and truth.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from incarnate.evaluate.distilled import (  # noqa: E402
    Distilled,
    Score,
    Settings,
    distilled,
    oracle,
)
from incarnate.priors.embedded import Priors  # noqa: E402


def told(name: str, scores: list[Score], seconds: float | None) -> str:
    """A row of the table: means over seeds."""
    iou = np.mean([score.iou for score in scores])
    error = np.mean([score.normal_error for score in scores])
    took = "" if seconds is None else f"{seconds:8.1f}"
    return f"{name:22s} {iou:14.3f} {error:18.1f} {took}"


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description="A known body from an ellipsoid.")
    parser.add_argument("--prior", type=Path, help="instead of the embedded one")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pose", default="rest")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path, default=Path("out/distilled.png"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = Settings()
    began = time.perf_counter()
    prior = Priors.embedded(folder=args.prior).text_to_normal
    loaded = time.perf_counter() - began
    runs: list[Distilled] = []
    for seed in range(args.seeds):
        runs.append(distilled(prior, seed, settings, pose=args.pose))
        score = runs[-1].prior
        print(f"seed {seed}: IoU {score.iou:.3f}, {score.normal_error:.1f} degrees", flush=True)
    bound = distilled(oracle(settings, args.pose), 0, settings, pose=args.pose)
    load = os.getloadavg()[0]
    print(f"\n{args.threads} threads, load {load:.1f}; {settings.iterations} iterations; ", end="")
    print(f"pose {args.pose}; loading took {loaded:.1f} s\n")
    print(f"{'':22s} {'silhouette IoU':>14s} {'normals, degrees':>18s} {'seconds':>8s}")
    print(told("ellipsoid", [run.start for run in runs], None))
    print(told("regularisers alone", [run.control for run in runs], None))
    seconds = float(np.mean([run.seconds for run in runs]))
    print(told("prior", [run.prior for run in runs], seconds))
    print(told("prior that knows", [bound.prior], bound.seconds))
    args.picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(runs[0].picture).save(args.picture)
    print(f"\n{args.picture}: prior, control, truth")


if __name__ == "__main__":
    main()
