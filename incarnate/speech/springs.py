"""Smooth ways from here to there, and wandering that never repeats; both are pure functions."""

import math
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Spring(NamedTuple):
    """Where something is and how fast it moves, in units of its own."""

    value: float = 0.0
    speed: float = 0.0

    def towards(self, target: float, quickness: float, seconds: float) -> "Spring":
        """After so many seconds of being drawn to a target, without overshooting.

        Critically damped, solved exactly: `quickness` is the angular frequency; nine tenths of
        the way take 3.9 / quickness seconds.
        """
        off = self.value - target
        push = self.speed + quickness * off
        fade = math.exp(-quickness * seconds)
        return Spring(
            target + (off + push * seconds) * fade,
            (self.speed - quickness * push * seconds) * fade,
        )


def wander(seconds: float, period: float, key: str) -> float:
    """A smooth random curve, about -1 to 1, that changes its mind every `period` seconds.

    A cubic B-spline through independent draws, each a hash of `key` and its place: any instant can
    be asked for, in any order.
    """
    place = seconds / period
    cell = math.floor(place)
    u = place - cell
    shares = (
        (1 - u) ** 3 / 6,
        (3 * u**3 - 6 * u**2 + 4) / 6,
        (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6,
        u**3 / 6,
    )
    # 1.7 brings the mean square back to that of the draws.
    return 1.7 * sum(s * (2 * chance(f"{key}:{cell + k}") - 1) for k, s in enumerate(shares))


@lru_cache(maxsize=8192)
def chance(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    return int.from_bytes(blake2b(key.encode(), digest_size=7).digest()) / 2**56


def bump(seconds: float, rise: float, fall: float) -> float:
    """A smooth pulse that begins at 0, is 1 at `rise` and over at `rise + fall`."""
    if not 0 < seconds < rise + fall:
        return 0.0
    x = seconds / rise if seconds < rise else 1 - (seconds - rise) / fall
    return x * x * (3 - 2 * x)


def turns(angles: Float[np.ndarray, "f 3"]) -> Float[np.ndarray, "f 3 3"]:
    """Rotations of (forward, to the left, turned left) in degrees: about y after z after x."""
    a, b, c = np.deg2rad(angles).T
    b = -b
    zero, one = np.zeros_like(a), np.ones_like(a)
    about_x = np.stack([one, zero, zero, zero, np.cos(a), -np.sin(a), zero, np.sin(a), np.cos(a)])
    about_z = np.stack([np.cos(b), -np.sin(b), zero, np.sin(b), np.cos(b), zero, zero, zero, one])
    about_y = np.stack([np.cos(c), zero, np.sin(c), zero, one, zero, -np.sin(c), zero, np.cos(c)])
    x, y, z = (m.T.reshape(-1, 3, 3) for m in (about_x, about_y, about_z))
    return y @ z @ x
