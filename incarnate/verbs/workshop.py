"""The verbs behind avatars: measuring, data, training, weights, this installation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union

from tyro.conf import (
    OmitArgPrefixes,
    OmitSubcommandPrefixes,
    Positional,
    UseAppendAction,
    arg,
    subcommand,
)

from incarnate.recipe import Recipe
from incarnate.verbs.terms import Output, Provenance, Quiet, Switch


@dataclass(frozen=True)
class Evaluate:
    """Measure how good a method, or an avatar, is; or compare two measurements."""

    methods: Positional[tuple[str, ...]] = ()
    """One or more of one-shot, symmetric, projected, average (the baselines), or .avatar files.
    one-shot:no-ssim,no-teeth is the method without these parts. Or priors: what the embedded
    diffusion priors know (or those in a directory named behind), read back from their samples."""
    output: Output = Path("out/eval")
    """The folder for metrics.json, report.html and what is kept to go on after a stop."""
    suite: str = "photos"
    """What to measure. photos: what one photo can tell, without ground truth; views4: four views
    with the exact truth of people that the studio draws; reenact: talking films of theirs, driven
    by the true motion; talk: lips, identity and hands while a sentence is said."""
    photos: Path | None = None
    """A folder of photos, or one like openpeople's, or one photo; else the package openpeople."""
    makehuman: Path | None = None
    """A MakeHuman assets folder: people outside the body model then wear its clothes and hair."""
    data: Path | None = None
    """A data set of your own: THuman2.0 for views4, People-Snapshot for reenact, ActorsHQ for
    photos, Casual Conversations for photos and talk. For priors the shards that they were trained
    on: nearest samples are then shown."""
    ablate: Switch = False
    """Measure each method also without each of its parts, for a table of what they are worth."""
    quality: Literal["tiny", "draft", "normal", "high"] = "draft"
    """At which avatars are made."""
    subjects: int | None = None
    """Only the first so many people."""
    workers: int = 1
    """How many are measured at once, each in a process of about 1.5 GB."""
    lpips: Path | None = None
    """A folder with LPIPS' official weights (vgg16-397923af.pth, vgg.pth): adds that figure."""
    compare: tuple[Path, Path] | None = None
    """Two folders of earlier runs: side by side, with significance, into compare.html."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Studio:
    """Picture made-up people with the exact truth about them: shards of .tar for training."""

    output: Positional[Path]
    """The folder for the shards; or a contact sheet (.png) or a talking film (.mp4, .webm)."""
    count: int = 1024
    """How many pictures; of a contact sheet, how many people."""
    talking: int = 0
    """Instead of pictures, how many clips of people who talk: sound, phonemes, face curves."""
    lessons: int = 0
    """Instead of pictures, how many people for priors to learn from: each alone before grey, four
    poses by two cameras and a clip of eight frames."""
    size: int = 256
    """Pixels a side."""
    workers: int = 1
    """How many processes; the shards come out alike."""
    seed: int = 0
    """Same seed: same bytes."""
    makehuman: Path | None = None
    """A MakeHuman assets folder: every other person wears its clothes and hair."""
    motion: tuple[Path, ...] = ()
    """.bvh or SMPL-X .npz files: half the pictures then show their frames."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Train:
    """Train a diffusion model on the studio's shards, in one process or under torchrun."""

    recipe: OmitArgPrefixes[Recipe]
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Sample:
    """Show what the embedded priors know: pictures from a sentence, of people as the studio's."""

    text: Positional[str]
    """Who, in which clothes, doing what, from where: a tall woman in a red shirt, back view."""
    output: Output
    """The grid of pictures (.png, .jpg), or with --clip a film (.mp4, .webm)."""
    domain: Literal["rgb", "normal", "depth"] | None = None
    """What is shown; if not given, what the text says, or else rgb."""
    pose: tuple[str, ...] = ()
    """Presets (arms-up, ...) or .bvh and .npz files to follow; with --clip from one to the next."""
    skeleton: Switch = True
    """Without --pose, draw what the text says is done, from where, as a skeleton to follow; else
    words alone tell it."""
    reference: Path | None = None
    """A photo of the person to show, alone before grey as in the studio."""
    count: int = 4
    """How many pictures or clips."""
    size: Literal[128, 64] = 128
    """Pixels a side; 64 is a draft."""
    steps: int = 12
    """Of sampling."""
    guidance_scale: float = 3.0
    """How strongly the text speaks; 1: not more than by itself, at half the time."""
    seed: int = 0
    """Same words, settings and seed: same pictures."""
    clip: Switch = False
    """Clips of 8 frames instead of pictures; who neither text nor --pose says more of walks."""
    priors: Path | None = None
    """Another directory in the layout of the embedded priors."""
    provenance: Provenance = True
    quiet: Quiet = False
    """Say nothing but errors and results."""


@dataclass(frozen=True)
class Plan:
    """Say what a method would run, on which device, at what memory, time and licence."""

    method: Positional[
        Literal["one-shot", "svad", "humannorm", "portrait-diffusion", "audio-avatar"]
    ]
    """The method."""
    weights: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="ROLE=DIRECTORY")] = ()
    """Your own weights for a role, as a diffusers directory or hub id; may be given again.
    text-to-normal=DIR, normal-aligned-rgb=DIR+normal:CONTROLNET, ..."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it would run."""
    json: Switch = False
    """For machines."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Convert:
    """Turn pickled weights (.pth, .ckpt, .bin) into safetensors; no code in them runs."""

    source: Positional[Path]
    """The file, or a diffusers directory whose weights are pickled."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """The .safetensors file to write; beside the source if not given."""
    key: str | None = None
    """Which weights, if the file holds several; a wrong key lists them."""
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Listed:
    """List the weights that come with incarnate, with licence and origin."""


@dataclass(frozen=True)
class Weights:
    """List what comes with incarnate, or convert weights of your own."""

    do: OmitSubcommandPrefixes[
        Union[  # noqa: UP007
            Annotated[Convert, subcommand("convert")],
            Annotated[Listed, subcommand("list")],
        ]
    ]


@dataclass(frozen=True)
class Doctor:
    """Say what this installation has, what is missing, and how to get it."""

    json: Switch = False
    """For machines."""


@dataclass(frozen=True)
class Inspect:
    """Say where a picture, film or other file comes from: its content credentials and watermark."""

    file: Positional[Path]
    """The file, of any kind and from anywhere; its side-car is read along."""
    trust: Path | None = None
    """Certificates (PEM) of authorities whose signers are to be trusted; none are by themselves."""
    json: Switch = False
    """For machines."""
    quiet: Quiet = False
    """Say nothing but errors and results."""
