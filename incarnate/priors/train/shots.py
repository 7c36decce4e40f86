"""A sample of a shard: decoded, mirrored, and drawn as what models learn to make or to follow.

In shards normals have OpenCV's camera axes (x right, y down, z away from the viewer); in pictures
x points right, y up and z to the viewer, as in HumanNorm (Sec. 4.1). Pictures are channels last,
rgb in [0, 1], and what is beside the person is black.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from incarnate.priors.conditions import FRAMINGS, Condition, Text, View
from incarnate.priors.skeleton import drawn
from incarnate.recipe import Framing, Shows

DOMAINS: dict[Shows, str] = {
    "normal": "black background, normal map",
    "depth": "black background, depth map",
    "rgb": "",
}
"""HumanNorm's words for what a picture shows."""
FILES: dict[Shows, tuple[str, ...]] = {
    "normal": ("normal.png", "alpha.png", "json"),
    "depth": ("depth.png", "alpha.png", "json"),
    "rgb": ("png", "json"),
}
_FRAMED = (*FRAMINGS.values(), "head and shoulders")
_SIDES = re.compile(r"\b(left|right)\b")


@final
@dataclass(frozen=True, eq=False)
class Shot:
    """What the files that were asked for hold."""

    caption: str
    azimuth: float | None
    framing: Framing | None
    names: tuple[str, ...]
    joints: Float[np.ndarray, "j 2"] | None
    """In pixels of the files' pictures; nan where unknown."""
    size: int
    """Pixels a side."""
    rgb: Float[np.ndarray, "h w 3"] | None = None
    alpha: Float[np.ndarray, "h w"] | None = None
    normal: Float[np.ndarray, "h w 3"] | None = None
    """Of unit length, in OpenCV's camera axes; 0 where nothing was hit."""
    depth: Float[np.ndarray, "h w"] | None = None
    """In some unit; 0 where nothing was hit."""


def decoded(files: Mapping[str, bytes], names: tuple[str, ...] = ()) -> Shot:
    """The shot of a sample's files; with the joints of these names, if any. ValueError if bad."""
    told = _told(files["json"])
    pictures = {name: _picture(name, data) for name, data in files.items() if name != "json"}
    shot = Shot(*_words(told), names, _joints(told, names), _side(pictures))
    if "png" in pictures:
        rgb = pictures["png"]
        shot = replace(shot, rgb=_channels(rgb, "png", 3)[..., ::-1] / _most(rgb))
    if "alpha.png" in pictures:
        alpha = pictures["alpha.png"]
        shot = replace(shot, alpha=_channels(alpha, "alpha.png", 1) / _most(alpha))
    if "normal.png" in pictures:
        shot = replace(shot, normal=_normals(pictures["normal.png"]))
    if "depth.png" in pictures:
        shot = replace(shot, depth=_channels(pictures["depth.png"], "depth.png", 1))
    return shot


def _told(data: bytes) -> Mapping[str, object]:
    try:
        told = json.loads(data)
        caption = told["caption"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("its json holds no caption") from error
    if type(caption) is not str or not caption.isprintable():
        raise ValueError(f"its caption is {caption!r}, not a text")
    return told


def _words(told: Mapping[str, object]) -> tuple[str, float | None, Framing | None]:
    azimuth, framing = told.get("azimuth"), told.get("framing")
    if framing is not None and framing not in tuple(FRAMINGS):
        raise ValueError(f"its framing is {framing!r}; give one of {', '.join(FRAMINGS)}")
    seen_from = None if azimuth is None else float(str(azimuth))
    if seen_from is not None and not math.isfinite(seen_from):
        raise ValueError(f"its azimuth is {azimuth}; give radians")
    return str(told["caption"]), seen_from, framing  # type: ignore[return-value]


def _joints(told: Mapping[str, object], names: tuple[str, ...]) -> NDArray | None:
    if not names:
        return None
    joints = np.array(told.get("joints"), dtype=np.float64)
    if joints.shape != (len(names), 2):
        raise ValueError(f"its json holds no {len(names)} joints of two numbers each")
    joints[(joints == -1).all(-1)] = np.nan  # The studio's mark of an unknown place.
    return joints


def _picture(name: str, data: bytes) -> NDArray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise ValueError(f"its {name} cannot be read as a picture")
    return pixels


def _side(pictures: Mapping[str, NDArray]) -> int:
    sides = {side for picture in pictures.values() for side in picture.shape[:2]}
    if len(sides) != 1:
        raise ValueError(f"its pictures have sides of {sorted(sides)} pixels; make them one square")
    return sides.pop()


def _channels(pixels: NDArray, name: str, count: int) -> NDArray:
    if (1 if pixels.ndim == 2 else pixels.shape[2]) != count:
        raise ValueError(
            f"its {name} has the shape {pixels.shape}; it should have {count} channels"
        )
    return pixels.astype(np.float32)


def _most(pixels: NDArray) -> float:
    return float(np.iinfo(pixels.dtype).max)


def _normals(pixels: NDArray) -> NDArray:
    stored = _channels(pixels, "normal.png", 3)[..., ::-1]
    hit = stored.any(-1, keepdims=True)
    return _unit((stored / (_most(pixels) / 2) - 1) * hit)


def _unit(vectors: NDArray) -> NDArray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), 0).astype(np.float32)


def mirrored(shot: Shot) -> Shot:
    """The shot in a mirror: pictures, joints, and the words for left and right."""

    def turned(picture: NDArray | None) -> NDArray | None:
        return None if picture is None else np.ascontiguousarray(picture[:, ::-1])

    normal, joints = turned(shot.normal), shot.joints
    if normal is not None:
        normal = normal * np.array([-1, 1, 1], np.float32)
    if joints is not None:
        index = [shot.names.index(_other_side(name)) for name in shot.names]
        joints = joints[index] * [-1, 1] + [shot.size, 0]
    return replace(
        shot,
        caption=_SIDES.sub(lambda found: _other(found[0]), shot.caption),
        azimuth=None if shot.azimuth is None else -shot.azimuth,
        joints=joints,
        rgb=turned(shot.rgb),
        alpha=turned(shot.alpha),
        normal=normal,
        depth=turned(shot.depth),
    )


def _other(side: str) -> str:
    return {"left": "right", "right": "left"}[side]


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return f"{_other(side)}_{rest}" if side in ("left", "right") else name


def picture(shot: Shot, shows: Shows, size: int) -> Float[np.ndarray, "h w 3"]:
    """What a model learns to make: rgb, a normal map or a depth map."""
    match shows:
        case "rgb":
            return _sized(_given(shot.rgb), size)
        case "normal":
            return normal_map(shot, size)
        case "depth":
            return depth_map(shot, size)


def normal_map(shot: Shot, size: int) -> Float[np.ndarray, "h w 3"]:
    """(n + 1) / 2 before black, with the edge's coverage."""
    normal, alpha = _given(shot.normal), _given(shot.alpha)
    mean = _unit(_sized(normal * alpha[..., None], size))
    toward = mean * np.array([1, -1, -1], np.float32)
    hit = toward.any(-1, keepdims=True)
    return (toward + 1) / 2 * hit * _sized(alpha, size)[..., None]


def depth_map(shot: Shot, size: int) -> Float[np.ndarray, "h w 3"]:
    """1 / depth, 1 at the person's nearest place and 0 at the farthest, thrice, before black."""
    depth, alpha = _given(shot.depth), _given(shot.alpha)
    hit = depth > 0
    inverse = np.where(hit, 1 / np.where(hit, depth, 1), 0)
    if hit.any():
        low, high = inverse[hit].min(), inverse[hit].max()
        even = (inverse - low) / (high - low) if high > low else np.ones_like(inverse)
        inverse = np.where(hit, even, 0)
    one = _sized((inverse * alpha).astype(np.float32), size)
    return np.repeat(one[..., None], 3, -1)


def skeleton(shot: Shot, size: int) -> Float[np.ndarray, "h w 3"]:
    """The drawn skeleton."""
    return drawn(_given(shot.joints) * (size / shot.size), shot.names, size, size)


def _given(part: NDArray | None) -> NDArray:
    if part is None:
        raise ValueError("this was not read from the shard")
    return part


def _sized(picture: NDArray, size: int) -> NDArray:
    """A square resized; smaller by means over areas."""
    if len(picture) == size:
        return picture
    shrinks = len(picture) > size
    return cv2.resize(
        picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def prompt(shot: Shot, shows: Shows, keep: NDArray[np.bool_] | None = None) -> str:
    """The caption as guidance will ask for it: what it shows, then HumanNorm's body and view.

    `keep` says which parts of the caption stay; it is read from the front, and over again.
    """
    parts = [part.strip() for part in shot.caption.split(",")]
    framed = [part for part in parts if not _tells_view(part, shot)]
    kept = framed if keep is None else [p for i, p in enumerate(framed) if keep[i % len(keep)]]
    text = ", ".join(filter(None, [*kept, DOMAINS[shows]]))
    if shot.azimuth is None or shot.framing is None:
        return text
    view = View((math.remainder(shot.azimuth, 2 * math.pi),), (shot.framing,))
    return Condition(text=Text((text,)), view=view).prompts(1)[0]


def _tells_view(part: str, shot: Shot) -> bool:
    """Whether HumanNorm's words, which come behind, say this instead."""
    if shot.azimuth is None or shot.framing is None:
        return False
    return part in _FRAMED or part.endswith(" view")
