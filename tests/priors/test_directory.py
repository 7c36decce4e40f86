"""Directories are checked before anything is loaded, at any width."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from incarnate.priors.checkpoint import Checkpoint, Overlay, found
from incarnate.priors.configs import schedule_of
from incarnate.priors.directory import directory
from incarnate.priors.files import header, weight_files
from incarnate.priors.hub import load
from incarnate.priors.stable import StableDiffusion
from tests.priors import published, tiny

MODELS = [(name, part) for name, (_, models) in published.FAMILIES.items() for part in models]


@pytest.mark.parametrize("name, part", MODELS)
def test_published_models_have_their_published_shapes(name, part):
    model = published.FAMILIES[name][1][part]
    shapes = {k: tuple(v.shape) for k, v in model.built().state_dict().items()}
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == model.parameters
    assert {k: shapes.get(k) for k in model.shapes} == model.shapes


def test_the_published_controlnet_has_its_shapes():
    shapes = {k: tuple(v.shape) for k, v in published.C15.built().state_dict().items()}
    assert sum(torch.Size(s).numel() for s in shapes.values()) == published.C15.parameters
    assert {k: shapes.get(k) for k in published.C15.shapes} == published.C15.shapes


@pytest.mark.parametrize("name", published.FAMILIES)
def test_a_published_directory_is_known_without_being_read(name, tmp_path):
    path = published.write(name, tmp_path / name)
    there = directory(str(path))
    kind, models = published.FAMILIES[name]
    assert there.kind == kind
    assert there.parameters == sum(model.parameters for model in models.values())


@pytest.fixture
def whole(tmp_path_factory):
    """A small directory, fresh for each test."""
    kept = tmp_path_factory.getbasetemp() / "kept"
    if not kept.exists():
        tiny.stable(kept)
    copy = tmp_path_factory.mktemp("whole") / "sd"
    shutil.copytree(kept, copy)
    return copy


UNET = "unet/diffusion_pytorch_model.safetensors"


def refused(path: Path | str, match: str) -> None:
    """One line that says what to do, before any model is built."""
    with pytest.raises(ValueError, match=match) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_a_whole_directory_is_found(whole):
    there = directory(str(whole))
    assert [part.name for part in there.parts] == [
        "tokenizer", "text_encoder", "unet", "vae", "scheduler",
    ]  # fmt: skip
    unet = there.part("unet").files
    assert unet is not None
    assert unet.parameters == tiny.unet().num_parameters()
    assert unet.bytes_as(torch.float16) == 2 * unet.parameters


def test_what_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "there is no directory")
    refused(tmp_path, "no diffusers directory: it has no model_index.json")


def test_a_hub_id_that_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("nobody/nothing-of-the-kind", "neither in the local cache nor to be had .*hf download")


def test_a_hub_id_in_the_cache_is_used(whole, monkeypatch):
    asked = []

    def snapshot(repo, **options):
        asked.append((repo, options.get("local_files_only")))
        return str(whole)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert directory("somebody/something").path == whole
    assert asked == [("somebody/something", True)]


def test_a_file_and_a_single_file_checkpoint_are_refused(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "model.ckpt", "is a file; name a diffusers directory")
    refused(tmp_path, "single-file checkpoint .model.ckpt., not a diffusers directory; convert")


def test_a_foreign_pipeline_is_refused(whole):
    index = json.loads((whole / "model_index.json").read_text())
    for cls, match in (("FluxPipeline", "is a FluxPipeline, which"), (None, "without a pipeline")):
        index["_class_name"] = cls
        (whole / "model_index.json").write_text(json.dumps(index))
        refused(whole, match)


def test_code_of_the_directory_is_not_loaded(whole):
    index = json.loads((whole / "model_index.json").read_text())
    index["unet"] = ["my_own_code", "Unet"]
    (whole / "model_index.json").write_text(json.dumps(index))
    refused(whole, "only classes of diffusers, transformers, incarnate are loaded")
    index["unet"] = ["diffusers", "UNet2DConditionModel"]
    for part, library, cls in (
        ("unet", "diffusers", "AutoModel"),
        ("tokenizer", "transformers", "AutoTokenizer"),
        ("text_encoder", "transformers", "AutoModel"),
    ):
        (whole / "model_index.json").write_text(json.dumps(index | {part: [library, cls]}))
        refused(whole, f"{part} is a {cls}; incarnate loads")


@pytest.mark.parametrize("key", ["auto_map", "attn_implementation", "quantization_config"])
def test_settings_that_point_to_something_else_are_refused(whole, key):
    path = whole / "text_encoder/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: "evil/kernel"}))
    refused(whole, f"text_encoder points to something else .{key}.")


def test_an_adapter_beside_the_weights_is_refused(whole):
    (whole / "text_encoder/adapter_config.json").write_text("{}")
    refused(whole, "points to something else .adapter_config.json.")


def test_shards_outside_the_folder_are_refused(whole):
    (whole / UNET).unlink()
    index = whole / (UNET + ".index.json")
    for name in ("../x.safetensors", "/etc/passwd", 3):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        refused(whole, "is no index of weights")


def with_header(told: object) -> bytes:
    text = json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "xy", "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "shape": [1], "data_offsets": ["a", "b"]},
    ],
)
def test_headers_that_lie_are_refused(whole, entry):
    (whole / UNET).write_bytes(with_header({"w": entry}))
    refused(whole, "no safetensors file")


def test_parts_of_different_models_are_refused(whole):
    path = whole / "unet/config.json"
    told = json.loads(path.read_text())
    for key, value, match in (
        ("cross_attention_dim", 999, "reads words of 999 numbers, and the text encoder writes 16"),
        ("in_channels", 5, "takes 5 channels, and the VAE makes 4"),
    ):
        path.write_text(json.dumps(told | {key: value}))
        refused(whole, match)


@pytest.mark.parametrize(
    "told",
    [
        {"beta_start": "abc"},
        {"beta_start": None},
        {"beta_schedule": "nope"},
        {"num_train_timesteps": 0},
        {"num_train_timesteps": "x"},
        {"trained_betas": []},
        {"trained_betas": [2, 3]},
        {"steps_offset": float("inf")},
        {"timestep_spacing": "foo"},
        {"prediction_type": "guess"},
        {"use_flow_sigmas": True, "flow_shift": -3},
        {"timestep_type": "continuous", "prediction_type": "epsilon"},
        {
            "timestep_type": "continuous",
            "prediction_type": "v_prediction",
            "use_karras_sigmas": True,
            "sigma_min": -1,
        },
    ],
)
def test_schedules_that_make_no_sense_are_refused(told):
    known = {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012}
    with pytest.raises(ValueError, match="schedule"):
        schedule_of(known | told)


def test_a_spacing_that_is_not_told_is_the_class_own():
    assert schedule_of({"_class_name": "EulerDiscreteScheduler"}).spacing == "linspace"
    assert schedule_of({"_class_name": "DDIMScheduler"}).spacing == "leading"


@pytest.mark.parametrize("name", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_refused(whole, name):
    shutil.rmtree(whole / name)
    refused(whole, f"{name} is missing; download the directory whole")


def test_broken_configurations_are_refused(whole):
    (whole / "scheduler/scheduler_config.json").write_text("{")
    refused(whole, "scheduler_config.json is no JSON")
    (whole / "model_index.json").write_text("[]")
    refused(whole, "model_index.json holds no configuration")


def test_missing_weights_are_refused(whole):
    (whole / UNET).unlink()
    refused(whole, "unet has no weights")


def test_a_truncated_file_is_refused(whole):
    content = (whole / UNET).read_bytes()
    for cut in (len(content) - 1, 200, 4):
        (whole / UNET).write_bytes(content[:cut])
        refused(whole, "cut off" if cut > 8 else "no safetensors file")


def test_pickled_weights_are_refused_and_never_read(whole):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (whole / "sprung",))

    (whole / UNET).unlink()
    torch.save({"weight": Trap()}, whole / "unet/diffusion_pytorch_model.bin")
    refused(whole, "pickled .diffusion_pytorch_model.bin., .* `incarnate weights convert")
    torch.save({"weight": Trap()}, whole / UNET)
    refused(whole, "it is a pickle under another name")
    assert not (whole / "sprung").exists()


@pytest.mark.parametrize(
    "content, what",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer; run"),
        (b"<!doctype html><html>" + b" " * 100, "it is a text"),
        (b"\x00" * 100, "its first bytes are no header"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b"{not json at all", "no safetensors file"),
    ],
)
def test_what_is_no_safetensors_file_is_named(whole, content, what):
    (whole / UNET).write_bytes(content)
    refused(whole, what)


def test_weights_of_another_model_are_refused(whole):
    tensors = safetensors.torch.load_file(whole / UNET)
    first = "conv_in.weight"
    safetensors.torch.save_file({k: v for k, v in tensors.items() if k != first}, whole / UNET)
    refused(whole, "unet are not those of the UNet2DConditionModel .*conv_in.weight")
    safetensors.torch.save_file(tensors | {first: torch.zeros(8, 9, 3, 3)}, whole / UNET)
    refused(whole, "unet are not those of the UNet2DConditionModel")
    safetensors.torch.save_file(tensors | {"more.weight": torch.zeros(1)}, whole / UNET)
    refused(whole, "1 unexpected, more.weight the first")


def test_a_text_encoder_that_lacks_weights_is_refused(whole):
    path = whole / "text_encoder/model.safetensors"
    tensors = safetensors.torch.load_file(path)
    del tensors[next(k for k in tensors if "q_proj.bias" in k)]
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    refused(whole, "text_encoder are not those of the CLIPTextModel .*1 missing")


def test_a_tokenizer_that_is_none_is_refused(whole):
    for path in (whole / "tokenizer").iterdir():
        path.write_text("{}")
    refused(whole, "tokenizer holds no CLIPTokenizer")
    for path in (whole / "tokenizer").iterdir():
        path.unlink()
    refused(whole, "tokenizer has no tokenizer.json or vocab.json")


def test_shards_are_read_by_their_index_and_missed_if_one_is_gone(whole, tmp_path):
    unet = tiny.unet()
    shutil.rmtree(whole / "unet")
    unet.save_pretrained(whole / "unet", max_shard_size="20KB")
    files, _ = weight_files(whole / "unet")
    assert len(files.paths) > 1
    assert files.parameters == unet.num_parameters()
    load(str(whole))
    files.paths[-1].unlink()
    refused(whole, "lacks .*, which its index names")


def test_half_precision_files_are_taken_where_there_are_no_others(whole):
    unet = tiny.unet()
    shutil.rmtree(whole / "unet")
    unet.half().save_pretrained(whole / "unet", variant="fp16")
    prior = load(str(whole))
    assert isinstance(prior, StableDiffusion)
    assert prior.unet.dtype == torch.float32
    torch.testing.assert_close(prior.unet.conv_in.weight, unet.conv_in.weight.float())


def test_headers_tell_shapes_and_types(tmp_path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}
    safetensors.torch.save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    entries = header(tmp_path / "x.safetensors")
    assert {k: (e.shape, e.dtype) for k, e in entries.items()} == {
        k: (tuple(v.shape), v.dtype) for k, v in tensors.items()
    }


def test_overlays_are_told_behind_the_base():
    assert Checkpoint.parse("a/b+c") == Checkpoint("a/b+c")
    parsed = Checkpoint.parse("a+normal:b+lora:c/d.safetensors")
    assert parsed.overlays == (Overlay("normal", "b"), Overlay("lora", "c/d.safetensors"))
    with pytest.raises(ValueError, match="'\\+edges:' was given behind a"):
        Checkpoint.parse("a+edges:b")


def test_overlays_that_do_not_fit_are_refused(whole, tmp_path):
    control = tiny.control(tmp_path / "control")
    refused(control, "single ControlNetModel; it is laid over a base")
    refused(f"{whole}+motion:{control}", "holds a ControlNetModel; as .motion: a MotionAdapter")
    refused(f"{whole}+normal:{whole}", "holds a StableDiffusionPipeline; as .normal:")
    refused(f"{whole}+lora:{tmp_path}", "there is no LoRA at")
    refused(f"{whole}+lora:{whole / UNET}", "holds no LoRA")
    assert len(found(Checkpoint.parse(f"{whole}+normal:{control}")).directories) == 2


def test_the_card_tells_the_licence(whole):
    assert "look where you got it" in directory(str(whole)).licence
    (whole / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\nlicense: no\n")
    assert directory(str(whole)).licence == "creativeml-openrail-m"
