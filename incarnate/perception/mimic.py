"""The face's 52 weights over a film, from the network's scores and points.

Scores of a calm face are not 0, and differ from person to person: what a person's scores seldom
fall below is taken for their rest. Of an open jaw, moved brows, closed lids and turned eyes the
points tell more than scores do: faces are laid onto the calm one by the points that expressions
move least, and what is left over is measured in the moves of the body's own shapes. (Bounded least
squares over all 478 points and 52 shapes was tried: similar shapes share a move among them, and
every curve came out worse.) Lengths are metres of the average face. Letters: f frames.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.perception.sight import landmarks

CALM = 0.2  # Share of frames below a person's rest: the rest is where faces are most of the time.
MOST_CALM = 0.35  # A score above is no rest, even if it is never lower.
STEADY = 0.004  # Metres by which all expressions together move a point that is half trusted.
LIPS = (13, 14)  # The middle of the upper and the lower, inside.
BROWS = {"Left": (334, 336, 296, 293, 300), "Right": (105, 107, 66, 63, 70)}
LIDS = {"Left": (386, 374), "Right": (159, 145)}
CORNERS = {"Left": (263, 362), "Right": (33, 133)}
IRIS = {"Left": 473, "Right": 468}
JAW_GAIN, BROW_GAIN, LID_GAIN, PUCKER_GAIN, GAZE_GAIN = 1.6, 2.0, 1.4, 1.5, 1.3
"""Networks tell less than they see: slopes against the truth in benchmarks/tracking.py."""


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


def weights(
    points: Float[Tensor, "f 478 3"], scores: Float[Tensor, "f 52"]
) -> Float[Tensor, "f 52"]:
    """ARKit weights over the calm face. Points: pixels, x right, y up, z towards the viewer."""
    rest = torch.quantile(scores, CALM, dim=0).clamp(max=MOST_CALM)
    told = ((scores - rest) / (1 - rest)).clamp(0, 1)
    table = shapes()
    calm = _calm(told)
    laid = _laid(points, table.rest, table.steady)
    for _ in range(2):
        laid = _laid(points, laid[calm].median(0).values, table.steady)
    moved = laid - laid[calm].median(0).values
    out = told.clone()
    _add_mouth(out, told, moved, table)
    _add_brows(out, told, moved, table)
    _add_eyes(out, scores, laid, calm, table)
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
) -> Float[Tensor, "f 478 3"]:
    """Points turned, scaled and moved so that the trusted ones come to lie on others."""
    share = (trust / trust.sum())[:, None]
    middle = (share * points).sum(1, keepdim=True)
    target = (share * onto).sum(0)
    a, b = points - middle, onto - target
    u, s, v = torch.linalg.svd((share * a).mT @ b)
    flip = torch.ones_like(s)
    flip[:, 2] = torch.sign(torch.det(u @ v))
    scale = (s * flip).sum(1) / (share * a.square()).sum((1, 2)).clamp_min(1e-9)
    return scale[:, None, None] * a @ (u * flip[:, None]) @ v + target


def _add_mouth(out: Tensor, told: Tensor, moved: Tensor, table: Shapes) -> None:
    upper, lower = LIPS
    jaw = at("jawOpen")
    full = table.moves[upper, 1, jaw] - table.moves[lower, 1, jaw]
    gap = ((moved[:, upper] - moved[:, lower])[:, 1] / full).clamp(0, 1)
    out[:, jaw] = JAW_GAIN * torch.maximum(gap, told[:, jaw])
    out[:, at("mouthPucker")] = PUCKER_GAIN * told[:, at("mouthPucker")]


def _add_brows(out: Tensor, told: Tensor, moved: Tensor, table: Shapes) -> None:
    """Brows go up and down as both do on the average: one is often hidden by a turn."""
    ids = [i for side in BROWS.values() for i in side]
    up = moved[:, ids, 1].mean(1)
    for names in (
        ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
        ("browDownLeft", "browDownRight"),
    ):
        own = [at(name) for name in names]
        full = table.moves[ids][:, 1][:, own].sum(1).mean()
        shown = (up / full).clamp(0, 1)
        out[:, own] = BROW_GAIN * (told[:, own] + shown[:, None]) / 2


def _add_eyes(out: Tensor, scores: Tensor, laid: Tensor, calm: Tensor, table: Shapes) -> None:
    gaze = scores.new_zeros(len(scores), 2)
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        upper, lower = (laid[:, i] for i in LIDS[side])
        height = (upper - lower).norm(dim=1)
        shut = (1 - height / height[calm].median().clamp_min(1e-6)).clamp(0, 1)
        blink = at(f"eyeBlink{side}")
        out[:, blink] = LID_GAIN * (out[:, blink] + shut) / 2
        iris = laid[:, IRIS[side]] - laid[:, CORNERS[side]].mean(1)
        iris = iris - (table.rest[IRIS[side]] - table.rest[list(CORNERS[side])].mean(0))
        out_, in_, up, down = (at(f"eyeLook{d}{side}") for d in ("Out", "In", "Up", "Down"))
        full = (table.moves[IRIS[side], 0, out_]).abs(), table.moves[IRIS[side], 1, up].abs()
        told = outward * (scores[:, out_] - scores[:, in_]), scores[:, up] - scores[:, down]
        for axis in (0, 1):
            seen = iris[:, axis] / full[axis]
            gaze[:, axis] += GAZE_GAIN * (told[axis] + seen - seen.median()) / 4
    for side, outward in (("Left", 1.0), ("Right", -1.0)):  # Both eyes look at one thing.
        pairs = (("Out", "In", outward * gaze[:, 0]), ("Up", "Down", gaze[:, 1]))
        for plus, minus, value in pairs:
            out[:, at(f"eyeLook{plus}{side}")] = value.clamp_min(0)
            out[:, at(f"eyeLook{minus}{side}")] = (-value).clamp_min(0)
