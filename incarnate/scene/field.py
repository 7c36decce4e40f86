"""Signed distances on a grid: metres to the surface, negative inside; y up.

Between nodes values are trilinear; places outside take the nearest value of the grid's border.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SignedField:
    """A solid, by its distance function (or what is learnt to be one)."""

    values: Float[Tensor, "nx ny nz"]
    low: Float[Tensor, "3"]
    """Where the first node is."""
    spacing: float
    """Metres from node to node, in all directions."""

    @property
    def high(self) -> Float[Tensor, "3"]:
        """Where the last node is."""
        return self.low + self.spacing * (self.low.new_tensor(self.values.shape) - 1)

    def nodes(self) -> Float[Tensor, "nx ny nz 3"]:
        """Where the nodes are."""
        axes = [torch.arange(n).to(self.low) * self.spacing for n in self.values.shape]
        return self.low + torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)

    def at(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """The distance at points; differentiable in the values, and between nodes in the points."""
        return self._read(self.values[None], points)[:, 0]

    def gradients(self) -> Float[Tensor, "3 nx ny nz"]:
        """Slopes at the nodes: of length 1 where this is a distance."""
        return torch.stack([_slope(self.values, axis) for axis in range(3)]) / self.spacing

    def directions(
        self, points: Float[Tensor, "n 3"], gradients: Float[Tensor, "3 nx ny nz"]
    ) -> Float[Tensor, "n 3"]:
        """Unit slopes at points, from those of the nodes: at the surface, its normals outwards.

        They do not jump where cells meet, as the slopes of trilinear values do.
        """
        return torch.nn.functional.normalize(self._read(gradients, points), dim=1, eps=1e-6)

    def _read(self, table: Float[Tensor, "c nx ny nz"], points: Tensor) -> Float[Tensor, "n c"]:
        # grid_sample counts axes from the last, and wants places from -1 to 1.
        places = (points - self.low) / (self.high - self.low) * 2 - 1
        read = torch.nn.functional.grid_sample(
            table[None],
            places.flip(1)[None, :, None, None],
            align_corners=True,
            padding_mode="border",
        )
        return read[0, :, :, 0, 0].T


def ellipsoid(
    low: Float[Tensor, "3"],
    high: Float[Tensor, "3"],
    center: Float[Tensor, "3"],
    radii: Float[Tensor, "3"],
    spacing: float,
) -> SignedField:
    """An ellipsoid in a box from `low` to `high` or a little above; near its surface, distances.

    |q| (|q| - 1) / |q / radii| with q the place over the radii (Quilez): exact for a sphere.
    """
    shape = [int(n) for n in ((high - low) / spacing).ceil() + 1]
    empty = SignedField(low.new_zeros(shape), low, spacing)
    q = (empty.nodes() - center) / radii
    steep = (q / radii).norm(dim=-1).clamp(min=1e-9)
    long = q.norm(dim=-1)
    # In the middle the quotient has no limit: the least radius is what is meant there.
    inside = torch.where(long < 1e-4, -radii.min(), long * (long - 1) / steep)
    return SignedField(inside, low, spacing)


def unevenness(field: SignedField) -> Float[Tensor, ""]:
    """The mean squared Laplacian, in 1 / m^2: 0 for planes, 4 / r^2 on a sphere of radius r."""
    v, inner = field.values, slice(1, -1)
    around = (
        v[:-2, inner, inner]
        + v[2:, inner, inner]
        + v[inner, :-2, inner]
        + v[inner, 2:, inner]
        + v[inner, inner, :-2]
        + v[inner, inner, 2:]
    )
    return ((around - 6 * v[inner, inner, inner]) / field.spacing**2).square().mean()


def stretch(gradients: Float[Tensor, "3 nx ny nz"]) -> Float[Tensor, ""]:
    """The mean of (|slope| - 1)^2, 0 for a distance: the eikonal term (Gropp et al. 2020)."""
    length = (gradients.square().sum(0) + 1e-12).sqrt()
    return (length - 1).square().mean()


def _slope(values: Float[Tensor, "nx ny nz"], axis: int) -> Float[Tensor, "nx ny nz"]:
    """Half of the difference of the nodes on both sides; at the ends, the whole one inwards."""
    n = values.shape[axis]
    middle = (values.narrow(axis, 2, n - 2) - values.narrow(axis, 0, n - 2)) / 2
    first = values.narrow(axis, 1, 1) - values.narrow(axis, 0, 1)
    last = values.narrow(axis, n - 1, 1) - values.narrow(axis, n - 2, 1)
    return torch.cat([first, middle, last], axis)
