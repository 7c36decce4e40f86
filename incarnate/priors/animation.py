"""A person from one photo, moving as drawn skeletons say (Animate Anyone, MusePose).

Two UNets of one layout. The reference UNet looks at the photo once, at the cleanest level, and what
enters its self-attentions is kept. The other one denoises; its self-attentions read the kept states
as further keys and values. A pose guider adds what it makes of the skeletons to the first features,
motion modules attend over frames, and cross-attention reads CLIP's embedding of the photo.

Without motion modules it makes pictures (stage 1), with them clips (stage 2).
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionModelWithProjection

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Branches, References, Tokens
from incarnate.priors.coding import decoded, encoded
from incarnate.priors.conditions import Condition, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, each_frame, each_row
from incarnate.priors.pose import PoseGuider
from incarnate.priors.saved import Piece, save
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.unet import inner_features, num_references, predicted, reference_states
from incarnate.priors.vision import CLIP_MEAN, CLIP_STD, side_of

GUIDER_WIDTHS = (16, 32, 64, 128)


@final
@dataclass(frozen=True, eq=False)
class Animator:
    """The networks that work together; ValueError for those that do not fit one another."""

    unet: UNet2DConditionModel
    reference_unet: UNet2DConditionModel
    pose_guider: PoseGuider
    vae: AutoencoderKL
    image_encoder: CLIPVisionModelWithProjection
    motion_adapter: MotionAdapter | None = None

    def __post_init__(self) -> None:
        wants = (
            ("pose guider's width", self.pose_guider.config["out_channels"], _widths(self.unet)[0]),
            ("pose guider's halvings", self.pose_guider.factor, Autoencoder(self.vae).factor),
            ("reference UNet's widths", _widths(self.reference_unet), _widths(self.unet)),
            ("reference states", num_references(self.reference_unet), num_references(self.unet)),
            (
                "image encoder's projection",
                self.image_encoder.config.projection_dim,
                self.unet.config["cross_attention_dim"],
            ),
        )
        for name, came, wanted in wants:
            if came != wanted:
                raise ValueError(f"the {name} came as {came}, where this UNet or VAE has {wanted}")

    @staticmethod
    def begun(
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        max_length: int | None = None,
    ) -> "Animator":
        """What training starts from: the reference UNet a copy, guider and motion yet silent.

        `max_length` frames are the most that motion modules will know; None: no motion modules.
        """
        guider = PoseGuider(_widths(unet)[0], GUIDER_WIDTHS[: Autoencoder(vae).factor.bit_length()])
        motion = None if max_length is None else motion_for(unet, max_length)
        return Animator(unet, copy.deepcopy(unet), guider, vae, image_encoder, motion)

    def save(self, folder: Path, scheduler: Any) -> Path:
        """The directory that `hub.load` opens; `scheduler` is one of diffusers."""
        names = "unet reference_unet pose_guider vae image_encoder motion_adapter".split()
        pieces = tuple(Piece(name, getattr(self, name)) for name in names)
        return save(folder, "ReferenceAnimator", (*pieces, Piece("scheduler", scheduler)))


def motion_for(unet: UNet2DConditionModel, max_length: int = 128, heads: int = 8) -> MotionAdapter:
    """Animate Anyone's motion modules, behind every layer of the UNet; silent at first."""
    config = unet.config
    return zeroed(
        MotionAdapter(
            block_out_channels=_widths(unet),
            motion_layers_per_block=config["layers_per_block"],
            motion_num_attention_heads=heads,
            motion_norm_num_groups=config["norm_num_groups"],
            motion_max_seq_length=max_length,
        )
    )


def zeroed(adapter: MotionAdapter) -> MotionAdapter:
    """A copy whose modules add nothing: their projections out are zero."""
    silent = copy.deepcopy(adapter)
    for name, parameter in silent.named_parameters():
        if ".proj_out." in name:
            nn.init.zeros_(parameter)
    return silent


def _widths(unet: UNet2DConditionModel) -> tuple[int, ...]:
    return tuple(unet.config["block_out_channels"])


@final
@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks make of a photo."""

    context: Float[Tensor, "b 1 e"]
    """CLIP's embedding: all that cross-attention reads."""
    states: tuple[Tokens, ...]


def seen(animator: Animator, photo: Float[Tensor, "b h w 3"]) -> Seen:
    """Differentiable in the reference UNet, for training; VAE and CLIP stay as they are."""
    encoder, unet = animator.image_encoder, animator.reference_unet
    with torch.no_grad():
        squares = _square(photo, side_of(encoder.config))
        context = encoder(squares.to(encoder.dtype)).image_embeds[:, None].to(unet.dtype)
        latents = Autoencoder(animator.vae).encode(photo).to(unet.dtype)
    clean = latents.new_zeros(len(latents))
    return Seen(context, reference_states(unet, latents, clean, context))


def branches(
    animator: Animator,
    x_t: Latents,
    skeletons: Float[Tensor, "r *f h w 3"],
    told: Seen | None,
    readers: tuple[int, ...] | None = None,
    scale: float = 1.0,
) -> Branches:
    """What the denoising UNet hears besides its noise; differentiable, for training.

    Of a photo that `readers` (rows) alone shall know, `told` has their rows. ValueError for
    skeletons that do not fit the latents.
    """
    frames = x_t.shape[2] if x_t.ndim == 5 else 1
    check_like(skeletons, "pose", *(s * animator.pose_guider.factor for s in x_t.shape[-2:]))
    drawn = each_row(each_frame(skeletons, frames), len(x_t)).flatten(0, 1)
    pose = animator.pose_guider(drawn.movedim(-1, 1).to(x_t.dtype)) * scale
    read = None if told is None else References(told.states, readers)
    return Branches(pose, animator.motion_adapter, "frame", read)


@final
class ReferenceAnimator(Denoiser):
    """Pictures or clips of the person in the reference, in the poses of the skeletons.

    Latents are b 4 y x without motion modules and b 4 f y x with them. Without a reference in the
    condition it predicts unconditionally: a zero embedding, and nothing to read.
    """

    def __init__(self, animator: Animator, schedule: Schedule, chunk: int = 16) -> None:
        """`chunk` frames are coded at once."""
        self.animator, self.schedule, self.chunk = animator, schedule, chunk
        self.vae = Autoencoder(animator.vae)
        self._once = Once()

    @property
    def reads(self) -> tuple[str, ...]:
        """The photo, which may be left out, and the skeletons."""
        return ("reference", "pose")

    def encode(self, images: Images) -> Latents:
        """b *f h w 3 to b 4 *f y x. ValueError for sides that the VAE cannot halve."""
        return encoded(self.vae, images, self.chunk)

    def decode(self, latents: Latents) -> Images:
        """b 4 *f y x to b *f h w 3, each frame for itself."""
        return decoded(self.vae, latents, self.chunk)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output. What it knows of a photo is worked out once, without gradients."""
        inputs = self._inputs(x_t, t, condition)
        return predicted(self.animator.unet, *inputs).to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The same poses of nobody."""
        return replace(condition, reference=None)

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        return inner_features(self.animator.unet, *self._inputs(x_t, t, condition))

    def _inputs(
        self, x_t: Latents, t: Levels, condition: Condition
    ) -> tuple[Latents, Levels, Tensor, Branches]:
        """What `predicted` wants. ValueError for a condition that cannot be read."""
        check_condition(condition, self.reads, ("pose",))
        self._check_length(x_t)
        pose, unet = condition.pose, self.animator.unet
        assert pose is not None  # `check_condition` has seen to it.
        x = x_t.to(unet.dtype)
        known = self._seen(condition)
        context = x.new_zeros(len(x), 1, unet.config["cross_attention_dim"])
        if known is not None:
            context = each_row(known.context, len(x))
        heard = branches(self.animator, x, pose.image, known, scale=pose.scale)
        return x, self.schedule.told(t).float(), context, heard

    def _check_length(self, x_t: Latents) -> None:
        """ValueError for more frames than the motion modules know."""
        motion = self.animator.motion_adapter
        if motion is None or x_t.ndim != 5:
            return
        frames, known = x_t.shape[2], int(motion.config["motion_max_seq_length"])
        if frames > known:
            raise ValueError(
                f"{frames} frames came, these motion modules know {known}; wrap the prior in "
                f"Windowed(prior, Windows(length={known}))"
            )

    def _seen(self, condition: Condition) -> Seen | None:
        reference = condition.reference
        if reference is None:
            return None
        with torch.no_grad():
            return self._once(reference, lambda: seen(self.animator, reference.image))


def _square(photo: Float[Tensor, "b h w 3"], side: int) -> Float[Tensor, "b 3 s s"]:
    """As CLIP was shown it: resized without regard to its shape, normalised."""
    resized = interpolate(photo.movedim(-1, 1), (side, side), mode="bicubic", antialias=True)
    mean, std = (photo.new_tensor(x).view(1, 3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))
    return (resized.clamp(0, 1) - mean) / std
