"""The process that reads one pickled file: `python -m incarnate.priors.unpickle FROM TO [KEY]`.

Apart from the caller, so that whatever a file does to its reader, it does to nobody else.
"""

import pickle
import sys
from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

TOP = "."  # The key of what lies in no part of the file.
PREFIXES = ("module.", "_orig_mod.")  # What DistributedDataParallel and compile put before names.


def main(source: str, target: str, key: str | None) -> int:
    """Writes the tensors of `source`; prints what is left behind, or why there are none."""
    try:
        held = torch.load(source, map_location="cpu", weights_only=True)
        tensors, left = weights_of(held, key)
        safetensors.torch.save_file(tensors, target, metadata={"format": "pt"})
    except pickle.UnpicklingError:
        return _failed("it holds more than tensors: reading it would run code; do not trust it")
    except (ValueError, OSError, RuntimeError, EOFError, KeyError, AttributeError) as error:
        return _failed(" ".join(str(error).split())[:300] or type(error).__name__)
    sys.stdout.write(", ".join(left) + "\n")
    return 0


def weights_of(held: object, key: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors, contiguous and each its own, and the names of what is left behind.

    Without a key, the one mapping of names to tensors that there is, at any depth; ValueError if
    there are several, with their names.
    """
    found = {path or TOP: tensors for path, tensors in _mappings(held, "")}
    if key is not None:
        if key not in found:
            raise ValueError(f"it has no weights under '{key}', but under {_told(found)}")
        path = key
    elif len(found) == 1:
        path = next(iter(found))
    else:
        raise ValueError(
            f"it has weights under {_told(found)}; choose with --key" if found else "no weights"
        )
    chosen = found[path]
    tensors = {_plain(k): v.detach().clone().contiguous() for k, v in chosen.items()}
    if len(tensors) < len(chosen):
        raise ValueError("names that differ by 'module.' alone name different weights")
    left = [name for name in found if name != path]
    return tensors, left


def _mappings(held: object, path: str) -> list[tuple[str, dict[str, Tensor]]]:
    """Every mapping that has tensors by name, with the path to it ('' is the top)."""
    match held:
        case Mapping():
            own = {str(k): v for k, v in held.items() if type(k) is str and _is_weight(v)}
            found = [(path, own)] if own else []
            for name, value in held.items():
                if type(name) is str:
                    found += _mappings(value, f"{path}.{name}" if path else name)
            return found
        case _:
            return []


def _is_weight(value: object) -> bool:
    match value:
        case Tensor():
            return value.layout == torch.strided and not value.is_quantized
        case _:
            return False


def _plain(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _told(found: Mapping[str, Mapping[str, Tensor]]) -> str:
    return ", ".join(f"'{path}' ({len(tensors)} tensors)" for path, tensors in found.items())


def _failed(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
