"""The face's 52 weights over a film, from the network's scores and points.

Scores of a calm face are not 0, and differ from person to person: what a person's scores seldom
fall below is taken for their rest. Of an open jaw, moved brows, closed lids, a narrowed or smiling
mouth and turned eyes the points tell more than scores do: faces are laid onto the calm one by the
points that expressions move least, and what is left over is measured against what the weights do.
(Bounded least squares over all 478 points and 52 shapes was tried: similar shapes share a move
among them, and every curve came out worse.)

Blinks are brief, so lids are compared with those of the second around them; while they are down,
networks lift brows and drop irises, so that both are bridged. Slopes of brows, smile and gaze (per
millimetre, per radian of the head's turn) are rounded from least squares on films of one avatar
(P002) under random faces and turns; those of lids are measured on stills of two, the pucker's is
set by hand. benchmarks/tracking.py says what was chosen with its own figures in view.
Lengths are metres of the average face. Letters: f frames.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.perception.sight import landmarks
from incarnate.perception.smooth import bridged

CALM = 0.2  # Share of frames below a person's rest: the rest is where faces are most of the time.
MOST_CALM = 0.35  # A score above is no rest, even if it is never lower.
STEADY = 0.004  # Metres by which all expressions together move a point that is half trusted.
LIPS = (13, 14)  # The middle of the upper and the lower, inside.
BROWS = {"Left": (334, 336, 296, 293, 300), "Right": (105, 107, 66, 63, 70)}
LIDS = {"Left": ((385, 386, 387), (380, 374, 373)), "Right": ((158, 159, 160), (153, 145, 144))}
CORNERS = {"Left": (263, 362), "Right": (33, 133)}
IRIS = {"Left": 473, "Right": 468}
MOUTH, MIDDLE = (61, 291), (0, 17)  # Its corners; the lips' upper and lower rim.
JAW_GAIN, BROW_SLOPE, BROW_PITCH = 1.6, 300.0, 0.8
SMILE_RISE, SMILE_DEPTH, PUCKER_SLOPE = 54.0, 122.0, 90.0
GAZE_ASIDE, GAZE_YAW, GAZE_UP, GAZE_RISE = 0.9, 0.7, 0.3, 150.0
LID_DROP, IRIS_DROP, LID_SCORE, LID_GAIN = 0.0035, 0.0024, 0.35, 1.3  # Of a blink.
NOISE = 0.03  # Of a blink, at the least.
BLINK = 1.2  # Seconds around a frame in which lids are mostly open.
SHUT = (0.3, 0.6)  # Share of the usual opening: lids that stay that much lower are closing, closed.
PLAY = 0.001  # Metres by which a calm mouth narrows.
TINY, CLEAR = 10.0, 24.0  # Pixels of an eye's width: no gaze aside, all of it.


@dataclass(frozen=True, eq=False)
class Shapes:
    """What the weights do to the points of the average adult's face."""

    rest: Float[Tensor, "478 3"]
    moves: Float[Tensor, "478 3 52"]
    steady: Float[Tensor, " 478"]
    """Trust in each point when faces are laid onto each other."""


@cache
def shapes() -> Shapes:
    """The embedded body's."""
    body = Anny.load()
    mixtures = landmarks(body).mixtures
    corners, shares = mixtures.vertices[:478], mixtures.weights[:478]
    rest = body.shaped(body.default_betas())

    def mixed(vertices: Tensor) -> Tensor:
        return (vertices[corners] * shares[..., None]).sum(1)

    still, columns = mixed(rest), []
    for i in range(len(ARKIT_NAMES)):
        weights = torch.zeros(len(ARKIT_NAMES))
        weights[i] = 0.5
        columns.append((mixed(body.express(rest, weights)) - still) / 0.5)
    moves = torch.stack(columns, -1)
    reach = moves.square().sum((1, 2)).sqrt()
    steady = 1 / (1 + (reach / STEADY) ** 2)
    steady[468:] = 0
    return Shapes(still, moves, steady)


@dataclass(frozen=True, eq=False)
class _Laid:
    """Faces laid onto the calm one."""

    points: Float[Tensor, "f 478 3"]
    calm: Float[Tensor, "478 3"]
    turns: Float[Tensor, "f 3 3"]
    """The head's."""

    @property
    def moved(self) -> Float[Tensor, "f 478 3"]:
        return self.points - self.calm


def weights(
    points: Float[Tensor, "f 478 3"], scores: Float[Tensor, "f 52"], fps: float = 25.0
) -> Float[Tensor, "f 52"]:
    """ARKit weights over the calm face. Points: pixels, x right, y up, z towards the viewer."""
    rest = torch.quantile(scores, CALM, dim=0).clamp(max=MOST_CALM)
    told = ((scores - rest) / (1 - rest)).clamp(0, 1)
    table = shapes()
    calm = _calm(told)
    face, turned = _laid(points, table.rest, table.steady)
    for _ in range(2):
        face, turned = _laid(points, face[calm].median(0).values, table.steady)
    laid = _Laid(face, face[calm].median(0).values, turned)
    out = told.clone()
    _add_mouth(out, told, laid, table)
    blinks, down = _blinks(laid, scores, calm, fps)
    for k, side in enumerate(LIDS):
        out[:, at(f"eyeBlink{side}")] = blinks[:, k]
    _add_brows(out, laid, down, fps)
    across = [(points[:, a] - points[:, b])[:, :2].norm(dim=1) for a, b in CORNERS.values()]
    clear = (torch.stack(across).amax(0).median() - TINY) / (CLEAR - TINY)
    gaze = _gaze(laid, scores, down, fps)
    gaze[:, 0] *= clear.clamp(0, 1)
    _add_gaze(out, gaze)
    return out.clamp(0, 1)


def at(name: str) -> int:
    """The place of a weight among the 52."""
    return ARKIT_NAMES.index(name)


def _calm(told: Float[Tensor, "f 52"]) -> Tensor:
    """The frames with the least expression, gaze apart."""
    face = [i for i, name in enumerate(ARKIT_NAMES) if not name.startswith("eyeLook")]
    total = told[:, face].square().sum(1)
    count = max(1, min(len(told), max(5, round(CALM * len(told)))))
    return total.argsort()[:count]


def _laid(
    points: Float[Tensor, "f 478 3"], onto: Float[Tensor, "478 3"], trust: Float[Tensor, " 478"]
) -> tuple[Float[Tensor, "f 478 3"], Float[Tensor, "f 3 3"]]:
    """Points turned, scaled and moved so that the trusted ones come to lie on others; how they
    were turned before."""
    share = (trust / trust.sum())[:, None]
    middle = (share * points).sum(1, keepdim=True)
    target = (share * onto).sum(0)
    a, b = points - middle, onto - target
    u, s, v = torch.linalg.svd((share * a).mT @ b)
    flip = torch.ones_like(s)
    flip[:, 2] = torch.sign(torch.det(u @ v))
    scale = (s * flip).sum(1) / (share * a.square()).sum((1, 2)).clamp_min(1e-9)
    turned = (u * flip[:, None]) @ v
    return scale[:, None, None] * a @ turned + target, turned


def _add_mouth(out: Tensor, told: Tensor, laid: _Laid, table: Shapes) -> None:
    upper, lower = LIPS
    jaw = at("jawOpen")
    full = table.moves[upper, 1, jaw] - table.moves[lower, 1, jaw]
    gap = ((laid.moved[:, upper] - laid.moved[:, lower])[:, 1] / full).clamp(0, 1)
    out[:, jaw] = JAW_GAIN * torch.maximum(gap, told[:, jaw])
    corners, middle = (laid.moved[:, list(ids)].mean(1) for ids in (MOUTH, MIDDLE))
    drawn = corners - middle  # A smile draws them up and back.
    smile = SMILE_RISE * drawn[:, 1] - SMILE_DEPTH * drawn[:, 2]
    for side in LIDS:
        own = at(f"mouthSmile{side}")
        out[:, own] = (told[:, own] + smile.clamp(0, 1)) / 2
    a, b = MOUTH
    width = (laid.points[:, a] - laid.points[:, b]).norm(dim=1)
    narrow = width.median() - width
    pucker = at("mouthPucker")
    out[:, pucker] = torch.maximum(told[:, pucker], PUCKER_SLOPE * (narrow - PLAY).clamp_min(0))


def _blinks(
    laid: _Laid, scores: Tensor, calm: Tensor, fps: float
) -> tuple[Float[Tensor, "f 2"], Tensor]:
    """How far the left and the right lid are down, and the frames in which both hide the eye.

    Three signs of a blink (the lids' gap, the iris' place, the score) are averaged by their noise.
    """
    total = scores.new_zeros(len(scores), 2)
    trust, lasting = scores.new_zeros(2), []
    for k, side in enumerate(LIDS):
        upper, lower = (laid.points[:, list(ids)] for ids in LIDS[side])
        height = (upper - lower).norm(dim=-1).mean(1)
        iris = (laid.points[:, IRIS[side]] - laid.points[:, CORNERS[side]].mean(1))[:, 1]
        for sign, full in (
            (height, -LID_DROP), (iris, -IRIS_DROP), (scores[:, at(f"eyeBlink{side}")], LID_SCORE),
        ):  # fmt: skip
            shown = (sign - _usual(sign, fps)) / full
            weight = 1 / (_noise(shown) + NOISE) ** 2
            total[:, k] += weight * shown
            trust[k] += weight
        shut = 1 - _usual(height, fps) / height[calm].median().clamp_min(1e-6)
        lasting.append(((shut - SHUT[0]) / (SHUT[1] - SHUT[0])).clamp(0, 1))
    brief = total / trust
    both = (trust * brief).sum(1, keepdim=True) / trust.sum()
    alone = 3 * (_noise(brief[:, 0] - brief[:, 1]) + NOISE)  # Who winks does so clearly.
    winks = (brief[:, :1] - brief[:, 1:]).abs() > alone
    brief = torch.where(winks, brief, both)
    noise = _noise(both[:, 0]) + NOISE
    down = torch.nn.functional.max_pool1d((both.mT > 3 * noise).float(), 3, 1, 1)[0] > 0
    brief = LID_GAIN * (brief - noise).clamp_min(0)
    return torch.maximum(brief, torch.stack(lasting, 1)), down


def _usual(values: Float[Tensor, " f"], fps: float) -> Float[Tensor, " f"]:
    """The median of the BLINK seconds around each frame."""
    half = max(1, round(BLINK * fps / 2))
    wide = torch.nn.functional.pad(values[None, None], (half, half), mode="replicate")[0, 0]
    return wide.unfold(0, 2 * half + 1, 1).median(1).values


def _noise(values: Float[Tensor, " f"]) -> Tensor:
    """Standard deviation, by the median: events do not count."""
    return 1.4826 * (values - values.median()).abs().median()


def _add_brows(out: Tensor, laid: _Laid, down: Tensor, fps: float) -> None:
    """Brows go up and down as both do on the average: one is often hidden by a turn.

    They are measured both in the head and over the eyes: the one errs with the head's turn, the
    other with the lids.
    """
    ids = [i for side in BROWS.values() for i in side]
    eyes = [i for side in CORNERS.values() for i in side]
    brow = laid.moved[:, ids, 1].mean(1)
    pitch = torch.asin((-laid.turns[:, 1, 2]).clamp(-1, 1))
    up = BROW_SLOPE * (brow - laid.moved[:, eyes, 1].mean(1) / 2)
    up = up - BROW_PITCH * pitch
    up = bridged((up - up.median())[:, None], ~down, up.new_zeros(1), fps)[:, 0]
    for stem, value in (("browOuterUp", up), ("browDown", -up)):
        for side in LIDS:
            out[:, at(f"{stem}{side}")] = value.clamp(0, 1)
    out[:, at("browInnerUp")] = up.clamp(0, 1)


def _gaze(laid: _Laid, scores: Tensor, down: Tensor, fps: float) -> Float[Tensor, "f 2"]:
    """To the person's left and up, over where they usually look; in turned heads, networks place
    irises too near the middle of the picture."""
    yaw = torch.atan2(laid.turns[:, 0, 2], laid.turns[:, 2, 2])
    aside, up = GAZE_YAW * yaw, torch.zeros_like(yaw)
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        out_, in_, up_, low = (
            scores[:, at(f"eyeLook{d}{side}")] for d in ("Out", "In", "Up", "Down")
        )
        iris = laid.points[:, IRIS[side]] - laid.points[:, CORNERS[side]].mean(1)
        aside = aside + GAZE_ASIDE * outward * (out_ - in_) / 2
        up = up + (GAZE_UP * (up_ - low) + GAZE_RISE * iris[:, 1]) / 2
    found = torch.stack([aside, up], 1)
    found = found - found.median(0).values
    return bridged(found, ~down, found.new_zeros(2), fps)


def _add_gaze(out: Tensor, gaze: Float[Tensor, "f 2"]) -> None:
    for side, outward in (("Left", 1.0), ("Right", -1.0)):  # Both eyes look at one thing.
        pairs = (("Out", "In", outward * gaze[:, 0]), ("Up", "Down", gaze[:, 1]))
        for plus, minus, value in pairs:
            out[:, at(f"eyeLook{plus}{side}")] = value.clamp_min(0)
            out[:, at(f"eyeLook{minus}{side}")] = (-value).clamp_min(0)
