"""One directory of every family that `hub.load` opens, at reduced width."""

from collections.abc import Callable
from pathlib import Path

from incarnate.priors.animation import Animator
from incarnate.priors.projection import Inpainter, ProjectionBranch
from tests.priors import tiny, tiny_embedded, tiny_motion, tiny_video
from tests.priors.tiny import transformers


def controlled(folder: Path) -> str:
    return f"{tiny.stable(folder / 'base')}+normal:{tiny.control(folder / 'control')}"


def animated_base(folder: Path) -> str:
    """A picture model with motion modules laid over it."""
    tiny_motion.adapter(mid=False).save_pretrained(folder / "motion")
    net = tiny.unet(block_out_channels=tiny_motion.WIDTHS, layers_per_block=2)
    return f"{tiny.stable(folder / 'base', net=net)}+motion:{folder / 'motion'}"


def animator(folder: Path) -> str:
    parts = tiny_motion.unet(), tiny_motion.vae(), tiny_motion.image_encoder()
    return str(Animator.begun(*parts, 8).save(folder, tiny_motion.scheduler()))


def still_animator(folder: Path) -> str:
    parts = tiny_motion.unet(), tiny_motion.vae(), tiny_motion.image_encoder()
    return str(Animator.begun(*parts).save(folder, tiny_motion.scheduler()))


def inpainter(folder: Path) -> str:
    unet = tiny_motion.unet()
    text = transformers.CLIPTextModel(tiny.text_config(unet.config["cross_attention_dim"]))
    inner = Inpainter(unet, ProjectionBranch.of_unet(unet), tiny_motion.vae())
    words = tiny.tokenizer(folder.with_name(folder.name + "-words"))
    inner.save(folder, text, words, tiny_motion.scheduler())
    return str(folder)


def guided(folder: Path) -> str:
    return tiny_embedded.named(tiny_embedded.written(folder))


FAMILIES: dict[str, tuple[Callable[[Path], object], int | None]] = {
    "stable": (tiny.stable, None),
    "stable with control": (controlled, None),
    "stable xl": (tiny.stable_xl, None),
    "inpainting": (lambda folder: tiny.stable(folder, in_channels=9), None),
    "stable video": (tiny_video.stable_video, 3),
    "animate diff": (tiny_video.animate_diff, 3),
    "stable with motion": (animated_base, 3),
    "wan vace": (tiny_video.wan_vace, 5),
    "wan animate": (tiny_video.wan_animate, 5),
    "reference animator": (animator, 3),
    "reference animator of pictures": (still_animator, None),
    "guided diffusion": (guided, None),
    "guided diffusion of clips": (guided, 3),
    "projected inpainter": (inpainter, None),
    "projected inpainter of clips": (inpainter, 3),
}
"""How each is made, and how many frames its latents have."""
