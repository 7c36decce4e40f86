"""What a training depends on (`incarnate.priors.train`), apart from torch: --help is quick.

And what pictures show of a person, for whoever must not know of trainings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

Task = Literal["text-to-normal", "text-to-depth", "text-to-rgb", "normal-aligned", "pose-guider"]
Shows = Literal["normal", "depth", "rgb"]
Framing = Literal["full", "upper", "lower", "head"]
Switch = FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class Recipe:
    """What to train on what, and how. Progress counts samples seen, by all processes together."""

    task: Positional[Task]
    """A fine-tune to pictures of normals, depth or rgb; a ControlNet that makes rgb follow normals
    (normal-aligned); or a branch that makes pictures follow skeletons (pose-guider)."""
    base: Path
    """The model to begin with: a Stable Diffusion in diffusers' directories."""
    data: Path
    """The folder of shards (.tar), as `studio` makes them."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The run's folder: checkpoints, curves, sample grids and, in the end, the result."""
    shows: Shows = "rgb"
    """What the pictures of a pose guider show, so what its base was tuned to."""
    lora: int | None = None
    """Train adapters of this rank (4 to 64) in a text-to- task, instead of every weight."""
    text_encoder: Switch = False
    """Train the text encoder too, in a text-to- task without --lora: for small bases."""
    size: int = 512
    """Pixels a side."""
    samples: int = 200_000
    """How many samples to see in all."""
    batch: int = 64
    """Samples a step, of all processes together."""
    micro_batch: int | None = None
    """How many samples a process takes at once; its share of the batch if not given."""
    lr: float = 1e-5
    """The learning rate; adapters like 1e-4."""
    warmup: int = 5_000
    """Over so many samples the learning rate rises from 0."""
    falls: Literal["constant", "cosine"] = "constant"
    """What the learning rate does then; cosine reaches 0 with the last sample."""
    ema: float = 0.997
    """How much of the weights' running mean each step keeps."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: products in bfloat16, weights and sums still in float32."""
    save_memory: Switch = False
    """Work inner values out again on the way back, instead of keeping them."""
    caption_dropout: float = 0.1
    """How often the caption is left out, for guidance."""
    segment_dropout: float = 0.0
    """How often each part of a caption, between commas, is left out."""
    condition_dropout: float = 0.0
    """How often the normal map or the skeleton is left black."""
    flip: float = 0.0
    """How often a sample is mirrored, with its words for left and right."""
    min_snr_gamma: float | None = 5.0
    """Levels that are easier than this do not count more (min-SNR); none: all count alike."""
    noise_offset: float = 0.05
    """Noise shared by all places of a channel, so that very dark pictures are learnt."""
    checkpoint_every: int = 10_000
    """Samples between checkpoints; the last two are kept."""
    sample_every: int = 10_000
    """Samples between grids of sampled pictures; 0 for none."""
    workers: int = 0
    """Processes that read pictures, for each that trains."""
    device: Literal["cpu", "cuda"] | None = None
    """Where to train; if not given, on the GPU if there is one."""
    seed: int = 0
    """Same data, settings, seed and number of processes: same weights."""
    resume: Switch = False
    """Continue where a stopped run left off, if there was one."""
