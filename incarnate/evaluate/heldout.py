"""People that no prior was trained on, drawn by the studio on the spot, with the truth about them.

The seed of the embedded priors' own training is 8, and 10 is that of the readers'; here it is 9.
Captions say who, in what, doing what; framing and side go into a `View`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from incarnate.evaluate.readers import BASIC, top_color
from incarnate.motion import SMPLX_JOINTS
from incarnate.priors.conditions import Projection, View
from incarnate.priors.train.shots import Shot, depth_map, normal_map, skeleton
from incarnate.recipe import Framing
from incarnate.studio.lessons import CLIP_FRAMES, STANCES, lesson
from incarnate.studio.people import person
from incarnate.studio.scenes import Sample
from incarnate.studio.wardrobe import outfit, worn_words

SEED = 9
TOLERANCE = 0.03
"""Metres that a point may lie behind what another view sees, to be seen by it as well."""
AZIMUTHS = {
    "front view": 0.0,
    "left side view": np.pi / 2,
    "right side view": -np.pi / 2,
    "back view": np.pi,
}
ACTIONS = ("standing", "with raised arms", "walking", "waving", "with hands on hips", "dancing")


@final
@dataclass(frozen=True, eq=False)
class Seen:
    """One held-out picture in every domain."""

    person: int
    caption: str
    azimuth: float
    framing: Framing
    rgb: Float[Tensor, "h w 3"]
    normal: Float[Tensor, "h w 3"]
    depth: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    skeleton: Float[Tensor, "h w 3"]
    known: Projection | None = None
    """The other picture of the pair as this camera has it; None for frames of clips."""


@final
@dataclass(frozen=True, eq=False)
class HeldOut:
    """All pictures of some people."""

    pairs: tuple[Seen, ...]
    """Two cameras a pose, one after the other."""
    clips: tuple[tuple[Seen, ...], ...]
    """CLIP_FRAMES frames a person."""

    def full(self) -> tuple[Seen, ...]:
        """The single pictures that show all of a person."""
        return tuple(seen for seen in self.pairs if seen.framing == "full")


def _quiet(done: int, count: int) -> None: ...


def held_out(
    people: int, size: int, progress: Callable[[int, int], None] = _quiet, first: int = 0
) -> HeldOut:
    """So many people of the seed, from number `first` on, at `size` pixels a side."""
    pairs: list[Seen] = []
    clips: list[tuple[Seen, ...]] = []
    for index in range(first, first + people):
        who = person((SEED, index))
        rng = np.random.default_rng([SEED, index, 6])  # As shards of this seed have them.
        samples = list(lesson(who, rng, size))
        pairs += _pairs(index, samples[: 2 * STANCES])
        clips.append(tuple(_seen(index, s) for s in samples[2 * STANCES :][:CLIP_FRAMES]))
        progress(index + 1 - first, people)
    return HeldOut(tuple(pairs), tuple(clips))


def _pairs(index: int, samples: Sequence[Sample]) -> Iterator[Seen]:
    for k, sample in enumerate(samples):
        yield _seen(index, sample, projected(sample, samples[k ^ 1]))


def _seen(index: int, sample: Sample, known: Projection | None = None) -> Seen:
    taken = sample.shot
    shot = Shot(
        sample.caption,
        sample.azimuth,
        sample.framing,
        tuple(SMPLX_JOINTS),
        taken.joints.astype(np.float64),
        len(taken.rgb),
        alpha=taken.alpha.astype(np.float32),
        normal=taken.normal.astype(np.float32),
        depth=taken.depth.astype(np.float32),
    )
    size = shot.size
    return Seen(
        index,
        bare(sample.caption),
        sample.azimuth,
        sample.framing,
        torch.from_numpy(taken.rgb.astype(np.float32) / 255),
        _tensor(normal_map(shot, size)),
        _tensor(depth_map(shot, size)),
        _tensor(taken.alpha),
        _tensor(skeleton(shot, size)),
        known,
    )


def _tensor(picture: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32))


def bare(caption: str) -> str:
    """The studio's caption without its words for framing and view, which a `View` says."""
    parts = caption.split(", ")
    return ", ".join(p for p in parts if not p.endswith((" view", " body", "head and shoulders")))


def projected(here: Sample, other: Sample) -> Projection:
    """The other picture's colours where this camera sees the same places of the person."""
    ours, theirs = here.shot, other.shot
    rows, columns = np.nonzero(ours.depth)
    depth = ours.depth[rows, columns]
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))]) * depth
    rays = np.linalg.inv(ours.camera.intrinsics.numpy()) @ pixels
    back = np.linalg.inv(ours.camera.world_to_camera.numpy())
    world = back[:3, :3] @ rays + back[:3, 3:]
    to, size = theirs.camera.world_to_camera.numpy(), len(ours.rgb)
    seen = to[:3, :3] @ world + to[:3, 3:]
    place = theirs.camera.intrinsics.numpy() @ seen
    x, y = np.floor(place[:2] / np.maximum(place[2], 1e-6)).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < size) & (y < size) & (seen[2] > 0)
    x, y = x.clip(0, size - 1), y.clip(0, size - 1)
    there = theirs.depth[y, x]
    inside &= (there > 0) & (seen[2] < there + TOLERANCE)
    image = np.zeros((1, size, size, 3), np.float32)
    hole = np.ones((1, size, size, 1), np.float32)
    image[0, rows[inside], columns[inside]] = theirs.rgb[y[inside], x[inside]] / np.float32(255)
    hole[0, rows[inside], columns[inside]] = 0
    return Projection(torch.from_numpy(image), torch.from_numpy(hole))


def view_of(seen: Sequence[Seen]) -> View:
    """What prompts are told of where pictures are taken from."""
    return View(tuple(s.azimuth for s in seen), tuple(s.framing for s in seen))


@final
@dataclass(frozen=True)
class Asked:
    """A caption made up, and what readers are to find."""

    caption: str
    side: str
    framing: Framing
    color: str
    """Basic colour of what is worn above."""
    named: str
    """The colour's name in the caption."""

    @property
    def azimuth(self) -> float:
        """The middle of the side."""
        return AZIMUTHS[self.side]


FRAMED: tuple[Framing, ...] = ("full", "full", "full", "upper", "upper")


def asked(count: int, people: Sequence[Seen]) -> tuple[Asked, ...]:
    """Captions of people in other clothes than theirs, of one colour above; as many of each side.

    Who they are, their hair and their hats' place in the sentence are the held-out people's.
    """
    rng = np.random.default_rng([SEED, 7])
    found: list[Asked] = []
    bodies = list(dict.fromkeys(_who(seen.caption) for seen in people))
    while len(found) < count:
        who = bodies[int(rng.integers(len(bodies)))]
        clothes = outfit(rng, "woman" in who)
        text = f"{who}, in {worn_words([g for g in clothes.garments], clothes.hat)}"
        color = top_color(text)
        if color is None:
            continue
        action = ACTIONS[int(rng.integers(len(ACTIONS)))]
        side = list(AZIMUTHS)[len(found) % len(AZIMUTHS)]
        framing = FRAMED[int(rng.integers(len(FRAMED)))]
        found.append(Asked(f"{text}, {action}", side, framing, color, _named(text)))
    return tuple(found)


def _who(caption: str) -> str:
    return caption.partition(", in ")[0]


def _named(text: str) -> str:
    from incarnate.evaluate.readers import cloths

    return cloths(text)[0].color


def in_plain_terms(one: Asked) -> bool:
    """Whether the caption's colour is itself one of the eleven basic terms."""
    return BASIC[one.named] == one.named
