"""What rendering costs, as medians over rounds in which all rows take turns.

    python benchmarks/rasterizer.py [--rounds 9] [--quick]

The scene: a person of 15 capsules, 1.75 m, filling 70 % of the picture's height, with Gaussians
even over its surface, sigma 0.75 of their spacing. `round`: isotropic and opaque. `flat`: flattened
along the normal, log-normal axes, any spin, opacity sigmoid(N(1, 1.5)). Everything counts:
parameters to picture (rgb, alpha, depth), and gradients of the three back to the parameters,
torch's part included.

cpu: milliseconds of the process over its threads. wall: on a clock. x: wall over that of the best
instruction set with one thread.
bound: the time of the vector instructions of blending, over the cpu time of everything. Counted as
on the prototype: pairs of a Gaussian and a 4 x 4 block of pixels that its box (where alpha may
reach 1/255) covers while a pixel there still takes light, times 34 instructions of 16 lanes forward
and 62 backward, at the rate of independent multiply-adds measured in the same run with a loop
compiled for it. The prototype, as a whole, came to 34 % and 53 % (60k, 1024; blending alone 43 %
and 59 %).
"""

import argparse
import ctypes
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from incarnate import _native
from incarnate.body import native, skinning
from incarnate.cameras import Camera, orbit
from incarnate.losses import ssim
from incarnate.render import rasterize, render
from incarnate.render.splat import ALPHA_MAX, ALPHA_MIN, T_MIN, footprints
from incarnate.render.view import Cloud
from incarnate.scene import Gaussians, Mesh

UOPS = (34, 62)  # Of 16 lanes, a Gaussian and block: forward, backward.
LANES = {"baseline": 4, "v3": 8, "v4": 16}
FLAGS = {"baseline": "", "v3": "-march=x86-64-v3", "v4": "-march=x86-64-v4"}


@dataclass(frozen=True)
class Row:
    """One line of a table; `work` runs it once and returns its steps' (cpu, wall) seconds."""

    label: str
    work: Callable[[], list[tuple[float, float]]]
    isa: str
    threads: int = 1
    blocks: int = 0
    taken: list[list[tuple[float, float]]] = field(default_factory=list)

    def once(self) -> None:
        _native.set_instruction_set(self.isa)
        _native.set_threads(self.threads)
        _native.threads()  # Starts them.
        self.taken.append(self.work())

    def median(self, step: int, clock: int) -> float:
        """Milliseconds of the first steps, to `step` inclusive."""
        return 1e3 * statistics.median(
            sum(t[clock] for t in taken[: step + 1]) for taken in self.taken
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="few rows, in some 20 seconds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sets = _native.instruction_sets()
    rates = {isa: rate for isa in sets if (rate := issue_rate(isa)) is not None}
    print(" ".join(["python", *sys.argv]))
    print(
        f"{processor()}, {os.cpu_count()} cores, {platform.platform()}, torch {torch.__version__}"
    )
    for isa, rate in rates.items():
        print(f"{isa}: {rate / 1e9:.1f} G vector instructions a second ({LANES[isa]} lanes)")
    counts = (20_000, 60_000) if arguments.quick else (20_000, 60_000, 150_000)
    rows = grid(counts, (512,) if arguments.quick else (512, 1024), sets)
    extras = others(sets[-1], arguments.quick)
    rounds = 3 if arguments.quick else arguments.rounds
    for turn in range(rounds + 1):
        for row in (*rows, *extras):
            row.once()
            if turn == 0:
                row.taken.clear()  # The first round warms up.
    print_grid(rows, rates)
    print_others(extras)


def grid(counts: tuple[int, ...], sizes: tuple[int, ...], sets: list[str]) -> list[Row]:
    rows: list[Row] = []
    for flat in (False, True):
        for count in counts:
            cloud = person(count, flat)
            for size in sizes:
                camera = whole(size)
                work, blocks = splatting(cloud, camera), lit_blocks(cloud, camera)
                label = f"{'flat' if flat else 'round':6}{count // 1000:4}k {size:5}"
                rows += [Row(label, work, isa, n, blocks) for isa in sets[::-1] for n in (1, 2)]
    return rows


def print_grid(rows: list[Row], rates: dict[str, float]) -> None:
    print(f"\n{'':17}{'':10}{'threads':>7}{'forward':>24}{'forward + backward':>26}{'bound':>14}")
    print(f"{'':34}" + f"{'cpu':>10}{'wall':>8}{'x':>7}" * 2 + f"{'fwd':>8}{'bwd':>6}")
    first = rows[0]
    for row in rows:
        if row.label != first.label:
            first = row
        line = f"{row.label:17} {row.isa:9}{row.threads:7}"
        for step in (0, 1):
            wall = row.median(step, 1)
            line += f"{row.median(step, 0):10.1f}{wall:8.1f}{wall / first.median(step, 1):7.2f}"
        if row.isa in rates:
            cpu = row.median(0, 0), row.median(1, 0) - row.median(0, 0)
            steps = row.blocks * 16 / LANES[row.isa] / rates[row.isa] / row.threads * 1e3
            shares = [100 * uops * steps / ms for uops, ms in zip(UOPS, cpu, strict=True)]
            line += f"{shares[0]:7.0f}%{shares[1]:5.0f}%"
        print(line)


def others(isa: str, quick: bool) -> list[Row]:
    a, b = torch.rand(2, 1024, 687, 3)
    faces = ellipsoid(143)
    rows = [
        Row(f"mesh, {len(faces.faces):,} faces, 512", drawing(faces, whole(512)), isa),
        Row("ssim 687 x 1024, native", similarity(a, b, "native"), isa),
        Row("ssim 687 x 1024, torch", similarity(a, b, "torch"), isa),
    ]
    rows += [
        Row("skinning, 64k points, native", skinned(native.skin), isa),
        Row("skinning, 64k points, torch", skinned(skinning.skin), isa),
    ]
    clouds = [
        ("20k large (sigma 5 cm), 512", person(20_000, True, 0.05), 512),
        ("20k needles (300 : 1), 512", needles(20_000), 512),
    ]
    if not quick:
        clouds += [
            ("2k huge (sigma 30 cm), 1024", person(2_000, True, 0.3), 1024),
            ("1M flat, 1024", person(1_000_000, True), 1024),
            ("1M round, 1024", person(1_000_000, False), 1024),
        ]
    for label, cloud, size in clouds:
        rows += [Row(label, splatting(cloud, whole(size)), isa, n) for n in (1, 2)]
    return rows


def print_others(rows: list[Row]) -> None:
    print(f"\n{'':34}{'threads':>7}{'forward':>18}{'forward + backward':>20}")
    print(f"{'':41}{'cpu':>10}{'wall':>8}{'cpu':>12}{'wall':>8}")
    for row in rows:
        line = f"{row.label:34}{row.threads:7}"
        for step in range(len(row.taken[0])):
            line += f"{row.median(step, 0):{10 + 2 * step}.1f}{row.median(step, 1):8.1f}"
        print(line)


def timed(threads: int, step: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return (time.process_time() - cpu) / threads, time.perf_counter() - wall


def splatting(cloud: Gaussians, camera: Camera) -> Callable[[], list[tuple[float, float]]]:
    size = camera.height, camera.width
    seeds = [torch.randn(*size, 3), torch.randn(size), torch.randn(size)]

    def work() -> list[tuple[float, float]]:
        parameters = [
            p.requires_grad_() for p in (
                cloud.means, cloud.quats, cloud.log_scales, cloud.logit_opacities, cloud.colors
            )
        ]  # fmt: skip
        out: list[Tensor] = []

        def forward() -> None:
            view = render(Gaussians(*parameters), camera)
            out.extend([view.rgb, view.alpha, view.depth])

        threads = _native.threads()
        return [
            timed(threads, forward),
            timed(threads, lambda: torch.autograd.grad(out, parameters, seeds)),
        ]

    return work


def drawing(mesh: Mesh, camera: Camera) -> Callable[[], list[tuple[float, float]]]:
    return lambda: [timed(_native.threads(), lambda: rasterize(mesh, camera))]


def similarity(a: Tensor, b: Tensor, backend) -> Callable[[], list[tuple[float, float]]]:
    one = a.clone().requires_grad_()

    def work() -> list[tuple[float, float]]:
        out: list[Tensor] = []
        forward = timed(_native.threads(), lambda: out.append(ssim(one, b, backend)))
        return [forward, timed(_native.threads(), lambda: torch.autograd.grad(out[0], one))]

    return work


def skinned(skin) -> Callable[[], list[tuple[float, float]]]:
    """Four weights a point, 80 bones; gradients to points, weights and bones."""
    floats = torch.randn(64_000, 3), torch.rand(64_000, 4) / 4, torch.randn(80, 4, 4)
    points, weights, bones = (x.requires_grad_() for x in floats)
    joints = torch.randint(80, (64_000, 4))
    seed = torch.randn(64_000, 3)

    def work() -> list[tuple[float, float]]:
        out: list[Tensor] = []
        forward = timed(_native.threads(), lambda: out.append(skin(points, weights, joints, bones)))
        inputs = points, weights, bones
        return [
            forward,
            timed(_native.threads(), lambda: torch.autograd.grad(out[0], inputs, seed)),
        ]

    return work


CAPSULES = [  # Ends (x, y, z) and radius, metres; limbs are given for one side.
    ((0, 1.58, 0), (0, 1.65, 0), 0.1),
    ((0, 1.4, 0), (0, 1.55, 0), 0.06),
    ((0, 1.0, 0), (0, 1.38, 0), 0.15),
    *[
        ((side * ax, ay, az), (side * bx, by, bz), r)
        for side in (-1, 1)
        for (ax, ay, az), (bx, by, bz), r in [
            ((0.18, 1.42, 0), (0.42, 1.15, 0), 0.05),
            ((0.42, 1.15, 0), (0.62, 0.9, 0.05), 0.042),
            ((0.62, 0.9, 0.05), (0.69, 0.81, 0.07), 0.035),
            ((0.1, 0.95, 0), (0.13, 0.52, 0), 0.08),
            ((0.13, 0.52, 0), (0.14, 0.1, 0), 0.055),
            ((0.14, 0.04, 0), (0.14, 0.04, 0.14), 0.04),
        ]
    ],
]  # fmt: skip


def person(count: int, flat: bool, sigma: float | None = None) -> Gaussians:
    """Gaussians on the capsules; `sigma` in metres, 0.75 of their spacing if none is given."""
    ends = torch.tensor([[a, b] for a, b, _ in CAPSULES], dtype=torch.float32)
    radius = torch.tensor([r for *_, r in CAPSULES])
    along = ends[:, 1] - ends[:, 0]
    area = 2 * math.pi * radius * (along.norm(dim=1) + 2 * radius)
    own = torch.multinomial(area, count, replacement=True)
    # Even on a capsule: on its two caps, or on its side, as much as each has of the area.
    height = torch.rand(count) * (along.norm(dim=1) + 2 * radius)[own] - radius[own]
    length = along.norm(dim=1)[own]
    axis = torch.nn.functional.normalize(along, dim=1)[own]
    cap = torch.where(height < 0, height, (height - length).clamp(min=0)) / radius[own]
    around = torch.nn.functional.normalize(torch.randn(count, 3), dim=1)
    around = around - (around * axis).sum(1, keepdim=True) * axis
    around = torch.nn.functional.normalize(around, dim=1)
    normal = cap[:, None] * axis + (1 - cap**2).sqrt()[:, None] * around
    height = height.clamp(min=0).minimum(length)
    means = ends[own, 0] + height[:, None] * axis + radius[own, None] * normal
    size = math.log(sigma or 0.75 * math.sqrt(float(area.sum()) / count))
    log_scales, opacities = torch.full((count, 3), size), torch.full((count,), 15.0)
    if flat:
        log_scales = log_scales + 0.3 * torch.randn(count, 3)
        log_scales[:, 2] -= 1.6
        opacities = 1 + 1.5 * torch.randn(count)
    return Gaussians(means, facing(normal), log_scales, opacities, torch.rand(count, 3))


def facing(normal: Tensor) -> Tensor:
    """Quaternions that turn z to the normals, after any spin about it."""
    tilt = torch.cat([1 + normal[:, 2:], -normal[:, 1:2], normal[:, :1]], 1)
    tilt = torch.nn.functional.normalize(tilt + 1e-6, dim=1)
    half = math.pi * torch.rand(len(normal))
    w, x, y = tilt.unbind(1)
    cos, sin = half.cos(), half.sin()
    return torch.stack([w * cos, x * cos + y * sin, y * cos - x * sin, w * sin], 1)


def needles(count: int) -> Gaussians:
    cloud = person(count, True)
    return replace(cloud, log_scales=torch.tensor([-2.5, -8.2, -8.2]).repeat(count, 1))


def ellipsoid(rings: int) -> Mesh:
    theta = torch.arange(rings + 1) / rings * math.pi
    phi = torch.arange(2 * rings) / rings * math.pi
    round_ = theta.sin()[:, None]
    x, z = 0.4 * round_ * phi.cos(), 0.3 * round_ * phi.sin()
    y = 0.875 * (1 + theta.cos())[:, None].expand_as(x)
    at = torch.arange(rings)[:, None] * 2 * rings + torch.arange(2 * rings)
    right = at.roll(-1, 1)
    below, beside = at + 2 * rings, right + 2 * rings
    faces = torch.stack([at, right, below, right, beside, below], -1).reshape(-1, 3)
    vertices = torch.stack([x, y, z], -1).flatten(0, 1)
    return Mesh(vertices, faces, torch.rand(len(vertices), 3))


def whole(size: int) -> Camera:
    return orbit(torch.tensor([0, 0.875, 0]), 1.75 / 0.7, 0.4, 0.1, size, size)


def lit_blocks(cloud: Gaussians, camera: Camera) -> int:
    """Pairs of a Gaussian and a block of 4 x 4 pixels in its box that still takes light."""
    with torch.no_grad():
        z = camera.local(cloud.means)[:, 2]
        order = z.argsort()
        covariances = footprints(Cloud.of(cloud), camera)[order].double()
        centers, opacities = camera.project(cloud.means)[order], cloud.opacities[order].double()
        inverse = torch.linalg.inv(covariances)
        reach = 2 * (opacities / ALPHA_MIN).log().clamp(min=0)
        half = (reach[:, None] * covariances.diagonal(dim1=1, dim2=2)).sqrt()
        blocks = torch.tensor([camera.width, camera.height]) // 4
        low = ((centers - half) / 4).floor().long().clamp(min=0)
        low = low.minimum(blocks)
        high = ((centers + half) / 4).ceil().long().clamp(min=0).minimum(blocks)
        wide = (high - low).clamp(min=0)
        count = wide.prod(1)
        own = torch.arange(len(z)).repeat_interleave(count)
        at = torch.arange(len(own)) - (count.cumsum(0) - count)[own]
        column, row = low[own, 0] + at % wide[own, 0], low[own, 1] + at // wide[own, 0]
        block, by_block = (row * blocks[0] + column).sort(stable=True)
        own, column, row = own[by_block], column[by_block], row[by_block]
        starts = torch.searchsorted(block, block)
        lit = torch.zeros(len(own), dtype=torch.bool)
        for pixel in range(16):  # A plane of pixels at a time, for memory's sake.
            d = torch.stack([4 * column + pixel % 4, 4 * row + pixel // 4], 1) + 0.5 - centers[own]
            d = d.double()
            alpha = opacities[own] * (-0.5 * ((d[:, None] @ inverse[own])[:, 0] * d).sum(1)).exp()
            alpha = torch.where(alpha >= ALPHA_MIN, alpha.clamp(max=ALPHA_MAX), 0)
            light = torch.cat([alpha.new_zeros(1), torch.log1p(-alpha).cumsum(0)])
            lit |= light[:-1] - light[starts] > math.log(T_MIN)
        return int(lit.sum())


LOOP = """
typedef float V __attribute__((vector_size(4 * LANES)));
float run(long n, float s) {
  V a[12], b = s - (V){}, sum = {};
  for (int i = 0; i < 12; ++i) a[i] = b * (float)i;
  V a0=a[0],a1=a[1],a2=a[2],a3=a[3],a4=a[4],a5=a[5],a6=a[6],a7=a[7],a8=a[8],a9=a[9],c=a[10],d=a[11];
  while (n--) {
    a0=a0*b STEP; a1=a1*b STEP; a2=a2*b STEP; a3=a3*b STEP; a4=a4*b STEP; a5=a5*b STEP;
    a6=a6*b STEP; a7=a7*b STEP; a8=a8*b STEP; a9=a9*b STEP; c=c*b STEP; d=d*b STEP;
  }
  sum = a0+a1+a2+a3+a4+a5+a6+a7+a8+a9+c+d;
  return sum[0];
}
"""


def issue_rate(isa: str) -> float | None:
    """Independent multiply-adds a second (multiplications, of the baseline); None without a C
    compiler."""
    compiler = shutil.which("cc")
    if compiler is None or platform.machine() not in ("x86_64", "AMD64"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "loop.c", Path(folder) / "loop.so"
        source.write_text(LOOP)
        step = "" if isa == "baseline" else "+ b"
        flags = [*FLAGS[isa].split(), f"-DLANES={LANES[isa]}", f"-DSTEP={step}"]
        if isa == "v4":
            flags.append("-mprefer-vector-width=512")
        build = [compiler, "-O2", "-shared", "-fPIC", *flags, str(source), "-o", str(library)]
        subprocess.run(build, check=True)
        run = ctypes.CDLL(str(library)).run
        run.argtypes, run.restype = [ctypes.c_long, ctypes.c_float], ctypes.c_float
        best = math.inf
        for _ in range(5):
            start = time.thread_time()
            run(3_000_000, 0.5)
            best = min(best, time.thread_time() - start)
    return 12 * 3_000_000 / best


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
