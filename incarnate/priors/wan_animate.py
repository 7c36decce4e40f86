"""Wan-Animate (Cheng et al. 2025): a person of a photo moves as a skeleton and a face do.

    noises = [torch.randn(1, 16, 1 + 20, 90, 160, generator=rng) for _ in range(3)]
    clip = animated(prior, noises, Condition(text=..., reference=..., pose=...), steps=20)

Latents have one frame in front, where the network paints the photo anew: `decode` leaves it out,
`encode` puts the clip's first frame there. The projection is what is known of the clip: the last
frames of the segment before, or a film in which a person is to be replaced.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from incarnate.priors.conditions import Condition, Pose, Projection, Reference, check_condition
from incarnate.priors.denoiser import Denoiser, Images, Once, Scale
from incarnate.priors.frames import check_like, each_frame, each_row
from incarnate.priors.sampling import ddim
from incarnate.priors.schedule import Latents, Levels, Schedule
from incarnate.priors.texts import TextEncoder
from incarnate.priors.vision import cropped, fitted, side_of
from incarnate.priors.wan import GREY, OnceTogether, WanAutoencoder, inner
from incarnate.priors.windows import picked

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_wan_animate import WanAnimateTransformer3DModel
    from transformers import CLIPVisionModel


@final
class WanAnimate(Denoiser):
    """Clips of the reference's person in the pose's moves, its face moving as the pose's face."""

    def __init__(
        self,
        transformer: "WanAnimateTransformer3DModel",
        vae: WanAutoencoder,
        text: TextEncoder,
        image_encoder: "CLIPVisionModel",
        schedule: Schedule,
    ) -> None:
        self.transformer, self.vae, self.text = transformer, vae, text
        self.image_encoder, self.schedule = image_encoder, schedule
        self._seen, self._faceless, self._once = Once(), Once(), OnceTogether()

    @property
    def reads(self) -> tuple[str, ...]:
        """The reference and the pose, its face included, are wanted."""
        return ("text", "view", "reference", "pose", "projection")

    def encode(self, images: Images) -> Latents:
        """b f h w 3 to b 16 1+k y x. ValueError for sides or frames that do not fit."""
        return torch.cat([self.vae.encode(images[:, :1]), self.vae.encode(images)], 2)

    def decode(self, latents: Latents) -> Images:
        """b 16 1+k y x to b f h w 3."""
        return self.vae.decode(latents[:, :, 1:])

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The transformer's output. ValueError for a pose without a face, or of another size."""
        check_condition(condition, self.reads, ("reference", "pose"))
        pose, reference = condition.pose, condition.reference
        assert pose is not None and reference is not None  # `check_condition` has seen to it.
        if pose.scale != 1:
            raise ValueError(f"a pose of scale {pose.scale} came; this prior follows it wholly: 1")
        x = x_t.to(self.transformer.dtype)
        size = self.vae.size(x[:, :, 1:])
        beside = torch.cat(
            [
                each_row(self._photo(reference, size).to(x), len(x)),
                each_row(self._known(condition.projection, size, x).to(x), len(x)),
            ],
            2,
        )
        return self.transformer(
            hidden_states=torch.cat([x, beside], 1),
            timestep=self.schedule.told(t).float(),
            encoder_hidden_states=self.text(condition.prompts(len(x))).context.to(x),
            encoder_hidden_states_image=each_row(self._looks(reference).to(x), len(x)),
            pose_hidden_states=each_row(self._moves(pose, size).to(x), len(x)),
            face_pixel_values=each_row(self._face(pose, size[0]).to(x), len(x)),
            return_dict=False,
        )[0].to(x_t.dtype)

    def unconditional(self, condition: Condition) -> Condition:
        """The negative prompt and a black face; the skeleton and the photo stay."""
        pose = condition.pose
        if pose is None or pose.face is None:
            return condition.negative()
        face = pose.face

        def work() -> Pose:
            return Pose(pose.image, torch.zeros_like(face), pose.scale)

        return replace(condition.negative(), pose=self._faceless(pose, work))

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """The outputs of the blocks three quarters, half and a quarter down the transformer."""
        return inner(self.transformer, x_t, lambda: self.predict(x_t, t, condition))

    def _looks(self, reference: Reference) -> Float[Tensor, "b n c"]:
        """The photo as CLIP's last layer but one has it."""

        @torch.no_grad()
        def work() -> Tensor:
            square = cropped(reference.image, side_of(self.image_encoder.config))
            told = self.image_encoder(
                square.to(self.image_encoder.dtype), output_hidden_states=True
            )
            return told.hidden_states[-2]

        return self._seen(reference, work)

    def _photo(
        self, reference: Reference, size: tuple[int, int, int]
    ) -> Float[Tensor, "b c 1 y x"]:
        """The photo's latents, below four channels that say: this frame is known."""

        @torch.no_grad()
        def work() -> Tensor:
            image = fitted(reference.image, size[1], size[2], fill=0.0)
            latents = self.vae.encode(image[:, None])
            marks = torch.ones_like(latents[:, :1]).expand(-1, self.vae.pace, -1, -1, -1)
            return torch.cat([marks, latents], 1)

        return self._once((reference,), size, work)

    def _known(
        self, known: Projection | None, size: tuple[int, int, int], like: Tensor
    ) -> Float[Tensor, "b c k y x"]:
        """The latents of what is known, grey if nothing is, below channels that say where."""

        @torch.no_grad()
        def work() -> Tensor:
            given = known or unknown(size, like)
            check_like(given.image, "projection", size[1], size[2])
            latents = self.vae.encode(each_frame(given.image, size[0]).float())
            marks = self._marks(1 - (each_frame(given.hole, size[0]) > 0.5).float())
            return torch.cat([each_row(marks, len(latents)), latents], 1)

        return self._once((self.vae if known is None else known,), size, work)

    def _marks(self, kept: Float[Tensor, "b f h w 1"]) -> Float[Tensor, "b p k y x"]:
        """A channel for each of the frames behind a latent one; the first counts for all of its."""
        rows, factor = len(kept), self.vae.factor
        sides = kept.shape[2] // factor, kept.shape[3] // factor
        small = interpolate(kept.flatten(0, 1).movedim(-1, 1), sides, mode="nearest")
        frames = small.unflatten(0, (rows, -1))[:, :, 0]
        first = frames[:, :1].expand(-1, self.vae.pace - 1, -1, -1)
        return torch.cat([first, frames], 1).unflatten(1, (-1, self.vae.pace)).transpose(1, 2)

    def _moves(self, pose: Pose, size: tuple[int, int, int]) -> Float[Tensor, "b z k y x"]:
        """The latents of the skeleton's film."""
        check_like(pose.image, "pose", size[1], size[2])

        @torch.no_grad()
        def work() -> Tensor:
            return self.vae.encode(each_frame(pose.image, size[0]).float())

        return self._once((pose,), size, work)

    def _face(self, pose: Pose, frames: int) -> Float[Tensor, "b 3 f s s"]:
        """The face's film in [-1, 1], of the size that the motion encoder knows."""
        if pose.face is None:
            raise ValueError(
                "the pose came without its face; this prior reads both: Pose(image, face=...)"
            )
        film = each_frame(pose.face, frames)
        side = int(self.transformer.config["motion_encoder_size"])
        flat = film.flatten(0, 1).movedim(-1, 1).float()
        if flat.shape[-2:] != (side, side):
            flat = interpolate(flat, (side, side), mode="bilinear", antialias=True)
        return (flat * 2 - 1).unflatten(0, (len(film), -1)).transpose(1, 2)


def unknown(size: tuple[int, int, int], like: Tensor) -> Projection:
    """A grey clip (frames, height, width) of which nothing is known."""
    image = like.new_full((1, *size, 3), GREY, dtype=torch.float32)
    return Projection(image, torch.ones_like(image[..., :1]))


def following(shown: Images, segment: Projection) -> Projection:
    """What is known of a segment, with all that is `shown` known as its first frames."""
    rest = segment.image[:, shown.shape[1] :], segment.hole[:, shown.shape[1] :]
    rows = len(shown)
    image = torch.cat([shown, each_row(rest[0], rows)], 1)
    hole = torch.cat([torch.zeros_like(shown[..., :1]), each_row(rest[1], rows)], 1)
    return Projection(image, hole)


def animated(
    prior: WanAnimate,
    noises: Sequence[Latents],
    condition: Condition,
    steps: int = 20,
    guidance_scale: Scale = 1.0,
    overlap: int = 1,
) -> Images:
    """A clip of any length: a segment for each of `noises`, sampled one after the other.

    Each begins with the last `overlap` frames (1 or 5) of the one before. ValueError unless the
    pose has a frame for each of the clip's.
    """
    frames, height, width = prior.vae.size(noises[0][:, :, 1:])
    total = frames + (len(noises) - 1) * (frames - overlap)
    known = condition.projection or unknown((total, height, width), noises[0])
    whole = replace(condition, projection=known)
    clip: list[Images] = []
    for i, noise in enumerate(noises):
        start = i * (frames - overlap)
        part = picked(whole, list(range(start, start + frames)), total)
        if clip and part.projection is not None:
            part = replace(part, projection=following(clip[-1][:, -overlap:], part.projection))
        clean = ddim(prior, noise, part, prior.schedule.levels(steps), guidance_scale)
        with torch.no_grad():
            clip.append(prior.decode(clean)[:, overlap if clip else 0 :])
    return torch.cat(clip, 1)
