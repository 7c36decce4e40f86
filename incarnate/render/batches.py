"""gsplat's own entry (Ye et al. 2024, version 1.5): tensors and many cameras in one call."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.render.backends import Backend, backend_of
from incarnate.render.harmonics import colors_of, directions
from incarnate.render.view import Cloud, View

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
FAINTEST = 1e-10  # An expected depth is divided by no less alpha.


def rasterization(  # noqa: PLR0913 (gsplat's arguments, so that callers can change sides)
    means: Float[Tensor, "n 3"],
    quats: Float[Tensor, "n 4"],
    scales: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    colors: Float[Tensor, "..."],
    viewmats: Float[Tensor, "c 4 4"],
    Ks: Float[Tensor, "c 3 3"],
    width: int,
    height: int,
    *,
    sh_degree: int | None = None,
    render_mode: RenderMode = "RGB",
    backgrounds: Float[Tensor, "c d"] | None = None,
    camera_model: Literal["pinhole", "ortho"] = "pinhole",
    median: bool = False,
    backend: Backend = "native",
) -> tuple[Float[Tensor, "c h w x"], Float[Tensor, "c h w 1"], dict[str, int | Tensor]]:
    """Pictures, alphas and what else is known of them, for each camera; differentiable in all.

    `colors` are (n d) or (c n d); with `sh_degree`, coefficients (n k 3) or (c n k 3). "D" is depth
    as it is blended, "ED" divided by alpha, the last channel. The dictionary holds width, height,
    n_cameras and, if asked for, median_depths (c h w 1). ValueError for what does not fit together
    or is not finite.
    """
    _check(render_mode, camera_model, viewmats, Ks)
    views = []
    for i, (pose, lens) in enumerate(zip(viewmats, Ks, strict=True)):
        camera = Camera(pose, lens, width, height, camera_model == "ortho")
        own, background = opacities[:, None], None  # Only depth is wanted: any channel will do.
        if "RGB" in render_mode:
            own = _colors(colors, i, sh_degree, means, camera)
            background = None if backgrounds is None else backgrounds[i]
        cloud = Cloud(means, quats, scales, opacities, own)
        views.append(backend_of(backend).draw(cloud, camera, background, median))
    info: dict[str, int | Tensor] = {"width": width, "height": height, "n_cameras": len(views)}
    if median:
        info["median_depths"] = torch.stack([view.median for view in views])[..., None]
    pictures = torch.stack([_picture(view, render_mode) for view in views])
    return pictures, torch.stack([view.alpha for view in views])[..., None], info


def _check(render_mode: str, camera_model: str, viewmats: Tensor, lenses: Tensor) -> None:
    if render_mode not in get_args(RenderMode):
        raise ValueError(f"render_mode is {render_mode!r}; choose of {get_args(RenderMode)}")
    if camera_model not in ("pinhole", "ortho"):
        raise ValueError(f"camera_model is {camera_model!r}; choose 'pinhole' or 'ortho'")
    if len(viewmats) != len(lenses) or not len(viewmats):
        raise ValueError(
            f"{len(viewmats)} viewmats came with {len(lenses)} Ks; give one of each per camera"
        )


def _colors(
    colors: Tensor, index: int, sh_degree: int | None, means: Tensor, camera: Camera
) -> Float[Tensor, "n d"]:
    """As one camera sees them."""
    own = colors[index] if colors.ndim == (3 if sh_degree is None else 4) else colors
    if sh_degree is None:
        return own
    count = (sh_degree + 1) ** 2
    if own.shape[1] < count:
        raise ValueError(
            f"sh_degree {sh_degree} wants {count} coefficients, colors have {own.shape[1]}"
        )
    return colors_of(own[:, :count], directions(means, camera))


def _picture(view: View, render_mode: RenderMode) -> Float[Tensor, "h w x"]:
    depth = view.depth[..., None]
    match render_mode:
        case "RGB":
            return view.rgb
        case "D":
            return depth
        case "RGB+D":
            return torch.cat([view.rgb, depth], -1)
    expected = depth / view.alpha[..., None].clamp_min(FAINTEST)
    return expected if render_mode == "ED" else torch.cat([view.rgb, expected], -1)
