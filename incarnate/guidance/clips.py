"""Clips: pictures are b f h w c, latents and noise b c f h w.

A prior of clips takes them as they are, a prior of pictures within `Framewise`. Both then are
priors of clips, so that score distillation of video is that of pictures. With the same noise in all
frames (`noises.shared`) frames that look alike are told the same.
"""

from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.guidance.sds import Scalar, sds
from incarnate.priors import (
    Audio,
    Condition,
    Denoiser,
    Depth,
    Images,
    Latents,
    Levels,
    Normal,
    Pose,
    Projection,
    Reference,
    Text,
    View,
)
from incarnate.priors.denoiser import Over, Scale


def sds_of_clip(
    prior: Denoiser,
    images: Float[Tensor, "b f h w c"],
    condition: Condition,
    t: Levels,
    noise: Float[Tensor, "b z n y x"],
    guidance_scale: Scale = 1.0,
    weight: Levels | None = None,
) -> Scalar:
    """`sds` per frame of the latents, so that long clips do not count more than short ones.

    With a prior that hears, this is L_vsd of the audio avatar (Eq. 2), in its surrogate form.
    """
    loss = sds(prior, images, condition, t, noise, guidance_scale, weight)
    return loss / noise.shape[2]


@final
class Framewise(Over):
    """A prior of clips that sees each frame by itself, with a prior of pictures."""

    def encode(self, images: Images) -> Latents:
        """Each frame as the inner prior does."""
        return clips(self.inner.encode(images.flatten(0, 1)), len(images))

    def decode(self, latents: Latents) -> Images:
        """Each frame as the inner prior does."""
        return self.inner.decode(frames(latents)).unflatten(0, (len(latents), -1))

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The predictions of all frames, each at its clip's level."""
        out = self.inner.predict(*_of_frames(x_t, t, condition))
        return clips(out, len(x_t))

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """Those of all frames, b c f *places."""
        levels = self.inner.features(*_of_frames(x_t, t, condition))
        return tuple(clips(level, len(x_t)) for level in levels)


def frames(latents: Float[Tensor, "b c f *places"]) -> Float[Tensor, "n c *places"]:
    """The frames of clips as rows: those of the first clip, then those of the next."""
    return latents.movedim(2, 1).flatten(0, 1)


def clips(rows: Float[Tensor, "n c *places"], count: int) -> Float[Tensor, "b c f *places"]:
    """`count` clips of rows that are their frames."""
    return rows.unflatten(0, (count, -1)).movedim(1, 2)


def _of_frames(
    x_t: Latents, t: Levels, condition: Condition
) -> tuple[Float[Tensor, "n c *places"], Float[Tensor, " n"], Condition]:
    num_clips, num_frames = len(x_t), x_t.shape[2]
    told = condition_of_frames(condition, num_clips, num_frames)
    return frames(x_t), t.repeat_interleave(num_frames), told


def condition_of_frames(condition: Condition, num_clips: int, num_frames: int) -> Condition:
    """The condition with a row for each frame of each clip.

    A part may have one row for all (it stays as it is), a row a clip, or a row a frame of each
    clip; pictures and sounds with an axis of frames give each frame its own. ValueError for others.
    """

    def told(values: tuple) -> tuple:
        rows = _rows(len(values), num_clips, num_frames)
        return values if rows is None else tuple(values[i] for i in rows)

    def seen(x: Tensor) -> Tensor:
        if x.ndim == 5:
            return heard(x).squeeze(1)
        rows = _rows(len(x), num_clips, num_frames)
        return x if rows is None else x[torch.tensor(rows, device=x.device)]

    def heard(x: Tensor) -> Tensor:
        if x.shape[1] != num_frames or len(x) not in (1, num_clips):
            raise ValueError(
                f"a condition of {len(x)} clips of {x.shape[1]} frames came for {num_clips} clips "
                f"of {num_frames}; give one frame for each"
            )
        return x.expand(num_clips, *x.shape[1:]).flatten(0, 1)[:, None]

    def posed(pose: Pose) -> Pose:
        if pose.face is None:
            return Pose(seen(pose.image), None, pose.scale)
        face, image = heard(pose.face), seen(pose.image)
        return Pose(image.expand(len(face), *image.shape[1:]), face, pose.scale)

    text, view, normal, depth = condition.text, condition.view, condition.normal, condition.depth
    pose, known, audio = condition.pose, condition.projection, condition.audio
    who = condition.reference
    return replace(
        condition,
        text=text and Text(told(text.prompts), told(text.negative)),
        view=view and View(told(view.azimuths), told(view.framings)),
        normal=normal and Normal(seen(normal.image), normal.scale),
        depth=depth and Depth(seen(depth.image), depth.scale),
        pose=pose and posed(pose),
        reference=who and Reference(seen(who.image)),
        projection=known and Projection(seen(known.image), seen(known.hole), known.scale),
        audio=audio and Audio(heard(audio.features)),
    )


def _rows(count: int, num_clips: int, num_frames: int) -> list[int] | None:
    """Which of `count` rows each frame of each clip has; None if they are right already."""
    if count in (1, num_clips * num_frames):
        return None
    if count != num_clips:
        raise ValueError(
            f"a condition of {count} rows came for {num_clips} clips of {num_frames} frames; give "
            f"1, {num_clips} or {num_clips * num_frames}"
        )
    return [i for i in range(num_clips) for _ in range(num_frames)]
