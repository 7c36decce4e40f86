"""Learning an avatar from pictures: silhouette, observation, appearance.

Cameras and pictures come in at the working size. A *target* is one picture of the person:
premultiplied colour and alpha, seen by a camera. Nothing here knows where targets come from: the
photo and any pseudo-label are the same to it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array, diags_array
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d
from torch.optim.adam import adam

from incarnate.avatars.surface import Anchors, Discs, Frames, Freedom, picked, placed, put_back
from incarnate.cameras import Camera
from incarnate.losses import ssim
from incarnate.progress import Report
from incarnate.render import contributions, rasterize, render
from incarnate.rotations import between, matrix_to_quat
from incarnate.scene import Gaussians, Mesh
from incarnate.scene.mesh import averaging


@dataclass(frozen=True, eq=False)
class Target:
    """A picture to be matched."""

    camera: Camera
    rgb: Float[Tensor, "h w 3"]
    """Foreground colour, premultiplied by alpha."""
    alpha: Float[Tensor, "h w"]


@dataclass(frozen=True)
class SilhouetteWeights:
    """How clothes and hair are let off the body to fill the matte."""

    steps: int = 80
    lr: float = 0.0015
    """Metres a step."""
    laplacian_weight: float = 1e3
    offset_weight: float = 10.0
    max_offset: float = 0.12


OVERHANG = 1.6  # Pixels by which overlapping discs seen edge on reach past their surface; measured.


def fit_silhouette(
    base: Float[Tensor, "v 3"],
    directions: Float[Tensor, "v 3"],
    stiffness: Float[Tensor, " v"],
    anchors: tuple[Int[Tensor, "n 3"], Float[Tensor, "n 3"]],
    faces: Int[Tensor, "f 3"],
    target: Target,
    weights: SilhouetteWeights,
    report: Report,
) -> Float[Tensor, " v"]:
    """Metres by which each vertex leaves the body along `directions` so that alpha meets the matte.

    `stiffness` of 1 is cloth, more is held closer to the body. `anchors` are the three vertices and
    barycentrics of the Gaussians that stand for the surface of triangles `faces`.
    """
    corners, barycentrics = anchors
    spacing = _spacing(base, corners, barycentrics)
    count = len(corners)
    normals = (directions[corners] * barycentrics[..., None]).sum(1)
    normals = torch.nn.functional.normalize(normals, dim=1)
    # Flat and a little inside: else they reached past the outline, and the body would shrink.
    inside = OVERHANG * target.camera.local(base)[:, 2].median() / target.camera.intrinsics[0, 0]
    flat = torch.stack([spacing, spacing, 0.1 * spacing], 1)
    look = Gaussians(
        base[:1].expand(count, 3),
        matrix_to_quat(between(base.new_tensor([0, 0, 1.0]).expand_as(normals), normals)),
        flat.log(),
        base.new_full((count,), 4.0),
        base.new_ones(count, 1),
    )
    laplacian = diags_array(np.ones(len(base), np.float32)) - averaging(faces, len(base))
    stiff = (laplacian.T @ laplacian).tocsr()
    # By sparse matrices: torch's own scatter adds in another order in every run.
    ends = corners.flatten().numpy(), np.arange(0, 3 * count + 1, 3)
    onto = csr_array((barycentrics.flatten().numpy(), *ends), (count, len(base)))
    back = onto.T.tocsr()
    heights = torch.zeros(len(base))
    descent = _Adam([(heights, weights.lr)])
    for step in range(weights.steps):
        vertices = base + heights[:, None] * directions
        means = torch.from_numpy(onto @ vertices.numpy()) - inside * normals
        alpha = render(replace(look, means=means.requires_grad_()), target.camera).alpha
        off = (alpha - target.alpha).abs().mean()
        off.backward()
        assert means.grad is not None
        pulled = torch.from_numpy(back @ means.grad.numpy())
        bend = torch.from_numpy(stiff @ heights.numpy())  # Half the gradient of |L h|^2.
        held = weights.laplacian_weight * bend + weights.offset_weight * stiffness * heights
        heights.grad = (pulled * directions).sum(1) + 2 * held / len(base)
        descent.step()
        heights.clamp_(-0.02, weights.max_offset)
        report.onlooker.learnt(
            {"alpha": off.item()}, lambda shown=means: replace(look, means=shown.detach())
        )
        report.step(step + 1, weights.steps)
    return heights


def observed(
    gaussians: Gaussians,
    normals: Float[Tensor, "n 3"],
    mesh: Mesh,
    target: Target,
    reach: int,
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """What a picture shows of each Gaussian: its colour there, and how sure that is, in [0, 1].

    Sure means: in front of the depth buffer's surface, facing the camera, inside the matte, and no
    nearer than `reach` pixels to something that hides what lies behind it (an arm on the trunk).
    """
    camera = target.camera
    pixels = camera.project(gaussians.means)
    local = camera.local(gaussians.means)
    view = torch.nn.functional.normalize(camera.center - gaussians.means, dim=1)
    facing = (normals * view).sum(1)
    depth = rasterize(mesh, camera).depth
    far = torch.where(depth > 0, depth, torch.full_like(depth, 1e3))
    rows = max_pool2d(-far[None, None], (2 * reach + 1, 1), 1, (reach, 0))
    nearest = -max_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach))[0, 0]
    behind = local[:, 2] - sampled(nearest[..., None], pixels)[:, 0]
    hidden = local[:, 2] - sampled(far[..., None], pixels, "nearest")[:, 0]
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    inside &= local[:, 2] > 0
    solid = -max_pool2d(-target.alpha[None, None], 5, 1, 2)[0, 0]
    alpha = sampled(solid[..., None], pixels)[:, 0]
    color = sampled(target.rgb, pixels) / sampled(target.alpha[..., None], pixels).clamp_min(1e-3)
    sure = smoothstep(facing, 0.18, 0.48) * smoothstep(alpha, 0.5, 0.95)
    sure = sure * (1 - smoothstep(behind, 0.03, 0.06)) * (hidden < 0.012) * inside
    return color.clamp(0, 1), sure


NEIGHBOURS = 6  # Of a disc, that it should resemble in what it learns.
OFFSET_UNIT = 0.005  # Metres that count in L_lap as much as 1 in (logit) colour or log-scale.
SHOWN = 0.02  # Pixels of blending weight from which a disc counts as seen.


@dataclass(frozen=True)
class AppearanceWeights:
    """Losses on the photo (One Shot, One Talk, Eq. 10), coupling and Laplacian (Eq. 8), and rates.

    The paper's normal consistency (Eq. 7) is a matter of the mesh: its place is taken by the
    Laplacian in `fit_silhouette`.
    """

    steps: int = 100
    rgb_weight: float = 4.0
    ssim_weight: float = 0.2
    alpha_weight: float = 0.4
    coupling_weight: float = 2.0
    """L_MGC: metres by which Gaussians leave the mesh."""
    laplacian_weight: float = 0.01
    """L_lap: unevenness among neighbours of what is learnt of colour, size and offset."""
    isotropic: bool = False
    ssim_every: int = 2
    color_lr: float = 0.06
    scale_lr: float = 0.05
    offset_lr: float = 0.0008
    spin_lr: float = 0.05
    opacity_lr: float = 0.03


def fit_appearance(
    discs: Discs,
    frames: Frames,
    freedom: Freedom,
    beneath: Bool[Tensor, " n"],
    targets: list[Target],
    weights: AppearanceWeights,
    rng: torch.Generator,
    report: Report,
) -> Discs:
    """Discs, in the frames of the pictured pose, whose render matches the pictures.

    Those `beneath` count even where others hide them at first.
    """
    everyone, start = discs, placed(discs, frames)
    shown = torch.stack([contributions(start, target.camera) for target in targets]).sum(0)
    ids = ((shown > SHOWN) | beneath).nonzero()[:, 0]  # What does not show neither moves nor costs.
    discs, free = picked(discs, ids), picked(freedom, ids)
    tint = torch.zeros_like(discs.colors, requires_grad=True)
    offsets = torch.zeros_like(discs.offsets, requires_grad=True)
    growth = torch.zeros_like(discs.log_scales, requires_grad=True)
    spins = torch.zeros_like(discs.spins, requires_grad=True)
    fade = torch.zeros_like(discs.logit_opacities, requires_grad=True)
    rates = [
        (tint, weights.color_lr),
        (offsets, weights.offset_lr),
        (growth, weights.scale_lr),
        (spins, weights.spin_lr),
        (fade, weights.opacity_lr),
    ]
    descent = _Adam(rates)
    anchors = Anchors.of(discs, frames)
    unevenness = _unevenness(start.means[ids].detach())

    def current() -> Discs:
        grown = growth.mean(1, keepdim=True).expand(-1, 3) if weights.isotropic else growth
        return replace(
            discs,
            colors=(discs.colors + free.color[:, None] * torch.tanh(tint)).clamp(0, 1),
            offsets=discs.offsets + offsets * (free.offset / length(offsets)).clamp_max(1)[:, None],
            log_scales=discs.log_scales + grown.clamp(-free.shrunk[:, None], free.grown[:, None]),
            spins=discs.spins + spins,
            logit_opacities=discs.logit_opacities + fade.clamp_max(2.0).maximum(-free.faded),
        )

    for step in range(weights.steps):
        target = targets[step % len(targets)]
        background = torch.rand(3, generator=rng)
        view = render(anchors.placed(current()), target.camera, background)
        truth = target.rgb + (1 - target.alpha[..., None]) * background
        color, matte = (view.rgb - truth).abs().mean(), (view.alpha - target.alpha).abs().mean()
        loss = weights.rgb_weight * color + weights.alpha_weight * matte
        loss = loss + weights.coupling_weight * length(offsets).mean()
        learnt = torch.cat([tint, growth, offsets / OFFSET_UNIT], 1)
        bumps = torch.from_numpy(unevenness @ learnt.detach().numpy())
        loss = loss + weights.laplacian_weight * 2 * (learnt * bumps).mean()  # Of |L x|^2.
        if (step // len(targets)) % weights.ssim_every == 0:
            loss = loss + weights.ssim_weight * (1 - ssim(view.rgb, truth))
        loss.backward()
        descent.step(0.1 ** (max(0.0, step / weights.steps - 0.4) / 0.6))
        report.onlooker.learnt(
            {"color": color.item(), "alpha": matte.item()},
            lambda: placed(put_back(everyone, ids, current()), frames),
        )
        report.step(step + 1, weights.steps)
    with torch.no_grad():
        return put_back(everyone, ids, current())


def sampled(
    image: Float[Tensor, "h w c"], pixels: Float[Tensor, "n 2"], mode: str = "bilinear"
) -> Float[Tensor, "n c"]:
    """The picture at pixel coordinates (the first pixel's centre is (0.5, 0.5))."""
    height, width = image.shape[:2]
    grid = pixels / pixels.new_tensor([width, height]) * 2 - 1
    picked = grid_sample(
        image.movedim(-1, 0)[None],
        grid[None, None],
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )
    return picked[0, :, 0].T


def smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    x = ((x - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def length(vectors: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Lengths, with a gradient of 0 at 0."""
    return (vectors.square().sum(1) + 1e-12).sqrt()


def _unevenness(means: Float[Tensor, "n 3"]) -> csr_array:
    """Sparse (n n) L^T L, L the difference of a point from the mean of its nearest neighbours."""
    points, count = means.numpy(), len(means)
    degree = min(NEIGHBOURS, count - 1)
    near = np.asarray(KDTree(points).query(points, k=degree + 1, workers=-1)[1])
    near = near.reshape(count, -1)[:, 1:]
    share = np.full(near.size, 1 / max(degree, 1), np.float32)
    ends = near.ravel(), np.arange(0, near.size + 1, degree)
    laplacian = diags_array(np.ones(count, np.float32)) - csr_array((share, *ends), (count, count))
    return (laplacian.T @ laplacian).tocsr()


class _Adam:
    """Adam with a rate for each parameter.

    torch.optim.Adam does the same, but its first step imports torch's compiler, which takes 2 s.
    """

    def __init__(self, rates: list[tuple[Tensor, float]]) -> None:
        self._rates = rates
        self._averages = [torch.zeros_like(parameter) for parameter, _ in rates]
        self._squares = [torch.zeros_like(parameter) for parameter, _ in rates]
        self._counts = [torch.zeros(()) for _ in rates]

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Moves all parameters by `share` of their rates down their gradients, and clears these."""
        for k, (parameter, lr) in enumerate(self._rates):
            if parameter.grad is None:
                continue
            adam(
                [parameter],
                [parameter.grad],
                [self._averages[k]],
                [self._squares[k]],
                [],
                [self._counts[k]],
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=share * lr,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
            parameter.grad = None


def _spacing(vertices: Tensor, corners: Tensor, barycentrics: Tensor) -> Float[Tensor, " n"]:
    """Standard deviations that cover the surface: from the area that each anchor stands for."""
    a, b, c = vertices[corners].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    keys = (corners * corners.new_tensor([1, 1 << 20, 1 << 40])).sum(1)
    _, back, number = torch.unique(keys, return_inverse=True, return_counts=True)
    return (area / number[back]).sqrt().clamp(1e-3, 0.05) * 0.9
