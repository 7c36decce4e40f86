"""The user's own weights: from a diffusers directory to a `Denoiser`.

    load("stable-diffusion-v1-5")
    load("normal-aligned-sd1.5+normal:controlnet-normal-sd1.5")      with a ControlNet
    load("stable-diffusion-v1-5+motion:animatediff-motion-adapter")  with motion modules
    load("runs/normal/result+pose:runs/pose/result")                 with a guider, as `train` makes

Safetensors only: nothing is unpickled, and no code of the directory runs.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

import torch

from incarnate.priors.autoencoder import Autoencoder, frozen
from incarnate.priors.checkpoint import Checkpoint, Found, found
from incarnate.priors.configs import schedule_of
from incarnate.priors.denoiser import Denoiser
from incarnate.priors.directory import Directory, Part
from incarnate.priors.files import read_json
from incarnate.priors.loading import Loading, quiet
from incarnate.priors.schedule import Schedule
from incarnate.priors.stable import Control, ControlKind, StableDiffusion
from incarnate.priors.texts import ClipText, TextEncoder, XlText
from incarnate.progress import Report, Silent

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

CONTROLS: tuple[ControlKind, ...] = ("normal", "depth", "pose")


def load(
    named: str,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    report: Report | None = None,
    quick: bool = False,
) -> Denoiser:
    """The prior in a directory (or hub id), with what is laid over it: see the module's top.

    `dtype` is float32 on a CPU and float16 elsewhere if not given; the `quick` do without
    transformers where they can (`priors.lean`). ValueError, before anything is loaded, for what is
    missing, foreign, pickled or cut off.
    """
    there = found(Checkpoint.parse(named))
    kept = dtype or (torch.float32 if device == "cpu" else torch.float16)
    return assembled(there, Loading(there, device, kept, report or Silent(), quick))


def assembled(there: Found, loading: Loading) -> Denoiser:
    """The prior of a checked checkpoint. ValueError for overlays that its kind does not take."""
    base = there.base
    match base.kind:
        case "StableDiffusionPipeline" if there.guides:
            return _guided(there, loading)
        case "StableDiffusionPipeline" if there.over("motion"):
            return _animate_diff(there, there.over("motion")[0].part("model"), loading)
        case "AnimateDiffPipeline":
            return _animate_diff(there, base.part("motion_adapter"), loading)
        case (
            "StableDiffusionPipeline"
            | "StableDiffusionInpaintPipeline"
            | "StableDiffusionControlNetPipeline"
            | "StableDiffusionXLPipeline"
        ):
            return _stable(there, loading)
        case "StableVideoDiffusionPipeline":
            return _stable_video(there, loading)
        case "MarigoldDepthPipeline" | "MarigoldNormalsPipeline":
            return _marigold(there, loading)
        case "WanVACEPipeline" | "WanAnimatePipeline":
            return _wan(there, loading)
        case "ReferenceAnimator":
            return _reference_animator(there, loading)
        case "ProjectedInpainter":
            return _projected_inpainter(there, loading)
        case _:
            raise ValueError(
                f"{base.path} is a single {base.kind}; it is laid over a base, as in "
                f"BASE+KIND:{base.path}"
            )


def _stable(there: Found, loading: Loading) -> Denoiser:
    base = there.base
    there.takes("normal", "depth", "pose", "unet", "vae", "lora")
    controls: list[tuple[ControlKind, Part]] = [
        (kind, over.part("model")) for kind in CONTROLS for over in there.over(kind)
    ]
    if base.kind == "StableDiffusionControlNetPipeline" and not controls:
        raise ValueError(
            f"{base.path} has a ControlNet within, but does not tell what it reads; say so as "
            f"{base.path}+normal:{base.path / 'controlnet'} (or depth, or pose)"
        )
    _check_fit(there)
    text = clip_text(base, loading)
    vae = Autoencoder(loading.model(there.part("vae")))
    nets = tuple(Control(kind, loading.model(part)) for kind, part in controls)
    return StableDiffusion(_unet(there, loading), vae, text, schedule(base), nets)


def _guided(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.guiders import CHANNELS, GuidedDiffusion, Guider, Networks

    there.takes("normal", "pose", "projection", "motion", "unet", "vae", "lora")
    nets = [over for _, over in there.overlays if over.kind == "ControlNetModel"]
    if nets:
        raise ValueError(
            f"{nets[0].path} is a ControlNet beside a guider; lay either over {there.base.path}"
        )
    _check_fit(there)
    motion = there.over("motion")
    networks = Networks(
        _unet(there, loading),
        Autoencoder(loading.model(there.part("vae"))),
        tuple(
            Guider(kind, loading.model(over.part("model")))
            for kind in CHANNELS
            for over in there.over(kind)
        ),
        loading.model(motion[0].part("model")) if motion else None,
    )
    return GuidedDiffusion(networks, clip_text(there.base, loading), schedule(there.base))


def _animate_diff(there: Found, motion: Part, loading: Loading) -> Denoiser:
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    from incarnate.priors.clips import AnimateDiff

    there.takes("motion", "unet", "vae", "lora")
    unet: Any = _unet(there, loading)
    if there.part("unet").cls != "UNetMotionModel":  # A saved pipeline has them joined already.
        if unet.config["addition_embed_type"] is not None:
            raise ValueError(
                f"{there.base.path}: its UNet hears whole sentences, which AnimateDiff's cannot; "
                "lay a guider over it too (+pose:DIR), or animate another base"
            )
        with quiet(), torch.device(loading.device):
            unet = UNetMotionModel.from_unet2d(unet, loading.model(motion))
    vae = Autoencoder(loading.model(there.part("vae")))
    return AnimateDiff(frozen(unet), vae, clip_text(there.base, loading), schedule(there.base))


def _stable_video(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.clips import StableVideo

    there.takes()
    vae, encoder, unet = (
        loading.model(there.base.part(name)) for name in ("vae", "image_encoder", "unet")
    )
    return StableVideo(vae, encoder, unet, schedule(there.base))


def _marigold(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.marigold import DepthMaps, Marigold, NormalMaps, said_nothing

    base = there.base
    there.takes("unet", "vae", "lora")
    maps = DepthMaps()
    if base.kind == "MarigoldNormalsPipeline":
        maps = NormalMaps(facing=base.settings.get("use_full_z_range") is False)
    words = loading.model(base.part("text_encoder")), loading.tokenizer(base.part("tokenizer"))
    vae = Autoencoder(loading.model(there.part("vae")))
    return Marigold(_unet(there, loading), vae, said_nothing(*words), schedule(base), maps)


def _wan(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.wan import WanAutoencoder, WanText, WanVace
    from incarnate.priors.wan_animate import WanAnimate

    base = there.base
    there.takes()
    transformer = loading.model(base.part("transformer"))
    vae = WanAutoencoder(loading.model(base.part("vae")))
    encoder, tokenizer = base.part("text_encoder"), base.part("tokenizer")
    text = WanText(loading.model(encoder), loading.tokenizer(tokenizer))
    if base.kind == "WanVACEPipeline":
        return WanVace(transformer, vae, text, schedule(base))
    eyes = loading.model(base.part("image_encoder"))
    return WanAnimate(transformer, vae, text, eyes, schedule(base))


def _reference_animator(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.animation import Animator, ReferenceAnimator

    there.takes("unet", "vae")
    parts = {part.name: part for part in there.base.parts}
    motion = parts.get("motion_adapter")
    animator = Animator(
        unet=loading.model(there.part("unet")),
        reference_unet=loading.model(parts["reference_unet"]),
        pose_guider=loading.model(parts["pose_guider"]),
        vae=loading.model(there.part("vae")),
        image_encoder=loading.model(parts["image_encoder"]),
        motion_adapter=None if motion is None else loading.model(motion),
    )
    return ReferenceAnimator(animator, schedule(there.base))


def _projected_inpainter(there: Found, loading: Loading) -> Denoiser:
    from incarnate.priors.projection import Inpainter, ProjectedInpainter

    there.takes("unet", "vae", "lora")
    inpainter = Inpainter(
        _unet(there, loading),
        loading.model(there.base.part("projection")),
        loading.model(there.part("vae")),
    )
    return ProjectedInpainter(inpainter, clip_text(there.base, loading), schedule(there.base))


def _check_fit(there: Found) -> None:
    """ValueError for parts of different models: as configurations tell, before all is loaded."""
    told = {
        part.name: read_json(part.folder / "config.json") for part in there.base.parts if part.files
    }
    unet, vae = (read_json(there.part(name).folder / "config.json") for name in ("unet", "vae"))
    texts = [told[name].get("hidden_size") for name in told if name.startswith("text_encoder")]
    words = sum(size for size in texts if type(size) is int)
    if words != unet.get("cross_attention_dim"):
        raise ValueError(
            f"{there.base.path}: the UNet reads words of {unet.get('cross_attention_dim')} "
            f"numbers, and the text encoder writes {words}; take both from one model"
        )
    latents, taken = vae.get("latent_channels"), unet.get("in_channels")
    if type(latents) is int and taken not in (latents, 2 * latents + 1):
        raise ValueError(
            f"{there.base.path}: the UNet takes {taken} channels, and the VAE makes {latents}; "
            "take both from one model"
        )


def clip_text(base: Directory, loading: Loading) -> TextEncoder:
    """The text encoder, or SDXL's two."""
    first = loading.model(base.part("text_encoder")), loading.tokenizer(base.part("tokenizer"))
    if base.kind != "StableDiffusionXLPipeline":
        return ClipText(*first)
    second = loading.model(base.part("text_encoder_2")), loading.tokenizer(base.part("tokenizer_2"))
    zeros = bool(base.settings.get("force_zeros_for_empty_prompt", True))
    return XlText((first[0], second[0]), (first[1], second[1]), zeros)


def schedule(base: Directory) -> Schedule:
    """What the directory's scheduler says."""
    return schedule_of(read_json(base.part("scheduler").folder / "scheduler_config.json"))


def _unet(there: Found, loading: Loading) -> "UNet2DConditionModel":
    """The UNet, with the LoRAs worked into its weights."""
    unet = loading.model(there.part("unet"))
    for path in there.loras:
        _need_peft()
        with quiet():
            try:
                unet.load_lora_adapter(str(path), prefix="unet")
                unet.fuse_lora()
                unet.unload_lora()
            except Exception as error:  # Whatever peft says of a stranger's file.
                reason = " ".join(str(error).split())[:200]
                raise ValueError(f"the LoRA {path} does not fit this UNet: {reason}") from error
    return frozen(unet)


def _need_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise ValueError("a LoRA wants the package peft; pip install 'incarnate[train]'")
