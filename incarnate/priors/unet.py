"""One pass through diffusers' UNet, with doors where other networks come in.

Called without branches this is `UNet2DConditionModel.forward` bit for bit (Stable Diffusion 1 and
2), with a motion adapter it is `UNetMotionModel.forward`. The model's own modules are called;
nothing in it is changed, so that one UNet serves several priors at once.

Clips are b c f h w. Inside, their frames are rows: frame j of clip i is row i f + j. What comes in
through a door has rows like that; `told` and `context` have one for each clip.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, final

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_blocks import (
    CrossAttnDownBlock2D,
    CrossAttnUpBlock2D,
    DownBlock2D,
    UNetMidBlock2DCrossAttn,
    UpBlock2D,
)
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import (
    AnimateDiffTransformer3D,
    MotionAdapter,
    MotionModules,
)
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from incarnate.priors.branches import PLAIN, Branches, Features, Tokens
from incarnate.priors.schedule import Latents, Levels

Context = Float[Tensor, "_ words wide"]


def predicted(
    unet: UNet2DConditionModel,
    x_t: Latents,
    told: Levels,
    context: Context,
    branches: Branches = PLAIN,
) -> Latents:
    """What the network says of `x_t`; a row of `told` for each, and of `context` too or one."""
    *_, h = _stages(_started(unet, x_t, told, context, branches), unet, x_t, branches)
    if unet.conv_norm_out is not None and unet.conv_act is not None:
        h = unet.conv_act(unet.conv_norm_out(h))
    return _unfolded(unet.conv_out(h), x_t)


def inner_features(
    unet: UNet2DConditionModel,
    x_t: Latents,
    told: Levels,
    context: Context,
    branches: Branches = PLAIN,
) -> tuple[Tensor, ...]:
    """What the middle and all but the last block above it give, with frames like `x_t`."""
    walk = _started(unet, x_t, told, context, branches)
    inner = islice(_stages(walk, unet, x_t, branches), len(unet.up_blocks))
    return tuple(_unfolded(h, x_t) for h in inner)


def reference_states(
    unet: UNet2DConditionModel, x_t: Latents, told: Levels, context: Context
) -> tuple[Tokens, ...]:
    """What enters each self-attention, for another UNet of this shape to read (`References`)."""
    written: list[Tensor] = []
    walk = _started(unet, x_t, told, context, PLAIN, written)
    for _ in _stages(walk, unet, x_t, PLAIN):
        pass
    return tuple(written)


def check_unet(unet: UNet2DConditionModel) -> None:
    """ValueError for a UNet that conditions in ways this pass does not know."""
    unknown = (
        "class_embed_type encoder_hid_dim_type num_class_embeds "
        "time_embedding_act_fn center_input_sample only_cross_attention"
    ).split()
    foreign = [name for name in unknown if unet.config[name] not in (None, False)]
    if unet.config["addition_embed_type"] not in (None, "text"):
        foreign.append("addition_embed_type")
    if foreign:
        raise ValueError(
            f"this UNet has {', '.join(foreign)}; give one laid out as in Stable Diffusion 1 or 2"
        )


def num_additions(unet: UNet2DConditionModel) -> tuple[int, int]:
    """How many `Additions` there are on the way down and up: 12 and 15 in Stable Diffusion 1.5."""
    down, _, up = _blocks(unet, None)
    sizes = [sum(len(b.resnets) + len(b.samplers) for b in side) for side in (down, up)]
    return 1 + sizes[0], sizes[1]


def num_references(unet: UNet2DConditionModel) -> int:
    """How many transformer blocks read and write: 16 in Stable Diffusion 1.5."""
    down, middle, up = _blocks(unet, None)
    found = [model for block in (*down, middle, *up) for model in block.attentions]
    return sum(len(model.transformer_blocks) for model in found if model is not None)


@final
@dataclass(frozen=True, eq=False)
class _Walk:
    """What all layers of one pass share, and what is handed out to them in order."""

    emb: Float[Tensor, "r e"]
    context: Context
    frames: int
    states: Iterator[Tokens] | None
    readers: Int[Tensor, " k"] | None
    down: Iterator[Features] | None
    up: Iterator[Features] | None
    motion_norm: Literal["clip", "frame"]
    written: list[Tensor] | None


def _started(
    unet: UNet2DConditionModel,
    x_t: Latents,
    told: Levels,
    context: Context,
    branches: Branches,
    written: list[Tensor] | None = None,
) -> _Walk:
    check_unet(unet)
    _check_branches(unet, x_t, branches)
    frames = _frames(x_t)
    emb = unet.time_embedding(unet.time_proj(told.expand(len(x_t))).to(x_t.dtype))
    if unet.config["addition_embed_type"] == "text":
        emb = emb + unet.add_embedding(context)
    read, added = branches.references, branches.added
    readers = None
    if read is not None and read.readers is not None:
        first = torch.tensor(read.readers, dtype=torch.long, device=x_t.device) * frames
        readers = (first[:, None] + torch.arange(frames, device=x_t.device)).flatten()
    return _Walk(
        emb.repeat_interleave(frames, 0),
        context.expand(len(x_t), -1, -1).repeat_interleave(frames, 0),
        frames,
        None if read is None else iter(read.states),
        readers,
        None if added is None else iter(added.down),
        None if added is None else iter(added.up),
        branches.motion_norm,
        written,
    )


def _check_branches(unet: UNet2DConditionModel, x_t: Latents, branches: Branches) -> None:
    """ValueError for a branch that was made for another network, or pictures for a clip's."""
    if branches.motion is not None:
        if x_t.ndim != 5:
            raise ValueError("motion modules want a clip, b c f h w; pictures came")
        ours = tuple(unet.config["block_out_channels"])
        theirs = tuple(branches.motion.config["block_out_channels"])
        if ours != theirs:
            raise ValueError(f"motion modules of widths {theirs} came for a UNet of {ours}")
    if branches.references is not None:
        wanted, given = num_references(unet), len(branches.references.states)
        if given != wanted:
            raise ValueError(
                f"{given} reference states came for {wanted} transformer blocks; let a UNet of "
                "the same layout write them"
            )
    if branches.added is not None:
        came = len(branches.added.down), len(branches.added.up)
        if came != num_additions(unet):
            raise ValueError(
                f"{came[0]} additions down and {came[1]} up came; this UNet wants "
                "{} and {}".format(*num_additions(unet))
            )


@final
@dataclass(frozen=True, eq=False)
class _Block:
    """A block of the UNet: behind each residual layer (but the middle's first) what attends."""

    resnets: tuple[nn.Module, ...]
    attentions: tuple[Transformer2DModel | None, ...]
    motions: tuple[nn.Module | None, ...]
    samplers: tuple[nn.Module, ...]
    twice: bool
    """Whether layers are worked out again for their gradients."""


def _blocks(
    unet: UNet2DConditionModel, motion: MotionAdapter | None
) -> tuple[list[_Block], _Block, list[_Block]]:
    """The way down, the middle, the way up."""
    nothing = [None] * len(unet.down_blocks)
    down = nothing if motion is None else motion.down_blocks
    up = nothing if motion is None else motion.up_blocks
    return (
        [_block(b, m) for b, m in zip(unet.down_blocks, down, strict=True)],
        _block(unet.mid_block, None if motion is None else motion.mid_block),
        [_block(b, m) for b, m in zip(unet.up_blocks, up, strict=True)],
    )


def _block(block: nn.Module | None, motion: nn.Module | None) -> _Block:
    """ValueError for a block of a kind that Stable Diffusion 1 and 2 have not."""
    match block:
        case CrossAttnDownBlock2D():
            attentions, samplers = _transformers(block.attentions), block.downsamplers
        case CrossAttnUpBlock2D():
            attentions, samplers = _transformers(block.attentions), block.upsamplers
        case UNetMidBlock2DCrossAttn():
            attentions, samplers = _transformers(block.attentions), None
        case DownBlock2D():
            attentions, samplers = (None,) * len(block.resnets), block.downsamplers
        case UpBlock2D():
            attentions, samplers = (None,) * len(block.resnets), block.upsamplers
        case _:
            raise ValueError(
                f"this pass does not know {type(block).__name__}; give a UNet of blocks with or "
                "without cross-attention, and with it in the middle"
            )
    match motion:
        case MotionModules():
            motions = tuple(motion.motion_modules)
        case _:
            motions = (None,) * len(attentions)
    return _Block(
        tuple(block.resnets),
        attentions,
        motions,
        tuple(samplers or ()),
        block.gradient_checkpointing,
    )


def _transformers(modules: nn.ModuleList) -> tuple[Transformer2DModel, ...]:
    """ValueError for attention of another kind."""
    found = []
    for module in modules:
        match module:
            case Transformer2DModel():
                found.append(module)
            case _:
                raise ValueError(f"this pass does not know {type(module).__name__}")
    return tuple(found)


def _stages(
    walk: _Walk, unet: UNet2DConditionModel, x_t: Latents, branches: Branches
) -> Iterator[Features]:
    """What the middle and each block above it give."""
    down, middle, up = _blocks(unet, branches.motion)
    h = unet.conv_in(_folded(x_t))
    if branches.pose is not None:
        h = h + branches.pose
    h = _plus(h, walk.down)
    skips = [h]
    for block in down:
        h = _down(walk, block, h, skips)
    h = _middle(walk, middle, h)
    if branches.added is not None:
        h = h + branches.added.mid
    yield h
    for block in up:
        h = _up(walk, block, h, skips)
        yield h


def _down(walk: _Walk, block: _Block, h: Features, skips: list[Features]) -> Features:
    """What the block gives; all that it passed is laid on `skips`."""
    for i, resnet in enumerate(block.resnets):
        h = _attending(walk, block, i, _run(block, resnet, h, walk.emb))
        h = _plus(h, walk.down)
        skips.append(h)
    for downsampler in block.samplers:
        h = _plus(downsampler(h), walk.down)
        skips.append(h)
    return h


def _middle(walk: _Walk, block: _Block, h: Features) -> Features:
    h = _run(block, block.resnets[0], h, walk.emb)
    for i, resnet in enumerate(block.resnets[1:]):
        h = _run(block, resnet, _attending(walk, block, i, h), walk.emb)
    return h


def _up(walk: _Walk, block: _Block, h: Features, skips: list[Features]) -> Features:
    """What the block gives; it takes its share from the end of `skips`."""
    for i, resnet in enumerate(block.resnets):
        h = _run(block, resnet, torch.cat([h, skips.pop()], 1), walk.emb)
        h = _plus(_attending(walk, block, i, h), walk.up)
    for upsampler in block.samplers:
        # Pictures whose sides do not halve evenly grow back to what they were.
        h = _plus(upsampler(h, skips[-1].shape[2:]), walk.up)
    return h


def _attending(walk: _Walk, block: _Block, i: int, h: Features) -> Features:
    """Attention in the picture, then over frames, where there are any."""
    attention, motion = block.attentions[i], block.motions[i]
    if attention is not None:
        h = _transformed(walk, block, attention, h)
    if motion is None:
        return h
    if walk.motion_norm == "clip":
        return _run(block, motion, h, None, None, None, walk.frames)
    return _run(block, _moved, motion, h, walk.frames)


def _moved(motion: AnimateDiffTransformer3D, h: Features, frames: int) -> Features:
    """Attention over frames at each place, with each frame normalised by itself."""
    _, _, height, width = h.shape
    x = motion.norm(h).unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2).flatten(0, 2)
    x = motion.proj_in(x)
    for inner in motion.transformer_blocks:
        x = inner(x)
    x = motion.proj_out(x).unflatten(0, (-1, height, width)).permute(0, 3, 4, 1, 2)
    return h + x.flatten(0, 1)


def _transformed(walk: _Walk, block: _Block, model: Transformer2DModel, h: Features) -> Features:
    """`Transformer2DModel.forward`, with states read and written."""
    rows, _, height, width = h.shape
    x = model.norm(h)
    if model.use_linear_projection:
        x = model.proj_in(x.flatten(2).transpose(1, 2))
    else:
        x = model.proj_in(x).flatten(2).transpose(1, 2)
    for inner in model.transformer_blocks:
        state = None if walk.states is None else next(walk.states)
        x, entered = _run(block, _attended, inner, x, walk.context, state, walk.readers)
        if walk.written is not None:
            walk.written.append(entered)
    if model.use_linear_projection:
        x = model.proj_out(x)
    # Contiguous, as diffusers has it: a convolution rounds other strides otherwise.
    x = x.transpose(1, 2).reshape(rows, -1, height, width).contiguous()
    return (x if model.use_linear_projection else model.proj_out(x)) + h


def _attended(
    block: BasicTransformerBlock,
    x: Tokens,
    context: Context,
    state: Float[Tensor, "s m _"] | None,
    readers: Int[Tensor, " k"] | None,
) -> tuple[Tokens, Tokens]:
    """What a transformer block gives, and what entered its self-attention."""
    own = block.norm1(x)
    if state is None:
        x = block.attn1(own) + x
    elif readers is None:
        x = _read(block.attn1, own, state) + x
    else:
        read = _read(block.attn1, own[readers], state)
        x = block.attn1(own).index_copy(0, readers, read) + x
    if block.attn2 is not None and block.norm2 is not None:
        x = block.attn2(block.norm2(x), encoder_hidden_states=context) + x
    assert block.norm3 is not None  # Only I2VGen's blocks lack it.
    return block.ff(block.norm3(x)) + x, own


def _read(attention: nn.Module, own: Tokens, state: Float[Tensor, "s m _"]) -> Tokens:
    """Self-attention with the keys and values of a reference behind its own."""
    if len(state) == 0 or len(own) % len(state):
        raise ValueError(f"reference states of {len(state)} rows came for {len(own)} readers")
    behind = state.to(own.dtype).repeat_interleave(len(own) // len(state), 0)
    return attention(own, encoder_hidden_states=torch.cat([own, behind], 1))


def _run(block: _Block, layer: Callable[..., Any], *inputs: object) -> Any:
    """The layer's output, worked out again for gradients where the block is told to."""
    if block.twice and torch.is_grad_enabled():
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)


def _plus(h: Features, additions: Iterator[Features] | None) -> Features:
    return h if additions is None else h + next(additions)


def _frames(x: Latents) -> int:
    return x.shape[2] if x.ndim == 5 else 1


def _folded(x: Latents) -> Features:
    """Frames as rows."""
    return x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x


def _unfolded(h: Features, like: Latents) -> Tensor:
    """Rows as frames, where `like` has them."""
    return h.unflatten(0, (len(like), -1)).transpose(1, 2) if like.ndim == 5 else h
