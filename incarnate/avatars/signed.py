"""A solid that is learnt: signed distances on a grid, from a given start on.

What the optimiser moves is not the distances themselves but a rougher field, which is blurred
before it is added to the start. So a step moves whole neighbourhoods, and distances stay smooth (as
in "Large steps in inverse rendering of geometry", Nicolet et al. 2021): nodes that are pulled one
by one, each by the few rays that pass it, come to noise.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from incarnate.scene.field import SignedField


@final
class SignedGrid(nn.Module):
    """Changes to a field, whose border is held outside the solid."""

    start: Tensor
    _along_x: Tensor
    _along_y: Tensor
    _along_z: Tensor

    def __init__(self, start: SignedField, blur: float = 1.5) -> None:
        """`blur` is the standard deviation, in nodes, of what one number of `change` moves."""
        super().__init__()
        self._low, self._spacing = start.low, start.spacing
        self.register_buffer("start", start.values)
        for name, n in zip(("x", "y", "z"), start.values.shape, strict=True):
            self.register_buffer(f"_along_{name}", _gaussian(start.values, n, blur))
        self.change = nn.Parameter(torch.zeros_like(start.values))

    def forward(self) -> SignedField:
        """The solid as it is now."""
        # Dense matrices: with some 60 nodes an axis they are faster than convolutions.
        across = (self._along_x @ self.change.flatten(1)).view_as(self.change)
        values = self.start + self._along_y @ (across @ self._along_z)
        inner = [n - 2 for n in values.shape]
        border = nn.functional.pad(values.new_full(inner, -torch.inf), [1] * 6, value=self._spacing)
        return SignedField(torch.maximum(values, border), self._low, self._spacing)


def _gaussian(like: Tensor, count: int, deviation: float) -> Float[Tensor, "n n"]:
    """Symmetric; a row far from the ends sums to 1."""
    apart = torch.arange(count).to(like)[:, None] - torch.arange(count).to(like)
    weights = torch.exp(-0.5 * (apart / max(deviation, 1e-3)) ** 2)
    return weights / weights.sum(1).max()
