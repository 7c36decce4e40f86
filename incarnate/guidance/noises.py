"""Where noise comes from: every source gives unit variance at every place.

Guidance takes its noise as an argument, so how noise goes together across frames, views and
iterations is decided here, not in a loss. Sources draw float32 on the device of their generator.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.guidance.warp import Warp
from incarnate.priors import Latents


def independent(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Noise of which no two places have to do with one another."""
    return torch.randn(shape, generator=rng, device=rng.device)


def shared(
    shape: tuple[int, ...], frames: int, rng: torch.Generator, share: float = 1.0
) -> Float[Tensor, "b c f *places"]:
    """Noise for clips, of `shape` b c *places a frame, that frames have in common.

    sqrt(share) common + sqrt(1 - share) own: `share` is the correlation of any two frames, 1 the
    same noise in all of them (mixed noise of Ge et al. 2023, "Preserve your own correlation").
    """
    if not 0 <= share <= 1:
        raise ValueError(f"frames cannot share {share} of their noise; give 0 to 1")
    common = independent(shape, rng).unsqueeze(2)
    if share == 1:
        return common.repeat_interleave(frames, 2)
    own = independent((*shape[:2], frames, *shape[2:]), rng)
    return share**0.5 * common + (1 - share) ** 0.5 * own


def projected(
    anchor: Float[Tensor, "b c y x"], warp: Warp, rng: torch.Generator
) -> Float[Tensor, "b c h w"]:
    """The noise of one view as another sees it, fresh where it sees what the first did not.

    Portrait Diffusion, Eq. 13. Every value is one value of the anchor, never a mean of several, so
    the variance stays 1; where the warp magnifies, neighbours may have the same one.
    """
    seen = anchor.flatten(2)[:, :, warp.source]
    fresh = torch.randn(seen.shape, generator=rng, device=seen.device, dtype=seen.dtype)
    return torch.where(warp.void, fresh, seen)


def resampled(anchor: Latents, sigma: float, rng: torch.Generator) -> Latents:
    """sqrt(1 - sigma^2) anchor + sigma fresh noise (Portrait Diffusion, Eq. 12).

    0 keeps the anchor, 1 forgets it; the correlation with it is sqrt(1 - sigma^2).
    """
    if not 0 <= sigma <= 1:
        raise ValueError(f"noise cannot be resampled with sigma {sigma}; give 0 to 1")
    fresh = torch.randn(anchor.shape, generator=rng, device=anchor.device, dtype=anchor.dtype)
    return (1 - sigma**2) ** 0.5 * anchor + sigma * fresh
