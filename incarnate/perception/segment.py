"""The person cut out of the photo: soft alpha, and colours free of what stood behind.

The outline (see `outline`) becomes a trimap, unknown in a narrow band along the body and a wide one
around the head, where hair is; a closed-form matte fills it in. Images are uint8 rgb coming in,
float32 in [0, 1] going out.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from incarnate.perception.keypoints import Keypoints
from incarnate.perception.matting import closed_form, foreground
from incarnate.perception.outline import Zones, disc, person_logits

BODY_BAND, HAIR_INNER, HAIR_OUTER = 0.012, 0.03, 0.06  # Units of `outline`, to either side.
BODY_TRUST, HAIR_TRUST, GAP_TRUST = 0.15, 0.03, 3.0  # In the outline, against smoothness.
FLOOR, CEILING = 0.06, 0.94  # Closed-form alphas beyond are haze on either side.
SURE = 3.0  # Log-odds.
BITE = 0.05  # Units: half the width of the widest notch mended.
SMALL_HOLE = 0.035**2  # Square units.
GUIDE_EPSILON = 26.0  # Squared 8-bit steps: edges weaker than 5 steps are noise.


@dataclass(frozen=True, eq=False)
class Matte:
    """`alpha` and straight (not premultiplied) `foreground` colours, as large as the photo."""

    alpha: Float32[np.ndarray, "h w"]
    foreground: Float32[np.ndarray, "h w 3"]


def matte(rgb: UInt8[np.ndarray, "h w 3"], person: Keypoints, max_pixels: int = 1_000_000) -> Matte:
    """The person's matte, found at `max_pixels` at most and sharpened to the photo's size."""
    height, width = rgb.shape[:2]
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    mask = cv2.resize(person.mask, size, interpolation=cv2.INTER_AREA)
    points = person.pose * np.asarray([size[0] / width, size[1] / height, 1], np.float32)
    window = _window(mask, points)
    corner = np.asarray([window[1].start, window[0].start, 0], np.float32)
    part = np.ascontiguousarray(small[window])
    alpha = np.zeros(mask.shape, np.float32)
    alpha[window] = _alpha(part, np.ascontiguousarray(mask[window]), points - corner)
    if scale < 1:
        alpha = _sharpened(rgb, alpha)
    return cutout(rgb, alpha, max_pixels)


def cutout(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"], max_pixels: int = 1_000_000
) -> Matte:
    """The matte of a known alpha: colours freed of the background."""
    height, width = alpha.shape
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    cover = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    front, back = foreground(small, cover)
    image = rgb.astype(np.float32) / 255
    if scale == 1:
        return Matte(alpha, front)
    front, back = cv2.resize(front, (width, height)), cv2.resize(back, (width, height))
    whole = alpha[..., None]
    front += whole * (image - whole * front - (1 - whole) * back)
    return Matte(alpha, np.clip(front, 0, 1))


def given_matte(rgb: UInt8[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "h w"]) -> Matte:
    """The matte a photo brought along as its transparency: its colours are straight already."""
    return Matte(alpha.astype(np.float32), rgb.astype(np.float32) / 255)


def onnx_matte(path: Path | str, rgb: UInt8[np.ndarray, "h w 3"]) -> Matte:
    """The matte of the user's own matting network (ONNX, 1x3xHxW in, 1x1xHxW out, as ISNet).

    ValueError if the file is not such a network; ImportError says how to get onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "an ONNX matting model needs onnxruntime; install it with pip install onnxruntime"
        ) from error
    if not Path(path).is_file():
        raise FileNotFoundError(f"the matting model {path} does not exist")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        side = [n if isinstance(n, int) else 1024 for n in entry.shape[2:]]
        image = cv2.resize(rgb, (side[1], side[0]), interpolation=cv2.INTER_AREA)
        values = (image.astype(np.float32) - 128) / 256
        output = session.run(None, {entry.name: values.transpose(2, 0, 1)[None]})[0]
        alpha = np.asarray(output, np.float32).reshape(side)
    except Exception as error:  # onnxruntime's errors share no base but Exception.
        wanted = "an ONNX network with input 1x3xHxW and output 1x1xHxW is"
        raise ValueError(f"{path} cannot be used for matting; {wanted} wanted") from error
    low, high = float(alpha.min()), float(alpha.max())
    alpha = np.clip((alpha - low) / max(high - low, 1e-6), 0, 1)
    return cutout(rgb, cv2.resize(alpha, (rgb.shape[1], rgb.shape[0])))


def _alpha(
    rgb: UInt8[np.ndarray, "h w 3"],
    mask: Float32[np.ndarray, "h w"],
    points: Float32[np.ndarray, "33 3"],
) -> Float32[np.ndarray, "h w"]:
    logits, zones, gaps = person_logits(rgb, mask, points)
    hard = logits > 0
    hard = _one_piece(hard | (_bitten(hard, mask, zones) & (logits > -SURE)), zones, gaps)
    guess = 1 / (1 + np.exp(-logits))
    near_gaps = cv2.dilate(gaps.astype(np.uint8), disc(1.0)) > 0
    trust = np.where(zones.head & (np.abs(logits) < SURE), HAIR_TRUST, BODY_TRUST)
    trust = np.where(near_gaps, GAP_TRUST, trust).astype(np.float32)
    unknown = trimap(hard, guess, zones)
    alpha = closed_form(rgb.astype(np.float32) / 255, unknown, guess, trust)
    alpha = np.clip((alpha - FLOOR) / (CEILING - FLOOR), 0, 1).astype(np.float32)
    count, labels = cv2.connectedComponents((alpha > 0).astype(np.uint8))
    held = np.bincount(labels[zones.sure], minlength=count) > 0
    held[0] = False
    return np.where(held[np.asarray(labels, np.intp)], alpha, 0).astype(np.float32)


def trimap(
    hard: Bool[np.ndarray, "h w"], guess: Float32[np.ndarray, "h w"], zones: Zones
) -> Float32[np.ndarray, "h w"]:
    """1 inside the outline, 0 outside, 0.5 along it: widely at the head unless surely nothing."""
    solid, unit = hard.astype(np.uint8), zones.unit
    inside = cv2.erode(solid, disc(BODY_BAND * unit)) > 0
    outside = cv2.dilate(solid, disc(BODY_BAND * unit)) == 0
    hair_in = cv2.erode(solid, disc(HAIR_INNER * unit)) > 0
    hair_out = cv2.dilate(solid, disc(HAIR_OUTER * unit)) == 0
    hair_out |= (guess < 0.02) & (cv2.dilate(solid, disc(HAIR_INNER * unit)) == 0)
    result = np.full(hard.shape, 0.5, np.float32)
    result[np.where(zones.head, hair_out, outside)] = 0
    result[np.where(zones.head, hair_in, inside) | zones.sure] = 1
    return result


def _bitten(
    hard: Bool[np.ndarray, "h w"], mask: Float32[np.ndarray, "h w"], zones: Zones
) -> Bool[np.ndarray, "h w"]:
    """Notches in the head's outline where the mask is sure: gloss on hair as bright as the sky."""
    closed = cv2.morphologyEx(hard.astype(np.uint8), cv2.MORPH_CLOSE, disc(BITE * zones.unit))
    return (closed > 0) & zones.head & (mask > 0.8)


def _one_piece(
    hard: Bool[np.ndarray, "h w"], zones: Zones, gaps: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The outline without crumbs: what hangs together with the sure parts, small holes filled
    except the gaps beside the arms."""
    opened = cv2.morphologyEx(hard.astype(np.uint8), cv2.MORPH_OPEN, disc(1.0)) > 0
    solid = np.where(gaps, hard, opened)
    count, labels = cv2.connectedComponents(solid.astype(np.uint8))
    held = np.bincount(labels[zones.sure], minlength=count) > 0
    held[0] = False
    solid = held[np.asarray(labels, np.intp)]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~solid).astype(np.uint8))
    area = stats[:, cv2.CC_STAT_AREA]
    in_gaps = np.bincount(labels[gaps], minlength=count) / np.maximum(area, 1)
    filled = (area < SMALL_HOLE * zones.unit**2) & (in_gaps < 0.5)
    return solid | (filled[np.asarray(labels, np.intp)] & ~solid)


def _sharpened(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float32[np.ndarray, "sh sw"]
) -> Float32[np.ndarray, "h w"]:
    """Alpha brought to the photo's size along the photo's edges (guided filter, He et al. 2010)."""
    height, width = rgb.shape[:2]
    factor = width / alpha.shape[1]
    large = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    soft = (large > 0.004) & (large < 0.996)
    if not soft.any():
        return large
    rows, columns = np.nonzero(soft)
    pad = int(np.ceil(4 * factor))
    window = (
        slice(max(rows.min() - pad, 0), rows.max() + pad),
        slice(max(columns.min() - pad, 0), columns.max() + pad),
    )
    near = cv2.dilate(soft[window].astype(np.uint8), disc(factor)) > 0
    radius = max(round(1.5 * factor), 1)
    guide = np.ascontiguousarray(rgb[window])
    guided = cv2.ximgproc.guidedFilter(guide, large[window], radius, GUIDE_EPSILON)
    large[window] = np.where(near, np.clip(guided, 0, 1), large[window])
    return large


def _window(
    mask: Float32[np.ndarray, "h w"], points: Float32[np.ndarray, "33 3"]
) -> tuple[slice, slice]:
    """Rows and columns around the mask, with room for hair and for samples of the background."""
    rows, columns = np.nonzero(mask > 0.1)
    if len(rows) == 0:
        raise ValueError("the person's mask is empty; use a photo in which they are seen clearly")
    room = int(0.3 * np.sqrt((mask > 0.1).sum())) + 8
    return (
        slice(max(int(rows.min()) - room, 0), int(rows.max()) + room),
        slice(max(int(columns.min()) - room, 0), int(columns.max()) + room),
    )
