"""Weights published in Animate Anyone's layout (Moore's, MusePose's), for an `Animator`.

Four files: reference_unet, denoising_unet, motion_module and pose_guider, as safetensors
(`incarnate weights convert` writes them from .pth). The UNets and the guider have the names that
ours have; motion modules have AnimateDiff's.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from incarnate.priors.animation import Animator

MOTION_NAMES = (
    (".temporal_transformer", ""),
    (".attention_blocks.0", ".attn1"),
    (".attention_blocks.1", ".attn2"),
    (".norms.0", ".norm1"),
    (".norms.1", ".norm2"),
    (".ff_norm", ".norm3"),
)
"""AnimateDiff's names and those of diffusers."""
COMPUTED = "pos_encoder.pe", "pos_embed.pe"  # Sines: not learnt, and worked out at any length.
UNUSED = "conv_norm_out.", "conv_out."
"""A reference UNet is read inside, so published ones lack their last layers."""


def adopt(animator: Animator, folder: Path) -> None:
    """Takes the folder's weights over; ValueError, before any is, if one is of another network."""
    jobs: list[tuple[nn.Module, str, tuple[str, ...]]] = [
        (animator.reference_unet, "reference_unet", UNUSED),
        (animator.unet, "denoising_unet", ()),
        (animator.pose_guider, "pose_guider", ()),
    ]
    if animator.motion_adapter is not None:
        jobs.append((animator.motion_adapter, "motion_module", COMPUTED))
    found = [
        _fitting(network, folder / f"{name}.safetensors", lack) for network, name, lack in jobs
    ]
    for (network, _, _), weights in zip(jobs, found, strict=True):
        network.load_state_dict(weights, strict=False)


def diffusers_name(published: str) -> str:
    """What diffusers calls a weight of a motion module."""
    for theirs, ours in MOTION_NAMES:
        published = published.replace(theirs, ours)
    return published


def _fitting(network: nn.Module, file: Path, may_lack: tuple[str, ...]) -> dict[str, Tensor]:
    """The file's weights; names with a part of `may_lack` may be absent, and no others."""
    if not file.exists():
        raise ValueError(f"{file} is missing; convert the published .pth of that name")
    weights = {name: x for name, x in _weights(file).items() if not _any_of(COMPUTED, name)}
    own = network.state_dict()
    missing = [n for n in own if n not in weights and not _any_of(may_lack, n)]
    foreign = [n for n, x in weights.items() if n not in own or x.shape != own[n].shape]
    for what, names in (("lacks", missing), ("has otherwise", foreign)):
        if names:
            raise ValueError(
                f"{file} {what} {len(names)} weights, {names[0]} the first; "
                "it is of another network"
            )
    return weights


def _weights(file: Path) -> dict[str, Tensor]:
    return {diffusers_name(name): x for name, x in load_file(file).items()}


def _any_of(parts: tuple[str, ...], name: str) -> bool:
    return any(part in name for part in parts)
