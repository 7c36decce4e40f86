"""The priors that come with incarnate, and records of priors by role.

One base (`assets/priors/embedded`) plays every role: what it shows is told by words at the prompt's
end, and what guides it by small networks beside it. Any directory of that layout can take its
place: a Stable Diffusion in diffusers' layout with `pose/`, `normal/` and `projection/` (each a
`PoseGuider`) and `motion/` (a `MotionAdapter`) in it; what is missing is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, final

from incarnate.priors.denoiser import Denoiser
from incarnate.recipe import Shows
from incarnate.roles import Role, check_role
from incarnate.weights import ASSETS

if TYPE_CHECKING:
    from incarnate.priors.guiders import GuidedDiffusion

FOLDER = ASSETS / "priors/embedded"
WORDS: dict[Shows, str] = {
    "normal": "black background, normal map",
    "depth": "black background, depth map",
    "rgb": "grey background, photo",
}
"""What tells the embedded base what to show; alone, it is what guidance leads away from."""
TRAINING = "training.json"
"""How many samples each stage of training has seen."""
BESIDE = ("pose", "normal", "projection", "motion")
"""The folders of a directory that are laid over its base."""
_SHOWN: dict[Role, Shows] = {"text-to-normal": "normal", "text-to-depth": "depth"}
"""What weights of the user's are told to show; of other roles that is what they do anyway."""


@final
@dataclass(frozen=True, eq=False)
class Priors:
    """What methods ask, by role; the modules of the embedded ones are shared."""

    text_to_normal: Denoiser
    text_to_depth: Denoiser
    text_to_rgb: Denoiser
    aligned_rgb: Denoiser
    """Reads normals besides the text."""
    posed_video: Denoiser
    """Reads poses, a photo of the person and text; makes clips, and pictures."""
    projected: Denoiser
    """Reads what is known of the picture."""

    @staticmethod
    def embedded(device: str = "cpu", folder: Path | None = None, quick: bool = False) -> "Priors":
        """Those of one directory, which is read once a process (`opened`)."""
        base = opened(folder, device, quick)
        normal, depth, rgb = (
            base.worded(WORDS[s], WORDS["rgb"]) for s in ("normal", "depth", "rgb")
        )
        return Priors(normal, depth, rgb, rgb, rgb, rgb)

    @staticmethod
    def of(named: Mapping[Role, str], device: str = "cpu", folder: Path | None = None) -> "Priors":
        """The weights that the user names for roles, embedded priors in all others.

        ValueError for weights that are not whole, or cannot play their role.
        """
        ours = Priors.embedded(device, folder)
        return replace(ours, **{_FIELDS[role]: _played(role, where, device)
                                for role, where in named.items()})  # fmt: skip


_FIELDS: dict[Role, str] = {
    "text-to-normal": "text_to_normal",
    "text-to-depth": "text_to_depth",
    "normal-aligned-rgb": "aligned_rgb",
    "pose-driven-video": "posed_video",
    "projected-reference": "projected",
}


def opened(
    folder: Path | None = None, device: str = "cpu", quick: bool = False
) -> "GuidedDiffusion":
    """The base of a directory with all that is laid over it, read once; the embedded one if None.

    `quick`: see `hub.load`. ValueError for a directory that is not whole.
    """
    return _opened(folder or FOLDER, device, quick)


@cache
def _opened(folder: Path, device: str, quick: bool) -> "GuidedDiffusion":
    from incarnate.priors.guiders import GuidedDiffusion
    from incarnate.priors.hub import load

    prior = load(layout(folder), device, quick=quick)
    match prior:
        case GuidedDiffusion():
            return prior
        case _:
            raise ValueError(f"{folder} has none of {', '.join(BESIDE[:3])} beside its base")


def layout(folder: Path | None = None) -> str:
    """The directory with all that lies in it, as `hub.load` and `plan` are told it."""
    base = folder or FOLDER
    there = [name for name in BESIDE if (base / name / "config.json").exists()]
    return "+".join((str(base), *(f"{name}:{base / name}" for name in there)))


def told(folder: Path | None = None) -> str | None:
    """The embedded priors in a few words (size, training, licence); None if they are not there."""
    base = folder or FOLDER
    if not (base / "model_index.json").exists():
        return None
    from incarnate.priors.directory import directory

    licence = directory(str(base)).licence
    size = sum(path.stat().st_size for path in base.rglob("*.safetensors"))
    return f"embedded prior ({size / 1e6:.1f} MB, {licence}{_seen(base / TRAINING)})"


def _seen(path: Path) -> str:
    """How many samples each stage of its training saw, if the directory says so."""
    if not path.exists():
        return ""
    stages = json.loads(path.read_text())
    seen = ", ".join(f"{name} {told['samples']:,}" for name, told in stages.items())
    return f", trained on samples: {seen}"


def _played(role: Role, where: str, device: str) -> Denoiser:
    """The user's weights in a role."""
    from incarnate.priors.guiders import wants
    from incarnate.priors.hub import load

    prior = load(where, device)
    check_role(role, prior.reads, wants(prior), where)
    return showing(prior, _SHOWN[role]) if role in _SHOWN else prior


def showing(prior: Denoiser, shows: Shows) -> Denoiser:
    """A prior of the user's that is told at each prompt's end what to show, as `train` tells it.

    An empty prompt stays empty: that is what such weights were taught as unconditional.
    """
    from incarnate.priors.clips import AnimateDiff
    from incarnate.priors.guiders import GuidedDiffusion
    from incarnate.priors.stable import StableDiffusion
    from incarnate.priors.texts import Worded
    from incarnate.priors.train.shots import DOMAINS

    match prior:
        case StableDiffusion():
            text = Worded(prior.text, DOMAINS[shows], empty=True)
            return StableDiffusion(prior.unet, prior.vae, text, prior.schedule, prior.controls)
        case AnimateDiff():
            text = Worded(prior.text, DOMAINS[shows], empty=True)
            return AnimateDiff(prior.unet, prior.vae, text, prior.schedule, prior.chunk)
        case GuidedDiffusion():
            text = Worded(prior.text, DOMAINS[shows], empty=True)
            return GuidedDiffusion(
                prior.networks, text, prior.schedule, prior.photo_text, prior.chunk
            )
        case _:
            raise ValueError(
                f"a {type(prior).__name__} cannot be told to show {shows} maps; name a Stable "
                "Diffusion that was tuned to them"
            )
