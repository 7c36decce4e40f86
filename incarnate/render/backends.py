"""Who draws. A backend is loaded when it is asked for, and refused aloud where it cannot run."""

from types import ModuleType
from typing import Literal, assert_never

import torch

Backend = Literal["torch", "native", "gsplat"]


def backend_of(name: Backend) -> ModuleType:
    """The module of that name, with `splat` and `draw`.

    ValueError or OSError if this machine cannot run it.
    """
    match name:
        case "torch":
            from incarnate.render import splat

            return splat
        case "native":
            return core()
        case "gsplat":
            if not torch.cuda.is_available():
                raise ValueError("gsplat needs a CUDA device; use 'native' on a CPU")
            from incarnate.render import gsplat

            return gsplat
        case _:
            assert_never(name)


def core() -> ModuleType:
    """The compiled core. OSError if it does not load."""
    try:
        from incarnate.render import native
    except ImportError as error:
        raise OSError(
            f"incarnate's compiled core does not load ({error}); build it with "
            "`pip install --no-build-isolation -e .`, or use the 'torch' backend"
        ) from error
    return native
