"""Families of clips and of measured pictures at reduced width, with random weights."""

from pathlib import Path
from typing import Any

import tokenizers
import torch
from PIL import Image

from tests.priors import tiny
from tests.priors.tiny import diffusers, transformers

FRAMES = 3


def image_encoder(cls: type, projection: int = 32, image_size: int = 224, patch: int = 56) -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=patch,
        projection_dim=projection,
    )
    return cls(config)


def stable_video(folder: Path) -> Path:
    """Stable Video; its temporal layers have been trained, so to say: they mix."""
    torch.manual_seed(0)
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=tiny.SIZE // 2,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=32,
        num_attention_heads=4,
        projection_class_embeddings_input_dim=24,
        addition_time_embed_dim=8,
        num_frames=FRAMES,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2
    )
    pipe = diffusers.StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=image_encoder(transformers.CLIPVisionModelWithProjection),
        unet=unet,
        scheduler=karras_scheduler(),
        feature_extractor=transformers.CLIPImageProcessor(),
    )
    pipe.save_pretrained(folder)
    return folder


def karras_scheduler(most: float = 700.0) -> Any:
    """SVD-XT's, as published."""
    return diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        sigma_max=most,
        sigma_min=0.002,
        steps_offset=1,
        timestep_spacing="leading",
        timestep_type="continuous",
        use_karras_sigmas=True,
    )


def animate_diff(folder: Path) -> Path:
    """Stable Diffusion with motion modules, whose last layers do not give zeros any more."""
    torch.manual_seed(0)
    unet = tiny.unet(block_out_channels=(32, 64), norm_num_groups=32, attention_head_dim=4)
    adapter = diffusers.MotionAdapter(
        block_out_channels=(32, 64),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_max_seq_length=8,
    )
    for name, weight in adapter.named_parameters():
        if "proj_out" in name:
            torch.nn.init.normal_(weight, std=0.1)
    pipe = diffusers.AnimateDiffPipeline(
        vae=tiny.vae(),
        text_encoder=transformers.CLIPTextModel(tiny.text_config()),
        tokenizer=tiny.tokenizer(folder.with_name(folder.name + "-words")),
        unet=unet,
        motion_adapter=adapter,
        scheduler=tiny.scheduler(beta_schedule="linear"),
    )
    pipe.save_pretrained(folder)
    return folder


def marigold(folder: Path, cls: Any, kind: str) -> Path:
    """Stable Diffusion that reads a picture's latents beside the map's, as published for 1.1."""
    torch.manual_seed(0)
    pipe = cls(
        unet=tiny.unet(in_channels=8),
        vae=tiny.vae(),
        scheduler=tiny.scheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            set_alpha_to_one=True,
        ),
        text_encoder=transformers.CLIPTextModel(tiny.text_config()),
        tokenizer=tiny.tokenizer(folder.with_name(folder.name + "-words")),
        prediction_type=kind,
        default_denoising_steps=4,
        default_processing_resolution=0,
    )
    pipe.save_pretrained(folder)
    return folder


def umt5() -> Any:
    return transformers.UMT5EncoderModel(
        transformers.UMT5Config(
            vocab_size=64, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2
        )
    )


def umt5_tokenizer() -> Any:
    """A tokenizer of letters that pads with 0 and ends with 1, as UMT5's does."""
    letters = [chr(ord("a") + i) for i in range(26)]
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(
            {x: i for i, x in enumerate(["<pad>", "</s>", "<unk>", "&", *letters])}, "<unk>"
        )
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def wan_vae() -> Any:
    """Of as many halvings as the published; its channels differ in mean and spread."""
    return diffusers.AutoencoderKLWan(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, -0.4],
        latents_std=[0.5, 0.6, 0.7, 0.8],
    )


WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 4,
    "rope_max_seq_len": 32,
}


def unipc(steps: int = 2) -> Any:
    """Wan's scheduler at first order and without its corrector: that is DDIM."""
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=3.0,
        solver_order=1,
        disable_corrector=list(range(steps)),
    )


def wan_vace(folder: Path) -> Path:
    torch.manual_seed(0)
    transformer = diffusers.WanVACETransformer3DModel(
        **WAN, in_channels=4, vace_layers=[0, 2], vace_in_channels=2 * 4 + 64
    )
    pipe = diffusers.WanVACEPipeline(
        tokenizer=umt5_tokenizer(),
        text_encoder=umt5(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


def wan_animate(folder: Path) -> Path:
    torch.manual_seed(0)
    transformer = diffusers.WanAnimateTransformer3DModel(
        **WAN,
        in_channels=2 * 4 + 4,
        latent_channels=4,
        image_dim=16,
        added_kv_proj_dim=24,
        motion_encoder_channel_sizes={"4": 8, "8": 8, "16": 8},
        motion_encoder_size=16,
        motion_style_dim=8,
        motion_dim=4,
        motion_encoder_dim=8,
        face_encoder_hidden_dim=8,
        face_encoder_num_heads=2,
        inject_face_latents_blocks=2,
    )
    side = tiny.SIZE
    pipe = diffusers.WanAnimatePipeline(
        tokenizer=umt5_tokenizer(),
        text_encoder=umt5(),
        vae=wan_vae(),
        scheduler=unipc(),
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        image_encoder=image_encoder(transformers.CLIPVisionModel, image_size=side, patch=16),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


def latents(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(*shape: int, seed: int = 4) -> torch.Tensor:
    """Random pictures whose values an 8-bit file holds."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=rng) / 255


def loaded(cls: Any, folder: Path) -> Any:
    pipe = cls.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def as_file(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image * 255).round().byte().numpy())
