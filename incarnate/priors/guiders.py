"""One UNet that reads text and, through a small network for each, whatever else guides it.

A guider (`priors.pose.PoseGuider`) looks at a picture (a drawn skeleton, a normal map, what is
known of the picture) and says what is added to the UNet's first features. All were trained with
dropout, so any of them may be left out of a condition: one denoiser makes pictures of text alone,
of text and pose, of text and normals. A photo of the person is read by the same UNet, at the
cleanest level, and what enters its self-attentions there is kept for the denoising ones to read.

With motion modules it makes clips too; every frame has its own guides, and all read one photo.
"""

from dataclasses import dataclass, replace
from typing import Literal, assert_never, final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from jaxtyping import Float
from torch import Tensor

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Branches, Features, References, Tokens
from incarnate.priors.coding import decoded, encoded
from incarnate.priors.conditions import Condition, Normal, Pose, Projection, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once
from incarnate.priors.frames import check_like, each_row
from incarnate.priors.pose import PoseGuider
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder, Worded
from incarnate.priors.unet import inner_features, predicted, reference_states

GuiderKind = Literal["pose", "normal", "projection"]
CHANNELS: dict[GuiderKind, int] = {"pose": 3, "normal": 3, "projection": 4}
"""Of the picture that a guider sees; of a projection rgb times (1 - hole), and the hole."""


@final
@dataclass(frozen=True, eq=False)
class Guider:
    """A network that looks at one part of the condition."""

    kind: GuiderKind
    net: PoseGuider


@final
@dataclass(frozen=True, eq=False)
class Networks:
    """What works together; ValueError for guiders that do not fit the UNet or the VAE."""

    unet: UNet2DConditionModel
    vae: Autoencoder
    guiders: tuple[Guider, ...] = ()
    motion: MotionAdapter | None = None

    def __post_init__(self) -> None:
        for guider in self.guiders:
            told = guider.net.config
            wants = (
                ("width", told["out_channels"], self.unet.config["block_out_channels"][0]),
                ("halvings span", guider.net.factor, self.vae.factor),
                ("picture's channels", told["in_channels"], CHANNELS[guider.kind]),
            )
            for name, came, wanted in wants:
                if came != wanted:
                    raise ValueError(
                        f"the {guider.kind} guider's {name} came as {came}; with this UNet and "
                        f"VAE it has to be {wanted}; train one on this base"
                    )


@final
class GuidedDiffusion(Denoiser):
    """Pictures (b c y x) or clips (b c f y x) of text and of any guides that there are.

    Guidance leads away from the negative prompt and from nobody's photo; poses, normals and
    projections hold for both predictions.
    """

    def __init__(
        self,
        networks: Networks,
        text: TextEncoder,
        schedule: Schedule,
        photo_text: TextEncoder | None = None,
        chunk: int = 16,
    ) -> None:
        """`chunk` frames are coded at once.

        While a photo is looked at, `photo_text` (or else `text`) is asked for ''.
        """
        self.networks, self.text, self.schedule = networks, text, schedule
        self.photo_text, self.chunk = photo_text or text, chunk
        self._once = Once()

    def worded(self, words: str, photo: str) -> "GuidedDiffusion":
        """The same networks with `words` at the end of each prompt, and `photo` told of photos."""
        text, seen = Worded(self.text, words), Worded(self.text, photo)
        return GuidedDiffusion(self.networks, text, self.schedule, seen, self.chunk)

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts of a condition it knows; each may be left out."""
        return ("text", "view", "reference", *(guider.kind for guider in self.networks.guiders))

    def encode(self, images: Images) -> Latents:
        """b *f h w 3 to b c *f y x. ValueError for sides that the VAE cannot halve."""
        return encoded(self.networks.vae, images, self.chunk)

    def decode(self, latents: Latents) -> Images:
        """b c *f y x to b *f h w 3, each frame for itself."""
        return decoded(self.networks.vae, latents, self.chunk)

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The UNet's output. Guides and photo are looked at once, without gradients."""
        inputs = self._inputs(x_t, t, condition)
        return predicted(self.networks.unet, *inputs).to(x_t.dtype)

    def led(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Latents, Latents]:
        """Both predictions in one pass: a small network takes little longer for two rows."""
        x, told, context, heard = self._inputs(x_t, t, condition)
        plain = self.text(condition.negative().prompts(len(x))).context.to(x.dtype)
        rows = len(x)
        pose, read = heard.pose, heard.references
        both = replace(
            heard,
            pose=None if pose is None else torch.cat([pose, pose]),
            references=None if read is None else replace(read, readers=tuple(range(rows))),
        )
        words = torch.cat([context.expand(rows, -1, -1), plain.expand(rows, -1, -1)])
        led = torch.cat([x, x]), told.expand(rows).repeat(2), words
        conditional, plain = predicted(self.networks.unet, *led, both).to(x_t.dtype).split(rows)
        return conditional, plain

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt and no photo; the guides stay."""
        return replace(condition.negative(), reference=None)

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the middle block and of all but the last up block."""
        return inner_features(self.networks.unet, *self._inputs(x_t, t, condition))

    def _inputs(
        self, x_t: Latents, t: Levels, condition: Condition
    ) -> tuple[Latents, Levels, Tensor, Branches]:
        """What `predicted` wants. ValueError for a condition that cannot be read."""
        check_condition(condition, self.reads, ())
        clip = x_t.ndim == 5
        motion = self.networks.motion if clip else None
        _check_length(motion, x_t)
        unet = self.networks.unet
        x = x_t.to(unet.dtype)
        context = self.text(condition.prompts(len(x))).context.to(x.dtype)
        states = self._seen(condition, len(x))
        read = None if states is None else References(states)
        heard = Branches(pose=self._guides(x, condition), motion=motion, references=read)
        return x, self.schedule.told(t).float(), context, heard

    def _guides(self, x: Latents, condition: Condition) -> Features | None:
        """All that the guiders say, a row for each frame; None if there is nothing to look at."""
        said = []
        for kind in CHANNELS:
            part = _part(condition, kind)
            if part is not None:
                size = (side * self.networks.vae.factor for side in x.shape[-2:])
                check_like(part.image, kind, *size)
                said.append(_spread(self._guide(kind, part, x), kind, x))
        return torch.stack(said).sum(0) if said else None

    def _guide(
        self, kind: GuiderKind, part: Normal | Pose | Projection, like: Latents
    ) -> Float[Tensor, "k n c y x"]:
        """What this part has to say: a row for each of its pictures."""

        def work() -> Float[Tensor, "k n c y x"]:
            shown = _shown(part)
            clip = shown if shown.ndim == 5 else shown[:, None]
            pictures = clip.flatten(0, 1).movedim(-1, 1).to(like)
            nets = [guider.net for guider in self.networks.guiders if guider.kind == kind]
            with torch.no_grad():
                rows = torch.stack([net(pictures) for net in nets]).sum(0)
            return rows.unflatten(0, (len(clip), -1)) * part.scale

        return self._once(part, work)

    def _seen(self, condition: Condition, count: int) -> tuple[Tokens, ...] | None:
        """What the UNet makes of the photo: a row for each of `count`, or one for all."""
        reference = condition.reference
        if reference is None:
            return None
        if len(reference.image) not in (1, count):
            raise ValueError(f"{len(reference.image)} references came for {count} rows of latents")

        def work() -> tuple[Tokens, ...]:
            unet = self.networks.unet
            with torch.no_grad():
                latents = self.networks.vae.encode(reference.image).to(unet.dtype)
                clean = latents.new_zeros(len(latents))
                context = self.photo_text(("",)).context.to(latents)
                return reference_states(unet, latents, clean, context)

        return self._once(reference, work)


def wants(prior: Denoiser) -> tuple[str, ...]:
    """The parts of a condition that a prior reads and that its role has to give."""
    match prior:
        case GuidedDiffusion():
            return ()
        case _:
            return prior.reads


def _part(condition: Condition, kind: GuiderKind) -> Normal | Pose | Projection | None:
    match kind:
        case "pose":
            return condition.pose
        case "normal":
            return condition.normal
        case "projection":
            return condition.projection
        case _:
            assert_never(kind)


def _spread(made: Float[Tensor, "k n c y x"], kind: str, x: Latents) -> Features:
    """A row for each frame of `x`; ValueError for pictures that are not as many."""
    frames = x.shape[2] if x.ndim == 5 else 1
    if made.shape[1] not in (1, frames):
        came = f"a {kind} of {made.shape[1]} frames came for "
        raise ValueError(came + (f"a clip of {frames}" if x.ndim == 5 else "pictures"))
    return each_row(made, len(x)).expand(-1, frames, -1, -1, -1).flatten(0, 1)


def _shown(part: Normal | Pose | Projection) -> Float[Tensor, "k *f h w _"]:
    """What the guider sees of it."""
    match part:
        case Projection():
            return torch.cat([part.image * (1 - part.hole), part.hole], -1)
        case _:
            return part.image


def _check_length(motion: MotionAdapter | None, x_t: Latents) -> None:
    """ValueError for more frames than the motion modules know."""
    if motion is None:
        return
    frames, known = x_t.shape[2], int(motion.config["motion_max_seq_length"])
    if frames > known:
        raise ValueError(
            f"{frames} frames came, these motion modules know {known}; wrap the prior in "
            f"Windowed(prior, Windows(length={known}))"
        )
