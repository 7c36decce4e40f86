"""The short way in: the same networks, without their libraries."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from incarnate.priors.lean import LeanClip, LeanWords, short_way
from incarnate.priors.texts import ClipText
from tests.priors import tiny
from tests.priors.tiny import transformers

PROMPTS = ("", "a tall woman", "a b, c " * 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.stable(tmp_path_factory.mktemp("lean") / "made")


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_words_are_encoded_as_transformers_does_it(folder, act):
    config = tiny.text_config()
    config.hidden_act = act
    torch.manual_seed(1)
    model = transformers.CLIPTextModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder / act)
    theirs = ClipText(model, transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer"))
    weights = folder / act / "model.safetensors"
    lean: Any = (
        LeanClip(folder / act, weights, "cpu", torch.float32),
        LeanWords(folder / "tokenizer"),
    )
    torch.testing.assert_close(ClipText(*lean)(PROMPTS).context, theirs(PROMPTS).context)


def test_an_activation_that_is_not_known_is_refused(folder, tmp_path):
    told = json.loads((folder / "text_encoder" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(told | {"hidden_act": "relu"}))
    with pytest.raises(ValueError, match="hidden_act is relu; known are quick_gelu, gelu"):
        LeanClip(tmp_path, folder / "model.safetensors", "cpu", torch.float32)


def test_the_short_way_is_not_taken_where_diffusers_is_there():
    assert not short_way()


SCRIPT = """
import sys
from incarnate.priors.lean import short_way
assert short_way()
from incarnate.priors.hub import load
import torch
prior = load(sys.argv[1], quick=True)
for name in ("torch._dynamo", "peft", "scipy", "transformers", "diffusers.pipelines"):
    assert name not in sys.modules, name
x = torch.ones(1, 4, 8, 8)
from incarnate.priors import Condition, Text
with torch.no_grad():
    out = prior.predict(x, torch.tensor([500.0]), Condition(text=Text(("a tall woman",))))
torch.save(out, sys.argv[2])
import diffusers.models.transformers  # Whole, for whoever asks.
assert diffusers.models.transformers.Transformer2DModel is not None
"""


def test_a_prior_loaded_the_short_way_is_the_same(folder, tmp_path):
    from incarnate.priors import Condition, Text
    from incarnate.priors.hub import load

    out = tmp_path / "out.pt"
    run = [sys.executable, "-c", SCRIPT, str(folder), str(out)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = Condition(text=Text(("a tall woman",)))
    with torch.no_grad():
        wanted = load(str(folder)).predict(torch.ones(1, 4, 8, 8), torch.tensor([500.0]), said)
    torch.testing.assert_close(torch.load(out, weights_only=True), wanted)


def test_freed_memory_stays_with_the_process() -> None:
    program = (
        "import resource, sys, torch\n"
        "from incarnate.priors.lean import keep_memory\n"
        "assert not sys.argv[1:] or keep_memory()\n"
        "for _ in range(20): torch.ones(2**23)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
    )

    def faults(*given: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", program, *given], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    # Of 32 MB twenty times, 8,192 pages of 4 KiB each.
    assert faults("keep") < faults() - 10 * 8192
