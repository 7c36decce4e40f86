"""What other networks say to a UNet (`priors.unet`), each through a door of its own.

Frames of clips are rows here: frame j of clip i is row i f + j.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from diffusers.models.unets.unet_motion_model import MotionAdapter

Features = Float[Tensor, "r _ _ _"]
Tokens = Float[Tensor, "r _ _"]


@final
@dataclass(frozen=True, eq=False)
class References:
    """What self-attentions read besides their own tokens: keys and values of another picture."""

    states: tuple[Tokens, ...]
    """Of each transformer block, in the order of the walk; a row for each reader, or one."""
    readers: tuple[int, ...] | None = None
    """The rows (clips) that read; the others have only themselves. None: all."""


@final
@dataclass(frozen=True, eq=False)
class Additions:
    """What is added to the features of the walk, as BrushNet does."""

    down: tuple[Features, ...]
    """To what conv_in, each layer and each down-sampler gives."""
    mid: Features
    up: tuple[Features, ...]
    """To what each layer and each up-sampler gives."""

    def times(self, scale: float) -> "Additions":
        """Spoken louder or softer."""
        down, up = (tuple(x * scale for x in side) for side in (self.down, self.up))
        return Additions(down, self.mid * scale, up)


@final
@dataclass(frozen=True, eq=False)
class Branches:
    """The networks that have a say, each through its door."""

    pose: Features | None = None
    """Added to what conv_in gives."""
    motion: "MotionAdapter | None" = None
    """Attends over frames behind every layer; needs a clip."""
    motion_norm: Literal["clip", "frame"] = "clip"
    """What motion modules normalise together: diffusers the clip, Animate Anyone each frame."""
    references: References | None = None
    added: Additions | None = None


PLAIN = Branches()
