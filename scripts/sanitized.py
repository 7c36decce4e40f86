"""Runs tests on the compiled core in a build folder instead of the installed one.

python scripts/sanitized.py FOLDER TEST...
"""

import importlib.util
import sys
from pathlib import Path

import pytest


def load(folder: Path) -> None:
    (built,) = folder.glob("_native*")
    spec = importlib.util.spec_from_file_location("incarnate._native", built)
    if spec is None or spec.loader is None:
        raise ImportError(f"{built} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["incarnate._native"] = module  # Found there before any finder is asked.


if __name__ == "__main__":
    load(Path(sys.argv[1]))
    sys.exit(pytest.main(["-q", *sys.argv[2:]]))
