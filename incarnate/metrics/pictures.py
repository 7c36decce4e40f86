"""Distances between pictures of the same size; with a mask, over its pixels alone.

A mask says which pixels count (those above 0.5), as a matte does. ValueError where none does: a
figure of nothing would be no figure.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.metrics.color import lab

LEAST_MSE = 1e-10  # Equal pictures have 100 dB.
WINDOW = 11  # Pixels of SSIM's Gaussian window (Wang et al. 2004), whose sigma is 1.5.
FINE = 2.0  # Pixels: sigma of the blur over which texture stands out.


def mse(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    mask: Float[Tensor, "h w"] | None = None,
) -> float:
    """The mean squared difference."""
    return _mean((a - b).square().mean(-1), mask)


def l1(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    mask: Float[Tensor, "h w"] | None = None,
) -> float:
    """The mean absolute difference."""
    return _mean((a - b).abs().mean(-1), mask)


def psnr(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    mask: Float[Tensor, "h w"] | None = None,
) -> float:
    """The peak signal-to-noise ratio in dB (torchmetrics'), at most 100."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    if mask is not None:
        keep = _chosen(mask)
        a, b = a[keep], b[keep]
    if mse(a.reshape(1, -1, a.shape[-1]), b.reshape(1, -1, b.shape[-1])) <= LEAST_MSE:
        return 100.0
    return float(peak_signal_noise_ratio(a, b, data_range=1.0))


def ssim(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    mask: Float[Tensor, "h w"] | None = None,
) -> float:
    """The structural similarity (torchmetrics'): the mean over windows that lie in the picture.

    With a mask, over windows whose middle it holds. ValueError if the picture is smaller than the
    window.
    """
    if min(a.shape[:2]) < WINDOW:
        raise ValueError(
            f"ssim came with {a.shape[1]} x {a.shape[0]} pixels and wants {WINDOW} x {WINDOW}"
        )
    from torchmetrics.functional.image import structural_similarity_index_measure

    edge = WINDOW // 2
    planes = [picture.permute(2, 0, 1)[None] for picture in (a, b)]
    similarity = structural_similarity_index_measure(
        planes[0], planes[1], data_range=1.0, return_full_image=True
    )
    map_ = similarity[1][0].mean(0)[edge:-edge, edge:-edge]
    return _mean(map_, None if mask is None else mask[edge:-edge, edge:-edge])


def silhouette_iou(a: Float[Tensor, "h w"], b: Float[Tensor, "h w"]) -> float:
    """What two silhouettes share over what either covers (above 0.5); 1 for two empty ones."""
    one, other = a > 0.5, b > 0.5
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def normal_error(
    a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"], mask: Float[Tensor, "h w"]
) -> float:
    """The mean angle in degrees between two pictures' normals (of any length) under the mask."""
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    return _mean(torch.rad2deg(torch.arccos(cosine)), mask)


def texture_energy(rgb: Float[Tensor, "h w 3"], mask: Float[Tensor, "h w"]) -> float:
    """The standard deviation of fine detail in lightness under the mask, in units of L (0 to 100).

    Detail is what a blur of 2 pixels takes away; the blur sees the mask's pixels only, so that an
    outline is no texture.
    """
    keep = _chosen(mask)
    light = torch.from_numpy(lab(rgb.double().numpy())[..., 0])
    weight = keep.double()
    smooth = _blurred(light * weight) / _blurred(weight).clamp_min(1e-9)
    return float((light - smooth)[keep].square().mean().sqrt())


def flicker(frames: Float[Tensor, "t h w c"], truth: Float[Tensor, "t h w c"]) -> float:
    """The mean absolute change from frame to frame that the true film does not have, in [0, 1].

    A film that is off by the same everywhere does not flicker. ValueError for a single frame.
    """
    if len(frames) < 2:
        raise ValueError("flicker came with one frame and wants at least two")
    gap = frames - truth
    return float((gap[1:] - gap[:-1]).abs().mean())


def _mean(values: Float[Tensor, "h w"], mask: Float[Tensor, "h w"] | None) -> float:
    return float(values.mean() if mask is None else values[_chosen(mask)].mean())


def _chosen(mask: Float[Tensor, "h w"]) -> Tensor:
    keep = mask > 0.5
    if not bool(keep.any()):
        raise ValueError("the mask holds no pixel (none is above 0.5), so there is no figure")
    return keep


def _blurred(plane: Tensor) -> Tensor:
    reach = round(3 * FINE)
    x = torch.arange(-reach, reach + 1, dtype=plane.dtype)
    window = torch.softmax(-(x**2) / (2 * FINE**2), 0)
    across = torch.nn.functional.conv2d(
        plane[None, None], window[None, None, None, :], padding=(0, reach)
    )
    return torch.nn.functional.conv2d(across, window[None, None, :, None], padding=(reach, 0))[0, 0]
