"""What of an avatar is shown: its colours, or what lies behind them as colours.

`rgb`, `parts`, `weights` and `scale` are colours of Gaussians, which a browser draws as it draws
any. `alpha`, `normals` and `depth` belong to a camera and are drawn here, as all can be: then the
picture is the one that `incarnate render` makes.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from incarnate.avatars.garments import LABELS
from incarnate.avatars.surface import SurfaceAvatar
from incarnate.cameras import Camera
from incarnate.io.pictures import finished
from incarnate.render import render
from incarnate.rotations import quat_to_matrix
from incarnate.scene import Gaussians

Mode = Literal["rgb", "alpha", "normals", "depth", "parts", "weights", "scale"]
OF_A_CAMERA: tuple[Mode, ...] = ("alpha", "normals", "depth")
ALL_JOINTS = "all joints"
FINEST, COARSEST = 5e-4, 2e-2
"""Metres of a Gaussian's largest standard deviation at the ends of the colour scale."""
MATERIALS = (
    "#d8a48f", "#5b3a21", "#3f7fd0", "#3f9f5f", "#202020", "#7fd6e8", "#f2e85c", "#e0559a",
    "#a01f3c", "#8050c0",
)  # fmt: skip
"""Of each of LABELS."""
UNLIKELY = 0.618034  # Of a turn of hue from a joint to the next: neighbours differ.


@dataclass(frozen=True)
class Look:
    """How the avatar is drawn."""

    mode: Mode = "rgb"
    joint: str = ALL_JOINTS
    """Whose skinning weights `weights` shows."""
    background: tuple[int, int, int] = (232, 232, 232)
    ours: bool = False
    """Drawn here even where a browser could."""

    @property
    def drawn(self) -> bool:
        """Whether it is drawn here."""
        return self.ours or self.mode in OF_A_CAMERA


def painted(surface: SurfaceAvatar, gaussians: Gaussians, look: Look) -> Float[Tensor, "n 3"]:
    """Colours of an avatar's Gaussians: their own but for parts, weights and scale."""
    match look.mode:
        case "parts":
            return _colors(MATERIALS)[surface.discs.labels]
        case "weights":
            return _on_discs(surface, _by_joint(surface, look.joint))
        case "scale":
            largest = gaussians.log_scales.amax(1)
            share = (largest - math.log(FINEST)) / math.log(COARSEST / FINEST)
            return _heat(share)
        case _:
            return gaussians.colors


def drawn(
    surface: SurfaceAvatar, gaussians: Gaussians, camera: Camera, look: Look
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of a look, by our own splatter."""
    colors = painted(surface, gaussians, look)
    if look.mode == "normals":
        axes = quat_to_matrix(gaussians.quats)[:, :, 2] @ camera.world_to_camera[:3, :3].T
        colors = 0.5 + 0.5 * axes * torch.tensor([1.0, -1.0, -1.0])  # Right, up, to the viewer.
    cloud = Gaussians(
        gaussians.means, gaussians.quats, gaussians.log_scales, gaussians.logit_opacities, colors
    )
    with torch.no_grad():
        view = render(cloud, camera)
    behind = (torch.tensor(look.background) / 255).expand(camera.height, camera.width, 3)
    match look.mode:
        case "alpha":
            return finished(_grey(view.alpha), torch.ones_like(view.alpha), behind)
        case "depth":
            near, far = _reach(gaussians, camera)
            depth = view.depth / view.alpha.clamp_min(1e-6)
            shade = 1 - 0.9 * ((depth - near) / (far - near)).clamp(0, 1)
            return finished(_grey(shade * view.alpha), view.alpha, behind)
        case _:
            return finished(view.rgb, view.alpha, behind)


def legend(look: Look) -> str:
    """What the colours mean, as markdown; empty where they need no words."""
    match look.mode:
        case "parts":
            names = zip(LABELS, MATERIALS, strict=True)
            return " ".join(f"<span style='color:{tint}'>■</span> {name}" for name, tint in names)
        case "weights" if look.joint == ALL_JOINTS:
            return "each joint a hue, mixed by its weights"
        case "weights":
            return f"how much {look.joint} moves the skin: dark 0, yellow 1"
        case "scale":
            ends = f"{1000 * FINEST:g} mm and less, yellow {1000 * COARSEST:g} mm and more"
            return f"largest standard deviation: dark {ends}"
        case "normals":
            return "red to the right, green up, blue towards you"
        case "depth":
            return "white is near"
        case "alpha":
            return "white is opaque"
        case "rgb":
            return ""


def _reach(gaussians: Gaussians, camera: Camera) -> tuple[float, float]:
    """Least and greatest depth."""
    depths = camera.local(gaussians.means)[:, 2]
    return float(depths.min()), float(depths.max()) + 1e-6


def _by_joint(surface: SurfaceAvatar, joint: str) -> Float[Tensor, "v 3"]:
    names = surface.body.joint_names
    if joint == ALL_JOINTS:
        hues = (UNLIKELY * torch.arange(len(names)) % 1)[:, None]
        tints = (hues + torch.tensor([0.0, 1 / 3, 2 / 3])) % 1
        return surface.weights @ (3 - 6 * (tints - 0.5).abs()).clamp(0, 1)
    if joint not in names:
        raise ValueError(f"no joint is called {joint!r}; there are {', '.join(names)}")
    return _heat(surface.weights[:, names.index(joint)])


def _on_discs(surface: SurfaceAvatar, colors: Float[Tensor, "v 3"]) -> Float[Tensor, "n 3"]:
    """Colours of vertices, where the discs sit."""
    corners: Int[Tensor, "n 3"] = surface.body.faces[surface.discs.faces]
    return (colors[corners] * surface.discs.barycentrics[..., None]).sum(1)


def _heat(share: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Viridis, dark at 0 and yellow at 1."""
    steps = np.arange(256, dtype=np.uint8)[:, None]
    table = torch.from_numpy(cv2.applyColorMap(steps, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].copy())
    return table[(share.clamp(0, 1) * 255).long()] / 255


def _colors(tints: tuple[str, ...]) -> Float[Tensor, "k 3"]:
    return torch.tensor([list(bytes.fromhex(tint[1:])) for tint in tints]) / 255


def _grey(values: Float[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
    return values[..., None].expand(-1, -1, 3)
