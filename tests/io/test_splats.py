"""Files of Gaussians, against gsply's own readers and by round trip."""

from pathlib import Path

import pytest
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.io.splats import COLUMNS, FORMATS, read_splats, write_splats
from incarnate.scene import Gaussians

gsply = pytest.importorskip("gsply", exc_type=ImportError)
UP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""Half round x: from y up to y down."""


def cloud(count: int = 300) -> Gaussians:
    rng = torch.Generator().manual_seed(3)
    return Gaussians(
        torch.randn(count, 3, generator=rng) * torch.tensor([0.3, 0.8, 0.2]),
        torch.randn(count, 4, generator=rng),
        torch.randn(count, 3, generator=rng) * 0.5 - 4.5,
        torch.randn(count, generator=rng) * 2,
        torch.rand(count, 3, generator=rng),
    )


def covariances(gaussians: Gaussians) -> Float[Tensor, "n 3 3"]:
    turns = roma.unitquat_to_rotmat(
        roma.quat_wxyz_to_xyzw(torch.nn.functional.normalize(gaussians.quats, dim=-1))
    )
    return turns @ torch.diag_embed(gaussians.scales**2) @ turns.transpose(1, 2)


def worst_covariance(ours: Gaussians, theirs: Gaussians) -> float:
    gap = (covariances(ours) - covariances(theirs)).flatten(1).norm(dim=1)
    return float((gap / covariances(theirs).flatten(1).norm(dim=1)).max())


def by_gsply(path: Path) -> Gaussians:
    """What an independent reader finds, in the file's own axes."""
    found = gsply.read_spz(path) if path.suffix == ".spz" else gsply.plyread(path)
    return Gaussians(
        torch.tensor(found.means),
        torch.tensor(found.quats),
        torch.tensor(found.scales),
        torch.tensor(found.opacities),
        torch.tensor(gsply.sh2rgb(found.sh0)).reshape(-1, 3),
    )


PRECISION = {  # Means (metres), covariances by their size, opacities, colours: the worst of 300.
    ".ply": (0.0, 1e-5, 1e-6, 1e-6),
    ".compressed.ply": (3e-3, 1e-2, 3e-3, 2.1e-3),
    ".splat": (0.0, 2e-2, 4e-3, 4e-3),
    ".ksplat": (0.0, 1e-5, 4e-3, 4e-3),
    ".spz": (1.3e-4, 8e-2, 2e-3, 4e-3),
    ".sog": (3e-4, 3e-2, 4e-3, 3e-3),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_read_is_what_was_written(ending, tmp_path):
    made, path = cloud(), tmp_path / f"me{ending}"
    write_splats(path, made)
    found = read_splats(path)
    if ending == ".sog":  # The only one that sorts.
        order = torch.cdist(made.means, found.means).argmin(1)
        parts = ("means", "quats", "log_scales", "logit_opacities", "colors")
        found = Gaussians(*(getattr(found, name)[order] for name in parts))
    moved, spread, veil, shade = PRECISION[ending]
    assert float((found.means - made.means).abs().max()) <= moved
    assert worst_covariance(found, made) <= spread
    assert float((found.opacities - made.opacities).abs().max()) <= veil
    assert float((found.colors - made.colors).abs().max()) <= shade


@pytest.mark.parametrize("ending", [".ply", ".spz"])
def test_gsply_reads_the_same_ply_with_y_down_and_spz_with_y_up(ending, tmp_path):
    made, path = cloud(), tmp_path / f"me{ending}"
    write_splats(path, made)
    found = by_gsply(path)
    turn = torch.eye(3) if ending == ".spz" else UP
    moved, spread, _, shade = PRECISION[ending]
    torch.testing.assert_close(found.means, made.means @ turn, rtol=0, atol=moved + 1e-7)
    wanted = turn @ covariances(made) @ turn
    gap = (covariances(found) - wanted).flatten(1).norm(dim=1)
    assert float((gap / wanted.flatten(1).norm(dim=1)).max()) <= spread
    torch.testing.assert_close(found.colors, made.colors, rtol=0, atol=shade)
    torch.testing.assert_close(found.opacities, made.opacities, rtol=0, atol=3e-3)


def test_a_ply_has_the_62_numbers_of_3dgs(tmp_path):
    path = tmp_path / "me.ply"
    write_splats(path, cloud(5))
    head, _, body = path.read_bytes().partition(b"end_header\n")
    names = [line.split()[-1] for line in head.decode().splitlines() if "property" in line]
    assert names == list(COLUMNS) and len(names) == 62
    assert len(body) == 5 * 62 * 4
    assert names[:3] == ["x", "y", "z"] and names[53:] == [
        "f_rest_44", "opacity", "scale_0", "scale_1", "scale_2",
        "rot_0", "rot_1", "rot_2", "rot_3",
    ]  # fmt: skip


def test_another_programs_ply_is_read_whatever_its_order(tmp_path):
    made = cloud()
    path = tmp_path / "theirs.ply"
    gsply.plywrite(
        path,
        gsply.GSData.from_arrays(
            means=made.means.numpy(),
            scales=made.log_scales.numpy(),
            quats=made.quats.numpy(),
            opacities=made.logit_opacities.numpy(),
            sh0=((made.colors - 0.5) / gsply.SH_C0).numpy(),
        ),
    )
    found = read_splats(path)
    torch.testing.assert_close(found.means, made.means @ UP)
    torch.testing.assert_close(found.colors, made.colors)
    torch.testing.assert_close(covariances(found), UP @ covariances(made) @ UP)


def damaged(data: bytes, how: str) -> bytes:
    match how:
        case "cut off":
            return data[:-10]
        case "it lacks rot_3":
            return data.replace(b"rot_3", b"rot_9")
        case "where all are float":
            return data.replace(b"property float opacity", b"property uchar opacity")
        case _:
            return data.replace(b"binary_little_endian", b"ascii")


@pytest.mark.parametrize(
    "how", ["cut off", "it lacks rot_3", "where all are float", "is not a binary little-endian"]
)
def test_a_damaged_ply_is_refused(how, tmp_path):
    path = tmp_path / "me.ply"
    write_splats(path, cloud(5))
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(ValueError, match=how):
        read_splats(path)


@pytest.mark.parametrize("ending", [e for e in FORMATS if e != ".ply"])
def test_what_is_not_what_its_ending_says_is_refused(ending, tmp_path):
    path = tmp_path / f"me{ending}"
    path.write_bytes(b"nothing of the kind" * 3)
    with pytest.raises(ValueError, match="cannot be read"):
        read_splats(path)


def test_other_endings_and_clouds_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"written to \.ply, \.compressed\.ply, "):
        write_splats(tmp_path / "me.fbx", cloud(5))
    made = cloud(5)
    made.means[2, 1] = torch.nan
    with pytest.raises(ValueError, match="not all are finite"):
        write_splats(tmp_path / "me.ply", made)
    assert not list(tmp_path.iterdir())
