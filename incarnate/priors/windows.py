"""Long clips from models of short ones: windows over frames, joined at every step.

A `Windowed` prior is a prior: sampling and guidance do not know. Frames are axis 2 of the latents.
Two ways are known to work, and both are here:

    averaged   windows of `length` that overlap by `overlap` count alike (MusePose, AnimateDiff)
    anchored   every window holds frame 0, the reference, before its own frames, and counts with a
               triangle over them, so that seams fade (progressive latent fusion, as One Shot, One
               Talk uses it)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors.conditions import Audio, Condition, Pose
from incarnate.priors.denoiser import Denoiser, Once, Over
from incarnate.priors.schedule import Latents, Levels

P = TypeVar("P")


@dataclass(frozen=True)
class Windows:
    """How frames are cut into windows."""

    length: int = 16
    """Frames the inner model sees at once, the reference among them when anchored."""
    overlap: int = 4
    join: Literal["averaged", "anchored"] = "averaged"

    def __post_init__(self) -> None:
        """ValueError for windows that do not move on."""
        own = self.length - (self.join == "anchored")
        if not 0 <= self.overlap < own:
            raise ValueError(
                f"windows of {own} new frames cannot overlap by {self.overlap}; "
                f"give 0 to {own - 1}, or longer windows"
            )

    def cut(self, num_frames: int) -> list[tuple[list[int], Float[Tensor, " k"]]]:
        """The frames of each window and how much each counts there.

        Every frame counts somewhere. A clip that fits is one window.
        """
        if num_frames <= self.length:
            return [(list(range(num_frames)), torch.ones(num_frames))]
        first = int(self.join == "anchored")
        own = self.length - first
        starts = list(range(first, num_frames - own, own - self.overlap)) + [num_frames - own]
        return [self._window(start, own) for start in starts]

    def _window(self, start: int, own: int) -> tuple[list[int], Float[Tensor, " k"]]:
        frames = list(range(start, start + own))
        if self.join == "averaged":
            return frames, torch.ones(own)
        place = (torch.arange(own) + 0.5) * 2 / own
        return [0, *frames], torch.cat([torch.ones(1), torch.minimum(place, 2 - place)])


@final
class Windowed(Over):
    """A prior for clips of any length, made of one for short clips."""

    def __init__(self, inner: Denoiser, windows: Windows) -> None:
        super().__init__(inner)
        self.windows = windows
        self._cuts = Once()

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        """The windows' predictions, weighed and joined."""
        count = x_t.shape[2]
        total, weight = torch.zeros_like(x_t), x_t.new_zeros(count)
        for frames, counts in self.windows.cut(count):
            told = picked(condition, frames, count, self._cuts)
            part = self.inner.predict(x_t[:, :, frames], t, told)
            counts = counts.to(x_t)
            total = total.index_add(2, torch.tensor(frames, device=x_t.device), _on(part, counts))
            weight = weight.index_add(0, torch.tensor(frames, device=x_t.device), counts)
        return total / weight.view(1, 1, -1, *[1] * (x_t.ndim - 3))

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        """Those of the first window."""
        frames, _ = self.windows.cut(x_t.shape[2])[0]
        part = picked(condition, frames, x_t.shape[2], self._cuts)
        return self.inner.features(x_t[:, :, frames], t, part)


def picked(
    condition: Condition, frames: list[int], count: int, kept: Once | None = None
) -> Condition:
    """The condition of some frames of a clip of `count`; pictures without frames hold for all.

    With `kept`, the same part and frames give the same object: what priors work out of it once
    stays worked out. ValueError for a part that has another number of frames.
    """

    def cut(x: Tensor) -> Tensor:
        if x.shape[1] != count:
            raise ValueError(
                f"a condition of {x.shape[1]} frames came for latents of {count}; windows want one "
                "for each"
            )
        return x[:, frames]

    def clip(x: Tensor) -> Tensor:
        return cut(x) if x.ndim == 5 else x

    def part(whole: P | None, work: Callable[[P], P]) -> P | None:
        if whole is None:
            return None
        cuts: dict[tuple[int, ...], P] = {} if kept is None else kept(whole, dict)
        if tuple(frames) not in cuts:
            cuts[tuple(frames)] = work(whole)
        return cuts[tuple(frames)]

    def faces(pose: Pose) -> Tensor | None:
        return None if pose.face is None else cut(pose.face)

    return replace(
        condition,
        normal=part(condition.normal, lambda x: replace(x, image=clip(x.image))),
        depth=part(condition.depth, lambda x: replace(x, image=clip(x.image))),
        pose=part(condition.pose, lambda x: replace(x, image=clip(x.image), face=faces(x))),
        projection=part(
            condition.projection, lambda x: replace(x, image=clip(x.image), hole=clip(x.hole))
        ),
        audio=part(condition.audio, lambda x: Audio(cut(x.features))),
    )


def _on(part: Latents, counts: Float[Tensor, " k"]) -> Latents:
    """Each frame times its count."""
    return part * counts.view(1, 1, -1, *[1] * (part.ndim - 3))
