"""The network that looks at drawn skeletons for a UNet (Animate Anyone's pose guider)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@final
class PoseGuider(ModelMixin, ConfigMixin):
    """From skeletons in [0, 1] to what is added to a UNet's first features: at first, nothing.

    Every width after the first halves the picture, so that `widths` also says what a pixel of the
    latents spans: 8 pixels with four of them, 4 with three.
    """

    @register_to_config
    def __init__(
        self,
        out_channels: int = 320,
        widths: Sequence[int] = (16, 32, 64, 128),
        in_channels: int = 3,
    ) -> None:
        """`out_channels` is the width of the UNet's first block."""
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(widths):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    @property
    def factor(self) -> int:
        """How many pixels a latent spans."""
        return 2 ** (len(self.config["widths"]) - 1)

    def forward(self, skeletons: Float[Tensor, "r k y x"]) -> Float[Tensor, "r c h w"]:
        """Features in the size of the latents; pictures with their channels first."""
        h = F.silu(self.conv_in(skeletons))
        for block in self.blocks:
            h = F.silu(block(h))
        return self.conv_out(h)
