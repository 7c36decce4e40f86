"""Random networks of a few thousand numbers, in the layouts of Stable Diffusion and AnimateDiff."""

from typing import Any, TypeVar, final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from incarnate.priors.texts import TextEncoder, Words

WIDTHS = (8, 16)
CONTEXT = 12
M = TypeVar("M", bound=nn.Module)


def unet(
    seed: int = 0, linear: bool = False, in_channels: int = 4, words: bool = False
) -> UNet2DConditionModel:
    """Two stages, with and without cross-attention, two layers each; `linear` as in 2.1.

    With `words` every layer hears the whole sentence too.
    """
    torch.manual_seed(seed)
    model = UNet2DConditionModel(
        in_channels=in_channels,
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=2,
        cross_attention_dim=CONTEXT,
        attention_head_dim=4 if linear else 2,
        norm_num_groups=4,
        use_linear_projection=linear,
        sample_size=8,
        addition_embed_type="text" if words else None,
        addition_embed_type_num_heads=2,
    )
    return loud(model)


def adapter(seed: int = 1, widths: tuple[int, ...] = WIDTHS, mid: bool = True) -> MotionAdapter:
    """Motion modules for `unet`, with random weights."""
    torch.manual_seed(seed)
    model = MotionAdapter(
        block_out_channels=widths,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=16,
        use_motion_mid_block=mid,
    )
    return loud(model)


def loud(model: M) -> M:
    """The model in evaluation, with norms, biases and silent layers as if they had learnt."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1 or not parameter.any():
                parameter += 0.2 * torch.randn_like(parameter)
    return model.eval()


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Unit noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def vae(seed: int = 2) -> AutoencoderKL:
    """A latent spans 2 pixels."""
    torch.manual_seed(seed)
    build: Any = AutoencoderKL  # Its types tell of one block only.
    model = build(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=2,
        latent_channels=4,
        scaling_factor=4.0,
    )
    return model.eval()


def image_encoder(seed: int = 3) -> CLIPVisionModelWithProjection:
    """A CLIP that sees 8 x 8 pixels."""
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        projection_dim=CONTEXT,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
    )
    return CLIPVisionModelWithProjection(config).eval()


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    """Noise in [0, 1], channels last."""
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed))


def scheduler() -> DDIMScheduler:
    """MusePose's."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )


@final
class Spelled(TextEncoder):
    """Prompts as fixed noise, another for each."""

    def __call__(self, prompts: tuple[str, ...]) -> Words:
        """Five vectors a prompt."""
        return Words(torch.cat([randn(1, 5, CONTEXT, seed=sum(p.encode())) for p in prompts]))
