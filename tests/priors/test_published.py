"""Animate Anyone's published names, against diffusers' own conversion of AnimateDiff's."""

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from safetensors.torch import save_file

from incarnate.priors.animation import Animator, motion_for
from incarnate.priors.published import adopt, diffusers_name
from tests.priors.tiny_motion import adapter, image_encoder, loud, unet, vae

MOTION = "down_blocks.0.motion_modules.1.temporal_transformer"
NAMES = [
    *(f"{MOTION}.{end}" for end in ("norm.weight", "proj_in.bias", "proj_out.weight")),
    *(
        f"{MOTION}.transformer_blocks.0.{end}"
        for end in (
            "attention_blocks.0.to_q.weight",
            "attention_blocks.1.to_out.0.bias",
            "norms.0.weight",
            "norms.1.bias",
            "ff_norm.weight",
            "ff.net.0.proj.weight",
        )
    ),
]


def begun():
    return Animator.begun(unet(), vae(), image_encoder(), 8)


def published(folder, other):
    """`other`'s weights under the published names."""
    back = (
        (".attn1.", ".attention_blocks.0."),
        (".attn2.", ".attention_blocks.1."),
        (".norm1.", ".norms.0."),
        (".norm2.", ".norms.1."),
        (".norm3.", ".ff_norm."),
    )
    motion = {}
    for name, weight in other.motion_adapter.state_dict().items():
        if "pos_embed" in name:
            continue
        for ours, theirs in back:
            name = name.replace(ours, theirs)
        head, module, rest = name.partition("motion_modules.")
        index, _, tail = rest.partition(".")
        motion[f"{head}{module}{index}.temporal_transformer.{tail}"] = weight
    motion[f"{MOTION}.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"] = torch.zeros(
        1, 32, 8
    )
    reference = {
        name: weight
        for name, weight in other.reference_unet.state_dict().items()
        if not name.startswith(("conv_out", "conv_norm_out"))
    }
    save_file(motion, folder / "motion_module.safetensors")
    save_file(reference, folder / "reference_unet.safetensors")
    save_file(other.unet.state_dict(), folder / "denoising_unet.safetensors")
    save_file(other.pose_guider.state_dict(), folder / "pose_guider.safetensors")


def test_motion_modules_names_are_turned_as_diffusers_turns_them():
    theirs = convert_animatediff_checkpoint_to_diffusers({name: name for name in NAMES})
    assert {diffusers_name(name): name for name in NAMES} == theirs
    own = motion_for(unet(), heads=2).state_dict()
    assert all(diffusers_name(name) in own for name in NAMES)


def test_published_weights_are_taken_over_whole(tmp_path):
    ours = begun()
    other = Animator(
        unet(7), unet(8), loud(begun().pose_guider), vae(), image_encoder(), adapter(9)
    )
    published(tmp_path, other)
    ends = ours.reference_unet.conv_out.weight.clone()
    adopt(ours, tmp_path)
    for name in ("unet", "pose_guider", "motion_adapter", "reference_unet"):
        theirs = getattr(other, name).state_dict()
        for key, weight in getattr(ours, name).state_dict().items():
            if "pos_embed" in key or key.startswith(("conv_out", "conv_norm_out")):
                continue
            assert torch.equal(weight, theirs[key]), (name, key)
    assert torch.equal(ours.reference_unet.conv_out.weight, ends)


def test_weights_of_another_network_are_refused(tmp_path):
    ours, other = begun(), begun()
    with pytest.raises(ValueError, match="reference_unet.safetensors is missing"):
        adopt(ours, tmp_path)
    before = ours.unet.conv_in.weight.clone()
    torch.nn.init.zeros_(other.unet.conv_in.weight)
    published(tmp_path, other)
    save_file({"conv_in.weight": torch.zeros(1)}, tmp_path / "pose_guider.safetensors")
    with pytest.raises(ValueError, match="pose_guider.safetensors lacks 7 weights"):
        adopt(ours, tmp_path)
    assert torch.equal(ours.unet.conv_in.weight, before)
