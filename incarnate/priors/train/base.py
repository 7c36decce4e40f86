"""The model that a training begins with: a Stable Diffusion in diffusers' directories."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.io.runs import file_hash
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.checkpoint import Checkpoint, found
from incarnate.priors.directory import Directory
from incarnate.priors.hub import schedule
from incarnate.priors.loading import Loading
from incarnate.priors.schedule import Latents, Schedule
from incarnate.progress import Report

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer


@final
@dataclass(frozen=True, eq=False)
class Base:
    """Its parts, frozen; a training thaws what it trains."""

    directory: Directory
    tokenizer: "CLIPTokenizer"
    text_encoder: "CLIPTextModel"
    vae: Autoencoder
    unet: "UNet2DConditionModel"
    schedule: Schedule

    @property
    def halvings(self) -> int:
        """How often the VAE halves a picture's sides."""
        return self.vae.factor.bit_length() - 1

    def latents(self, size: int) -> tuple[int, int, int]:
        """The shape of the latents of a square picture. ValueError if there are none."""
        step = self.vae.factor * 2 ** (len(self.unet.config["block_out_channels"]) - 1)
        if size % step:
            raise ValueError(f"--size is {size}; this base takes multiples of {step}")
        side = size // self.vae.factor
        return self.unet.config["in_channels"], side, side

    def tokens(self, prompts: tuple[str, ...]) -> Int[Tensor, "b n"]:
        """Prompts as the text encoder reads them, cut where it ends."""
        return self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids

    @torch.no_grad()
    def encode(self, pictures: Float[Tensor, "b h w 3"]) -> Latents:
        """The posterior's mean, scaled to unit variance."""
        return self.vae.encode(pictures)

    def fingerprint(self) -> str:
        """Tells models apart by their weights."""
        files = sorted(self.directory.path.rglob("*.safetensors"))
        told = " ".join(file_hash(file) for file in files)
        return hashlib.sha256(told.encode()).hexdigest()


def load_base(folder: Path, report: Report) -> Base:
    """The parts of a diffusers directory; ValueError if it is none, or of another kind."""
    there = found(Checkpoint.parse(str(folder)))
    if there.base.kind != "StableDiffusionPipeline":
        raise ValueError(
            f"{there.base.path} is a {there.base.kind}; training begins with a "
            "StableDiffusionPipeline"
        )
    loading, part = Loading(there, "cpu", torch.float32, report), there.base.part
    base = Base(
        there.base,
        loading.tokenizer(part("tokenizer")),
        loading.model(part("text_encoder")),
        Autoencoder(loading.model(part("vae"))),
        loading.model(part("unet")),
        schedule(there.base),
    )
    _check(base)
    return base


def _check(base: Base) -> None:
    told, read = base.text_encoder.config.hidden_size, base.unet.config["cross_attention_dim"]
    latents, taken = base.vae.vae.config["latent_channels"], base.unet.config["in_channels"]
    if told != read:
        raise ValueError(
            f"{base.directory.path} has a UNet that reads words of {read} numbers, and a text "
            f"encoder that writes {told}; download both from one place"
        )
    if latents != taken:
        raise ValueError(
            f"{base.directory.path} has a UNet that takes {taken} channels for {latents} of "
            "latents; give one that makes pictures from text alone"
        )
