"""Whether `incarnate plan` tells the truth about memory: planned against measured.

    python benchmarks/priors.py                # Stable Diffusion 1.5 at true width, 512 pixels
    python benchmarks/priors.py --width 0.25   # a quarter of the width

Writes a directory of that layout with random weights in half precision into a temporary folder,
plans, then loads it in a process of its own and does one encoding, one prediction and one decoding.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from incarnate.priors import Condition, Text  # noqa: E402
from incarnate.priors.checkpoint import Checkpoint, found  # noqa: E402
from incarnate.priors.cost import cost  # noqa: E402
from incarnate.priors.hub import load  # noqa: E402
from tests.priors import published, tiny  # noqa: E402


def directory(folder: Path, width: float) -> Path:
    """Stable Diffusion 1.5's layout at `width` times its width, weights at random."""
    wide = [int(c * width) // 32 * 32 for c in published.UNET_15["block_out_channels"]]
    pipe: Any = published.diffusers.StableDiffusionPipeline(
        vae=published.diffusers.AutoencoderKL.from_config(published.VAE),
        text_encoder=tiny.transformers.CLIPTextModel(
            tiny.transformers.CLIPTextConfig(**published.CLIP_L)
        ),
        tokenizer=tiny.tokenizer(folder / "words", 77),
        unet=published.diffusers.UNet2DConditionModel.from_config(
            published.UNET_15 | {"block_out_channels": wide}
        ),
        scheduler=tiny.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.to(torch.float16).save_pretrained(folder / "sd")
    return folder / "sd"


def measured(path: str, side: int) -> dict[str, float]:
    """Loads and runs the prior in this process; the peak of its memory, and seconds."""
    began = time.perf_counter()
    prior = load(path)
    loaded = time.perf_counter() - began
    with torch.no_grad():
        latents = prior.encode(torch.zeros(1, side, side, 3))
        began = time.perf_counter()
        t = torch.full((1,), 500.0, dtype=torch.float64)
        prior.predict(latents, t, Condition(text=Text(("a person",))))
        predicted = time.perf_counter() - began
        prior.decode(latents)
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return {"peak": peak, "loading": loaded, "prediction": predicted}


def main() -> None:
    """Plans, measures in a process of its own, and prints both."""
    parser = argparse.ArgumentParser(description="Planned against measured.")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--measure", type=Path)
    args = parser.parse_args()
    if args.measure is not None:
        print(json.dumps(measured(str(args.measure), args.side)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = directory(Path(folder), args.width)
        there = found(Checkpoint.parse(str(path)))
        planned = cost(there, args.side, None, "cpu", torch.float32)
        command = [sys.executable, __file__, "--measure", str(path), "--side", str(args.side)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        told = json.loads(run.stdout.splitlines()[-1])
    gigabytes = planned.memory / 1e9, told["peak"] / 1e9
    print(f"parameters {there.base.parameters / 1e6:.0f} million, {args.side} pixels")
    print(f"memory: planned {gigabytes[0]:.2f} GB, measured {gigabytes[1]:.2f} GB, ", end="")
    print(f"measured / planned {gigabytes[1] / gigabytes[0]:.2f}")
    rate = planned.prediction.flops / told["prediction"] / 1e9
    print(f"loading {told['loading']:.1f} s, a prediction {told['prediction']:.1f} s", end="")
    print(f" ({planned.prediction.flops / 1e9:.0f} GFLOP, {rate:.0f} a second)")


if __name__ == "__main__":
    main()
