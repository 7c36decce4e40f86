"""What this installation has, what is missing, and how to get it."""

import importlib
import importlib.util
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import torch

from incarnate.core import UnknownInstructionSet, loaded
from incarnate.weights import TABLE, Weights, path, verify

State = Literal["ok", "optional", "missing"]
SIGNS: dict[State, str] = {"ok": "ok", "optional": "--", "missing": "!!"}

LIBRARIES = "on Debian or Ubuntu: apt-get install libgl1 libegl1 libgles2"
REINSTALL = "install incarnate again (in a checkout: make setup)"


@dataclass(frozen=True)
class Check:
    """One thing an installation may have."""

    name: str
    state: State
    """`missing` keeps incarnate from working, `optional` does not."""
    detail: str
    remedy: str = ""
    """How to get what is not there."""


@dataclass(frozen=True)
class Diagnosis:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing needed is missing."""
        return all(check.state != "missing" for check in self.checks)

    def text(self) -> str:
        """For people: a line each, and a remedy where one is needed."""
        lines: list[str] = []
        for check in self.checks:
            lines.append(f"{SIGNS[check.state]}  {check.name:<20}  {check.detail}")
            if check.state != "ok" and check.remedy:
                lines.append(f"    {'':<20}  -> {check.remedy}")
        lines.append("All that is needed is here." if self.healthy else "!! marks what is missing.")
        return "\n".join(lines) + "\n"

    def json(self) -> str:
        """For machines."""
        checks = [asdict(check) for check in self.checks]
        return json.dumps({"healthy": self.healthy, "checks": checks}, indent=1) + "\n"


def diagnosis() -> Diagnosis:
    """Looks at everything; takes a few seconds, since weights are read and hashed."""
    return Diagnosis(
        (
            Check("python", "ok", f"{platform.python_version()}, {platform.platform()}"),
            *(_package(name) for name in PACKAGES),
            _processor(),
            _cuda(),
            _native(),
            _libgl(),
            *(_codec(name, use) for name, use in CODECS.items()),
            *(_speech(name, use) for name, use in SPEECH.items()),
            *(_weights(row) for row in TABLE),
            _credential(),
            _matting(),
            _training(),
            _viewer(),
        )
    )


PACKAGES = ("incarnate", "torch", "numpy", "mediapipe", "av", "diffusers", "transformers")
CODECS = {
    "libx264": "H.264 for .mp4",
    "libvpx-vp9": "VP9 for .webm, with alpha",
    "aac": "sound in .mp4",
    "libopus": "sound in .webm",
}
SPEECH = {
    "hibari-tts": "reads sentences out (Apache-2.0, network in its package)",
    "hama": "tells the sounds of recordings (Apache-2.0, network in its package)",
}


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "missing", "not installed", REINSTALL)


def _processor() -> Check:
    isa = torch.backends.cpu.get_cpu_capability()
    return Check("processor", "ok", f"{isa}, {torch.get_num_threads()} threads for torch")


def _cuda() -> Check:
    if torch.cuda.is_available():
        return Check("cuda", "ok", torch.cuda.get_device_name())
    return Check("cuda", "optional", "no CUDA device: everything runs on the processor")


def _native() -> Check:
    if importlib.util.find_spec("incarnate._native") is None:
        return Check(
            "native renderer", "missing", "not built", f"needs a C++17 compiler; {REINSTALL}"
        )
    try:
        core = loaded()
    except UnknownInstructionSet as error:
        return Check("native renderer", "missing", str(error))  # It says what to do itself.
    except ImportError as error:
        return Check("native renderer", "missing", str(error), REINSTALL)
    return Check(
        "native renderer",
        "ok",
        f"{core.instruction_set()} of {', '.join(core.instruction_sets())} (INCARNATE_ISA picks), "
        f"{core.threads()} threads",
    )


def _libgl() -> Check:
    try:
        importlib.import_module("cv2")
        importlib.import_module("mediapipe.tasks.python.vision")
    except (ImportError, OSError) as error:
        return Check("mediapipe and libGL", "missing", str(error), LIBRARIES)
    return Check("mediapipe and libGL", "ok", "load")


def _codec(name: str, use: str) -> Check:
    import av.codec

    if name not in av.codec.codecs_available:
        return Check(
            name, "missing", f"this PyAV cannot write {use}", "pip install --force-reinstall av"
        )
    note = " (x264 in PyAV's builds is GPL)" if name == "libx264" else ""
    return Check(name, "ok", use + note)


def _speech(name: str, use: str) -> Check:
    try:
        number = version(name)
    except PackageNotFoundError:
        return Check(name, "missing", f"not installed: {use}", REINSTALL)
    from incarnate.speech import hama_loads

    if name == "hama" and not hama_loads():
        return Check(name, "optional", "no library for this machine: mouths follow loudness alone")
    return Check(name, "ok", f"{number}, {use}")


def _weights(row: Weights) -> Check:
    name, origin = f"{row.name} weights", f"{row.licence}; {row.origin}"
    try:
        found = path(row.name)
    except OSError as error:
        return Check(name, "missing", str(error), REINSTALL)
    if not verify(row.name):
        return Check(name, "missing", f"{found.name} differs from the one shipped", REINSTALL)
    return Check(name, "ok", f"{row.file}, sha256 {row.sha256[:12]}, {origin}")


def _credential() -> Check:
    from incarnate.io.credentials import CHAIN, KEY, credential, named, self_made

    try:
        if named() is not None:
            return Check("credential", "ok", f"{credential().holder}: your own ({CHAIN}, {KEY})")
        if self_made().exists():
            held = f"{credential().holder} ({self_made()}): untrusted elsewhere"
            return Check("credential", "ok", held)
    except (OSError, ValueError) as error:
        return Check("credential", "missing", str(error), f"mend it, or unset {CHAIN} and {KEY}")
    remedy = f"one is made at first use; your own: {CHAIN} and {KEY}, see docs/provenance.md"
    return Check("credential", "optional", "none yet to sign what is made", remedy)


def _matting() -> Check:
    if importlib.util.find_spec("onnxruntime") is None:
        remedy = "for --matting-model: pip install 'incarnate[matting]'"
        return Check("onnxruntime", "optional", "not installed", remedy)
    return Check("onnxruntime", "ok", f"{version('onnxruntime')}, for --matting-model")


def _training() -> Check:
    needed = ("peft", "tensorboard", "webdataset")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        remedy = "for `incarnate train` and LoRAs: pip install 'incarnate[train]'"
        return Check("training", "optional", f"without {', '.join(missing)}", remedy)
    told = ", ".join(f"{name} {version(name)}" for name in needed)
    return Check("training", "ok", f"{told}, for `incarnate train` and LoRAs")


def _viewer() -> Check:
    if importlib.util.find_spec("viser") is None:
        remedy = "for `incarnate view` and --viewer: pip install 'incarnate[viewer]'"
        return Check("viewer", "optional", "without viser", remedy)
    return Check("viewer", "ok", f"viser {version('viser')}, for `incarnate view` and --viewer")
