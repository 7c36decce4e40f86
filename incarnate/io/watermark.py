"""An invisible watermark: 64 bits in the blue of a picture, read back by voting over frames.

A picture is looked at as a grid of `side` x `side` cells, however large it is: making it smaller
leaves the grid. Every two by two cells carry one bit of the message, as a chequer of slightly more
and less blue: the diagonal of Haar's wavelets, which flat colours and upright edges do not reach.
Which bit, and which way round, says a fixed table (`_layout`). Blue, since eyes see fine patterns
of it worst, and in cells about as large as encoders' blocks, since those last. What the picture
itself has in the place of a bit is known while marking, and outweighed. Reading limits what one
chequer can say, then adds each bit up over chequers and frames.

The message is an identity of 32 bits and 32 bits that check it. Cutting the picture, taking its
colour or knowing this file removes the mark: it tells the origin where nobody means to hide it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from math import comb
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Picture = UInt8[np.ndarray, "h w c"]
"""sRGB, with straight alpha if c is 4."""
Grid = Float[np.ndarray, "n n"]
Bits = Bool[np.ndarray, "bits"]

BITS, CHECKS = 64, 32
WRONG = 1
"""The most bits of the check that may be wrong in what is read."""
DOUBTED = 8
"""The least sure bits of the identity, of which one may be wrong."""
SIDES = (64, 32)
"""Cells along each edge: of pictures whose shorter edge has FINE pixels, and of smaller ones."""
FINE = 384
WEAKEST, STRONGEST = 2.5, 12.0
"""Levels of blue, of 255, that are added or taken in a cell."""
MARGINS = {64: 1.4, 32: 2.0}
"""Levels that each bit is to show on average over the chequers that carry it, of which a coarse
grid has few."""
LIMIT = 5.0
"""No chequer says more: what is larger is the picture's own."""
FINER = 4
"""Samples along each edge of a cell while the mark is worked out."""
ROUNDS = 4
LUMA = (0.2126, 0.7152, 0.0722)  # BT.709


@final
@dataclass(frozen=True)
class Found:
    """A watermark, and how surely it was read."""

    identity: int
    checks: int
    """Bits of the check that are as they should be, of CHECKS."""
    agreement: float
    """The share of bits that say in their frame alone what all frames say together."""
    frames: int
    alone: int
    """Frames whose 64 bits are all right by themselves."""


@final
@dataclass(frozen=True)
class Watermark:
    """A mark for pictures and frames; `identity` is a number of 32 bits."""

    identity: int

    def marked(self, picture: Picture) -> Picture:
        """The picture with the mark in it. Alpha, and what alpha hides, stay as they are."""
        height, width = picture.shape[:2]
        side = SIDES[0] if min(height, width) >= FINE else SIDES[1]
        seen = (picture[..., 3] > 0).astype(np.float32) if picture.shape[2] == 4 else None
        added = cv2.resize(
            _added(picture, self.bits, side, seen), (width, height), interpolation=cv2.INTER_CUBIC
        )
        if seen is not None:
            added *= seen
        blue = cv2.add(cv2.extractChannel(picture, 2), added, dtype=cv2.CV_8U)
        return cv2.insertChannel(blue, np.array(picture), 2)

    @cached_property
    def bits(self) -> Float[np.ndarray, " bits"]:
        """The message, 1 for a 0 and -1 for a 1."""
        return np.where(_message(self.identity), -1, 1).astype(np.float32)


def read(frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> Found | None:
    """The watermark that the frames of a film, or one picture, carry; None if there is none."""
    told = np.array([[_told(frame, side) for side in SIDES] for frame in frames])
    found = (_voted(told[:, k]) for k in range(len(SIDES) if len(told) else 0))
    return next((one for one in found if one is not None), None)


def false_alarms() -> float:
    """At most the chance that something unmarked shows a mark: all but WRONG of 32 fair bits fit.

    Sum over k of C(32, k) / 2^32, times what is tried; the table's signs make bits fair.
    """
    tries = len(SIDES) * (1 + DOUBTED)
    return tries * sum(comb(CHECKS, k) for k in range(WRONG + 1)) / 2**CHECKS


def _voted(told: Float[np.ndarray, "f bits"]) -> Found | None:
    """What frames say together, each counting as much as it is sure."""
    total = told.sum(0)
    doubted = np.argsort(np.abs(total[: BITS - CHECKS]), kind="stable")[:DOUBTED]
    for turned in (None, *doubted):
        together = total < 0
        if turned is not None:
            together[turned] ^= True
        identity = int.from_bytes(np.packbits(together[: BITS - CHECKS]).tobytes(), "big")
        message = _message(identity)
        checks = int((together == message)[BITS - CHECKS :].sum())
        if checks >= CHECKS - WRONG:
            agree = (told < 0) == message
            alone = int(agree.all(1).sum())
            return Found(identity, checks, float(agree.mean()), len(told), alone)
    return None


def _message(identity: int) -> Bits:
    data = identity.to_bytes((BITS - CHECKS) // 8, "big")
    check = hashlib.sha256(b"incarnate watermark" + data).digest()[: CHECKS // 8]
    return np.unpackbits(np.frombuffer(data + check, np.uint8)).astype(bool)


@cache
def _layout(side: int) -> tuple[Int[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    """The bit of each chequer, and the sign it has there: the same for ever and everywhere."""
    across = side // 2
    count = across * across
    drawn = np.frombuffer(hashlib.shake_256(b"incarnate watermark").digest(8 * count), "<u4")
    bits = np.empty(count, np.int64)
    bits[np.argsort(drawn[:count], kind="stable")] = np.arange(count) % BITS
    signs = 1 - 2 * (drawn[count:] & 1).astype(np.float32)
    return bits.reshape(across, across), signs.reshape(across, across)


def _told(picture: Picture, side: int) -> Float[np.ndarray, " bits"]:
    """What each bit shows on average, in levels: above 0 for a 0, below for a 1."""
    return _summed(_blueness(_sampled(picture, side)), side)


def _sampled(picture: Picture, side: int) -> UInt8[np.ndarray, "m m c"]:
    across = FINER * side
    return cv2.resize(picture, (across, across), interpolation=cv2.INTER_AREA)


def _blueness(samples: UInt8[np.ndarray, "m m c"]) -> Float[np.ndarray, "m m"]:
    """Blue above luma, where a level of blue counts as one."""
    red, green, blue = LUMA
    matrix = np.array([[-red, -green, 1 - blue]], np.float32) / np.float32(1 - blue)
    return cv2.transform(samples[..., :3].astype(np.float32), matrix)


def _summed(blueness: Float[np.ndarray, "m m"], side: int) -> Float[np.ndarray, " bits"]:
    """Each bit as the mean of its chequers, limited."""
    cells = cv2.resize(blueness, (side, side), interpolation=cv2.INTER_AREA)
    even, odd = cells[::2], cells[1::2]
    shown = (even[:, ::2] - even[:, 1::2] - odd[:, ::2] + odd[:, 1::2]) / 4
    shown /= np.sqrt(1 + (shown / LIMIT) ** 2)
    bits, signs = _layout(side)
    return np.bincount(bits.ravel(), (shown * signs).ravel(), BITS) / (bits.size / BITS)


def _added(
    picture: Picture,
    message: Float[np.ndarray, " bits"],
    side: int,
    seen: Float[np.ndarray, "h w"] | None,
) -> Grid:
    """Levels of blue to add in each cell so that bits show by their margin, if they can."""
    samples = _sampled(picture, side)
    across = samples.shape[:2]
    blue, blueness = samples[..., 2].astype(np.float32), _blueness(samples)
    share = None if seen is None else cv2.resize(seen, across, interpolation=cv2.INTER_AREA)
    part = 1.0 if share is None else max(float(share.mean()), 1 / BITS)
    bits, signs = _layout(side)
    signs = signs * message[bits]
    chequer = np.array([[1, -1], [-1, 1]], np.float32)
    strength = np.full(BITS, WEAKEST, np.float32)
    for _ in range(ROUNDS):
        more = cv2.resize(
            np.kron(signs * strength[bits], chequer), across, interpolation=cv2.INTER_CUBIC
        )
        if share is not None:
            more *= share
        shown = _summed(blueness + np.clip(more, -blue, 255 - blue), side) * message
        short = np.maximum(MARGINS[side] - shown / part, 0)
        strength = np.minimum(strength + short, STRONGEST).astype(np.float32)
    return np.kron(signs * strength[bits], chequer)
