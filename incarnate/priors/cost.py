"""What a checkpoint will cost, worked out before it is loaded.

The models are built on torch's meta device, where tensors have shapes and no content, and a
prediction, an encoding and a decoding are run there. Memory is what of their tensors lives at once,
work is the multiply-adds of their products and convolutions.

`tests/priors/test_cost.py` holds this to what a process really takes.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from incarnate.priors.checkpoint import Found
from incarnate.priors.conditions import (
    Condition,
    Depth,
    Normal,
    Pose,
    Projection,
    Reference,
    Text,
)
from incarnate.priors.denoiser import Denoiser
from incarnate.priors.files import Files
from incarnate.priors.hub import assembled
from incarnate.priors.loading import Loading
from incarnate.priors.marigold import Marigold
from incarnate.priors.wan import WanVace
from incarnate.priors.wan_animate import WanAnimate
from incarnate.progress import Silent

PROCESS = 600_000_000  # Python with torch, diffusers and transformers imported; measured.
KERNELS = 110_000_000  # What kernels and the allocator hold besides, on two cores; measured.
CONVOLUTIONS = ("aten::convolution", "aten::_convolution")


@final
@dataclass(frozen=True)
class Work:
    """One run of a part of a prior."""

    flops: int
    """Floating-point operations: two for a multiply-add."""
    peak: int
    """Bytes of inner tensors that live at once, at most."""


@final
@dataclass(frozen=True)
class Cost:
    """What a prior takes, on one device."""

    reads: tuple[str, ...]
    """The parts of a condition that it reads."""
    weights: int
    """Bytes."""
    loading: int
    """Bytes held besides while the largest part is loaded."""
    encoding: Work
    prediction: Work
    """One, without guidance; guidance takes two, one after the other."""
    decoding: Work

    @property
    def memory(self) -> int:
        """Bytes at most, the process' own among them."""
        running = max(self.encoding.peak, self.prediction.peak, self.decoding.peak) + KERNELS
        return PROCESS + self.weights + max(self.loading, running)


def shaped(there: Found, dtype: torch.dtype) -> Denoiser:
    """The prior of a checked checkpoint without its weights. ValueError as `hub.load` raises it."""
    return assembled(there, Loading(there, "meta", dtype, Silent()))


def cost(
    there: Found,
    side: int,
    frames: int | None,
    device: str,
    dtype: torch.dtype,
    prior: Denoiser | None = None,
) -> Cost:
    """The cost of a checked checkpoint for one picture (or clip of `frames`) of `side` pixels.

    `prior` is what `shaped` makes of it, if that is at hand. ValueError if it cannot be put
    together, or cannot run on such pictures.
    """
    prior = shaped(there, dtype) if prior is None else prior
    try:
        return _cost(prior, there, side, frames, (device, dtype))
    except Exception as error:  # Of parts that do not fit one another: whatever torch says then.
        what = "pictures" if frames is None else "clips"
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{there.base.path} cannot be run on {what} of {side} pixels: {reason}"
        ) from error


def _cost(
    prior: Denoiser, there: Found, side: int, frames: int | None, on: tuple[str, torch.dtype]
) -> Cost:
    device, dtype = on
    files = [part.files for part in there.kept if part.files]
    images = torch.empty(_shape(prior, side, frames), device="meta")
    condition = fitting(prior, images)
    on_cpu = device == "cpu"
    match prior:
        case Marigold():
            images = images[..., : prior.maps.channels]
        case _:
            pass
    with torch.no_grad():
        latents = prior.encode(images)
    t = torch.zeros(1, dtype=torch.float64, device="meta")
    return Cost(
        prior.reads,
        sum(one.bytes_as(dtype) for one in files),
        max((_passing(one, dtype) for one in files), default=0),
        work(lambda: prior.encode(images), on_cpu),
        work(lambda: prior.predict(latents, t, condition), on_cpu),
        work(lambda: prior.decode(latents), on_cpu),
    )


def _shape(prior: Denoiser, side: int, frames: int | None) -> tuple[int, ...]:
    """Of the pictures; clips of Wan's models have one frame more than a multiple of four."""
    if frames is None:
        return (1, side, side, 3)
    match prior:
        case WanVace() | WanAnimate():
            frames = -(-(frames - 1) // prior.vae.pace) * prior.vae.pace + 1
        case _:
            pass
    return (1, frames, side, side, 3)


def _passing(files: Files, dtype: torch.dtype) -> int:
    """Bytes of a file that are mapped beside the weights made of them, if those differ in type."""
    stored = {entry.dtype for entry in files.entries.values()}
    return 0 if stored == {dtype} else files.stored


def fitting(prior: Denoiser, images: Tensor) -> Condition:
    """A condition with all that this prior reads at once, in the shape of `images`."""
    condition = everything(prior.reads, images)
    match prior:
        case WanVace():  # It follows a pose or a depth map, not both.
            return replace(condition, depth=None)
        case _:
            return condition


def everything(reads: tuple[str, ...], images: Tensor) -> Condition:
    """A condition of these parts, in the shape of `images`."""
    one = images[..., :1]
    still = images if images.ndim == 4 else images[:, 0]
    face = None if images.ndim == 4 else images
    return Condition(
        text=Text(("a person",)) if "text" in reads else None,
        normal=Normal(images) if "normal" in reads else None,
        depth=Depth(one) if "depth" in reads else None,
        pose=Pose(images, face) if "pose" in reads else None,
        reference=Reference(still) if "reference" in reads else None,
        projection=Projection(images, one) if "projection" in reads else None,
    )


def work(run: Callable[[], object], lays_out: bool) -> Work:
    """What `run` costs; all its tensors must be on the meta device.

    With `lays_out`, convolutions hold what they read once more, as oneDNN does on CPUs.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _Attention() as attention, counter, _Live(lays_out) as live:
        run()
    return Work(counter.get_total_flops() + attention.flops, live.peak)


@final
class _Attention(TorchFunctionMode):
    """Attention that never holds its scores: kernels work through them in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = (*args, *(kwargs or {}).values())[:3]
        pairs = query.shape[:-1].numel() * key.shape[-2]
        self.flops += 2 * pairs * (query.shape[-1] + value.shape[-1])
        return query.new_empty(*query.shape[:-1], value.shape[-1])


@final
class _Live(TorchDispatchMode):
    """Bytes of storages made within the block that are still alive, and their peak."""

    def __init__(self, lays_out: bool) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self._lays_out = lays_out
        self._known: dict[int, object] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors(args):
            self._count(tensor, 0)  # From outside: a weight, of which the output may be a view.
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            self._count(tensor, tensor.untyped_storage().nbytes())
        passing = 0
        if self._lays_out and func.name() in CONVOLUTIONS:
            passing = sum(t.nbytes for t in _tensors(args))
        self.peak = max(self.peak, self.now + passing)
        return out

    def _count(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return

        def gone(_: object) -> None:
            self._known.pop(key, None)
            self.now -= size

        self._known[key] = weakref.ref(storage, gone)
        self.now += size


def _tensors(held: object) -> Iterator[Tensor]:
    match held:
        case Tensor():
            yield held
        case tuple() | list():
            for item in held:
                yield from _tensors(item)
        case _:
            return
