"""The face's 52 weights over a film, from the network's scores.

Scores of a calm face are not 0, and differ from person to person: what a person's scores seldom
fall below is taken for their rest, and the rest of the way is stretched back to [0, 1].
"""

import torch
from jaxtyping import Float
from torch import Tensor

CALM = 0.2  # Share of frames below a person's rest: the rest is where faces are most of the time.
MOST_CALM = 0.35  # A score above is no rest, even if it is never lower.


def at_rest(scores: Float[Tensor, "f 52"]) -> Float[Tensor, " 52"]:
    """The scores of this person's calm face."""
    return torch.quantile(scores, CALM, dim=0).clamp(max=MOST_CALM)


def weights(scores: Float[Tensor, "f 52"], rest: Float[Tensor, " 52"]) -> Float[Tensor, "f 52"]:
    """ARKit weights over the calm face."""
    return ((scores - rest) / (1 - rest)).clamp(0, 1)
