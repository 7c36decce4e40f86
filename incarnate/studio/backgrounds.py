"""What stands behind a person: plain, graded, a studio's paper roll, blurred rooms and places."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from incarnate.cameras import Camera
from incarnate.studio import noise

Kind = Literal["plain", "graded", "paper", "room", "outdoor"]
KINDS: tuple[Kind, ...] = ("plain", "graded", "paper", "room", "outdoor")
SIDE = 64
GROUND = 96
GROUND_REACH = 1.6  # Metres about the world's middle that contact shadows reach.


@dataclass(frozen=True, eq=False)
class Background:
    """A wall picture without parallax, and a floor where a floor can be seen."""

    kind: Kind
    wall: Float[NDArray, "64 64 3"]
    """Linear."""
    floor: Float[NDArray, "3"] | None
    """Linear colour of the floor, None where there is none."""

    def seen(
        self, camera: Camera, floor: float, shadow: Float[NDArray, "g g"]
    ) -> Float[NDArray, "h w 3"]:
        """The picture without the person, shadows on its floor at height `floor`."""
        size = (camera.width, camera.height)
        wall = np.asarray(cv2.resize(self.wall, size, interpolation=cv2.INTER_LINEAR), np.float32)
        if self.floor is None:
            return wall
        turn, center = camera.world_to_camera[:3, :3].numpy(), camera.center.numpy()
        k = camera.intrinsics.numpy()
        x = (np.arange(camera.width, dtype=np.float32) + 0.5 - k[0, 2]) / k[0, 0]
        y = (np.arange(camera.height, dtype=np.float32) + 0.5 - k[1, 2]) / k[1, 1]
        # World direction of each pixel is the sum of a part of its column and one of its row.
        across, along = np.outer(turn[0], x), np.outer(turn[1], y) + turn[2][:, None]
        down = across[1] + along[1][:, None]
        far = 2.2 + float(np.linalg.norm(center))  # The wall stands behind the person.
        near = center[1] - floor < -far * 1.25 * np.minimum(down, -1e-4)
        rows = np.flatnonzero(near.any(1))
        if len(rows) == 0 or center[1] <= floor:
            return wall
        some = slice(int(rows[0]), int(rows[-1]) + 1)
        t = (floor - center[1]) / np.minimum(down[some], -1e-4)
        blend = np.clip((far * 1.25 - t) / (far * 0.35), 0, 1)
        t = np.minimum(t, 50)
        place = [center[i] + t * (across[i] + along[i][some, None]) for i in (0, 2)]
        light = _bilinear(shadow, *place) * blend
        if self.kind == "room":
            light *= 0.92 + 0.04 * np.sin(9 * place[0])
        else:
            light *= 0.92
        wall[some] *= (1 - blend)[..., None]
        wall[some] += light[..., None] * self.floor
        return wall


def _bilinear(shadow: NDArray, x: NDArray, z: NDArray) -> Float[NDArray, "h w"]:
    """The share of light at places on the floor, 1 beyond the picture of shadows."""
    row, column = ((p / GROUND_REACH + 1) * (GROUND / 2) - 0.5 for p in (x, z))
    return np.asarray(
        cv2.remap(
            shadow,
            column.astype(np.float32),
            row.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(1.0,),
        )
    )


def background(rng: np.random.Generator, kind: Kind | None = None) -> Background:
    """A background at random, of one kind if given."""
    kind = KINDS[rng.integers(len(KINDS))] if kind is None else kind
    v = np.linspace(0, 1, SIDE)[:, None, None]
    pale = np.clip(rng.uniform(0.25, 0.9) + rng.normal(0, 0.05, 3), 0.02, 1)
    match kind:
        case "plain":
            return Background(kind, _full(pale), None)
        case "graded":
            other = np.clip(pale * rng.uniform(0.4, 0.9, 3), 0, 1)
            return Background(kind, _full(pale + v * (other - pale)), None)
        case "paper":
            glow = 1 - 0.25 * np.hypot(v[..., 0] - 0.4, np.linspace(-0.5, 0.5, SIDE)[None])
            return Background(kind, _full(pale * glow[..., None]), pale.astype(np.float32))
        case "room":
            return Background(kind, _room(rng, pale), rng.uniform(0.08, 0.45, 3).astype(np.float32))
        case _:
            return _outdoor(rng, v)


def plain(level: float) -> Background:
    """An even grey of that linear level."""
    return Background("plain", _full(np.full(3, level)), None)


def _room(rng: np.random.Generator, pale: NDArray) -> NDArray:
    """A wall with blurred furniture, frames, windows."""
    wall = np.ones((SIDE, SIDE, 3)) * pale * 0.8
    for _ in range(int(rng.integers(4, 11))):
        x, y = rng.integers(-5, SIDE, 2)
        w, h = rng.integers(4, 28, 2)
        bright = rng.random() < 0.25
        color = rng.uniform(0.7, 1.2, 3) if bright else rng.uniform(0.02, 0.6, 3)
        wall[max(y, 0) : y + h, max(x, 0) : x + w] = color
    wall = wall * (1 + 0.08 * noise.field(rng, 1.4, (SIDE, SIDE)))[..., None]
    return gaussian_filter(np.clip(wall, 0, 1), (*(2 * [float(rng.uniform(0.7, 2.4))]), 0)).astype(
        np.float32
    )


def _outdoor(rng: np.random.Generator, v: NDArray) -> Background:
    """Sky over blurred green or stone, and the ground before it."""
    sky = np.array([0.45, 0.65, 0.95]) * rng.uniform(0.6, 1.05) + rng.uniform(0, 0.25)
    ground = np.array([[0.12, 0.20, 0.06], [0.30, 0.27, 0.22], [0.34, 0.30, 0.24]])[rng.integers(3)]
    trees = np.array([0.05, 0.12, 0.04]) if rng.random() < 0.6 else rng.uniform(0.2, 0.5, 3)
    line = 0.35 + 0.06 * noise.field(rng, 1.2, (1, SIDE))[0][None, :, None]
    wall = np.where(v < line, sky * (0.8 + 0.5 * v), trees)
    wall = np.where(v > 0.62, ground, wall * np.ones((SIDE, SIDE, 3)))
    wall = wall * (1 + 0.22 * noise.field(rng, 1.0, (SIDE, SIDE)))[..., None]
    wall = gaussian_filter(np.clip(wall, 0, 1), (1.0, 1.0, 0))
    return Background("outdoor", wall.astype(np.float32), ground.astype(np.float32))


def _full(color: NDArray) -> NDArray:
    return np.clip(np.broadcast_to(color, (SIDE, SIDE, 3)), 0, 1).astype(np.float32)
