"""Gaussians in the field's files: .ply, .compressed.ply, .splat, .ksplat, .spz, .sog.

Ours stand in a world with y up. By convention .ply of 3DGS, and what is made from it (.splat,
.ksplat, .sog), has y down, so those are turned half round the x axis; .spz has y up. All are
static, with one colour from all sides (spherical harmonics of degree 0; higher ones are written as
zeros into .ply, and may not be there when reading). `.sog` changes the order of the Gaussians.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from incarnate.io.runs import replacing
from incarnate.scene import Gaussians

C0 = 0.28209479177387814
"""The spherical harmonic of degree 0; 3DGS keeps (color - 0.5) / C0."""
FORMATS = {
    ".ply": "ply",
    ".compressed.ply": "compressed.ply",
    ".splat": "splat",
    ".ksplat": "ksplat",
    ".spz": "spz",
    ".sog": "sog",
}
"""Endings, and gaussforge's names."""
UPRIGHT = (".spz",)
"""Those with y up."""
COLUMNS = (
    *("x y z nx ny nz f_dc_0 f_dc_1 f_dc_2".split()),
    *(f"f_rest_{k}" for k in range(45)),
    *("opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()),
)
"""The 62 float32 of a Gaussian in 3DGS' .ply, in order."""
MOST_BYTES = 2**31
_ONE_COLOR = tuple(name for name in COLUMNS if not name.startswith("f_rest_"))


def splat_format(path: Path) -> str:
    """The ending that says what `path` is. ValueError if it is none of FORMATS."""
    for ending in (".compressed.ply", *FORMATS):
        if path.name.lower().endswith(ending):
            return ending
    raise ValueError(f"{path}: Gaussians are written to {', '.join(FORMATS)}")


def write_splats(path: Path, gaussians: Gaussians) -> None:
    """Writes rgb Gaussians; the file is whole or absent. ValueError for another ending.

    NaN, infinite and empty clouds are refused too.
    """
    ending = splat_format(path)
    turned = gaussians if ending in UPRIGHT else _half_round(gaussians)
    if ending == ".ply":
        data = _ply(turned, COLUMNS)
    else:
        data = _converted(_ply(turned, _ONE_COLOR), "ply", FORMATS[ending], path)
    with replacing(path) as part:
        part.write_bytes(data)


def read_splats(path: Path) -> Gaussians:
    """Gaussians from a file, y up; colours as seen from all sides.

    Raises OSError if there is no such file, ValueError if it is not what its ending says.
    """
    ending = splat_format(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
    data = path.read_bytes()
    if ending != ".ply":
        data = _converted(data, FORMATS[ending], "ply", path)
    gaussians = _from_ply(data, path)
    return gaussians if ending in UPRIGHT else _half_round(gaussians)


def _half_round(gaussians: Gaussians) -> Gaussians:
    """Turned by 180 degrees about x: y up becomes y down, and back."""
    signs = gaussians.means.new_tensor([1.0, -1.0, -1.0])
    w, x, y, z = gaussians.quats.unbind(-1)
    return Gaussians(
        gaussians.means * signs,
        torch.stack([-x, w, -z, y], -1),
        gaussians.log_scales,
        gaussians.logit_opacities,
        gaussians.colors,
    )


def _ply(gaussians: Gaussians, columns: Sequence[str]) -> bytes:
    """3DGS' binary .ply, as it stands."""
    parts = (
        gaussians.means,
        torch.zeros_like(gaussians.means),  # 3DGS' normals are not used.
        (gaussians.colors - 0.5) / C0,
        gaussians.means.new_zeros(len(gaussians.means), len(columns) - 17),
        gaussians.logit_opacities[:, None],
        gaussians.log_scales,
        torch.nn.functional.normalize(gaussians.quats, dim=-1),
    )
    table = torch.cat(parts, 1).detach().cpu().numpy().astype("<f4")
    if not len(table) or not np.isfinite(table).all():
        raise ValueError(f"{len(table)} Gaussians came, and not all are finite; give some that are")
    names = "".join(f"property float {name}\n" for name in columns)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(table)}\n{names}end_header\n"
    return head.encode() + table.tobytes()


def _from_ply(data: bytes, path: Path) -> Gaussians:
    """What a binary .ply of 3DGS' columns, in any order, says; higher harmonics are dropped."""
    head, found, body = data.partition(b"end_header\n")
    words = [line.split() for line in head[:65536].decode("ascii", "replace").splitlines()]
    counts = [line[2] for line in words if line[:2] == ["element", "vertex"] and len(line) == 3]
    names = [line[2] for line in words if line[:2] == ["property", "float"] and len(line) == 3]
    foreign = [line for line in words if line[:1] == ["property"] and line[1:2] != ["float"]]
    if not found or ["format", "binary_little_endian", "1.0"] not in words or len(counts) != 1:
        raise ValueError(f"{path} is not a binary little-endian .ply of one kind of vertex")
    missing = [name for name in _ONE_COLOR if name not in (*names, "nx", "ny", "nz")]
    if missing or foreign:
        raise ValueError(f"{path} is no .ply of Gaussians: {_lack(missing, foreign)}")
    count = int(counts[0]) if counts[0].isdigit() else 0
    wanted = 4 * count * len(names)
    if not count or len(body) < wanted:
        raise ValueError(
            f"{path} is cut off: {len(body)} bytes for {counts[0]} Gaussians of {4 * len(names)}"
        )
    table = np.frombuffer(body[:wanted], "<f4").reshape(count, len(names))

    def columns(*wanted: str) -> torch.Tensor:
        return torch.from_numpy(table[:, [names.index(name) for name in wanted]].copy())

    return Gaussians(
        columns("x", "y", "z"),
        columns("rot_0", "rot_1", "rot_2", "rot_3"),
        columns("scale_0", "scale_1", "scale_2"),
        columns("opacity")[:, 0],
        columns("f_dc_0", "f_dc_1", "f_dc_2") * C0 + 0.5,
    )


def _lack(missing: list[str], foreign: list[list[str]]) -> str:
    if foreign:
        return f"it has {' '.join(foreign[0][1:])}, where all are float"
    return f"it lacks {', '.join(missing)}"


def _converted(data: bytes, source: str, target: str, path: Path) -> bytes:
    """gaussforge's conversion. ValueError for what it cannot read."""
    import gaussforge

    told = gaussforge.GaussForge().convert(data, source, target)
    if told.get("error") or not told.get("data"):
        raise ValueError(f"{path} cannot be read or written as {source}: {told.get('error')}")
    return bytes(told["data"])
