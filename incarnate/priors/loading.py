"""Models out of checked directories, one after another."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, final

import torch

from incarnate.priors.autoencoder import frozen
from incarnate.priors.checkpoint import Found
from incarnate.priors.directory import Part
from incarnate.priors.files import read_json
from incarnate.priors.lean import LeanClip, LeanWords
from incarnate.progress import Report


@final
class Loading:
    """Loads the parts of a checkpoint one after another, and tells how far it is.

    On the device "meta" nothing is read but configurations and tokenizers. The `quick` take CLIP's
    text encoder without transformers (`priors.lean`).
    """

    def __init__(
        self,
        there: Found,
        device: str,
        dtype: torch.dtype,
        report: Report,
        quick: bool = False,
    ) -> None:
        self.device, self._dtype, self._report = device, dtype, report
        self._quick = quick
        files = [part.files for part in there.kept if part.files]
        self._total, self._done = sum(f.stored for f in files), 0
        report.stage(f"loading {there.base.path.name}")

    def model(self, part: Part) -> Any:
        """A model with its weights, frozen. ValueError if they do not fit its configuration."""
        told = read_json(part.folder / "config.json")
        if self.device == "meta":
            return frozen(_fitting(part, _shaped(part, told, self._dtype)))
        if (
            self._quick
            and part.cls == "CLIPTextModel"
            and part.files
            and len(part.files.paths) == 1
        ):
            (weights,) = part.files.paths
            return self._done_with(part, LeanClip(part.folder, weights, self.device, self._dtype))
        exact = bool(told.get("force_upcast")) and self._dtype == torch.float16
        dtype = torch.float32 if exact else self._dtype
        options: dict[str, Any] = {"torch_dtype": dtype}
        if part.library == "transformers":
            options = {"dtype": dtype, "trust_remote_code": False}
        with quiet(self._quick):
            try:
                model, info = _class(part).from_pretrained(
                    str(part.folder),
                    variant=part.variant,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    **options,
                )
            except Exception as error:  # Whatever a library says of a stranger's files.
                raise ValueError(_unfit(part, " ".join(str(error).split())[:200])) from error
        for what in ("missing", "unexpected", "mismatched"):
            names = sorted(str(name) for name in info[f"{what}_keys"])
            if names:
                raise ValueError(_unfit(part, f"{len(names)} {what}, {names[0]} the first"))
        return self._done_with(part, frozen(model.to(self.device)))

    def _done_with(self, part: Part, model: Any) -> Any:
        self._done += part.files.stored if part.files else 0
        self._report.step(self._done, self._total)
        return model

    def tokenizer(self, part: Part) -> Any:
        """A tokenizer."""
        if self._quick and (part.folder / "tokenizer.json").exists():
            return LeanWords(part.folder)
        with quiet():
            try:
                return _class(part).from_pretrained(
                    str(part.folder), local_files_only=True, trust_remote_code=False
                )
            except Exception as error:  # As above.
                raise ValueError(
                    f"{part.folder} holds no {part.cls}: {' '.join(str(error).split())[:200]}"
                ) from error


def _shaped(part: Part, told: dict[str, object], dtype: torch.dtype) -> Any:
    """The model without weights, on the meta device. ValueError if its configuration is wrong."""
    cls = _class(part)
    with quiet(), torch.device("meta"):
        try:
            if part.library != "transformers":
                return cls.from_config(told).to("meta", dtype)
            return cls(cls.config_class(**told)).to("meta", dtype)
        except Exception as error:  # As above.
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{part.folder}/config.json tells no {part.cls}: {reason}") from error


def _fitting(part: Part, model: Any) -> Any:
    """The model; ValueError if its files hold more or fewer numbers than it has."""
    count = sum(weight.numel() for weight in model.state_dict().values())
    # transformers ties weights and drops old ones; its own check is made when they are loaded.
    if part.files and part.library != "transformers" and count != part.files.parameters:
        raise ValueError(_unfit(part, f"{part.files.parameters} numbers for {count}"))
    return model


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
def quiet(quick: bool = False) -> Iterator[None]:
    """Without the libraries' own bars and remarks: what matters is raised.

    With `quick`, transformers is left alone if nobody has imported it.
    """
    import diffusers.utils.logging as theirs

    level = theirs.get_verbosity()
    theirs.set_verbosity_error()
    silent = nullcontext() if quick and "transformers" not in sys.modules else _transformers_quiet()
    try:
        with warnings.catch_warnings(), silent:
            warnings.simplefilter("ignore")
            yield
    finally:
        theirs.set_verbosity(level)


@contextmanager
def _transformers_quiet() -> Iterator[None]:
    import transformers.utils.logging as others

    level, bars = others.get_verbosity(), others.is_progress_bar_enabled()
    others.set_verbosity_error()
    others.disable_progress_bar()
    try:
        yield
    finally:
        others.set_verbosity(level)
        if bars:
            others.enable_progress_bar()
