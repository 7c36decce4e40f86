"""What the embedded priors are trained on, unpacked: shards of `incarnate studio --lessons`.

`unpacked(shards, folder)` writes arrays and reads them, one row a shot:

    rgb, normal  n s s 3   bytes, as pictures show them
    depth        n s s     bytes, inverse, nearest 255
    z            n s s     metres along z, 16 bits of DEPTH_UNIT, 0 beside the person
    joints       n j 2     pixels, nan where unknown
    lens         n 2 4 4   intrinsics, world_to_camera

A person's shots lie in a row (`incarnate.studio.lessons`): pairs of one pose, then a clip.
"""

import json
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from incarnate.evaluate.readers import cloths, top_color
from incarnate.priors.conditions import View
from incarnate.priors.skeleton import drawn
from incarnate.priors.train.shards import Shards
from incarnate.priors.train.shots import decoded, depth_map, normal_map
from incarnate.priors.wording import varied
from incarnate.studio.lessons import CLIP_FRAMES, SHOTS_A_LESSON, STANCES
from incarnate.studio.shards import DEPTH_UNIT

Domain = Literal["rgb", "normal", "depth"]
DOMAINS: dict[Domain, str] = {
    "rgb": "grey background, photo",
    "normal": "black background, normal map",
    "depth": "black background, depth map",
}
"""The words at a prompt's end that say what is shown."""
SUFFIXES = ("png", "alpha.png", "normal.png", "depth.png", "json")
_NAMES = ("rgb", "normal", "depth", "z", "joints", "lens")


@dataclass(frozen=True, eq=False)
class Lessons:
    """All shots."""

    size: int
    names: tuple[str, ...]
    """Of the joints."""
    told: tuple[dict[str, Any], ...]
    arrays: dict[str, NDArray]

    def __len__(self) -> int:
        return len(self.told)

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self) // SHOTS_A_LESSON

    def picture(self, index: int, domain: Domain, size: int) -> Float[np.ndarray, "h w 3"]:
        """In [0, 1]."""
        shown = self.arrays[domain][index].astype(np.float32) / 255
        return (
            np.repeat(_sized(shown, size)[..., None], 3, -1)
            if shown.ndim == 2
            else _sized(shown, size)
        )

    def people_in(self, colors: Collection[str]) -> Int[np.ndarray, " n"]:
        """Who wears one of these colours alone above the waist."""
        said = [self.told[i]["caption"] for i in range(0, len(self), SHOTS_A_LESSON)]
        return np.flatnonzero([bool(top_color(s)) and cloths(s)[0].color in colors for s in said])

    def skeleton(self, index: int, size: int) -> Float[np.ndarray, "h w 3"]:
        """As models see poses."""
        return drawn(self.arrays["joints"][index] * (size / self.size), self.names, size, size)

    def prompt(self, index: int, domain: Domain, rng: np.random.Generator | None = None) -> str:
        """Caption, view and domain; with words changed and left out by chance if `rng` is given."""
        return self.worded(self.parts(index, rng), domain, rng)

    def parts(self, index: int, rng: np.random.Generator | None = None) -> list[str]:
        """Of the caption and the view; some of them if `rng` is given."""
        told = self.told[index]
        caption = [
            part.strip()
            for part in told["caption"].split(", ")
            if not part.endswith((" view", " body", "head and shoulders"))
        ]
        view = View((told["azimuth"],), (told["framing"],)).words()[0].split(", ")
        return [part for part in (*caption, *view) if rng is None or rng.random() >= 0.12]

    def worded(self, parts: list[str], domain: Domain, rng: np.random.Generator | None) -> str:
        """The prompt that says this; with synonyms if `rng` is given."""
        if rng is not None and parts:
            parts = [varied(", ".join(parts), rng)]
        return ", ".join([*parts, DOMAINS[domain]])

    def projected(self, index: int, size: int) -> tuple[NDArray, NDArray]:
        """The pair's other picture seen by this one's camera, and 1 where it tells nothing."""
        other = index ^ 1
        z = self.arrays["z"][index].astype(np.float32) * DEPTH_UNIT
        (k, w2c), (k2, w2c2) = self.arrays["lens"][index], self.arrays["lens"][other]
        rows, columns = np.nonzero(z)
        depth = z[rows, columns]
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))]) * depth
        local = np.linalg.inv(k[:3, :3]) @ pixels
        world = np.linalg.inv(w2c) @ np.concatenate([local, np.ones((1, len(rows)))])
        seen = (w2c2 @ world)[:3]
        place = k2[:3, :3] @ seen
        x, y = np.floor(place[:2] / np.maximum(place[2], 1e-6)).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < self.size) & (y < self.size) & (seen[2] > 0)
        x, y = x.clip(0, self.size - 1), y.clip(0, self.size - 1)
        there = self.arrays["z"][other][y, x].astype(np.float32) * DEPTH_UNIT
        inside &= (there > 0) & (seen[2] < there + 0.03)
        image = np.zeros((self.size, self.size, 3), np.float32)
        hole = np.ones((self.size, self.size), np.float32)
        at = rows[inside], columns[inside]
        image[at] = self.arrays["rgb"][other][y[inside], x[inside]].astype(np.float32) / 255
        hole[at] = 0
        if size != self.size:
            step = self.size // size  # The nearest pixel: nothing is blended with the unknown.
            image, hole = image[::step, ::step], hole[::step, ::step]
        return image, hole[..., None]


def still(rng: np.random.Generator, person: int) -> int:
    """A picture of a person's pairs at random."""
    return person * SHOTS_A_LESSON + int(rng.integers(2 * STANCES))


def clip(person: int) -> range:
    """The frames of a person's clip."""
    first = person * SHOTS_A_LESSON + 2 * STANCES
    return range(first, first + CLIP_FRAMES)


def unpacked(folder: Path, into: Path, workers: int) -> Lessons:
    """The lessons of a folder of shards; unpacked where that was not yet done."""
    shards = Shards.of(folder, SUFFIXES, named_joints=True)
    done = into / "told.json"
    if not done.exists():
        into.mkdir(parents=True, exist_ok=True)
        size = len(_rgb(shards, 0))
        shapes = {
            "rgb": ((size, size, 3), np.uint8),
            "normal": ((size, size, 3), np.uint8),
            "depth": ((size, size), np.uint8),
            "z": ((size, size), np.uint16),
            "joints": ((len(shards.joints), 2), np.float32),
            "lens": ((2, 4, 4), np.float32),
        }
        for name, (shape, dtype) in shapes.items():
            np.lib.format.open_memmap(
                into / f"{name}.npy", mode="w+", dtype=dtype, shape=(len(shards), *shape)
            )
        parts = np.array_split(np.arange(len(shards)), 8 * workers)
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            jobs = [pool.submit(_unpack, folder, into, part) for part in parts]
            told = [one for job in jobs for one in job.result()]
        done.write_text(json.dumps(told))
    arrays = {name: np.load(into / f"{name}.npy", mmap_mode="r") for name in _NAMES}
    told = tuple(json.loads(done.read_text()))
    return Lessons(arrays["rgb"].shape[1], shards.joints, told, arrays)


def _rgb(shards: Shards, index: int) -> NDArray:
    data = np.frombuffer(shards.files(index)["png"], np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _unpack(folder: Path, into: Path, rows: NDArray) -> list[dict[str, Any]]:
    cv2.setNumThreads(1)
    shards = Shards.of(folder, SUFFIXES, named_joints=True)
    arrays = {name: np.load(into / f"{name}.npy", mmap_mode="r+") for name in _NAMES}
    kept = []
    for i in map(int, rows):
        files = shards.files(i)
        shot, told = decoded(files, shards.joints), json.loads(files["json"])
        arrays["rgb"][i] = _bytes(shot.rgb)
        arrays["normal"][i] = _bytes(normal_map(shot, shot.size))
        arrays["depth"][i] = _bytes(depth_map(shot, shot.size)[..., 0])
        raw = np.frombuffer(files["depth.png"], np.uint8)
        arrays["z"][i] = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
        arrays["joints"][i] = shot.joints
        arrays["lens"][i, 0, :3, :3], arrays["lens"][i, 0, 3, 3] = told["intrinsics"], 1
        arrays["lens"][i, 1] = told["world_to_camera"]
        kept.append({name: told[name] for name in ("caption", "azimuth", "framing", "frame")})
    return kept


def _bytes(picture: NDArray | None) -> NDArray:
    assert picture is not None
    return np.round(picture.clip(0, 1) * 255).astype(np.uint8)


def _sized(picture: NDArray, size: int) -> NDArray:
    if len(picture) == size:
        return picture
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
