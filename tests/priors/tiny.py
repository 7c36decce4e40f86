"""Full-size families at reduced width, with random weights, and what a test does with them."""

import importlib
import json
from pathlib import Path
from typing import Any

import torch

# Their types do not hold for keyword configurations.
diffusers: Any = importlib.import_module("diffusers")
transformers: Any = importlib.import_module("transformers")

TOKENS = 40
SIZE = 32


def tokenizer(folder: Path, length: int = 12) -> Any:
    """A CLIP tokenizer of single letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(ord("a") + i) for i in range(26)]
    words = [
        *letters,
        *(f"{x}</w>" for x in letters),
        ",",
        ",</w>",
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(str(folder), model_max_length=length)


def text_config(width: int = 16, projection: int = 16) -> Any:
    return transformers.CLIPTextConfig(
        vocab_size=56,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        projection_dim=projection,
        bos_token_id=54,
        eos_token_id=55,
        pad_token_id=55,
    )


def vae(width: int = 8) -> Any:
    """Two levels: latents are half as wide; what is drawn from them hardly spreads."""
    model = diffusers.AutoencoderKL(
        block_out_channels=(width, width),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.5,
    )
    with torch.no_grad():
        assert model.quant_conv is not None
        model.quant_conv.weight[4:] = 0
        model.quant_conv.bias[4:] = -60  # Clamped to -30: a spread of 3e-7.
    return model


def unet(in_channels: int = 4, cross: int = 16, **more: Any) -> Any:
    settings = {
        "sample_size": SIZE // 2,
        "in_channels": in_channels,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "cross_attention_dim": cross,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return diffusers.UNet2DConditionModel(**(settings | more))


def scheduler(**more: Any) -> Any:
    """Stable Diffusion 1.5's: alphas do not go to one at the end."""
    settings = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return diffusers.DDIMScheduler(**(settings | more))


def stable(folder: Path, in_channels: int = 4, net: Any = None, **schedule: Any) -> Path:
    """A Stable Diffusion directory; with 9 channels one for inpainting."""
    torch.manual_seed(0)
    cls = diffusers.StableDiffusionPipeline
    if in_channels == 9:
        cls = diffusers.StableDiffusionInpaintPipeline
    pipe = cls(
        vae=vae(),
        text_encoder=transformers.CLIPTextModel(text_config()),
        tokenizer=tokenizer(folder.with_name(folder.name + "-words")),
        unet=unet(in_channels) if net is None else net,
        scheduler=scheduler(**schedule),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def stable_xl(folder: Path) -> Path:
    torch.manual_seed(0)
    words = tokenizer(folder.with_name(folder.name + "-words"))
    net = unet(
        cross=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
    )
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=transformers.CLIPTextModel(text_config()),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text_config()),
        tokenizer=words,
        tokenizer_2=words,
        unet=net,
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def control(folder: Path, seed: int = 1) -> Path:
    """A ControlNet whose zero convolutions have been trained, so to say."""
    torch.manual_seed(seed)
    net = diffusers.ControlNetModel.from_unet(unet(), conditioning_embedding_out_channels=(4, 8))
    with torch.no_grad():
        for conv in [*net.controlnet_down_blocks, net.controlnet_mid_block]:
            torch.nn.init.normal_(conv.weight, std=0.2)
    net.save_pretrained(folder)
    return folder


def latents(count: int = 2, seed: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, SIZE // 2, SIZE // 2, generator=rng)


def pictures(count: int = 2, channels: int = 3, seed: int = 4) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, SIZE, SIZE, channels, generator=rng)
