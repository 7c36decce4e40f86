"""Models out of checked directories, one after another."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import torch

from incarnate.priors.autoencoder import frozen
from incarnate.priors.checkpoint import Found
from incarnate.priors.directory import Part
from incarnate.priors.files import read_json
from incarnate.progress import Report


@final
class Loading:
    """Loads the parts of a checkpoint one after another, and tells how far it is.

    On the device "meta" nothing is read but configurations and tokenizers.
    """

    def __init__(self, there: Found, device: str, dtype: torch.dtype, report: Report) -> None:
        self.device, self._dtype, self._report = device, dtype, report
        files = [part.files for part in there.kept if part.files]
        self._total, self._done = sum(f.stored for f in files), 0
        report.stage(f"loading {there.base.path.name}")

    def model(self, part: Part) -> Any:
        """A model with its weights, frozen. ValueError if they do not fit its configuration."""
        told = read_json(part.folder / "config.json")
        if self.device == "meta":
            return frozen(_fitting(part, _shaped(part, told, self._dtype)))
        exact = bool(told.get("force_upcast")) and self._dtype == torch.float16
        dtype = torch.float32 if exact else self._dtype
        options: dict[str, Any] = {"torch_dtype": dtype}
        if part.library == "transformers":
            options = {"dtype": dtype, "trust_remote_code": False}
        with quiet():
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
        self._done += part.files.stored if part.files else 0
        self._report.step(self._done, self._total)
        return frozen(model.to(self.device))

    def tokenizer(self, part: Part) -> Any:
        """A tokenizer."""
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
def quiet() -> Iterator[None]:
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
