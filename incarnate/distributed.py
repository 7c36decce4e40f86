"""Several processes at one task, as torchrun starts them; one process alone is the plain case.

Outside a group there is rank 0 of 1, a share is everything, and a mean is the value itself.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@contextmanager
def group() -> Iterator[None]:
    """Inside, the processes that torchrun announces (WORLD_SIZE in the environment) are one group.

    Tensors on the CPU travel by gloo, those on GPUs by nccl.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Which of the processes this is; also known before the group meets."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Which of the processes of this machine this is, and so whose GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """How many processes the group has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of the work: every so many-th item."""
    return items[rank() :: size()] if size() > 1 else items


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if size() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total / size()


def agreed(flag: bool) -> bool:
    """Whether any of the processes says so; all get the same answer."""
    return float(mean(torch.tensor(float(flag)))) > 0


def together(work: Callable[[], T]) -> T:
    """What `work` gives here, if it fails nowhere.

    Else the first process that failed raises its ValueError or OSError, and the others leave
    without a word: what is wrong is told once, and nobody waits for who has gone.
    """
    result: list[T] = []
    error: ValueError | OSError | None = None
    try:
        result.append(work())
    except (ValueError, OSError) as refused:
        error = refused
    failed = torch.zeros(size())
    failed[rank() if size() > 1 else 0] = float(error is not None)
    failed = mean(failed)
    if not failed.any():
        return result[0]
    if error is not None and not failed[: rank() if size() > 1 else 0].any():
        raise error
    raise SystemExit(2)


def wait() -> None:
    """Returns when every process has come here."""
    agreed(False)
