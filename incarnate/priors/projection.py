"""Pictures completed around what is known of them (BrushNet, Ju et al. 2024).

A second network, a copy of the UNet without its attentions, sees the noisy latents beside the
latents of the known part and the hole. What each of its layers makes is added to the same layer of
the frozen UNet, down, middle and up, through a 1x1 convolution that starts at zero.

Channels of what the branch sees: noisy latents, latents of the known part, hole (1 = unknown).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_blocks import DownBlock2D, UNetMidBlock2D, UpBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Additions, Branches, Features
from incarnate.priors.coding import decoded, encoded
from incarnate.priors.conditions import Condition, Projection, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, each_frame, each_row, in_chunks
from incarnate.priors.saved import Piece, save
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder
from incarnate.priors.unet import inner_features, predicted


@final
class ProjectionBranch(ModelMixin, ConfigMixin):
    """The copy without attention, and its silent ways out."""

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 4,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
    ) -> None:
        """As in the configuration of the UNet."""
        super().__init__()
        widths, embedded = block_out_channels, 4 * block_out_channels[0]
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(widths[0], embedded)
        self.conv_in = nn.Conv2d(2 * latent_channels + 1, widths[0], 3, padding=1)
        same: dict[str, Any] = {
            "temb_channels": embedded,
            "resnet_eps": norm_eps,
            "resnet_groups": norm_num_groups,
        }
        self.down_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            before, last = widths[max(i - 1, 0)], i == len(widths) - 1
            self.down_blocks.append(
                DownBlock2D(
                    before, width, num_layers=layers_per_block, add_downsample=not last, **same
                )
            )
        self.mid_block = UNetMidBlock2D(widths[-1], add_attention=False, **same)
        self.up_blocks = nn.ModuleList()
        for i in reversed(range(len(widths))):
            # The skips come from as deep as this block and, the last one, from a stage above.
            self.up_blocks.append(
                UpBlock2D(
                    in_channels=widths[max(i - 1, 0)],
                    prev_output_channel=widths[min(i + 1, len(widths) - 1)],
                    out_channels=widths[i],
                    num_layers=layers_per_block + 1,
                    add_upsample=i > 0,
                    **same,
                )
            )
        down, middle, up = feature_widths(widths, layers_per_block)
        self.down_outs = nn.ModuleList(_silent(width) for width in down)
        self.mid_out = _silent(middle)
        self.up_outs = nn.ModuleList(_silent(width) for width in up)

    @staticmethod
    def of_unet(unet: UNet2DConditionModel) -> "ProjectionBranch":
        """What training starts from: the UNet's weights wherever there are such.

        The latents of the known part are at first looked at like the noisy ones, the hole not.
        """
        told = unet.config
        names = "block_out_channels layers_per_block norm_num_groups norm_eps".split()
        names += ["flip_sin_to_cos", "freq_shift"]
        shared = {name: told[name] for name in names}
        branch = ProjectionBranch(latent_channels=told["in_channels"], **shared)
        kernel, hole = unet.conv_in.weight, torch.zeros_like(unet.conv_in.weight[:, :1])
        kept = dict(unet.state_dict())
        kept["conv_in.weight"] = torch.cat([kernel, kernel, hole], 1)
        own = branch.state_dict()
        # The middle's second residual layer is called so in both; attentions are in one only.
        copied = {n: x for n, x in kept.items() if n in own and x.shape == own[n].shape}
        branch.load_state_dict(copied, strict=False)
        nn.Module.to(branch, unet.dtype)
        return branch

    def features(self, x_t: Features, told: Levels, known: Features) -> Additions:
        """What each layer makes, before its way out; rows are pictures or frames."""
        emb = self.time_embedding(self.time_proj(told.expand(len(x_t))).to(x_t.dtype))
        h = self.conv_in(torch.cat([x_t, known], 1))
        down = [h]
        for block in self.down_blocks:
            h, passed = block(h, emb)
            down.extend(passed)
        middle = h = self.mid_block(h, emb)
        up, skips = [], list(down)
        for block in self.up_blocks:
            h = _up(block, h, emb, skips, up)
        return Additions(tuple(down), middle, tuple(up))

    def forward(self, features: Additions) -> Additions:
        """What is added to the UNet: `features`, or what was made of them, on their way out."""
        down, up = (
            tuple(out(x) for out, x in zip(outs, side, strict=True))
            for outs, side in ((self.down_outs, features.down), (self.up_outs, features.up))
        )
        return Additions(down, self.mid_out(features.mid), up)


def feature_widths(
    widths: Sequence[int], layers: int
) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Of all features down, in the middle and up: 12 + 1 + 15 in Stable Diffusion 1.5."""
    down, up = [widths[0]], []
    for i, width in enumerate(widths):
        down += [width] * (layers + (i < len(widths) - 1))
    for i, width in reversed(list(enumerate(widths))):
        up += [width] * (layers + 1 + (i > 0))
    return tuple(down), widths[-1], tuple(up)


def _silent(width: int) -> nn.Conv2d:
    """A 1x1 convolution of zeros."""
    conv = nn.Conv2d(width, width, 1)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


def _up(
    block: nn.Module, h: Features, emb: Tensor, skips: list[Features], made: list[Features]
) -> Features:
    """What the block gives; it takes from the end of `skips` and tells `made` of every layer."""
    match block:
        case UpBlock2D():
            layers, upsamplers = block.resnets, block.upsamplers or ()
        case _:
            raise TypeError(f"a way up is made of UpBlock2D, not of {type(block).__name__}")
    for layer in layers:
        h = layer(torch.cat([h, skips.pop()], 1), emb)
        made.append(h)
    for upsampler in upsamplers:
        h = upsampler(h, skips[-1].shape[2:])
        made.append(h)
    return h


@final
@dataclass(frozen=True, eq=False)
class Inpainter:
    """The networks that work together; ValueError for those that do not fit one another."""

    unet: UNet2DConditionModel
    projection: ProjectionBranch
    vae: AutoencoderKL

    def __post_init__(self) -> None:
        for name in ("block_out_channels", "layers_per_block"):
            ours, theirs = self.unet.config[name], self.projection.config[name]
            if _plain(ours) != _plain(theirs):
                raise ValueError(
                    f"a projection branch of {name} {theirs} came for a UNet of {ours}; "
                    "make one by ProjectionBranch.of_unet"
                )

    def save(self, folder: Path, text_encoder: Any, tokenizer: Any, scheduler: Any) -> Path:
        """The directory that `hub.load` opens; the scheduler is one of diffusers."""
        pieces = (
            Piece("unet", self.unet),
            Piece("projection", self.projection),
            Piece("vae", self.vae),
            Piece("text_encoder", text_encoder),
            Piece("tokenizer", tokenizer),
            Piece("scheduler", scheduler),
        )
        return save(folder, "ProjectedInpainter", pieces)


def _plain(value: int | Sequence[int]) -> tuple[int, ...]:
    match value:
        case int():
            return (value,)
        case _:
            return tuple(value)


def known_part(
    vae: AutoencoderKL,
    image: Float[Tensor, "b *f h w 3"],
    hole: Float[Tensor, "b *f h w 1"],
    chunk: int = 16,
) -> Float[Tensor, "r 5 y x"]:
    """What the branch is shown beside the noise: latents of the picture, black in the hole, and it.

    Frames are rows. The hole is the nearest pixel's.
    """
    pictures = (image * (1 - hole)).reshape(-1, *image.shape[-3:])
    holes = hole.reshape(-1, *hole.shape[-3:]).movedim(-1, 1)
    with torch.no_grad():
        latents = in_chunks(Autoencoder(vae).encode, pictures, chunk)
    return torch.cat([latents, interpolate(holes, latents.shape[-2:]).to(latents)], 1)


def branches(
    inpainter: Inpainter,
    x_t: Latents,
    told: Levels,
    known: Float[Tensor, "r 5 y x"],
    scale: float = 1.0,
) -> Branches:
    """What the UNet hears besides its noise; differentiable, for training."""
    frames = x_t.shape[2] if x_t.ndim == 5 else 1
    x = x_t.transpose(1, 2).flatten(0, 1) if x_t.ndim == 5 else x_t
    levels = told.expand(len(x_t)).repeat_interleave(frames, 0)
    branch = inpainter.projection
    return Branches(added=branch(branch.features(x, levels, known.to(x.dtype))).times(scale))


@final
class ProjectedInpainter(Denoiser):
    """Pictures as the prompt says, that keep to what is known of them.

    Clips, b 4 f y x, are done frame by frame: there is no motion here.
    """

    def __init__(
        self, inpainter: Inpainter, text: TextEncoder, schedule: Schedule, chunk: int = 16
    ) -> None:
        """`chunk` frames are coded at once."""
        self.inpainter, self.text = inpainter, text
        self.schedule, self.chunk = schedule, chunk
        self.vae = Autoencoder(inpainter.vae)
        self._once = Once()

    @property
    def reads(self) -> tuple[str, ...]:
        """Words, and what is known."""
        return ("text", "view", "projection")

    def encode(self, images: Images) -> Latents:
        """b *f h w 3 to b 4 *f y x. ValueError for sides that the VAE cannot halve."""
        return encoded(self.vae, images, self.chunk)

    def decode(self, latents: Latents) -> Images:
        """b 4 *f y x to b *f h w 3."""
        return decoded(self.vae, latents, self.chunk)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output."""
        inputs = self._inputs(x_t, t, condition)
        return predicted(self.inpainter.unet, *inputs).to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt; what is known stays known."""
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        return inner_features(self.inpainter.unet, *self._inputs(x_t, t, condition))

    def _inputs(
        self, x_t: Latents, t: Levels, condition: Condition
    ) -> tuple[Latents, Levels, Tensor, Branches]:
        """What `predicted` wants. ValueError for a condition that cannot be read."""
        check_condition(condition, self.reads, ("projection",))
        part, unet = condition.projection, self.inpainter.unet
        assert part is not None  # `check_condition` has seen to it.
        x, told = x_t.to(unet.dtype), self.schedule.told(t).float()
        context = self.text(condition.prompts(len(x))).context.to(x.dtype)
        heard = branches(self.inpainter, x, told, self._known(part, x), part.scale)
        return x, told, context, heard

    def _known(self, part: Projection, x: Latents) -> Float[Tensor, "r 5 y x"]:
        """Of each frame of each row; ValueError for a part that does not fit the latents."""
        check_like(part.image, "projection", *(side * self.vae.factor for side in x.shape[-2:]))
        known = self._once(
            part, lambda: known_part(self.inpainter.vae, part.image, part.hole, self.chunk)
        )
        frames = x.shape[2] if x.ndim == 5 else 1
        clips = known.unflatten(0, part.image.shape[:-3])
        return each_row(each_frame(clips, frames), len(x)).flatten(0, 1)
