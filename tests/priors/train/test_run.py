"""Whole runs: that they learn, that a stop costs nothing, that processes only share the work."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from incarnate import cli
from incarnate.priors.train import Recipe, run, train
from incarnate.priors.train.base import load_base
from incarnate.priors.train.examples import Batch, Examples
from incarnate.priors.train.nets import built
from incarnate.priors.train.objective import loss
from incarnate.priors.train.shards import Shards
from incarnate.progress import Report, Silent

STEPS, BATCH, SIZE = 20, 8, 16


@pytest.fixture(scope="module")
def recipe(base, data) -> Recipe:
    """Twenty steps of eight."""
    return Recipe(
        "text-to-normal",
        base,
        data,
        data,
        size=SIZE,
        samples=STEPS * BATCH,
        batch=BATCH,
        lr=5e-4,
        warmup=32,
        falls="cosine",
        ema=0.5,
        checkpoint_every=64,
        sample_every=0,
        device="cpu",
    )


@pytest.fixture(scope="module")
def undisturbed(recipe, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    return train(replace(recipe, output=output), Silent())


@pytest.fixture(scope="module")
def halved(recipe, tmp_path_factory) -> Path:
    """The same in micro-batches of four."""
    output = tmp_path_factory.mktemp("halved") / "run"
    return train(replace(recipe, output=output, micro_batch=4, checkpoint_every=999), Silent())


def weights(result):
    return load_file(result / "unet" / "diffusion_pytorch_model.safetensors")


def same_bytes(a, b):
    names = ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors")
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in names)


def apart(a, b):
    """The distance of all weights together, relative to them; and of the farthest tensor."""
    squares = [(float((a[n] - b[n]).square().sum()), float(a[n].square().sum())) for n in a]
    whole = sum(far for far, _ in squares) / sum(length for _, length in squares)
    return whole**0.5, max(far / length for far, length in squares) ** 0.5


def command(recipe):
    """The command line of a recipe."""
    words = ["-m", "incarnate", "train", recipe.task, "--quiet"]
    for field in fields(recipe):
        value, flag = getattr(recipe, field.name), "--" + field.name.replace("_", "-")
        if field.name != "task" and value is not None and value is not False:
            words += [flag] if value is True else [flag, str(value)]
    return words


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
ROOT = Path(__file__).parents[3]


def test_killed_in_mid_training_it_ends_bit_for_bit_as_undisturbed(recipe, undisturbed, tmp_path):
    asked = replace(recipe, output=tmp_path / "run")
    checkpoints = asked.output / "checkpoints"
    process = subprocess.Popen([sys.executable, *command(asked)], env=ENVIRONMENT, cwd=ROOT)
    while not (checkpoints / "latest").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (asked.output / "result").exists()
    # As if it had been killed while it wrote the next one, and before it told of another.
    kept = (checkpoints / "latest").read_text()
    for name in ("000000000128.part", "000000000160"):
        (checkpoints / name).mkdir(exist_ok=True)
        (checkpoints / name / "__0_0.distcp").write_bytes(b"half a file")
    assert kept in ("000000000064", "000000000128")
    result = train(replace(asked, resume=True), Silent())
    assert same_bytes(result, undisturbed)


class _Interrupts(Report):
    """Presses Ctrl-C after so many samples."""

    def __init__(self, at):
        self._at = at

    def stage(self, name): ...
    def warn(self, text): ...
    def say(self, text): ...
    def close(self): ...

    def step(self, index, count):
        if index == self._at:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_it_keeps_what_it_has_and_goes_on_from_there(recipe, undisturbed, tmp_path):
    asked = replace(recipe, output=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(asked, _Interrupts(40))
    checkpoints = asked.output / "checkpoints"
    assert (checkpoints / "latest").read_text() == "000000000040"
    result = train(replace(asked, resume=True), Silent())
    assert same_bytes(result, undisturbed)
    kept = sorted(path.name for path in checkpoints.iterdir())
    assert kept == ["000000000128", "000000000160", "latest"]


def test_two_processes_do_what_one_does(recipe, undisturbed, halved, tmp_path):
    asked = replace(recipe, output=tmp_path / "run")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, *command(asked)],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{asked.output / 'result'}\n"  # Only the first process talks.
    result = asked.output / "result"
    whole, tensor = apart(weights(undisturbed), weights(result))
    # Adam steps by a gradient's sign: where one is all rounding, it goes either way. A tensor that
    # began at 0, as biases do, is nothing but such steps.
    assert whole < 1e-5 and tensor < 1e-3
    # Sums of eight and of twice four round otherwise; where they do not, nothing differs at all.
    assert same_bytes(halved, result)
    files = list((asked.output / "checkpoints" / "000000000160").glob("*.distcp"))
    assert len(files) == 2


def test_micro_batches_do_what_whole_ones_do(undisturbed, halved):
    whole, _ = apart(weights(undisturbed), weights(halved))
    assert 0 < whole < 1e-5


def test_bf16_comes_near_float32(recipe, base, tmp_path):
    short = replace(recipe, samples=32, sample_every=0, warmup=0)
    exact, rough = (
        weights(train(replace(short, output=tmp_path / name, precision=name), Silent()))
        for name in ("float32", "bf16")
    )
    moved, rounded = apart(exact, weights(base))[0], apart(exact, rough)[0]
    # bfloat16 keeps 8 bits: gradients near 0 change their sign, of which Adam makes whole steps.
    assert 0 < rounded < 0.5 * moved


def mean_loss(folder, recipe):
    """Over noise and levels that no run sees, unweighted."""
    base = load_base(folder, Silent())
    net = built(recipe, base)
    shards = Shards.of(recipe.data, ("normal.png", "alpha.png", "json"))
    unseen = replace(recipe, seed=99, caption_dropout=0.0)
    examples = Examples(unseen, shards, base.latents(SIZE), 1000)
    batch = Batch.of([examples[n] for n in range(48)])
    with torch.no_grad():
        return float(loss(net, base, batch, None))


def test_it_learns(recipe, base, tmp_path):
    asked = replace(recipe, output=tmp_path / "run", samples=400, ema=0.9, lr=5e-3)
    result = train(replace(asked, sample_every=400), Silent())
    assert mean_loss(result, recipe) < 0.5 * mean_loss(base, recipe)
    grids = sorted((asked.output / "grids").iterdir())
    assert [path.name for path in grids] == ["000000000400.png"]
    picture = cv2.imread(str(grids[0]))
    assert picture is not None
    assert picture.shape == (2 * SIZE, 6 * SIZE, 3)  # The truth above, what it makes below.
    assert picture[8, 8].tolist() == pytest.approx([255, 128, 128], abs=40)  # Blue first.
    curves = EventAccumulator(str(asked.output / "curves"))
    curves.Reload()
    assert curves.Tags()["images"] == ["grid"]
    errors = curves.Scalars("loss")
    assert [point.step for point in errors] == list(range(8, 408, 8))
    assert sum(p.value for p in errors[-10:]) < 0.8 * sum(p.value for p in errors[:10])
    assert curves.Scalars("lr")[3].value == pytest.approx(5e-3)
    for name in ("gradient_norm", "samples_a_second"):
        assert all(point.value > 0 for point in curves.Scalars(name))


def test_a_branch_alone_is_trained(recipe, base, tmp_path):
    asked = replace(recipe, task="pose-guider", samples=16, output=tmp_path / "run")
    result = train(asked, Silent())
    guider = load_file(result / "diffusion_pytorch_model.safetensors")
    assert guider["conv_out.weight"].abs().max() > 0


def test_a_gradient_that_is_no_number_stops_it_at_the_last_checkpoint(
    recipe, tmp_path, monkeypatch
):
    asked = replace(recipe, output=tmp_path / "run", checkpoint_every=8)
    steps = iter(range(99))

    def explodes(*inputs):
        return loss(*inputs) * (float("nan") if next(steps) == 2 else 1.0)

    monkeypatch.setattr(run, "loss", explodes)
    with pytest.raises(ValueError, match="not a number after 24 samples; .* checkpoint is kept"):
        train(asked, Silent())
    assert (asked.output / "checkpoints" / "latest").read_text() == "000000000016"
    assert not (asked.output / "result").exists()


def test_a_run_goes_on_only_as_it_began(recipe, undisturbed):
    asked = replace(recipe, output=undisturbed.parent)
    with pytest.raises(ValueError, match="holds a run; continue it with --resume"):
        train(asked, Silent())
    with pytest.raises(ValueError, match=r"had other --lr, --flip; repeat it"):
        train(replace(asked, resume=True, lr=1.0, flip=0.5), Silent())


def test_what_cannot_be_done_is_said_in_one_line(recipe, tmp_path, capsys):
    def said(**changes):
        words = command(replace(recipe, output=tmp_path / "run", **changes))[2:]
        assert cli.main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        return captured.err

    assert "holds no shards" in said(data=tmp_path)
    assert "is no diffusers directory" in said(base=tmp_path)
    assert "no multiple of --micro-batch 3" in said(micro_batch=3)
    if not torch.cuda.is_available():
        assert "there is no GPU" in said(device="cuda")
    assert not (tmp_path / "run").exists()
