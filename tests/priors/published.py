"""Published configurations at true width, built on the meta device: no memory, no weights.

The counts are those of the published weights: Stable Diffusion's UNets have 859,520,964 (1.5),
865,910,724 (2.1) and 2,567,463,684 (XL) parameters, their VAE 83,653,863, CLIP ViT-L's text tower
123,060,480, OpenCLIP ViT-H's (2.1: 23 layers) 340,387,840, OpenCLIP bigG's with projection
694,659,840, a ControlNet of 1.5 361,279,120.
"""

import importlib
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# Their types do not hold for keyword configurations.
diffusers: Any = importlib.import_module("diffusers")
transformers: Any = importlib.import_module("transformers")

UNET_15 = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
UNET_21 = UNET_15 | {
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
UNET_XL = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
CONTROL_15 = {
    k: v for k, v in UNET_15.items() if k not in ("sample_size", "out_channels", "up_block_types")
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}


@dataclass(frozen=True)
class Model:
    """A model of a published directory."""

    cls: str
    config: dict[str, Any]
    parameters: int
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Some weights' shapes, told independently of the configuration."""

    @property
    def library(self) -> str:
        return "diffusers" if hasattr(diffusers, self.cls) else "transformers"

    def built(self) -> torch.nn.Module:
        """On the meta device."""
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.library == "diffusers":
                return getattr(diffusers, self.cls).from_config(self.config)
            cls = getattr(transformers, self.cls)
            return cls(cls.config_class(**self.config))


UNET_SHAPES = {
    "conv_in.weight": (320, 4, 3, 3),
    "time_embedding.linear_1.weight": (1280, 320),
    "mid_block.resnets.0.conv1.weight": (1280, 1280, 3, 3),
    "up_blocks.0.resnets.0.conv1.weight": (1280, 2560, 3, 3),
    "up_blocks.3.resnets.2.conv1.weight": (320, 640, 3, 3),
    "conv_out.weight": (4, 320, 3, 3),
}
U15 = Model(
    "UNet2DConditionModel",
    UNET_15,
    859_520_964,
    UNET_SHAPES
    | {
        "down_blocks.0.attentions.0.proj_in.weight": (320, 320, 1, 1),
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
    },
)
U21 = Model(
    "UNet2DConditionModel",
    UNET_21,
    865_910_724,
    UNET_SHAPES
    | {
        "down_blocks.0.attentions.0.proj_in.weight": (320, 320),
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
    },
)
UXL = Model(
    "UNet2DConditionModel",
    UNET_XL,
    2_567_463_684,
    {
        "conv_in.weight": (320, 4, 3, 3),
        "add_embedding.linear_1.weight": (1280, 2816),
        "mid_block.attentions.0.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
    },
)
# Five more channels in, 320 x 5 x 3 x 3 numbers.
U_INPAINT = Model(
    "UNet2DConditionModel",
    UNET_15 | {"in_channels": 9},
    859_520_964 + 14_400,
    {"conv_in.weight": (320, 9, 3, 3)},
)
V = Model(
    "AutoencoderKL",
    VAE,
    83_653_863,
    {
        "encoder.conv_out.weight": (8, 512, 3, 3),
        "decoder.conv_in.weight": (512, 4, 3, 3),
        "post_quant_conv.weight": (4, 4, 1, 1),
    },
)
L = Model("CLIPTextModel", CLIP_L, 123_060_480)
H = Model("CLIPTextModel", CLIP_H, 340_387_840)
G = Model("CLIPTextModelWithProjection", CLIP_G, 694_659_840)
C15 = Model(
    "ControlNetModel",
    CONTROL_15,
    361_279_120,
    {
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "controlnet_cond_embedding.conv_out.weight": (320, 256, 3, 3),
        "controlnet_mid_block.weight": (1280, 1280, 1, 1),
    },
)
FAMILIES: dict[str, tuple[str, dict[str, Model]]] = {
    # HumanNorm's normal- and depth-adapted and normal-aligned models are 1.5 with other weights.
    "stable-diffusion-v1-5": (
        "StableDiffusionPipeline",
        {"unet": U15, "vae": V, "text_encoder": L},
    ),
    "stable-diffusion-inpainting": (
        "StableDiffusionInpaintPipeline",
        {"unet": U_INPAINT, "vae": V, "text_encoder": L},
    ),
    "stable-diffusion-2-1": (
        "StableDiffusionPipeline",
        {"unet": U21, "vae": V, "text_encoder": H},
    ),
    "stable-diffusion-xl-base-1.0": (
        "StableDiffusionXLPipeline",
        {
            "unet": UXL,
            "vae": Model("AutoencoderKL", VAE | {"scaling_factor": 0.13025}, 83_653_863),
            "text_encoder": L,
            "text_encoder_2": G,
        },
    ),
}


def write_model(model: Model, folder: Path, dtype: torch.dtype = torch.float16) -> Path:
    """The folder of a model at true width; its weights are a hole in the disk, all zeros."""
    folder.mkdir(parents=True)
    config = dict(model.config) | {"_class_name": model.cls}
    if model.library == "transformers":
        config["model_type"] = "clip_text_model"
    (folder / "config.json").write_text(json.dumps(config))
    name = "diffusion_pytorch_model" if model.library == "diffusers" else "model"
    told, end = {}, 0
    for key, tensor in model.built().state_dict().items():
        start, end = end, end + tensor.numel() * dtype.itemsize
        code = {torch.float16: "F16", torch.float32: "F32"}[dtype]
        told[key] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(told).encode()
    with (folder / f"{name}.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + end)
    return folder


def write(name: str, folder: Path) -> Path:
    """A published directory at true width, without its content."""
    kind, models = FAMILIES[name]
    index: dict = {"_class_name": kind, "scheduler": ["diffusers", SCHEDULER["_class_name"]]}
    for part, model in models.items():
        write_model(model, folder / part)
        index[part] = [model.library, model.cls]
        if part.startswith("text_encoder"):
            tokenizer = part.replace("text_encoder", "tokenizer")
            (folder / tokenizer).mkdir()
            (folder / tokenizer / "vocab.json").write_text("{}")
            index[tokenizer] = ["transformers", "CLIPTokenizer"]
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
