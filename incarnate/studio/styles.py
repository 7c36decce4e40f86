"""Cuts and colours of hair, and the measures of the head that wears it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from incarnate.body.body import PARTS
from incarnate.studio.figure import Figure

Cut = Literal[
    "bald", "buzz", "short", "slick", "curly", "afro", "bob", "long", "ponytail", "bun"
]  # fmt: skip

SHADES = {
    "black": (24, 20, 20), "dark brown": (46, 32, 25), "brown": (82, 56, 38),
    "light brown": (124, 90, 60), "blond": (188, 152, 98), "red": (138, 66, 36),
    "grey": (140, 138, 136), "white": (216, 214, 208), "pink": (206, 108, 146),
    "blue": (58, 84, 150),
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """A cut and its colour; lengths in metres of the average adult."""

    cut: Cut
    shade: str
    length: float = 0.0
    lift: float = 0.3
    """How far hair stands off the scalp before it falls."""
    curl: float = 0.0
    part: float = 0.0
    """Metres to the person's left at which hair parts."""

    @property
    def words(self) -> str:
        """What a caption says of it."""
        match self.cut:
            case "bald":
                return "a bald head"
            case "buzz":
                return f"{self.shade} cropped hair"
            case "short" | "slick" | "curly" | "long":
                kind = {"slick": "combed-back", "curly": "short curly"}.get(self.cut, self.cut)
                return f"{kind} {self.shade} hair"
            case "afro":
                return f"{self.shade} afro hair"
            case _:
                return f"{'an' if self.shade[0] in 'aeiou' else 'a'} {self.shade} {self.cut}"


@dataclass(frozen=True, eq=False)
class Head:
    """Where things are on a head at rest."""

    center: Float[NDArray, "3"]
    size: Float[NDArray, "3"]
    """Half its width, height above the centre, half its depth."""
    ear_front: float
    """z of the front of the ears."""
    ear_low: float
    ear_high: float
    eyes: float
    """Height of the eyes."""


def head_of(person: Figure) -> Head:
    """The measures of this person's head."""
    body, v = person.body, person.vertices
    own = v[body.part_labels.numpy() == PARTS.index("head")]
    ears = v[body.part_labels.numpy() == PARTS.index("ear_left")]
    eyes = float(person.joint("left_eye_smplhf")[1])
    top = own[own[:, 1] > eyes]
    low, high = top.min(0), top.max(0)
    center = np.array([0.0, eyes + 0.02, (low[2] + high[2]) / 2])
    size = np.array([(high[0] - low[0]) / 2, high[1] - center[1], (high[2] - low[2]) / 2])
    return Head(
        center,
        size,
        float(ears[:, 2].max()),
        float(ears[:, 1].min()),
        float(ears[:, 1].max()),
        eyes,
    )


def cap_height(style: Style) -> float:
    """Metres by which an average adult's cap of hair stands off the scalp."""
    if style.cut == "afro":
        return 0.9 * style.length
    return {"buzz": 0.0025, "short": 0.010, "slick": 0.009, "curly": 0.022, "bob": 0.014,
            "long": 0.013, "ponytail": 0.008, "bun": 0.008}[style.cut]  # fmt: skip


def grid_faces(rows: int, columns: int) -> Int[NDArray, "f 3"]:
    """Two triangles for each cell of a grid of vertices."""
    at = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    a, b, c, d = at, at + 1, at + columns + 1, at + columns
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def head_weights(person: Figure, count: int) -> Float[NDArray, "n j"]:
    """All to the head."""
    weights = np.zeros((count, len(person.body.joint_names)), np.float32)
    weights[:, person.body.smplx_joints["head"]] = 1
    return weights
