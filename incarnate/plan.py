"""What a method would run, told before anything is loaded.

A method needs diffusion models in roles. The user names weights for a role, and the plan says what
they are, whether they can play it, and what they cost here; of a role without weights it says what
stands in. Counts of predictions are those of the papers' own schedules or, where a paper is silent
(Portrait Diffusion's rounds and views), our reading of it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from incarnate.progress import Report
from incarnate.roles import ROLES, Role, check_role
from incarnate.weights import TABLE

if TYPE_CHECKING:
    import torch

    from incarnate.priors.checkpoint import Found
    from incarnate.priors.cost import Cost

Method = Literal["one-shot", "svad", "humannorm", "portrait-diffusion", "audio-avatar"]


@dataclass(frozen=True)
class Need:
    """A role in a method, and how often it is asked in one run."""

    role: Role
    predictions: int
    """With guidance, which asks twice."""
    encodings: int
    decodings: int
    side: int
    frames: int | None
    stage: str


@dataclass(frozen=True)
class Outline:
    """A method, as far as its plan goes."""

    title: str
    built: bool
    needs: tuple[Need, ...]
    told: str


OUTLINES: dict[Method, Outline] = {
    "one-shot": Outline(
        "one photo becomes a talking avatar",
        True,
        (),
        "Runs on what comes with the install, no diffusion model: 35 s and 1.1 GB at normal "
        "quality, as measured on two cores (docs/likeness.md). Video diffusion's pseudo-labels "
        "are not built: what the photo does not show is completed by symmetry and from the body.",
    ),
    "svad": Outline(
        "one photo, through synthetic posed video, becomes an avatar",
        False,
        (Need("pose-driven-video", 12 * 20 * 2, 1, 12, 1024, 48, "500 frames in windows of 48"),),
        "",
    ),
    "humannorm": Outline(
        "a sentence becomes a human mesh",
        False,
        (
            Need("text-to-normal", 15_000 * 2, 15_000, 0, 512, None, "geometry, 15,000 steps"),
            Need("text-to-depth", 6_000 * 2, 6_000, 0, 512, None, "geometry, its first 6,000"),
            Need(
                "normal-aligned-rgb",
                2_000 * 2 + 453 * 21 * 2,
                2_000 + 453,
                453,
                512,
                None,
                "texture, 2,000 coarse steps and 453 repainted views of 21",
            ),
        ),
        "",
    ),
    "portrait-diffusion": Outline(
        "a portrait becomes a radiance field seen from all sides",
        False,
        (
            Need("text-to-normal", 1_500 * 2, 1_500, 0, 512, None, "geometry, 1,500 steps"),
            Need(
                "projected-reference",
                13 * 600 * 15 * 2,
                13 * 600,
                13 * 600,
                512,
                None,
                "600 rounds of 13 views, 15 steps each",
            ),
        ),
        "",
    ),
    "audio-avatar": Outline(
        "a photo and a voice become a talking avatar by particle motion",
        False,
        (),
        "Its video teachers (speech to video) are in no library that incarnate uses: no role yet. "
        "`incarnate talk` makes an avatar of one-shot talk.",
    ),
}


@dataclass(frozen=True)
class Cast:
    """A role of the plan, with what plays it."""

    role: Role
    stage: str
    weights: str
    """What the user named, or ''."""
    kind: str
    parameters: int
    licences: tuple[str, ...]
    memory: int
    """Bytes at most, of the whole process with this role alone; 0 if nothing is named."""
    seconds: float
    stands_in: str
    """What runs instead of full-size weights, or that nothing does."""


@dataclass(frozen=True)
class Plan:
    """What would run."""

    method: Method
    title: str
    built: bool
    told: str
    device: str
    dtype: str
    gflops: float
    """What a convolution reached on the device just now, in billions of operations a second."""
    embedded: tuple[tuple[str, str], ...]
    """What comes with the install and runs: name and licence."""
    cast: tuple[Cast, ...]

    def json(self) -> str:
        """For machines."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def text(self) -> str:
        """For people."""
        lines = [f"{self.method}: {self.title}"]
        if not self.built:
            lines.append("!!  The method itself is not built yet; its priors can be loaded.")
        lines += [self.told] if self.told else []
        timed = f"a convolution ran at {self.gflops:.0f} GFLOP/s"
        lines.append(f"device     {self.device}, {self.dtype}; {timed}")
        lines += [f"embedded   {name}, {licence}" for name, licence in self.embedded]
        for cast in self.cast:
            lines += _lines(cast)
        told = [cast for cast in self.cast if cast.weights]
        if len(told) > 1:
            most = max(cast.memory for cast in told) / 1e9
            lines.append(f"memory     at most {most:.1f} GB with one role in memory at a time")
        return "\n".join(lines) + "\n"


def _lines(cast: Cast) -> list[str]:
    head = f"{cast.role:<20} {cast.stage}"
    if not cast.weights:
        return [head, f"    {cast.stands_in}"]
    return [
        head,
        f"    {cast.weights}: {cast.kind}, {cast.parameters / 1e6:.0f} million parameters",
        f"    memory at most {cast.memory / 1e9:.1f} GB, time about {_span(cast.seconds)}",
        f"    licence: {', '.join(cast.licences)}",
    ]


def _span(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def named(weights: Sequence[str]) -> dict[Role, str]:
    """ROLE=WEIGHTS of the command line. ValueError for an unknown role, or one named twice."""
    found: dict[Role, str] = {}
    for text in weights:
        told, equals, where = text.partition("=")
        roles: list[Role] = [role for role in ROLES if told == role]
        if not equals or not where or not roles:
            raise ValueError(
                f"--weights came as {text!r}; give ROLE=DIRECTORY with ROLE one of "
                f"{', '.join(ROLES)}"
            )
        if roles[0] in found:
            raise ValueError(f"--weights names {told} twice; name it once")
        found[roles[0]] = where
    return found


def plan(method: Method, weights: Mapping[Role, str], device: str, report: Report) -> Plan:
    """The plan. ValueError for weights that are not whole, cannot play their role, or are not used.

    Nothing is loaded; directories are checked, and the device is timed for a second.
    """
    outline = OUTLINES[method]
    roles = [need.role for need in outline.needs]
    idle = [role for role in weights if role not in roles]
    if idle:
        raise ValueError(
            f"{method} has no role {idle[0]}; it has {', '.join(roles) if roles else 'none'}"
        )
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here; plan for --device cpu")
    dtype = torch.float32 if device == "cpu" else torch.float16
    named_there = {role: _found(where) for role, where in weights.items()}
    report.stage("timing the device")
    gflops = speed(device, dtype)
    cast = []
    for need in outline.needs:
        report.stage(f"costing {need.role}")
        there = named_there.get(need.role)
        if there is None:
            cast.append(Cast(need.role, need.stage, "", "", 0, (), 0, 0.0, _stand_in(need.role)))
        else:
            cast.append(_cast(need, there, weights[need.role], (device, dtype), gflops))
    return Plan(
        method,
        outline.title,
        outline.built,
        outline.told,
        _device(device),
        str(dtype).removeprefix("torch."),
        round(gflops, 1),
        tuple((row.name, row.licence) for row in TABLE if outline.built and row.name in _PARTS),
        tuple(cast),
    )


_PARTS = ("pose", "hand", "face", "anny", "landmarks")  # What `create` runs of the table.
_NOTHING = (
    "no weights named, and the embedded prior is not in this installation: name some with "
    "--weights {role}=DIRECTORY (docs/priors.md says which)"
)


def _stand_in(role: Role) -> str:
    """What plays a role that the user names no weights for."""
    from incarnate.priors.embedded import told

    ours = told()
    if ours is None:
        return _NOTHING.format(role=role)
    return f"{ours}, a stand-in for full-size weights: --weights {role}=DIRECTORY"


def _found(where: str) -> "Found":
    from incarnate.priors.checkpoint import Checkpoint, found

    return found(Checkpoint.parse(where))


def _cast(
    need: Need, there: "Found", where: str, on: "tuple[str, torch.dtype]", gflops: float
) -> Cast:
    from incarnate.priors.cost import cost, shaped
    from incarnate.priors.guiders import wants

    device, dtype = on
    prior = shaped(there, dtype)
    check_role(need.role, prior.reads, wants(prior), where)
    costed = cost(there, need.side, need.frames, device, dtype, prior)
    return Cast(
        need.role,
        need.stage,
        where,
        there.base.kind,
        there.parameters,
        _licences(there),
        costed.memory,
        _seconds(need, costed, gflops),
        "",
    )


def _licences(there: "Found") -> tuple[str, ...]:
    return tuple(dict.fromkeys(d.licence for d in there.directories))


def _seconds(need: Need, costed: "Cost", gflops: float) -> float:
    operations = (
        need.predictions * costed.prediction.flops
        + 3 * need.encodings * costed.encoding.flops  # With the way back through the encoder.
        + need.decodings * costed.decoding.flops
    )
    return operations / (gflops * 1e9)


def speed(device: str, dtype: "torch.dtype", seconds: float = 0.5) -> float:
    """Billions of operations a second of a convolution as these networks have them."""
    import torch

    x = torch.ones(1, 320, 64, 64, device=device, dtype=dtype)
    weight = torch.ones(320, 320, 3, 3, device=device, dtype=dtype)
    torch.nn.functional.conv2d(x, weight, padding=1)
    began, runs = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        out = torch.nn.functional.conv2d(x, weight, padding=1)
        float(out[0, 0, 0, 0])  # Waits for the device.
        runs += 1
    return runs * 2 * x.numel() * weight[0].numel() / (time.perf_counter() - began) / 1e9


def _device(device: str) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu, {torch.get_num_threads()} threads"
