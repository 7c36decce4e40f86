"""Costs worked out on the meta device, against closed forms and a real process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from incarnate.priors.checkpoint import Checkpoint, found
from incarnate.priors.cost import cost, work
from tests.priors import published, tiny

FLOAT = 4


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def test_work_of_products_and_convolutions_has_its_closed_form():
    line = nn.Linear(10, 20, device="meta")
    assert work(lambda: line(meta(7, 10)), False).flops == 2 * 7 * 10 * 20
    conv = nn.Conv2d(3, 5, 3, padding=1, device="meta")
    assert work(lambda: conv(meta(2, 3, 8, 6)), False).flops == 2 * 2 * 5 * 3 * 9 * 8 * 6


def test_attention_is_counted_and_never_holds_its_scores():
    query, key = meta(2, 3, 500, 8), meta(2, 3, 400, 8)
    run = work(lambda: nn.functional.scaled_dot_product_attention(query, key, key), False)
    assert run.flops == 2 * 2 * 3 * 500 * 400 * (8 + 8)
    assert run.peak == 2 * 3 * 500 * 8 * FLOAT


def test_the_peak_is_what_lives_at_once_without_weights_and_views():
    line = nn.Linear(100, 100, bias=False, device="meta")

    def chain() -> None:
        x = meta(50, 100)  # One.
        for _ in range(5):
            x = line(x) + 1  # x, its product and their sum: three at once.

    assert work(chain, False).peak == 3 * 50 * 100 * FLOAT


def test_convolutions_that_lay_out_hold_what_they_read_once_more():
    conv = nn.Conv2d(4, 4, 3, padding=1, bias=False, device="meta")
    x = meta(1, 4, 10, 10)
    one, weights = 400 * FLOAT, 4 * 4 * 9 * FLOAT
    assert work(lambda: conv(x), False).peak == one
    assert work(lambda: conv(x), True).peak == one + one + weights


def test_a_published_directory_is_costed_without_its_content(tmp_path):
    path = published.write("stable-diffusion-v1-5", tmp_path / "sd")
    tiny.tokenizer(path / "tokenizer", 77)
    there = found(Checkpoint.parse(str(path)))
    costed = cost(there, 512, None, "cpu", torch.float32)
    assert costed.weights == 4 * (859_520_964 + 83_653_863 + 123_060_480)
    # .40 trillion multiply-adds, as counted by others, and 1 to 2 % for the words.
    assert costed.prediction.flops == pytest.approx(0.803e12, rel=0.02)
    assert cost(there, 512, None, "cuda", torch.float16).weights == costed.weights // 2


def test_a_process_takes_the_memory_that_was_planned(tmp_path):
    """At a tenth of the width: what counts here is mostly the process and the VAE."""
    command = [sys.executable, "benchmarks/priors.py", "--width", "0.1", "--side", "128"]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    share = float(ended.stdout.split("measured / planned ")[1].split()[0])
    assert 0.7 < share < 1.2
