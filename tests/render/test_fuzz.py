"""The compiled core against its twin in float64 over random scenes (INCARNATE_FUZZ of them).

A pixel is settled if nothing in it hangs on rounding: in the twin, no alpha is within 1e-4 of a
cut-off or clamp, no ray's remaining light within 1e-4 of its end, and no two Gaussians that both
show there are within 1e-4 of each other's depth, all relative. Settled pixels agree to 1e-5 (depth:
of the farthest), and gradients of losses on them to 1e-4 of the largest and 1e-5; to 2e-4 on the
baseline of x86, which has no fused multiply-adds: seed 9818, a needle of 72 : 1 across the picture,
comes to 1.06e-4 there. Those of rotations, which are 0 for round Gaussians, are measured by those
of scales. Other pixels may differ by what flips.
"""

import os
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from incarnate import _native
from incarnate.cameras import Camera, look_at
from incarnate.render.native import splat as native_splat
from incarnate.render.splat import ALPHA_MAX, ALPHA_MIN, NEAR, T_MIN, footprints
from incarnate.render.splat import splat as torch_splat
from incarnate.render.view import Cloud
from incarnate.scene import Gaussians

SCENES = int(os.environ.get("INCARNATE_FUZZ", "2000"))
RUNS = 8  # So that workers may share them.
MARGIN = 1e-4


@dataclass(frozen=True, eq=False)
class Shot:
    cloud: Gaussians
    camera: Camera
    background: Tensor | None


def shot(seed: int) -> Shot:
    rng = torch.Generator().manual_seed(seed)

    def whole(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=rng))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    n, channels = whole(1, 40), (1, 3, 4, 8)[whole(0, 3)]
    width, height = whole(1, 40), whole(1, 40)
    size = whole(0, 3) - 4.0  # The log of the usual scale.
    opacity = (-4.0, 0.0, 1.0, 6.0)[whole(0, 3)]
    cloud = Gaussians(
        0.5 * normal(n, 3),
        normal(n, 4) * 10.0 ** whole(-3, 3),
        size + normal(n, 3) * (0.0, 0.5, 1.0)[whole(0, 2)],
        opacity + 1.5 * normal(n),
        torch.rand(n, channels, generator=rng),
    )
    eye = torch.nn.functional.normalize(normal(3), dim=0) * (1.0 + 3 * whole(0, 10) / 10)
    camera = look_at(eye, 0.2 * normal(3), (0.5 + whole(0, 10) / 5) * width, width, height)
    background = torch.rand(channels, generator=rng) if whole(0, 1) else None
    return Shot(cloud, camera, background)


def doubled(s: Shot) -> Shot:
    c = s.cloud
    cloud = Gaussians(
        c.means.double(), c.quats.double(), c.log_scales.double(), c.logit_opacities.double(),
        c.colors.double(),
    )  # fmt: skip
    pose, intrinsics = s.camera.world_to_camera.double(), s.camera.intrinsics.double()
    camera = replace(s.camera, world_to_camera=pose, intrinsics=intrinsics)
    return Shot(cloud, camera, None if s.background is None else s.background.double())


def doubts(s: Shot) -> Tensor:
    """(h w): what rounding may move at a pixel in alpha, by the twin; 0 where it is settled."""
    c, camera = s.cloud, s.camera
    z = camera.local(c.means)[:, 2]
    order = z.argsort(stable=True)
    order = order[z[order] >= NEAR]
    z = z[order]
    inverse = torch.linalg.inv(footprints(Cloud.of(c), camera)[order])
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    d = torch.stack([x, y], -1) + 0.5 - camera.project(c.means)[order][:, None, None]
    raw = c.opacities[order, None, None] * torch.exp(
        -0.5 * torch.einsum("nhwi,nij,nhwj->nhw", d, inverse, d)
    )
    cut = ((raw / ALPHA_MIN - 1).abs() < MARGIN) | ((raw / ALPHA_MAX - 1).abs() < MARGIN)
    alpha = torch.where(raw >= ALPHA_MIN * (1 - MARGIN), raw.clamp(max=ALPHA_MAX), 0)
    after = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    alive = after > T_MIN * (1 - MARGIN)
    # A ray that may go on shows what lies beyond, but no more than the light that is left.
    ends = alive & (after < T_MIN * (1 + MARGIN))
    swapped = torch.zeros_like(cut)
    close = ((z[:, None] / z - 1).abs() < MARGIN).triu(1)
    for i, j in close.nonzero().tolist():
        swapped[i] |= (alpha[i] > 0) & (alpha[j] > 0)
    flipped = before * alpha * (cut | ends | swapped) * (before > T_MIN * (1 - MARGIN))
    return (flipped.sum(0) + T_MIN * ends.any(0)).expand(camera.height, camera.width)


def drawn(splatter, s: Shot, seeds: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """rgb, alpha and depth, and the gradients of their products with the seeds."""
    c = s.cloud
    inputs = [c.means, c.quats, c.log_scales, c.logit_opacities, c.colors]
    inputs = [p.clone().requires_grad_() for p in inputs]
    view = splatter(Gaussians(*inputs), s.camera, s.background)
    outputs = [view.rgb, view.alpha, view.depth]
    loss = sum((o * w.to(o)).sum() for o, w in zip(outputs, seeds, strict=True))
    assert isinstance(loss, Tensor)
    gradients = torch.autograd.grad(loss, inputs)
    return [o.detach() for o in outputs], list(gradients)


def assert_scene_agrees(seed: int) -> tuple[int, int]:
    """How many pixels it has, and how many of them are not settled."""
    s = shot(seed)
    exact = doubled(s)
    doubt = doubts(exact)
    settled = doubt == 0
    rng = torch.Generator().manual_seed(seed)
    height, width, channels = s.camera.height, s.camera.width, s.cloud.colors.shape[1]
    shapes = [(height, width, channels), (height, width), (height, width)]
    seeds = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    seeds = [w * (settled[..., None] if w.ndim == 3 else settled) for w in seeds]
    ours, our_gradients = drawn(native_splat, s, seeds)
    theirs, their_gradients = drawn(torch_splat, exact, seeds)
    largest = [1.0, 1.0, float(exact.camera.local(exact.cloud.means)[:, 2].abs().max())]
    for name, a, b, most in zip(("rgb", "alpha", "depth"), ours, theirs, largest, strict=True):
        allowed = 1e-5 * max(most, 1.0) + 2 * most * doubt
        error = (a.double() - b).abs()
        if error.ndim == 3:
            error = error.amax(2)
        assert (error <= allowed).all(), (seed, name, float((error - allowed).max()))
    lengths = exact.cloud.quats.norm(dim=1, keepdim=True)
    our_gradients[1], their_gradients[1] = our_gradients[1] * lengths, their_gradients[1] * lengths
    names = ("means", "quats", "log_scales", "logit_opacities", "colors")
    for name, a, b in zip(names, our_gradients, their_gradients, strict=True):
        assert a.isfinite().all(), (seed, name)
        error, most = float((a - b).abs().max()), float(b.abs().max())
        if name == "quats":
            most = max(most, float(their_gradients[2].abs().max()))
        rounding = 2e-4 if _native.instruction_set() == "baseline" else 1e-4
        assert error <= rounding * most + 1e-5, (seed, name, error, most)
    return doubt.numel(), int((~settled).sum())


@pytest.mark.parametrize("run", range(RUNS))
def test_random_scenes_agree_with_the_definition(run: int, record_property):
    sets, best = _native.instruction_sets(), _native.instruction_set()
    pixels = doubtful = 0
    try:
        for seed in range(run, SCENES, RUNS):
            _native.set_instruction_set(sets[seed // RUNS % len(sets)])
            some, unsettled = assert_scene_agrees(seed)
            pixels, doubtful = pixels + some, doubtful + unsettled
    finally:
        _native.set_instruction_set(best)
    record_property("unsettled share", doubtful / max(pixels, 1))
    print(
        f"{doubtful} of {pixels} pixels hang on rounding ({100 * doubtful / max(pixels, 1):.3f} %)"
    )
    # 0.4 % of all; one scene of few, where two wide Gaussians lie at one depth, may be 4 %.
    assert doubtful <= 0.1 * pixels
