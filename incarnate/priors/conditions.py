"""What a prediction may depend on: typed parts, gathered in one `Condition`.

Pictures are channels last in [0, 1], like all pictures. A part has one row for each row of what is
denoised, or a single row that holds for all of them. For a clip, `*f` is its frames.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import TypeVar, final

from jaxtyping import Float
from torch import Tensor

from incarnate.recipe import Framing

T = TypeVar("T")
FRAMINGS: dict[Framing, str] = {
    "full": "full body",
    "upper": "upper body",
    "lower": "lower body",
    "head": "only head",
}
"""HumanNorm's body texts (Sec. 4.1)."""


@final
@dataclass(frozen=True)
class Text:
    """Prompts, one a row."""

    prompts: tuple[str, ...]
    negative: tuple[str, ...] = ("",)
    """What the unconditional prediction is told instead."""


@final
@dataclass(frozen=True)
class View:
    """Where each row is seen from, for priors that are told in words."""

    azimuths: tuple[float, ...]
    """Radians: 0 looks at the face, positive towards the person's left."""
    framings: tuple[Framing, ...] = ("full",)

    def words(self) -> tuple[str, ...]:
        """'full body, left side view': HumanNorm's texts, in sectors of 90 degrees."""
        count = max(len(self.azimuths), len(self.framings))
        azimuths = rows(self.azimuths, count, "azimuths")
        framings: tuple[Framing, ...] = rows(self.framings, count, "framings")
        return tuple(f"{FRAMINGS[b]}, {side(a)}" for a, b in zip(azimuths, framings, strict=True))


def side(azimuth: float) -> str:
    """'front view', 'left side view', 'right side view' or 'back view', of the person's sides."""
    turned = math.remainder(azimuth, 2 * math.pi)
    if abs(turned) <= math.pi / 4:
        return "front view"
    if abs(turned) >= 3 * math.pi / 4:
        return "back view"
    return "left side view" if turned > 0 else "right side view"


@final
@dataclass(frozen=True, eq=False)
class Normal:
    """A map of camera-space normals, (n + 1) / 2 on black, that the picture shall follow.

    x points right, y up and z to the viewer, as in HumanNorm's renders and Marigold's maps.
    """

    image: Float[Tensor, "b *f h w 3"]
    scale: float = 1.0
    """How strongly a control branch speaks."""


@final
@dataclass(frozen=True, eq=False)
class Depth:
    """A map of inverse depth in [0, 1], nearest 1, background 0."""

    image: Float[Tensor, "b *f h w 1"]
    scale: float = 1.0


@final
@dataclass(frozen=True, eq=False)
class Pose:
    """A drawn skeleton (and, for those who read it, the driving face)."""

    image: Float[Tensor, "b *f h w 3"]
    face: Float[Tensor, "b f y x 3"] | None = None
    """Crops of the driving face: Wan-Animate reads them."""
    scale: float = 1.0


@final
@dataclass(frozen=True, eq=False)
class Reference:
    """Who or what is shown: a photo, or the picture a geometry model is to measure."""

    image: Float[Tensor, "b h w 3"]


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """What is known of the picture: another view projected, or a picture with holes."""

    image: Float[Tensor, "b *f h w 3"]
    hole: Float[Tensor, "b *f h w 1"]
    """1 where nothing is known, 0 where `image` holds."""
    scale: float = 1.0


@final
@dataclass(frozen=True, eq=False)
class Audio:
    """Features of sound, a row a frame."""

    features: Float[Tensor, "b f c"]


Part = Text | View | Normal | Depth | Pose | Reference | Projection | Audio


@final
@dataclass(frozen=True, eq=False)
class Condition:
    """Everything a prediction depends on but the noisy latents and their level."""

    text: Text | None = None
    view: View | None = None
    normal: Normal | None = None
    depth: Depth | None = None
    pose: Pose | None = None
    reference: Reference | None = None
    projection: Projection | None = None
    audio: Audio | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the parts that are there."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def prompts(self, count: int) -> tuple[str, ...]:
        """`count` prompts, with the words of the view behind; ValueError if they do not fit."""
        told = () if self.text is None else self.text.prompts
        viewed = () if self.view is None else self.view.words()
        texts = rows(told or ("",), count, "prompts")
        words = rows(viewed or ("",), count, "views")
        return tuple(", ".join(filter(None, pair)) for pair in zip(texts, words, strict=True))

    def negative(self) -> "Condition":
        """The same with the text replaced by its negative, and without the view's words."""
        text = None if self.text is None else Text(self.text.negative, self.text.negative)
        return replace(self, text=text, view=None)


def rows(values: tuple[T, ...], count: int, name: str) -> tuple[T, ...]:
    """One value for each of `count` rows; ValueError if there are neither one nor `count`."""
    if len(values) not in (1, count):
        raise ValueError(f"{len(values)} {name} came for {count} rows; give 1 or {count}")
    return values if len(values) == count else values * count


def check_condition(condition: Condition, reads: tuple[str, ...], wants: tuple[str, ...]) -> None:
    """ValueError unless all that `wants` names is given, and nothing that `reads` does not."""
    foreign = [name for name in condition.given if name not in reads]
    if foreign:
        raise ValueError(
            f"this prior does not read {' or '.join(foreign)}; it reads {', '.join(reads)}"
        )
    missing = [name for name in wants if name not in condition.given]
    if missing:
        raise ValueError(f"this prior needs {' and '.join(missing)} in its condition")
