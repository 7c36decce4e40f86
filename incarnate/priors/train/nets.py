"""The networks that are trained: the UNet itself, adapters in it, or a branch beside it.

All take (x_t, told, tokens, control): noisy latents, what the network is told of their level,
the prompts' tokens and the picture to follow, channels last. What is trained wants gradients, and
all else does not.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, assert_never, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from incarnate.priors.branches import Branches
from incarnate.priors.directory import INDEX, Directory
from incarnate.priors.loading import quiet
from incarnate.priors.schedule import Latents, Levels
from incarnate.priors.train.base import Base
from incarnate.recipe import Recipe

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel

    from incarnate.priors.pose import PoseGuider

ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")
"""The layers of the UNet's attentions that get adapters."""
WIDTHS = (16, 32, 96, 256)
"""Of the layers that bring a ControlNet's picture to the size of the latents."""
POSE_WIDTHS = (16, 32, 64, 128)
"""The same of a pose guider."""


@final
class Plain(nn.Module):
    """The UNet, wholly or by adapters; with or without the text encoder."""

    def __init__(self, unet: "UNet2DConditionModel", text_encoder: "CLIPTextModel") -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(
        self,
        x_t: Latents,
        told: Levels,
        tokens: Int[Tensor, "b n"],
        control: Float[Tensor, "b h w 3"],
    ) -> Latents:
        """What the UNet predicts."""
        words = self.text_encoder(tokens).last_hidden_state
        return self.unet(x_t, told, words).sample


@final
class Controlled(nn.Module):
    """A UNet and the ControlNet that makes it follow normal maps."""

    def __init__(
        self,
        unet: "UNet2DConditionModel",
        text_encoder: "CLIPTextModel",
        controlnet: "ControlNetModel",
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.controlnet = unet, text_encoder, controlnet

    def forward(
        self,
        x_t: Latents,
        told: Levels,
        tokens: Int[Tensor, "b n"],
        control: Float[Tensor, "b h w 3"],
    ) -> Latents:
        """What the UNet predicts when it listens to the ControlNet."""
        words = self.text_encoder(tokens).last_hidden_state
        said = self.controlnet(x_t, told, words, control.movedim(-1, 1))
        return self.unet(
            x_t,
            told,
            words,
            down_block_additional_residuals=said.down_block_res_samples,
            mid_block_additional_residual=said.mid_block_res_sample,
        ).sample


@final
class Posed(nn.Module):
    """A UNet and the pose guider that makes it follow skeletons."""

    def __init__(
        self, unet: "UNet2DConditionModel", text_encoder: "CLIPTextModel", guider: "PoseGuider"
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.guider = unet, text_encoder, guider

    def forward(
        self,
        x_t: Latents,
        told: Levels,
        tokens: Int[Tensor, "b n"],
        control: Float[Tensor, "b h w 3"],
    ) -> Latents:
        """What the UNet predicts when the guider has looked at the skeletons."""
        from incarnate.priors.unet import predicted

        words = self.text_encoder(tokens).last_hidden_state
        return predicted(
            self.unet, x_t, told, words, Branches(pose=self.guider(control.movedim(-1, 1)))
        )


Net = Plain | Controlled | Posed


def built(recipe: Recipe, base: Base) -> Net:
    """The network of a task, at its start; what chance fills comes from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = _net(recipe, base)
    net.eval()  # Nothing drops out: chance within the network would not come again on a resume.
    if recipe.save_memory:
        _save_memory(net)
    return net


def _net(recipe: Recipe, base: Base) -> Net:
    match recipe.task:
        case "text-to-normal" | "text-to-depth" | "text-to-rgb":
            if recipe.lora is not None:
                _adapt(base.unet, recipe.lora)
            else:
                base.unet.requires_grad_(True)
            base.text_encoder.requires_grad_(recipe.text_encoder)
            return Plain(base.unet, base.text_encoder)
        case "normal-aligned":
            from diffusers.models.controlnets.controlnet import ControlNetModel

            branch = ControlNetModel.from_unet(
                base.unet, conditioning_embedding_out_channels=_halving(WIDTHS, base.halvings)
            )
            return Controlled(base.unet, base.text_encoder, branch)
        case "pose-guider":
            from incarnate.priors.pose import PoseGuider

            first = base.unet.config["block_out_channels"][0]
            guider = PoseGuider(first, _halving(POSE_WIDTHS, base.halvings))
            return Posed(base.unet, base.text_encoder, guider)
        case _:
            assert_never(recipe.task)


def _adapt(unet: "UNet2DConditionModel", rank: int) -> None:
    """Puts adapters into the attentions, which at first change nothing."""
    from peft import LoraConfig

    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(ADAPTED)))


def _halving(widths: tuple[int, ...], halvings: int) -> tuple[int, ...]:
    """Widths of layers of which all but the first halve the picture."""
    return (widths + widths[-1:] * halvings)[: halvings + 1]


def _save_memory(net: Net) -> None:
    """Works inner values out again on the way back, which diffusers does in training mode only."""
    for module in net.modules():
        match module:
            case nn.Dropout():
                module.p = 0.0  # As in `built`: chance in the network would not come again.
            case _:
                pass
    net.unet.enable_gradient_checkpointing()
    net.unet.train()
    match net:
        case Controlled():
            net.controlnet.enable_gradient_checkpointing()
            net.controlnet.train()
        case Plain() | Posed():
            pass


def trained(net: Net) -> dict[str, nn.Parameter]:
    """What wants gradients, by name."""
    return {name: p for name, p in net.named_parameters() if p.requires_grad}


def save_result(net: Net, recipe: Recipe, base: Base, folder: Path) -> None:
    """What was trained, as diffusers opens it, into an empty folder.

    A branch is a directory of its own, adapters one file for `load_lora_weights`, and a model
    trained wholly a complete directory.
    """
    with quiet():
        match net:
            case Controlled():
                net.controlnet.save_pretrained(folder)
            case Posed():
                net.guider.save_pretrained(folder)
            case Plain() if recipe.lora is not None:
                _save_adapters(net.unet, folder)
            case Plain():
                _copy_rest(base.directory, folder)
                net.unet.save_pretrained(folder / "unet")
                if recipe.text_encoder:
                    net.text_encoder.save_pretrained(folder / "text_encoder")
                else:
                    _copy(base.directory, "text_encoder", folder)
            case _:
                assert_never(net)


def _copy_rest(directory: Directory, folder: Path) -> None:
    """What no training changes; a card would speak of another model's weights."""
    index = json.loads((directory.path / INDEX).read_text())
    for name in ("safety_checker", "feature_extractor", "image_encoder"):
        index[name] = [None, None]
    index["requires_safety_checker"] = False
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    for name in ("tokenizer", "vae", "scheduler"):
        _copy(directory, name, folder)


def _copy(directory: Directory, name: str, folder: Path) -> None:
    shutil.copytree(directory.part(name).folder, folder / name)


def _save_adapters(unet: "UNet2DConditionModel", folder: Path) -> None:
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft import get_peft_model_state_dict

    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionLoraLoaderMixin.save_lora_weights(folder, unet_lora_layers=layers)
