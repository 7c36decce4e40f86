"""Pickled weights become safetensors, and nothing in them runs."""

import json
import os
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch

from incarnate.priors.convert import convert
from incarnate.priors.hub import load
from incarnate.priors.unpickle import main, weights_of
from incarnate.progress import Silent
from tests.priors import tiny


def saved(path: Path, held: object) -> Path:
    torch.save(held, path)
    return path


def read(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2, dtype=torch.half)}


def test_plain_weights_come_out_as_they_are(tmp_path):
    source = saved(tmp_path / "net.pth", WEIGHTS)
    (done,) = convert(source, None, None, Silent())
    assert done.target == tmp_path / "net.safetensors"
    assert (done.tensors, done.parameters, done.left_behind) == (2, 8, "")
    torch.testing.assert_close(read(done.target), WEIGHTS, rtol=0, atol=0)
    assert source.exists()


def test_weights_within_a_training_checkpoint_are_found_and_prefixes_fall_off(tmp_path):
    held = {
        "epoch": 7,
        "state_dict": OrderedDict((f"module.{k}", v) for k, v in WEIGHTS.items()),
        "note": "trained on Monday",
    }
    (done,) = convert(saved(tmp_path / "x.ckpt", held), None, None, Silent())
    assert read(done.target).keys() == WEIGHTS.keys()


def test_shared_and_transposed_weights_are_written_whole(tmp_path):
    table = torch.rand(3, 4)
    held = {"a": table, "b": table, "c": table.t()}
    source = saved(tmp_path / "x.pth", held)
    assert main(str(source), str(tmp_path / "x.safetensors"), None) == 0
    torch.testing.assert_close(read(tmp_path / "x.safetensors"), held, rtol=0, atol=0)


def test_of_several_sets_of_weights_one_is_chosen():
    held = {"net": WEIGHTS, "ema": {"shadow": {"w": torch.zeros(1)}, "decay": 0.9}}
    with pytest.raises(ValueError, match=r"'net' \(2 tensors\), 'ema.shadow' \(1 .*--key"):
        weights_of(held, None)
    with pytest.raises(ValueError, match="no weights under 'nothing'"):
        weights_of(held, "nothing")
    tensors, left = weights_of(held, "ema.shadow")
    assert list(tensors) == ["w"]
    assert left == ["net"]
    assert list(weights_of({"w": torch.zeros(1), "ema": WEIGHTS}, ".")[0]) == ["w"]
    with pytest.raises(ValueError, match="differ by 'module.' alone"):
        weights_of({"w": torch.zeros(1), "module.w": torch.ones(1)}, None)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (os.mknod, (self.path,))


def test_code_in_a_pickle_does_not_run_and_nothing_is_written(tmp_path):
    source = saved(tmp_path / "x.pth", {"w": torch.zeros(1), "trap": Trap(tmp_path / "sprung")})
    with pytest.raises(ValueError, match="would run code; do not trust it"):
        convert(source, None, None, Silent())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pth"]


def test_modules_of_the_folder_we_are_in_are_not_imported(tmp_path, monkeypatch):
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')"
    for name in ("safetensors", "pickle", "torch"):
        (tmp_path / f"{name}.py").write_text(trap)
    saved(tmp_path / "x.pth", WEIGHTS)
    monkeypatch.chdir(tmp_path)
    convert(Path("x.pth"), None, None, Silent())
    assert read(tmp_path / "x.safetensors").keys() == WEIGHTS.keys()
    assert not (tmp_path / "sprung").exists()


def test_what_cannot_be_converted_is_refused_in_one_line(tmp_path):
    def refused(source: Path, match: str, target: Path | None = None) -> None:
        with pytest.raises(ValueError, match=match) as caught:
            convert(source, target, None, Silent())
        assert "\n" not in str(caught.value)

    refused(tmp_path / "none.pth", "there is no file")
    whole = saved(tmp_path / "x.pth", WEIGHTS)
    refused(whole, "must end in .safetensors", tmp_path / "x.bin")
    (tmp_path / "x.safetensors").write_bytes(b"kept")
    refused(whole, "exists; remove it")
    refused(tmp_path / "x.safetensors", "safetensors already")
    assert (tmp_path / "x.safetensors").read_bytes() == b"kept"
    refused(tmp_path / "", "no .bin weights")
    with pytest.raises(OSError, match="does not exist"):
        convert(whole, tmp_path / "nowhere/x.safetensors", None, Silent())
    (tmp_path / "text.pth").write_text("hello")
    refused(tmp_path / "text.pth", "was not converted")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more", b"\x80\x02"])
def test_the_reader_says_in_one_line_why_it_failed(tmp_path, content, capsys):
    (tmp_path / "x.pth").write_bytes(content)
    assert main(str(tmp_path / "x.pth"), str(tmp_path / "y"), None) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(str(saved(tmp_path / "x.pth", {"epoch": 3})), str(tmp_path / "y"), None) == 1
    assert capsys.readouterr().err == "no weights\n"
    assert not (tmp_path / "y").exists()


def test_a_pickled_directory_becomes_one_that_loads(tmp_path):
    folder = tiny.stable(tmp_path / "sd")
    for name, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        path = folder / name / f"{stem}.safetensors"
        pickled = "pytorch_model.bin" if stem == "model" else f"{stem}.bin"
        saved(folder / name / pickled, read(path))
        path.unlink()
    with pytest.raises(ValueError, match="incarnate weights convert"):
        load(str(folder))
    done = convert(folder, None, None, Silent())
    assert [d.target.name for d in done] == [
        "model.safetensors",
        "diffusion_pytorch_model.safetensors",
    ]
    load(str(folder))


def test_pickled_shards_are_converted_with_their_index(tmp_path):
    folder = tiny.stable(tmp_path / "sd")
    path = folder / "text_encoder/model.safetensors"
    tensors = read(path)
    path.unlink()
    names = sorted(tensors)
    halves = (names[:10], names[10:])
    weight_map = {}
    for i, half in enumerate(halves):
        shard = f"pytorch_model-{i + 1:05d}-of-00002.bin"
        saved(folder / "text_encoder" / shard, {k: tensors[k] for k in half})
        weight_map |= dict.fromkeys(half, shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "text_encoder/pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert(folder, None, None, Silent())
    load(str(folder))
    shutil.rmtree(folder)
