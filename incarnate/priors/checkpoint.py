"""A checkpoint by name: a base and what is laid over it, checked but not loaded."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final, get_args

from incarnate.priors.directory import Directory, Part, directory
from incarnate.priors.files import header

OverlayKind = Literal["normal", "depth", "pose", "projection", "motion", "unet", "vae", "lora"]
OVERLAY_KINDS: tuple[OverlayKind, ...] = get_args(OverlayKind)


@final
@dataclass(frozen=True)
class Overlay:
    """What is laid over a base: what reads the part `kind`, motion modules, a LoRA, ..."""

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

    @property
    def kept(self) -> tuple[Part, ...]:
        """What is loaded: without what an overlay takes the place of, or what nobody asked for."""
        left = {kind for kind, _ in self.overlays if kind in ("unet", "vae")} | {"controlnet"}
        own = [part for part in self.base.parts if part.name not in left]
        return (*own, *(part for _, found in self.overlays for part in found.parts))

    @property
    def parameters(self) -> int:
        """How many numbers they hold."""
        return sum(part.files.parameters for part in self.kept if part.files)

    def over(self, kind: OverlayKind) -> tuple[Directory, ...]:
        """What of this kind is laid over the base."""
        return tuple(found for told, found in self.overlays if told == kind)

    def part(self, kind: Literal["unet", "vae"]) -> Part:
        """The base's, or what is laid over it."""
        over = self.over(kind)
        return over[0].part("model") if over else self.base.part(kind)

    @property
    def guides(self) -> tuple[tuple[OverlayKind, Directory], ...]:
        """The overlays that are guiders (`priors.guiders`)."""
        return tuple(pair for pair in self.overlays if pair[1].kind == "PoseGuider")

    def takes(self, *kinds: OverlayKind) -> None:
        """ValueError for an overlay of another kind than these."""
        given = [kind for kind, _ in self.overlays] + ["lora" for _ in self.loras]
        foreign = [kind for kind in given if kind not in kinds]
        if foreign:
            raise ValueError(
                f"{self.base.path} is a {self.base.kind}, which takes no +{foreign[0]}:; "
                f"it takes {', '.join(kinds) or 'none'}"
            )


_CLASSES: dict[OverlayKind, tuple[str, ...]] = {
    "normal": ("ControlNetModel", "PoseGuider"),
    "depth": ("ControlNetModel",),
    "pose": ("ControlNetModel", "PoseGuider"),
    "projection": ("PoseGuider",),
    "motion": ("MotionAdapter",),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
}


def found(checkpoint: Checkpoint) -> Found:
    """The checkpoint's directories, checked; nothing is loaded. ValueError says what is wrong."""
    overlays = []
    for overlay in checkpoint.overlays:
        if overlay.kind == "lora":
            continue
        there = directory(overlay.named)
        if there.kind not in _CLASSES[overlay.kind]:
            raise ValueError(
                f"{there.path} holds a {there.kind}; as +{overlay.kind}: a "
                f"{' or '.join(_CLASSES[overlay.kind])} was wanted"
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
