"""What a diffusers directory holds, found out and checked before anything is loaded."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from incarnate.priors.files import Files, read_json, weight_files

Library = Literal["diffusers", "transformers", "incarnate"]
MODELS = "diffusers", "transformers", "incarnate"
INDEX = "model_index.json"

_TEXT = ("tokenizer", "text_encoder")
_LATENT = ("unet", "vae", "scheduler")
PARTS: dict[str, tuple[str, ...]] = {
    "StableDiffusionPipeline": (*_TEXT, *_LATENT),
    "StableDiffusionInpaintPipeline": (*_TEXT, *_LATENT),
    "StableDiffusionControlNetPipeline": (*_TEXT, *_LATENT, "controlnet"),
    "StableDiffusionXLPipeline": (*_TEXT, "tokenizer_2", "text_encoder_2", *_LATENT),
    "AnimateDiffPipeline": (*_TEXT, *_LATENT, "motion_adapter"),
    "MarigoldDepthPipeline": (*_TEXT, *_LATENT),
    "MarigoldNormalsPipeline": (*_TEXT, *_LATENT),
    "StableVideoDiffusionPipeline": ("image_encoder", *_LATENT),
    "WanVACEPipeline": (*_TEXT, "transformer", "vae", "scheduler"),
    "WanAnimatePipeline": (*_TEXT, "image_encoder", "transformer", "vae", "scheduler"),
    "ReferenceAnimator": (
        "image_encoder",
        "reference_unet",
        "pose_guider",
        "motion_adapter",
        *_LATENT,
    ),
    "ProjectedInpainter": (*_TEXT, *_LATENT, "projection"),
}
"""The parts that we load of each kind of directory; others (safety checkers, ...) stay on disk."""

OPTIONAL = ("motion_adapter",)  # An animator of pictures has none.
OVERLAYS: dict[str, Library] = {
    "ControlNetModel": "diffusers",
    "MotionAdapter": "diffusers",
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "PoseGuider": "incarnate",
}
"""Single models that may lie in a directory of their own."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
_UNETS = ("UNet2DConditionModel", "UNetMotionModel", "UNetSpatioTemporalConditionModel")
_TEXTS = ("CLIPTextModel", "CLIPTextModelWithProjection", "T5EncoderModel", "UMT5EncoderModel")
_TOKENIZERS = (
    "CLIPTokenizer",
    "CLIPTokenizerFast",
    "PreTrainedTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
    "TokenizersBackend",
)
CLASSES: dict[str, tuple[str, ...]] = {
    "tokenizer": _TOKENIZERS,
    "tokenizer_2": _TOKENIZERS,
    "text_encoder": _TEXTS,
    "text_encoder_2": _TEXTS,
    "image_encoder": ("CLIPVisionModel", "CLIPVisionModelWithProjection"),
    "unet": _UNETS,
    "reference_unet": _UNETS,
    "vae": ("AutoencoderKL", "AutoencoderKLTemporalDecoder", "AutoencoderKLWan"),
    "transformer": ("WanVACETransformer3DModel", "WanAnimateTransformer3DModel"),
    "controlnet": ("ControlNetModel",),
    "motion_adapter": ("MotionAdapter",),
    "pose_guider": ("PoseGuider",),
    "projection": ("ProjectionBranch",),
}
"""What a part may be. None of these runs code of its folder, as `Auto...` classes may."""
_REDIRECTING = ("auto_map", "attn_implementation", "_attn_implementation", "quantization_config")
"""Settings that make transformers fetch or run something else than it was asked for."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@final
@dataclass(frozen=True)
class Part:
    """One part of a directory: a model with its weights, a tokenizer or a scheduler."""

    name: str
    library: str
    cls: str
    folder: Path
    files: Files | None = None
    """The weights; None of what has none."""
    variant: str | None = None


@final
@dataclass(frozen=True)
class Directory:
    """A checked directory."""

    path: Path
    kind: str
    """The pipeline's class, or the model's if the directory holds a single one."""
    parts: tuple[Part, ...]
    settings: dict[str, object]
    """What else its index says."""

    def part(self, name: str) -> Part:
        """The part of that name; ValueError if it is not there."""
        for part in self.parts:
            if part.name == name:
                return part
        raise ValueError(f"{self.path} has no {name}")

    @property
    def parameters(self) -> int:
        """How many numbers all parts hold."""
        return sum(part.files.parameters for part in self.parts if part.files)

    @property
    def licence(self) -> str:
        """What its card says of the licence, or that it says nothing."""
        card = self.path / "README.md"
        text = card.read_text(errors="replace") if card.exists() else ""
        head = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
        told = re.search(r"^license_name:\s*(\S+)", head, re.M) or re.search(
            r"^license:\s*(\S+)", head, re.M
        )
        return told.group(1) if told else "not said in the directory: look where you got it"


def directory(named: str) -> Directory:
    """The checked contents of a directory, or of a hub id that is in the local cache or reachable.

    ValueError, in one line that says what to do, for what is missing, foreign, pickled or cut off.
    """
    path = located(named)
    if (path / INDEX).exists():
        return _pipeline(path)
    if (path / "config.json").exists():
        return _single(path)
    single = sorted(p.name for p in path.iterdir() if p.suffix in (".safetensors", ".ckpt", ".pth"))
    if single:
        raise ValueError(
            f"{path} holds a single-file checkpoint ({single[0]}), not a diffusers directory; "
            "convert it with diffusers' from_single_file(...).save_pretrained(...)"
        )
    raise ValueError(
        f"{path} is no diffusers directory: it has no {INDEX} and no config.json; "
        "name the folder that holds one"
    )


def located(named: str) -> Path:
    """The folder of a path or of a hub id; ValueError if it is neither."""
    try:
        path = Path(named).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{named}: {error}; write the folder out") from error
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(
            f"{path} is a file; name a diffusers directory (`incarnate weights convert` reads "
            ".pth and .ckpt files)"
        )
    if not _HUB_ID.fullmatch(named):
        raise ValueError(
            f"there is no directory {named}; name a diffusers directory, or a hub id as owner/name"
        )
    return _of_hub(named)


def _of_hub(repo: str) -> Path:
    """The cached snapshot of a hub id; fetched when there is none and the hub can be reached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*/*.json", "*/*.txt", "*/*.model", "README.md"]
    weights = ["*/*.safetensors", "diffusion_pytorch_model*.safetensors"]
    left = ["*.fp16.*", "*.non_ema.*", "*.ema_only.*", "onnx/*", "openvino/*", "flax/*"]
    try:
        return Path(snapshot_download(repo, allow_patterns=wanted + weights, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        pass
    try:
        return Path(snapshot_download(repo, allow_patterns=wanted + weights, ignore_patterns=left))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"there is no directory {repo}, and as a hub id it is neither in the local cache nor "
            f"to be had ({type(error).__name__}); fetch it where there is a network "
            f"(`hf download {repo}`) and name the folder"
        ) from error


def _pipeline(path: Path) -> Directory:
    index = read_json(path / INDEX)
    kind = str(index.pop("_class_name", None) or "")
    if kind not in PARTS:
        raise ValueError(
            f"{path} is a {kind or 'directory without a pipeline class'}, which incarnate cannot "
            f"use; it reads {', '.join(PARTS)}"
        )
    parts = [_part(path, kind, name, index.get(name)) for name in PARTS[kind]]
    settings = {k: v for k, v in index.items() if not k.startswith("_") and type(v) is not list}
    return Directory(path, kind, tuple(part for part in parts if part is not None), settings)


def _part(path: Path, kind: str, name: str, told: object) -> Part | None:
    match told:
        case [str() as library, str() as cls] if library in MODELS:
            if cls not in CLASSES.get(name, (cls,)):
                raise ValueError(
                    f"{path}: {name} is a {cls}; incarnate loads {', '.join(CLASSES[name])} there"
                )
            return _read(name, library, cls, path / name)
        case None | [None, None] if name in OPTIONAL:
            return None
        case None | [None, None]:
            raise ValueError(f"{path} is a {kind} without {name}; download it whole")
        case _:
            raise ValueError(
                f"{path}: {name} is of {told}, and only classes of {', '.join(MODELS)} are loaded"
            )


def _read(name: str, library: str, cls: str, folder: Path) -> Part:
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing; download the directory whole")
    if name.startswith("tokenizer"):
        if not any((folder / file).exists() for file in VOCABULARIES):
            raise ValueError(f"{folder} has no {' or '.join(VOCABULARIES)}; download it whole")
        return Part(name, library, cls, folder)
    if name == "scheduler":
        read_json(_there(folder / "scheduler_config.json"))
        return Part(name, library, cls, folder)
    told = read_json(_there(folder / "config.json"))
    redirecting = [key for key in _REDIRECTING if key in told]
    if redirecting or (folder / "adapter_config.json").exists():
        raise ValueError(
            f"{folder} points to something else ({(*redirecting, 'adapter_config.json')[0]}), "
            "which incarnate does not follow; use plain weights"
        )
    files, variant = weight_files(folder)
    return Part(name, library, cls, folder, files, variant)


def _there(path: Path) -> Path:
    if not path.exists():
        raise ValueError(f"{path} is missing; download the directory whole")
    return path


def _single(path: Path) -> Directory:
    cls = str(read_json(path / "config.json").get("_class_name", ""))
    if cls not in OVERLAYS:
        raise ValueError(
            f"{path} holds a {cls or 'model of unknown class'}; a pipeline's directory was wanted, "
            f"or one of {', '.join(OVERLAYS)}"
        )
    return Directory(path, cls, (_read("model", OVERLAYS[cls], cls, path),), {})
