"""Light: an environment as spherical harmonics of irradiance, and a soft key light."""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# Ramamoorthi and Hanrahan 2001: what a Lambertian surface keeps of each band, over pi.
_BANDS = np.array([1.0] + [2 / 3] * 3 + [1 / 4] * 5, np.float32)


@dataclass(frozen=True, eq=False)
class Light:
    """Linear light; white that faces the key fully comes out near 1."""

    kind: Literal["studio", "outdoor"]
    irradiance: Float[NDArray, "9 3"]
    """Coefficients over `harmonics` of a unit normal in the world."""
    toward: Float[NDArray, "3"]
    """Unit, to the key light."""
    key: Float[NDArray, "3"]
    soft: float
    """How far the key wraps round edges, 0 for a sun."""

    def turned(self, azimuth: float) -> "Light":
        """The same lights, carried round the person to their left by `azimuth` radians."""
        sin, cos = math.sin(azimuth), math.cos(azimuth)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
        around = _sphere(64).astype(np.float32)
        seen = harmonics(around @ turn) @ self.irradiance  # At R d as at d before.
        irradiance = np.linalg.lstsq(harmonics(around), seen, rcond=None)[0]
        return replace(self, irradiance=irradiance.astype(np.float32), toward=turn @ self.toward)


def harmonics(n: Float[NDArray, "*n 3"]) -> Float[NDArray, "*n 9"]:
    """Real spherical harmonics to the second band of unit vectors, orthonormal."""
    x, y, z = np.moveaxis(n, -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y, 0.488603 * z, 0.488603 * x,
            1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        -1,
    )  # fmt: skip


def projected(
    directions: Float[NDArray, "n 3"], radiance: Float[NDArray, "n 3"]
) -> Float[NDArray, "9 3"]:
    """Irradiance over pi of radiance at directions spread evenly over the sphere."""
    coefficients = harmonics(directions).T @ radiance * (4 * np.pi / len(directions))
    return (coefficients * _BANDS[:, None]).astype(np.float32)


def light(rng: np.random.Generator, kind: Literal["studio", "outdoor"]) -> Light:
    """A studio's large soft lights, or a sky over ground with a sun behind thin or no cloud."""
    directions = _sphere(512)
    up = directions[:, 1:2]
    if kind == "studio":
        warm = 1 + rng.normal(0, 0.03) * np.array([1.0, 0.0, -1.0])
        radiance = np.full((512, 3), rng.uniform(0.30, 0.45)) * warm + 0.10 * up
        for _ in range(2):
            box = _unit([rng.uniform(-1, 1), rng.uniform(0.1, 0.9), rng.uniform(-0.2, 1)])
            radiance = radiance + 0.9 * np.clip(directions @ box, 0, 1)[:, None] ** 6 * warm
        aim = [rng.uniform(-0.9, 0.9), rng.uniform(0.4, 1.1), rng.uniform(0.5, 1.2)]
        key, soft = rng.uniform(0.35, 0.6) * warm, 0.35
    else:
        sky = np.array([0.66, 0.72, 0.86]) * rng.uniform(0.6, 1.0)
        sky = sky + (1 - sky) * rng.uniform(0, 0.6)
        ground = np.array([0.35, 0.30, 0.22]) * rng.uniform(0.4, 1.0)
        share = np.clip(0.5 + 2 * up, 0, 1)
        radiance = 0.72 * (share * sky + (1 - share) * ground)
        tint = _unit(rng.standard_normal(3))  # A street's or forest's own colours to one side.
        radiance = radiance * (1 + 0.35 * (directions @ tint)[:, None] * rng.normal(0, 1, 3) * 0.4)
        aim = [rng.uniform(-1, 1), rng.uniform(0.4, 1.2), rng.uniform(-0.3, 1.0)]
        low = rng.random()
        key = np.array([1.0, 0.93 - 0.2 * low, 0.82 - 0.4 * low]) * rng.uniform(0.15, 0.95)
        soft = float(rng.uniform(0.0, 0.2))
    toward = _unit(aim).astype(np.float32)
    return Light(
        kind,
        projected(directions, np.clip(radiance, 0, None)),
        toward,
        key.astype(np.float32),
        soft,
    )


def _unit(vector: list[float] | NDArray) -> NDArray:
    return np.asarray(vector) / np.linalg.norm(vector)


@cache
def _sphere(count: int) -> NDArray:
    """Fibonacci's even points."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), z, r * np.sin(angle)], 1)
