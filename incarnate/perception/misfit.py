"""Rows of the least-squares problem: what was seen against what a guess shows.

Robust rows are reweighted (Geman and McClure: r^2 / (1 + r^2 / c^2)). Letters: m rows, d components
of a row that count as one distance, n unknowns.
"""

from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from incarnate.perception.points import Points, Posed
from incarnate.perception.sight import SIDES, TRUNK, Landmarks, Sight
from incarnate.perception.unknowns import CAMERA, Person, Unknowns

JOINT_SIGMA, FOOT_SIGMA, HAND_SIGMA, STICK_SIGMA, INSIDE_SIGMA = 6.0, 9.0, 3.0, 6.0, 10.0  # Units.
DEPTH_SIGMA, HAND_DEPTH_SIGMA = 0.06, 0.012  # Metres.
RIM = 0.45  # Cosine to the line of sight below which a surface point may be on the outline.
HIDDEN = 0.0  # Metres: hands not seen stay at least so far behind the hip.


@dataclass(frozen=True)
class Stage:
    """How much each kind of row counts in a stage; 0 leaves it out."""

    steps: int
    trunk_only: bool = False
    face: float = 0.0
    face_sigma: float = 0.02
    hands: float = 0.0
    outline: float = 0.0
    free: tuple[str, ...] = ("place", "camera", "root", "pose", "shape", "expression")


@dataclass(frozen=True, eq=False)
class Rows:
    """Residuals in standard deviations, their derivatives, and a weight each."""

    residuals: Float[Tensor, "m d"]
    slopes: Float[Tensor, "m d n"] | None
    weights: Float[Tensor, " m"]
    limit: float
    """Standard deviations beyond which a row stops counting; 0 for never."""

    def cost(self) -> float:
        """Half the robust sum of squares."""
        square = self.residuals.square().sum(1)
        if self.limit:
            square = square / (1 + square / self.limit**2)
        return 0.5 * float((self.weights * square).double().sum())

    def normal(self) -> tuple[Tensor, Tensor]:
        """What the rows add to the normal equations: matrix and gradient, float64."""
        assert self.slopes is not None
        weights = self.weights
        if self.limit:
            weights = weights / (1 + self.residuals.square().sum(1) / self.limit**2).square()
        flat = self.slopes.flatten(0, 1)
        scaled = flat * weights.repeat_interleave(self.residuals.shape[1])[:, None]
        return (scaled.T @ flat).double(), (scaled.T @ self.residuals.flatten()).double()


@final
@dataclass(frozen=True, eq=False)
class Matches:
    """Surface points of `Points` that answer to points of the photo's outline."""

    edges: Int[Tensor, " m"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    points: Int[Tensor, " m"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))


@final
class Misfit:
    """All rows of one person's problem."""

    def __init__(
        self, unknowns: Unknowns, points: Points, marks: Landmarks, seen: Sight, normals: Tensor
    ) -> None:
        self.unknowns, self.points, self.marks, self.seen = unknowns, points, marks, seen
        self.normals = normals
        self.ids = torch.tensor(list(marks.pose))
        self.at = torch.tensor(list(marks.pose.values()))
        self.sigmas = torch.where(self.ids >= 29, FOOT_SIGMA, JOINT_SIGMA)
        self.trunk = (self.ids[:, None] == torch.tensor(TRUNK)).any(1)
        hinges = unknowns.limbs.least > -9
        self.hinges = (hinges[unknowns.owners] & (unknowns.components == 0)).nonzero()[:, 0]

    def posed(self, x: Float[Tensor, " n"]) -> tuple[Person, Posed]:
        """The person of a vector and the points."""
        guess = self.unknowns.person(x)
        return guess, self.points.posed(guess.betas, guess.expression, guess.pose, guess.transl)

    def pixels(self, guess: Person, points: Float[Tensor, "p 3"]) -> Float[Tensor, "p 2"]:
        """Where world points appear."""
        local = points @ guess.rotation.T
        return local[:, :2] / local[:, 2:].clamp_min(0.1) * guess.focal + self.seen.center

    def matched(self, x: Float[Tensor, " n"]) -> Matches:
        """For each point of the matte's outline the point on the body's rim that answers to it."""
        guess, at = self.posed(x)
        surface = self.marks.surface
        local = at.points[surface] @ guess.rotation.T
        blended = (self.points.weights[surface] @ at.bones[:, :3, :3].flatten(1)).unflatten(
            1, (3, 3)
        )
        normals = (guess.rotation @ blended @ self.normals[..., None])[..., 0]
        sight = torch.nn.functional.normalize(local, dim=1)
        rim = ((normals * sight).sum(1).abs() < RIM).nonzero()[:, 0]
        if len(rim) == 0 or len(self.seen.edges) == 0:
            return Matches()
        flat = torch.nn.functional.normalize(normals[rim, :2], dim=1)
        pixels = self.pixels(guess, at.points[surface[rim]])
        gaps = torch.cdist(self.seen.edges, pixels) / self.seen.unit
        gaps = gaps + 200 * (self.seen.normals @ flat.T < 0.6)
        least, nearest = gaps.min(1)
        edges = (least < 70).nonzero()[:, 0]
        return Matches(edges, surface[rim[nearest[edges]]])

    def rows(
        self, x: Float[Tensor, " n"], stage: Stage, matches: Matches, slopes: bool
    ) -> list[Rows]:
        """All rows of a stage."""
        guess, at = self.posed(x)
        pixels = self.pixels(guess, at.points)
        moves = self.unknowns.slopes(x, guess, at, stage.free) if slopes else None
        flat = None if moves is None else self._flat(guess, at.points, moves)
        out = [*self._joints(at, pixels, moves, flat, stage), self._limits(x, slopes)]
        if stage.face:
            out.append(self._face(pixels, flat, stage))
        if stage.hands:
            out += self._hands(at, pixels, moves, flat, stage)
        if self.seen.ankles:
            out.append(self._soles(at, moves))
        if stage.outline:
            out += self._outline(pixels, flat, matches, stage)
        return out

    def _flat(self, guess: Person, points: Tensor, moves: Tensor) -> Tensor:
        """Derivatives of pixels (p 2 n)."""
        local = points @ guess.rotation.T
        turned = guess.rotation @ moves
        first = self.unknowns.parts["camera"].start
        _, pitch, roll = CAMERA.values()
        zero = torch.zeros_like(local[:, 0])
        x, y, z = local.unbind(1)
        turned[:, :, first + 1] = pitch * torch.stack([zero, -z, y], 1)
        turned[:, :, first + 2] = roll * torch.stack([-y, x, zero], 1)
        depth = z.clamp_min(0.1)[:, None, None]
        near = local[:, :2, None] / depth
        out = guess.focal / depth * (turned[:, :2] - near * turned[:, 2:])
        out[:, :, first] = near[..., 0] * guess.focal * CAMERA["focal"]
        return out

    def _joints(
        self, at: Posed, pixels: Tensor, moves: Tensor | None, flat: Tensor | None, stage: Stage
    ) -> list[Rows]:
        seen = self.seen
        weights = seen.visible[self.ids] * (self.trunk if stage.trunk_only else 1)
        scale = (self.sigmas * seen.unit)[:, None]
        gaps = (pixels[self.at] - seen.points[self.ids]) / scale
        out = [Rows(gaps, None if flat is None else flat[self.at] / scale[..., None], weights, 4.0)]
        if seen.shoulders:
            share = weights / weights.sum().clamp_min(1e-6)
            depth = at.points[self.at, 2] - seen.depths[self.ids]
            depth = (depth - (share * depth).sum()) / DEPTH_SIGMA
            slope = None
            if moves is not None:
                slope = moves[self.at, 2:]
                slope = (slope - (share[:, None, None] * slope).sum(0)) / DEPTH_SIGMA
            out.append(Rows(depth[:, None], slope, weights, 3.0))
        return out

    def _limits(self, x: Float[Tensor, " n"], slopes: bool) -> Rows:
        """Hinges at the end of their range."""
        unknowns = self.unknowns
        turns = unknowns.turns(x)[unknowns.owners[self.hinges], 0]
        over = (unknowns.limbs.least[unknowns.owners[self.hinges]] - turns).clamp_min(0) / 0.03
        slope = None
        if slopes:
            slope = torch.zeros(len(self.hinges), 1, unknowns.size)
            columns = unknowns.parts["pose"].start + self.hinges
            slope[torch.arange(len(self.hinges)), 0, columns] = (
                -(over > 0).float() * unknowns.sigmas[self.hinges] / 0.03
            )
        return Rows(over[:, None], slope, torch.ones(len(over)), 0.0)

    def _face(self, pixels: Tensor, flat: Tensor | None, stage: Stage) -> Rows:
        scale = stage.face_sigma * self.seen.iris_distance
        face = self.marks.face
        gaps = (pixels[face] - self.seen.face) / scale
        slope = None if flat is None else flat[face] / scale
        return Rows(gaps, slope, stage.face * self.marks.trusted, 6.0)

    def _hands(
        self, at: Posed, pixels: Tensor, moves: Tensor | None, flat: Tensor | None, stage: Stage
    ) -> list[Rows]:
        """Seen hands by their points; unseen ones hide as deep as the hips (pockets, behind)."""
        out = []
        for side in SIDES:
            ids = self.marks.hands[side]
            weights = torch.full((21,), stage.hands)
            if side in self.seen.hands:
                scale = HAND_SIGMA * self.seen.unit
                gaps = (pixels[ids] - self.seen.hands[side]) / scale
                out.append(Rows(gaps, None if flat is None else flat[ids] / scale, weights, 5.0))
                depth = at.points[ids, 2] - at.points[ids[0], 2] + self.seen.hand_depths[side]
                slope = None
                if moves is not None:
                    slope = (moves[ids, 2:] - moves[ids[:1], 2:]) / HAND_DEPTH_SIGMA
                out.append(Rows(depth[:, None] / HAND_DEPTH_SIGMA, slope, 0.3 * weights, 3.0))
            elif self.seen.hips:
                out.append(self._hidden(at, moves, side))
        return out

    def _hidden(self, at: Posed, moves: Tensor | None, side: str) -> Rows:
        """A hand that is not seen: not before the hip, nor further out than it."""
        ids, hip = self.marks.hands[side], self.marks.hips[side]
        outward = 1.0 if side == "left" else -1.0
        ahead = at.points[ids, 2] - at.points[hip, 2] - HIDDEN
        aside = outward * (at.points[ids, 0] - at.points[hip, 0]) - 0.05
        low = (at.points[ids[0], 1] - at.points[hip, 1]).abs() < 0.3  # Else it is elsewhere.
        excess = torch.stack([ahead, aside], 1).clamp_min(0) / 0.02 * low
        slope = None
        if moves is not None:
            apart = moves[ids] - moves[hip]
            slope = torch.stack([apart[:, 2], outward * apart[:, 0]], 1) / 0.02
            slope = slope * (excess > 0)[..., None]
        return Rows(excess, slope, torch.full((21,), 0.5), 0.0)

    def _soles(self, at: Posed, moves: Tensor | None) -> Rows:
        """Both feet are flat, and about as high as each other."""
        ids = [self.marks.pose[k] for k in (29, 31, 30, 32)]
        mix = torch.tensor([[1, -1, 0, 0], [0, 0, 1, -1], [0.25, 0.25, -0.25, -0.25]]) / 0.025
        gaps = mix @ at.points[ids, 1]
        slope = None if moves is None else (mix @ moves[ids, 1])[:, None]
        return Rows(gaps[:, None], slope, self.seen.visible[[27, 28, 27]], 4.0)

    def _outline(
        self, pixels: Tensor, flat: Tensor | None, matches: Matches, stage: Stage
    ) -> list[Rows]:
        seen, surface = self.seen, self.marks.surface
        out, direction = seen.sticking(pixels[surface])
        slope = None
        if flat is not None:
            slope = (direction[:, :, None] * flat[surface]).sum(1, keepdim=True)
            slope = slope / seen.unit / STICK_SIGMA
        kept = (out > 0).nonzero()[:, 0]
        weights = torch.full((len(kept),), 0.6 * stage.outline)
        slope = None if slope is None else slope[kept]
        rows = [Rows(out[kept, None] / STICK_SIGMA, slope, weights, 4.0)]
        if len(matches.edges):
            normals = seen.normals[matches.edges]
            gaps = ((pixels[matches.points] - seen.edges[matches.edges]) * normals).sum(1, True)
            scale = seen.unit * torch.where(gaps > 0, STICK_SIGMA, INSIDE_SIGMA)
            slope = None
            if flat is not None:
                slope = (normals[..., None] * flat[matches.points]).sum(1, keepdim=True)
                slope = slope / scale[..., None]
            weights = torch.full((len(gaps),), stage.outline)
            rows.append(Rows(gaps / scale, slope, weights, 3.0))
        return rows
