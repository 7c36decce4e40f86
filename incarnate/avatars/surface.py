"""Gaussians that ride on a body's skin (One Shot, One Talk, Sec. 3.1).

A Gaussian sits on triangle `faces[i]` at `barycentrics[i]`, moved by `offsets[i]` in that
triangle's frame: first axis along the triangle's first edge, third along its outward normal. It
is a disc in the triangle's plane, turned by `spins[i]` about the normal; when the triangle
stretches, so does the disc. The paper's two deformation fields are `vertex_offsets` (dT, of the
mesh) and `offsets` (what a Gaussian adds to it): dX = Bary(dT) + offsets, so its coupling loss
||dX - Bary(dT)|| is the length of `offsets`. "Rest" is the person with a neutral face in the
body's rest pose, "drive" is any expression, pose and translation.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from incarnate.body.anny import Anny
from incarnate.body.bending import Hold, centers, skinned
from incarnate.body.body import Body
from incarnate.scene.gaussians import Gaussians

MAX_STRETCH = 3.0  # A triangle torn open by skinning must not smear its Gaussians over the picture.


@dataclass(frozen=True, eq=False)
class Drive:
    """What moves an avatar: one frame."""

    expression: Float[Tensor, " e"]
    pose: Float[Tensor, "j 3 3"]
    transl: Float[Tensor, "3"]


@dataclass(frozen=True, eq=False)
class Frames:
    """Orthonormal frames of triangles (columns are axes) and their edges in the plane."""

    origins: Float[Tensor, "f 3 3"]
    """The corners, from which barycentric points are taken."""
    axes: Float[Tensor, "f 3 3"]
    edges: Float[Tensor, "f 2 2"]
    """Columns: the two edges from the first corner, in the first two axes (upper triangular)."""


@dataclass(frozen=True, eq=False)
class Discs:
    """Gaussians in triangle frames; the learnt part of an avatar."""

    faces: Int[Tensor, " n"]
    barycentrics: Float[Tensor, "n 3"]
    offsets: Float[Tensor, "n 3"]
    spins: Float[Tensor, " n"]
    log_scales: Float[Tensor, "n 3"]
    logit_opacities: Float[Tensor, " n"]
    colors: Float[Tensor, "n 3"]
    labels: Int[Tensor, " n"]
    """Materials, as indices of `incarnate.avatars.garments.LABELS`."""


@dataclass(frozen=True, eq=False)
class Freedom:
    """How far each disc may stray from what it is while it learns from pictures."""

    color: Float[Tensor, " n"]
    """Of a channel."""
    offset: Float[Tensor, " n"]
    """Metres."""
    shrunk: Float[Tensor, " n"]
    grown: Float[Tensor, " n"]
    """Natural logarithms of the scale, less and more."""
    faded: Float[Tensor, " n"]
    """Of the opacity's logit, downwards."""


class SurfaceAvatar(nn.Module):
    """A person: a body with their shape and clothes, and the Gaussians on it."""

    body: Anny
    betas: Float[Tensor, " s"]
    rest: Float[Tensor, "v 3"]
    joints: Float[Tensor, "j 3"]
    vertex_offsets: Float[Tensor, "v 3"]
    weights: Float[Tensor, "v j"]

    def __init__(
        self,
        body: Anny,
        betas: Float[Tensor, " s"],
        vertex_offsets: Float[Tensor, "v 3"],
        weights: Float[Tensor, "v j"],
        discs: Discs,
    ):
        """`weights` are dense skinning weights: the body's own, but for hair and cloth."""
        super().__init__()
        self.body = body
        self.discs = discs
        rest = body.shaped(betas)
        self.register_buffer("betas", betas)
        self.register_buffer("rest", rest)
        self.register_buffer("joints", body.joints(rest))
        self.register_buffer("vertex_offsets", vertex_offsets)
        self.register_buffer("weights", weights)
        self.centers = centers(rest + vertex_offsets, Hold.of(weights), body.faces)
        self.rest_frames = triangle_frames(rest + vertex_offsets, body.faces)

    def vertices(self, drive: Drive) -> Float[Tensor, "v 3"]:
        """The clothed mesh in the world."""
        face = self.body.express(self.rest, drive.expression) + self.vertex_offsets
        bones = self.body.bones(self.joints, drive.pose, drive.transl)
        return skinned(face, self.weights, bones, self.centers)

    def forward(self, drive: Drive) -> Gaussians:
        """The Gaussians in the world."""
        frames = triangle_frames(self.vertices(drive), self.body.faces)
        return placed(carried(self.discs, self.rest_frames, frames), frames)


def dense_weights(body: Body) -> Float[Tensor, "v j"]:
    """The body's skinning weights as a dense matrix."""
    zeros = body.skin_weights.new_zeros(len(body.skin_weights), len(body.joint_names))
    return zeros.scatter_add(1, body.skin_joints, body.skin_weights)


def triangle_frames(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Frames:
    """Frames of all triangles; one without area keeps a frame, with edges of at least 1e-6 m."""
    corners = vertices[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = first.norm(dim=1, keepdim=True).clamp_min(1e-6)
    x = first / length
    normal = torch.linalg.cross(first, second)
    area = normal.norm(dim=1, keepdim=True)
    flat = torch.linalg.cross(x, x.roll(1, 1) + x.new_tensor([0.3, 0.5, 0.7]))
    z = torch.where(area > 1e-12, normal, flat)
    z = torch.nn.functional.normalize(z, dim=1)
    y = torch.linalg.cross(z, x)
    along, across = (second * x).sum(1), (second * y).sum(1).clamp_min(1e-6)
    edges = torch.stack([length[:, 0], along, torch.zeros_like(along), across], 1).reshape(-1, 2, 2)
    return Frames(corners, torch.stack([x, y, z], 2), edges)


def carried(discs: Discs, source: Frames, target: Frames) -> Discs:
    """Discs stretched and turned as their triangles are from `source` to `target`.

    The plane map F takes the source's edges to the target's. A disc with axes A = R(spin) diag(s)
    becomes F A, whose principal axes are those of the symmetric 2x2 matrix F A A^T F^T.
    """
    stretch = target.edges @ torch.linalg.inv(source.edges)
    cos, sin = discs.spins.cos(), discs.spins.sin()
    scales = discs.log_scales[:, :2].exp()
    axes = torch.stack(
        [cos * scales[:, 0], -sin * scales[:, 1], sin * scales[:, 0], cos * scales[:, 1]], 1
    ).reshape(-1, 2, 2)
    mapped = stretch[discs.faces] @ axes
    xx, xy, yy = _outer(mapped)
    spins = 0.5 * torch.atan2(2 * xy, xx - yy)
    middle, radius = (xx + yy) / 2, ((xx - yy) ** 2 / 4 + xy**2).sqrt()
    squares = torch.stack([middle + radius, (middle - radius).clamp_min(1e-14)], 1)
    low = discs.log_scales[:, :2].amin(1, keepdim=True) - torch.log(torch.tensor(MAX_STRETCH))
    high = discs.log_scales[:, :2].amax(1, keepdim=True) + torch.log(torch.tensor(MAX_STRETCH))
    log_scales = torch.cat([(squares.log() / 2).clamp(low, high), discs.log_scales[:, 2:]], 1)
    return Discs(
        discs.faces,
        discs.barycentrics,
        discs.offsets,
        spins,
        log_scales,
        discs.logit_opacities,
        discs.colors,
        discs.labels,
    )


def placed(discs: Discs, frames: Frames) -> Gaussians:
    """Discs as Gaussians in the world, `frames` being the triangles they were carried to."""
    return Anchors.of(discs, frames).placed(discs)


Some = TypeVar("Some", Discs, Freedom)


@dataclass(frozen=True, eq=False)
class Anchors:
    """Where discs stand before their own offset and spin: fixed while their triangles are."""

    means: Float[Tensor, "n 3"]
    axes: Float[Tensor, "n 3 3"]
    quats: Float[Tensor, "n 4"]

    @staticmethod
    def of(discs: Discs, frames: Frames) -> "Anchors":
        """The anchors of discs on triangles."""
        means = (frames.origins[discs.faces] * discs.barycentrics[..., None]).sum(1)
        quats = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(frames.axes))
        return Anchors(means, frames.axes[discs.faces], quats[discs.faces])

    def placed(self, discs: Discs) -> Gaussians:
        """The discs, with the offsets and spins they have now."""
        means = self.means + (self.axes * discs.offsets[:, None]).sum(2)
        half = discs.spins / 2
        none = torch.zeros_like(half)
        spin = torch.stack([half.cos(), none, none, half.sin()], 1)
        quats = _product(self.quats, spin)
        return Gaussians(means, quats, discs.log_scales, discs.logit_opacities, discs.colors)


def picked(discs: Some, ids: Int[Tensor, " m"]) -> Some:
    """Some of the discs, or of what is known of each."""
    return type(discs)(**{f.name: getattr(discs, f.name)[ids] for f in fields(discs)})


def together(discs: Discs, more: Discs) -> Discs:
    """All of both."""
    return Discs(
        **{
            f.name: torch.cat([getattr(discs, f.name), getattr(more, f.name)])
            for f in fields(Discs)
        }
    )


def put_back(discs: Discs, ids: Int[Tensor, " m"], some: Discs) -> Discs:
    """All discs, those at `ids` replaced."""
    return Discs(
        **{
            f.name: getattr(discs, f.name).index_copy(0, ids, getattr(some, f.name))
            for f in fields(Discs)
        }
    )


def scattered(
    areas: Float[Tensor, " f"], count: int, rng: torch.Generator
) -> tuple[Int[Tensor, " n"], Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """About `count` anchors spread evenly over triangles of the given (weighted) areas.

    Returns faces, barycentrics and each anchor's share of its triangle's area. Each triangle gets
    the whole number next to its due, drawn so that the mean is right, placed by a low-discrepancy
    sequence (R2, Roberts 2018), which leaves no clumps and no holes.
    """
    due = areas / areas.sum() * count
    numbers = (due + torch.rand(len(due), generator=rng)).floor().long()
    faces = torch.repeat_interleave(torch.arange(len(areas)), numbers)
    first = torch.repeat_interleave(numbers.cumsum(0) - numbers, numbers)
    order = torch.arange(len(faces)) - first
    start = torch.rand(len(areas), 2, generator=rng)[faces]
    u, v = ((start + (order[:, None] + 1) * torch.tensor([0.7548776662, 0.5698402910])) % 1).unbind(
        1
    )
    inside = u + v <= 1
    u, v = torch.where(inside, u, 1 - u), torch.where(inside, v, 1 - v)
    shares = 1 / numbers[faces].float()
    return faces, torch.stack([1 - u - v, u, v], 1), shares


def _outer(a: Float[Tensor, "n 2 2"]) -> tuple[Tensor, Tensor, Tensor]:
    p, q, r, s = a[:, 0, 0], a[:, 0, 1], a[:, 1, 0], a[:, 1, 1]
    return p * p + q * q, p * r + q * s, r * r + s * s


def _product(a: Float[Tensor, "n 4"], b: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    (aw, av), (bw, bv) = (a[:, :1], a[:, 1:]), (b[:, :1], b[:, 1:])
    w = aw * bw - (av * bv).sum(1, keepdim=True)
    return torch.cat([w, aw * bv + bw * av + torch.linalg.cross(av, bv)], 1)
