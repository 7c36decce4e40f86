"""What a dressed person is put together from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from incarnate.studio.figure import LEFT_LEG, TORSO, Figure, Measured
from incarnate.studio.shell import Shell

LABELS = (
    "background", "skin", "hair", "eyes", "mouth", "top", "bottom", "dress", "outer", "shoes",
    "hat",
)  # fmt: skip
"""Values of part labels index this tuple."""

Texture = UInt8[NDArray, "_ _ 3"]
"""sRGB; the first row is v = 0, the first column u = 0. u repeats, v ends."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One mesh at rest with a texture for each of its materials."""

    name: str
    label: int
    shell: Shell
    uvs: Float[NDArray, "f 3 2"]
    materials: Int[NDArray, " f"]
    textures: tuple[Texture, ...]
    gloss: float = 0.0
    """Strength of the highlight, 0 to 1."""
    normals: Float[NDArray, "v 3"] | None = None
    """At rest, where the surface's own would be wrong (hair); both sides are then alike."""


def wrapped_uvs(
    person: Figure, measured: Measured, faces: Int[NDArray, "f 3"]
) -> tuple[Float[NDArray, "f 3 2"], Int[NDArray, " f"]]:
    """Corner uvs around trunk, arms and legs, and 0, 1 or 2 for which of these a face is on."""
    limb = measured.limb[faces[:, 0]]
    part = np.where(limb == TORSO, 0, np.where(limb >= LEFT_LEG, 2, 1))
    turn = measured.turn[faces]
    # A face across the seam counts on past 1, so that the texture does not run back through it.
    turn = turn + ((turn.max(1, keepdims=True) - turn) > 0.5)
    height, reach = measured.height[faces], measured.reach[faces]
    along = np.where(
        (part == 1)[:, None],
        reach / ARM_REACH,
        # Skirts reach below the trunk's texture, which is mirrored there.
        np.where((part == 0)[:, None], np.abs(trunk_v(person, height)), leg_v(person, height)),
    )
    return np.stack([turn, along], -1).astype(np.float32), part


ARM_REACH = 2.2
TRUNK = 0.9  # Metres of an average adult that a trunk's texture spans, from below the crotch.
LEG = 1.0


def trunk_v(person: Figure, height: Float[NDArray, "*n"]) -> Float[NDArray, "*n"]:
    """v of heights on the trunk, 0 below the crotch and 1 above the neck."""
    return (height - person.joint("pelvis")[1]) / (TRUNK * person.scale) + 0.25


def leg_v(person: Figure, height: Float[NDArray, "*n"]) -> Float[NDArray, "*n"]:
    """v of heights on a leg, 0 at the sole."""
    return (height - person.floor) / (LEG * person.scale)
