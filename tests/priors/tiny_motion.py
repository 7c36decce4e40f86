"""Random networks of a few thousand numbers, in the layouts of Stable Diffusion and AnimateDiff."""

from typing import TypeVar

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from torch import nn

WIDTHS = (8, 16)
CONTEXT = 12
M = TypeVar("M", bound=nn.Module)


def unet(seed: int = 0, linear: bool = False, in_channels: int = 4) -> UNet2DConditionModel:
    """Two stages, with and without cross-attention, two layers each; `linear` as in 2.1."""
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
    """The model in evaluation, with biases and norms that are not their quiet beginnings."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Unit noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
