"""Several processes at one task: on one process nothing changes, on three all agree."""

import multiprocessing
import os
import socket

import pytest
import torch

from incarnate import distributed


def test_one_process_is_the_plain_case():
    with distributed.group():
        x = torch.tensor([1.0, 2.0])
        assert (distributed.rank(), distributed.size()) == (0, 1)
        assert distributed.mean(x) is x
        assert distributed.share([3, 1, 4]) == [3, 1, 4]
        assert distributed.agreed(True)
        assert not distributed.agreed(False)
        assert distributed.together(lambda: 7) == 7
        with pytest.raises(ValueError, match="nothing"):
            distributed.together(lambda: _refuse("nothing"))


def _refuse(reason):
    raise ValueError(reason)


def _process(rank, port, answers):
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="3", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    told: dict[str, object] = {"rank before": distributed.rank()}
    with distributed.group():
        told["rank"], told["size"] = distributed.rank(), distributed.size()
        told["mean"] = distributed.mean(torch.tensor([float(rank), 1.0])).tolist()
        told["share"] = list(distributed.share(range(7)))
        told["agreed"] = [distributed.agreed(rank == 2), distributed.agreed(False)]
        told["together"] = distributed.together(lambda: rank * 10)
        try:
            distributed.together(lambda: _refuse("no") if rank else 1)
        except ValueError as error:
            told["refused"] = str(error)
        except SystemExit as left:
            told["refused"] = left.code
    answers.put((rank, told))


def test_three_processes_share_out_and_agree():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=_process, args=(k, port, answers)) for k in range(3)]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=100) for _ in processes)
    for process in processes:
        process.join(60)
    for rank, told in found.items():
        assert told["rank before"] == told["rank"] == rank
        assert told["size"] == 3
        assert told["mean"] == [1.0, 1.0]
        assert told["agreed"] == [True, False]
        assert told["together"] == rank * 10
    assert sorted(sum((told["share"] for told in found.values()), [])) == list(range(7))
    # The first of those that failed says why; the others leave quietly.
    assert [found[k]["refused"] for k in range(3)] == [2, "no", 2]
