"""The compiled core: whether it loads, and which tensors its kernels take.

Without torch, so that the command line can ask before anything slow is imported.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class UnknownInstructionSet(ValueError):
    """INCARNATE_ISA names an instruction set that this machine or this build has not."""


def loaded() -> ModuleType:
    """The core. UnknownInstructionSet tells which there are; ImportError that it is not there."""
    try:
        return importlib.import_module("incarnate._native")
    except ImportError as error:
        if error.name is not None:  # Python names what it cannot load: the core was not asked.
            raise
        raise UnknownInstructionSet(str(error)) from error


def check(instead: str, **tensors: "Tensor") -> None:
    """ValueError, naming what to use instead, for a tensor that is not float32 on the CPU."""
    import torch

    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"the compiled core takes float32 on the CPU, but {name} came as {tensor.dtype} on "
                f"{tensor.device}; convert it, or use {instead}"
            )
