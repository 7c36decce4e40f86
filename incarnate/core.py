"""The compiled core, as everything loads it whose errors are for users to read.

Without torch, so that the command line can ask before anything slow is imported.
"""

import importlib
from types import ModuleType


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
