"""Losses between pictures: channels last, values in [0, 1]."""

from functools import cache
from typing import Any, Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.core import check

WINDOW = 11  # Pixels; with SIGMA, the window of Wang et al. 2004.
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


def l1(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    weights: Float[Tensor, "h w"] | None = None,
) -> Float[Tensor, ""]:
    """The mean absolute difference; with `weights` (not negative), the pixels' weighted mean."""
    if weights is None:
        return (a - b).abs().mean()
    total = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return ((a - b).abs().mean(-1) * weights).sum() / total


def ssim(
    a: Float[Tensor, "h w c"],
    b: Float[Tensor, "h w c"],
    backend: Literal["torch", "native"] = "native",
) -> Float[Tensor, ""]:
    """The mean structural similarity (Wang et al. 2004, Eq. 13), 1 for equal pictures.

    Gaussian window; the mean runs over the pixels whose window lies within the picture. The native
    backend takes float32 on the CPU. ValueError if the picture is smaller than the window.
    """
    if min(a.shape[:2]) < WINDOW:
        raise ValueError(
            f"ssim came with a picture of {a.shape[1]} x {a.shape[0]} pixels and wants at least "
            f"{WINDOW} x {WINDOW}"
        )
    match backend:
        case "torch":
            return _ssim(a, b)
        case "native":
            check("backend='torch'", a=a, b=b)
            return _NativeSsim.apply(a, b)
        case _:
            assert_never(backend)


def _ssim(a: Float[Tensor, "h w c"], b: Float[Tensor, "h w c"]) -> Float[Tensor, ""]:
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a = _blurred(a * a) - mean_a**2
    var_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (luminance * (2 * covariance + C2) / (var_a + var_b + C2)).mean()


def _blurred(image: Float[Tensor, "h w c"]) -> Float[Tensor, "y x c"]:
    weights = _window().to(image)
    planes = image.permute(2, 0, 1)[:, None]
    rows = torch.nn.functional.conv2d(planes, weights[None, None, :, None])
    return torch.nn.functional.conv2d(rows, weights[None, None, None, :])[:, 0].permute(1, 2, 0)


@cache
def _window() -> Float[Tensor, "11"]:
    x = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    return torch.softmax(-(x**2) / (2 * SIGMA**2), 0)


class _NativeSsim(torch.autograd.Function):
    """The same by the compiled core. The mean's slopes are kept from forward, per picture."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        from incarnate import _native

        window = _window().to(a)
        one, other = a.detach().contiguous(), b.detach().contiguous()
        height, width, channels = a.shape
        shape = (3, height - WINDOW + 1, (width - WINDOW + 1) * channels)
        slopes: list[Tensor | None] = [None, None]
        for i in range(2):
            if ctx.needs_input_grad[i]:
                slopes[i] = a.new_empty(shape)
        mean = _native.ssim(one, other, window, slopes[0])
        if slopes[1] is not None:
            _native.ssim(other, one, window, slopes[1])
        ctx.save_for_backward(one, other, window, *slopes)
        ctx.count = shape[1] * shape[2]
        return a.new_tensor(mean)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        from incarnate import _native

        a, b, window, *slopes = ctx.saved_tensors
        out: list[Tensor | None] = [None, None]
        for i, (one, other) in enumerate([(a, b), (b, a)]):
            if slopes[i] is not None:
                out[i] = grown = torch.empty_like(one)
                scale = gradient.item() / ctx.count
                _native.ssim_backward(one, other, window, slopes[i], scale, grown)
        return tuple(out)
