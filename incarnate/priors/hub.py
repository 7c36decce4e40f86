"""The user's own weights: from a diffusers directory to a `Denoiser`.

    load("stable-diffusion-v1-5")
    load("normal-aligned-sd1.5+normal:controlnet-normal-sd1.5")      with a ControlNet
    load("stable-diffusion-v1-5+motion:animatediff-motion-adapter")  with motion modules

Safetensors only: nothing is unpickled, and no code of the directory runs.
"""

import importlib
import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final, get_args

import torch

from incarnate.priors.autoencoder import Autoencoder, frozen
from incarnate.priors.configs import schedule_of
from incarnate.priors.denoiser import Denoiser
from incarnate.priors.directory import Directory, Part, directory
from incarnate.priors.files import header, read_json
from incarnate.priors.schedule import Schedule
from incarnate.priors.stable import Control, ControlKind, StableDiffusion
from incarnate.priors.texts import ClipText, TextEncoder, XlText
from incarnate.progress import Report, Silent

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

OverlayKind = Literal["normal", "depth", "pose", "motion", "unet", "vae", "lora"]
OVERLAY_KINDS: tuple[OverlayKind, ...] = get_args(OverlayKind)
CONTROLS: tuple[ControlKind, ...] = ("normal", "depth", "pose")


@final
@dataclass(frozen=True)
class Overlay:
    """What is laid over a base: a ControlNet that reads `kind`, motion modules, a LoRA, ..."""

    kind: OverlayKind
    named: str


@final
@dataclass(frozen=True)
class Checkpoint:
    """A base and what is laid over it."""

    base: str
    overlays: tuple[Overlay, ...] = ()

    @staticmethod
    def parse(text: str) -> "Checkpoint":
        """From BASE+KIND:DIRECTORY+...; ValueError names the kinds."""
        base, *rest = re.split(r"\+(\w+):", text)
        overlays = []
        for told, named in zip(rest[::2], rest[1::2], strict=True):
            kinds: list[OverlayKind] = [kind for kind in OVERLAY_KINDS if told == kind]
            if not kinds:
                raise ValueError(
                    f"'+{told}:' was given behind {base}; what is laid over a base is told as "
                    f"+KIND:DIRECTORY, with KIND one of {', '.join(OVERLAY_KINDS)}"
                )
            overlays.append(Overlay(kinds[0], named))
        return Checkpoint(base, tuple(overlays))

    def kinds(self, *kinds: OverlayKind) -> tuple[Overlay, ...]:
        """The overlays of these kinds."""
        return tuple(overlay for overlay in self.overlays if overlay.kind in kinds)


@final
@dataclass(frozen=True)
class Found:
    """A checkpoint whose directories are checked."""

    base: Directory
    overlays: tuple[tuple[OverlayKind, Directory], ...]
    loras: tuple[Path, ...]

    @property
    def directories(self) -> tuple[Directory, ...]:
        """The base and what is laid over it."""
        return (self.base, *(found for _, found in self.overlays))

    def over(self, kind: OverlayKind) -> tuple[Directory, ...]:
        """What of this kind is laid over the base."""
        return tuple(found for told, found in self.overlays if told == kind)


_CLASSES: dict[OverlayKind, str] = {
    "normal": "ControlNetModel",
    "depth": "ControlNetModel",
    "pose": "ControlNetModel",
    "motion": "MotionAdapter",
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
}


def found(checkpoint: Checkpoint) -> Found:
    """The checkpoint's directories, checked; nothing is loaded. ValueError says what is wrong."""
    overlays = []
    for overlay in checkpoint.overlays:
        if overlay.kind == "lora":
            continue
        there = directory(overlay.named)
        if there.kind != _CLASSES[overlay.kind]:
            raise ValueError(
                f"{there.path} holds a {there.kind}; as +{overlay.kind}: a "
                f"{_CLASSES[overlay.kind]} was wanted"
            )
        overlays.append((overlay.kind, there))
    loras = tuple(_lora(Path(overlay.named)) for overlay in checkpoint.kinds("lora"))
    return Found(directory(checkpoint.base), tuple(overlays), loras)


def _lora(path: Path) -> Path:
    """The file of a LoRA; ValueError if it is none."""
    file = path / "pytorch_lora_weights.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"there is no LoRA at {path}; name its .safetensors file or its folder")
    if not any("lora" in name for name in header(file)):
        raise ValueError(f"{file} holds no LoRA; name one in diffusers' format")
    return file


def load(
    named: str,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    report: Report | None = None,
) -> Denoiser:
    """The prior in a directory (or hub id), with what is laid over it: see the module's top.

    `dtype` is float32 on a CPU and float16 elsewhere if not given. ValueError, before anything is
    loaded, for what is missing, foreign, pickled or cut off.
    """
    there = found(Checkpoint.parse(named))
    kept = dtype or (torch.float32 if device == "cpu" else torch.float16)
    return assembled(there, Loading(there, device, kept, report or Silent()))


@final
class Loading:
    """Loads the parts of a checkpoint one after another, and tells how far it is.

    On the device "meta" nothing is read but configurations and tokenizers.
    """

    def __init__(self, there: Found, device: str, dtype: torch.dtype, report: Report) -> None:
        self._device, self._dtype, self._report = device, dtype, report
        files = [p.files for found in there.directories for p in found.parts if p.files]
        self._total, self._done = sum(f.stored for f in files), 0
        report.stage(f"loading {there.base.path.name}")

    def model(self, part: Part) -> Any:
        """A model with its weights, frozen. ValueError if they do not fit its configuration."""
        told = read_json(part.folder / "config.json")
        if self._device == "meta":
            return frozen(_shaped(part, told).to(self._dtype))
        exact = bool(told.get("force_upcast")) and self._dtype == torch.float16
        dtype = torch.float32 if exact else self._dtype
        options: dict[str, Any] = {"torch_dtype": dtype}
        if part.library == "transformers":
            options = {"dtype": dtype}
        with _quiet():
            try:
                model, info = _class(part).from_pretrained(
                    str(part.folder),
                    variant=part.variant,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    **options,
                )
            except (ValueError, OSError, RuntimeError, TypeError, KeyError) as error:
                raise ValueError(_unfit(part, " ".join(str(error).split())[:200])) from error
        for what in ("missing", "unexpected", "mismatched"):
            names = sorted(str(name) for name in info[f"{what}_keys"])
            if names:
                raise ValueError(_unfit(part, f"{len(names)} {what}, {names[0]} the first"))
        self._done += part.files.stored if part.files else 0
        self._report.step(self._done, self._total)
        return frozen(model.to(self._device))

    def tokenizer(self, part: Part) -> Any:
        """A tokenizer."""
        with _quiet():
            try:
                return _class(part).from_pretrained(str(part.folder), local_files_only=True)
            except (ValueError, OSError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{part.folder} holds no {part.cls}: {' '.join(str(error).split())[:200]}"
                ) from error


def _shaped(part: Part, told: dict[str, object]) -> Any:
    """The model without weights, on the meta device. ValueError if its configuration is wrong."""
    cls = _class(part)
    with _quiet(), torch.device("meta"):
        try:
            if part.library != "transformers":
                return cls.from_config(told)
            return cls(cls.config_class(**told))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{part.folder}/config.json tells no {part.cls}: {reason}") from error


def _unfit(part: Part, why: str) -> str:
    return (
        f"the weights in {part.folder} are not those of the {part.cls} that its config.json "
        f"tells ({why}); download both from one place"
    )


def _class(part: Part) -> Any:
    """The class of a part; ValueError if its library has none of that name."""
    if part.library == "incarnate":
        from incarnate.priors import pose, projection

        own = {"PoseGuider": pose.PoseGuider, "ProjectionBranch": projection.ProjectionBranch}
        if part.cls in own:
            return own[part.cls]
    else:
        library = importlib.import_module(part.library)
        # Asking for all names would take transformers a second.
        if part.cls.isidentifier() and part.cls[0].isupper():
            theirs = getattr(library, part.cls, None)
            if theirs is not None:
                return theirs
    raise ValueError(
        f"{part.folder} wants the class {part.cls}, which {part.library} has not; "
        "is the directory newer than this installation?"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' own bars and remarks: what matters is raised."""
    import diffusers.utils.logging as theirs
    import transformers.utils.logging as others

    levels = theirs.get_verbosity(), others.get_verbosity()
    bars = others.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    others.set_verbosity_error()
    others.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        theirs.set_verbosity(levels[0])
        others.set_verbosity(levels[1])
        if bars:
            others.enable_progress_bar()


def assembled(there: Found, loading: Loading) -> Denoiser:
    """The prior of a checked checkpoint. ValueError for overlays that its kind does not take."""
    base = there.base
    match base.kind:
        case (
            "StableDiffusionPipeline"
            | "StableDiffusionInpaintPipeline"
            | "StableDiffusionControlNetPipeline"
            | "StableDiffusionXLPipeline"
        ):
            return _stable(there, loading)
        case _:
            raise ValueError(
                f"{base.path} is a single {base.kind}; it is laid over a base, as in "
                f"BASE+KIND:{base.path}"
            )


def _stable(there: Found, loading: Loading) -> Denoiser:
    base = there.base
    _check_overlays(there, "normal", "depth", "pose", "unet", "vae", "lora")
    controls = [(kind, found.part("model")) for kind in CONTROLS for found in there.over(kind)]
    if base.kind == "StableDiffusionControlNetPipeline" and not controls:
        raise ValueError(
            f"{base.path} has a ControlNet within, but does not tell what it reads; say so as "
            f"{base.path}+normal:{base.path / 'controlnet'} (or depth, or pose)"
        )
    text = clip_text(base, loading)
    vae = Autoencoder(loading.model(_chosen(there, "vae")))
    nets = tuple(Control(kind, loading.model(part)) for kind, part in controls)
    return StableDiffusion(_unet(there, loading), vae, text, schedule(base), nets)


def clip_text(base: Directory, loading: Loading) -> TextEncoder:
    """The text encoder, or SDXL's two."""
    first = loading.model(base.part("text_encoder")), loading.tokenizer(base.part("tokenizer"))
    if base.kind != "StableDiffusionXLPipeline":
        return ClipText(*first)
    second = loading.model(base.part("text_encoder_2")), loading.tokenizer(base.part("tokenizer_2"))
    zeros = bool(base.settings.get("force_zeros_for_empty_prompt", True))
    return XlText((first[0], second[0]), (first[1], second[1]), zeros)


def schedule(base: Directory) -> Schedule:
    """What the directory's scheduler says."""
    return schedule_of(read_json(base.part("scheduler").folder / "scheduler_config.json"))


def _unet(there: Found, loading: Loading) -> "UNet2DConditionModel":
    """The UNet, with the LoRAs worked into its weights."""
    unet = loading.model(_chosen(there, "unet"))
    for path in there.loras:
        _need_peft()
        with _quiet():
            try:
                unet.load_lora_adapter(str(path), prefix="unet")
            except (ValueError, RuntimeError, KeyError) as error:
                reason = " ".join(str(error).split())[:200]
                raise ValueError(f"the LoRA {path} does not fit this UNet: {reason}") from error
            unet.fuse_lora()
            unet.unload_lora()
    return frozen(unet)


def _need_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise ValueError("a LoRA wants the package peft; pip install 'incarnate[train]'")


def _chosen(there: Found, kind: Literal["unet", "vae"]) -> Part:
    """The base's part, or what is laid over it."""
    over = there.over(kind)
    return over[0].part("model") if over else there.base.part(kind)


def _check_overlays(there: Found, *taken: OverlayKind) -> None:
    """ValueError for an overlay that this kind of base does not take."""
    given = [kind for kind, _ in there.overlays] + ["lora" for _ in there.loras]
    foreign = [kind for kind in given if kind not in taken]
    if foreign:
        raise ValueError(
            f"{there.base.path} is a {there.base.kind}, which takes no +{foreign[0]}:; "
            f"it takes {', '.join(taken) or 'none'}"
        )
