"""The networks of the embedded priors: how they begin, and the directory that ships."""

import copy
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import TextTimeEmbedding
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float, Int
from priors_data import DOMAINS, Lessons
from priors_fit import STAGES, Stage
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from incarnate.priors.animation import zeroed
from incarnate.priors.configs import schedule_of
from incarnate.priors.pose import PoseGuider
from incarnate.priors.saved import Piece, save
from incarnate.priors.schedule import Schedule
from incarnate.studio.lessons import CLIP_FRAMES

WIDTHS, TEXT_WIDTH, TOKENS, VAE_WIDTHS = (40, 80, 112), 128, 64, (24, 32, 64)
CHANNELS = 6
"""Of the latents; the last two are led to hold the colour of 4 x 4 pixels."""
GUIDERS = {"pose": 3, "normal": 3, "projection": 4}
"""What guides the UNet, and the channels of its picture."""
SCHEDULER: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,  # Of another spacing; diffusers warns where it is 0.
}
VOCABULARY = 1024
TOLD, BEFORE = "training.json", "before.json"


@dataclass(frozen=True, eq=False)
class Parts:
    """All networks, with the newest weights that the run's folder has of each."""

    folder: Path
    tokenizer: CLIPTokenizer
    text: CLIPTextModel
    vae: Any
    """AutoencoderKL."""
    unet: UNet2DConditionModel
    guiders: nn.ModuleDict
    motion: MotionAdapter
    schedule: Schedule

    @staticmethod
    def at(folder: Path, lessons: Lessons, begin: Path | None) -> "Parts":
        """As they begin (by chance, or as they were exported), then what stages made of them."""
        torch.manual_seed(0)
        tokenizer = _tokenizer(folder / "tokenizer", lessons, begin)
        guiders = {
            name: PoseGuider(WIDTHS[0], (16, 32, 64), channels)
            for name, channels in GUIDERS.items()
        }
        parts = Parts(
            folder,
            tokenizer,
            _text(tokenizer),
            _vae(),
            _unet(),
            nn.ModuleDict(guiders),
            _motion(),
            schedule_of(dict(DDIMScheduler(**SCHEDULER).config)),
        )
        if begin is not None:
            for name, module in parts.pieces().items():
                module.load_state_dict(type(module).from_pretrained(begin / name).state_dict())
            if not (folder / BEFORE).exists():
                shutil.copy(begin / TOLD, folder / BEFORE)
        for stage in STAGES:
            path = folder / f"{stage}.pt"
            if path.exists():
                kept = torch.load(path, weights_only=True)
                parts.modules(stage).load_state_dict(kept["average"], strict=False)
        for module in (*parts.unet.modules(), *parts.motion.modules()):
            if isinstance(module, Attention):
                # Torch's fused attention goes back on a CPU in three times the time of this.
                module.set_processor(AttnProcessor())
        return parts

    def pieces(self) -> dict[str, Any]:
        """The networks, by the names of their folders."""
        own = {"text_encoder": self.text, "vae": self.vae, "unet": self.unet}
        return {**own, **dict(self.guiders.items()), "motion": self.motion}

    def modules(self, stage: Stage) -> nn.ModuleDict:
        """What a stage trains."""
        match stage:
            case "vae" | "latents":
                return nn.ModuleDict({"vae": self.vae})
            case "text":
                return nn.ModuleDict({"text": self.text})
            case "base" | "fine":
                return nn.ModuleDict({"unet": self.unet, "guiders": self.guiders})
            case "motion":
                return nn.ModuleDict({"motion": self.motion})

    def words(self, prompts: list[str]) -> Float[Tensor, "b n c"]:
        """What the UNet reads."""
        return self.read(prompts)[1]

    def read(self, prompts: list[str]) -> tuple[Int[Tensor, "b n"], Float[Tensor, "b n c"]]:
        """Tokens, and what the text encoder makes of them."""
        told = self.tokenizer(
            prompts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        )
        return told.input_ids, self.text(told.input_ids).last_hidden_state

    def export(self, folder: Path) -> None:
        """A diffusers directory, float16; its card (README.md) stays."""
        for old in folder.iterdir() if folder.exists() else ():
            if old.is_dir():
                shutil.rmtree(old)
        halves = {name: copy.deepcopy(module).half() for name, module in self.pieces().items()}
        pieces = [Piece("tokenizer", self.tokenizer)]
        pieces += [Piece(name, halves.pop(name)) for name in ("text_encoder", "vae", "unet")]
        pieces.append(Piece("scheduler", DDIMScheduler(**SCHEDULER)))
        save(folder, "StableDiffusionPipeline", tuple(pieces))
        for name, half in halves.items():
            half.save_pretrained(folder / name)
        path = folder / "model_index.json"
        index = json.loads(path.read_text())
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
        index["requires_safety_checker"] = False
        path.write_text(json.dumps(index, indent=2) + "\n")
        (folder / TOLD).write_text(json.dumps(self._told(), indent=1) + "\n")

    def _told(self) -> dict[str, dict[str, float]]:
        """Samples seen, runs before this one counted in, and the last loss of each stage."""
        before = self.folder / BEFORE
        told = json.loads(before.read_text()) if before.exists() else {}
        for stage in STAGES:
            path = self.folder / f"{stage}.pt"
            if path.exists():
                kept = torch.load(path, weights_only=True)
                seen = kept["seen"] + told.get(stage, {}).get("samples", 0)
                told[stage] = {"samples": seen}
                if math.isfinite(kept["loss"]):
                    told[stage]["loss"] = round(kept["loss"], 4)
        return {stage: told[stage] for stage in STAGES if stage in told}


def _text(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    told: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 5 * TEXT_WIDTH // 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "attn_implementation": "eager",
    }
    text = CLIPTextModel(CLIPTextConfig(**told))
    # As CLIP begins, tokens say less than their places do, and they end up alike.
    tokens = text.get_input_embeddings()
    assert isinstance(tokens, nn.Embedding)
    nn.init.normal_(tokens.weight, std=0.1)
    return text


def _vae() -> AutoencoderKL:
    told: dict[str, Any] = {  # Whose annotations know of one block only.
        "down_block_types": ("DownEncoderBlock2D",) * len(VAE_WIDTHS),
        "up_block_types": ("UpDecoderBlock2D",) * len(VAE_WIDTHS),
        "block_out_channels": VAE_WIDTHS,
        "layers_per_block": 1,
        "latent_channels": CHANNELS,
        "norm_num_groups": 8,
        "sample_size": 128,
        "scaling_factor": 1.0,
    }
    return AutoencoderKL(**told)


def _unet() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        # All layers hear the whole sentence beside the time.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    assert isinstance(unet.add_embedding, TextTimeEmbedding)
    nn.init.zeros_(unet.add_embedding.norm2.weight)
    return unet


def _motion() -> MotionAdapter:
    return zeroed(
        MotionAdapter(
            block_out_channels=WIDTHS,
            motion_layers_per_block=1,
            motion_num_attention_heads=4,
            motion_norm_num_groups=8,
            motion_max_seq_length=CLIP_FRAMES,
            use_motion_mid_block=False,
        )
    )


def _tokenizer(folder: Path, lessons: Lessons, begin: Path | None) -> CLIPTokenizer:
    """BPE over the captions and all their synonyms; whatever else is typed is spelled in bytes."""
    if not folder.exists() and begin is not None:
        shutil.copytree(begin / "tokenizer", folder)
    if not folder.exists():
        raw = folder.with_name("bpe")
        raw.mkdir(exist_ok=True)
        _learn_words(raw, lessons)
        CLIPTokenizer.from_pretrained(raw, model_max_length=TOKENS).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder, model_max_length=TOKENS)


def _learn_words(folder: Path, lessons: Lessons) -> None:
    """Writes CLIP's vocab.json and merges.txt."""
    rng = np.random.default_rng(0)
    corpus = [
        lessons.prompt(i, domain, rng) for domain in DOMAINS for i in range(0, len(lessons), 3)
    ]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    told = json.loads(tokenizer.to_str())["model"]
    specials = ("<|startoftext|>", "<|endoftext|>")
    tokens = dict.fromkeys(t for t in told["vocab"] if t not in specials)
    # CLIP's tokenizer spells unknown words with letters within and at the end of words.
    tokens |= dict.fromkeys(t for letter in alphabet for t in (letter, f"{letter}</w>"))
    tokens |= dict.fromkeys(specials)
    merges = [m if isinstance(m, str) else " ".join(m) for m in told["merges"]]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS})
    )
