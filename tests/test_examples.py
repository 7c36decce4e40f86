"""The examples do what they say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import torch

from incarnate.guidance import independent, sds
from incarnate.priors import Condition, sample

ROOT = Path(__file__).resolve().parents[1]
OWN_PRIOR = ROOT / "examples/own_prior.py"


def own_prior():
    spec = importlib.util.spec_from_file_location("own_prior", OWN_PRIOR)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_of_a_prior_is_the_one_in_the_docs_and_short():
    text = OWN_PRIOR.read_text()
    assert len(text.splitlines()) <= 40
    assert f"```python\n{text}```" in (ROOT / "docs/priors.md").read_text()


def test_the_example_runs():
    ended = subprocess.run([sys.executable, OWN_PRIOR], capture_output=True, text=True, check=True)
    assert ended.stdout == "torch.Size([2, 8, 8, 3])\n"


def test_samples_of_the_example_are_pictures_of_its_set():
    rng = torch.Generator().manual_seed(0)
    pictures = torch.rand(5, 8, 8, 3, generator=rng)
    prior = own_prior().SetOfPictures(pictures)
    drawn = sample(prior, torch.randn(12, 3, 8, 8, generator=rng), Condition(), steps=50)
    nearest = torch.cdist(drawn.flatten(1), pictures.flatten(1)).min(1)
    assert float(nearest.values.max()) < 0.01
    assert len(set(nearest.indices.tolist())) > 1


def test_descending_sds_of_the_example_reaches_a_picture_of_its_set():
    rng = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, 8, 8, 3, generator=rng)
    prior = own_prior().SetOfPictures(pictures)
    drawn = torch.full((1, 8, 8, 3), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([drawn], 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        t = torch.rand(1, generator=rng) * 600 + 20
        sds(prior, drawn, Condition(), t, independent((1, 3, 8, 8), rng)).backward()
        optimizer.step()
    assert float((drawn.detach() - pictures).abs().mean((1, 2, 3)).min()) < 0.05
