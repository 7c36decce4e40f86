"""Whether Gaussians know more of a surface's normals than the mesh they stand on.

    PYTHONPATH=. python benchmarks/relief.py FOLDER [--count 4]

People of the studio, their front pictures and draft avatars are kept in FOLDER. From four sides of
each: the mean angle between the true normals and the mesh's own, and those tilted by the slopes of
the Gaussians' offsets, fitted over several reaches.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import normalize

from incarnate.avatar import Avatar
from incarnate.evaluate.views4 import _studio, shrunk, subjects
from incarnate.metrics import normal_error
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

REACHES = {0.004: 24, 0.008: 24, 0.016: 64, 0.03: 160}
"""Metres, the standard deviation of a sample's weight by its distance, and how many are asked."""
RIDGE = 0.2
"""Added to the weighted variance of the samples' places, in units of the reach squared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=4)
    chosen = parser.parse_args()
    errors: dict[float, list[float]] = {}
    for who in subjects(chosen.count, chosen.folder):
        path = who.photo.with_suffix(".avatar")
        if not path.is_file():
            Avatar.from_photo(who.photo, "draft").save(path)
        avatar = Avatar.load(path)
        drive, place, wanted = _studio(avatar, who)
        discs, faces = avatar.surface.discs, avatar.surface.body.faces
        vertices = avatar.player.vertices(drive)
        normals = vertex_normals(vertices, faces)
        feet = (vertices[faces[discs.faces]] * discs.barycentrics[..., None]).sum(1)
        for seen, true in wanted:
            camera = shrunk(seen.camera, *place)
            shown = rasterize(Mesh(vertices, faces, normals), camera)
            hit = (shown.face_ids >= 0) & torch.from_numpy(seen.alpha > 0.5)
            corners, shares = faces[shown.face_ids[hit]], shown.barycentrics[hit][..., None]
            places = (vertices[corners] * shares).sum(1)
            plain = normalize((normals[corners] * shares).sum(1), dim=1)
            truth, turn = torch.from_numpy(true)[hit], camera.world_to_camera[:3, :3]
            opacities = torch.sigmoid(discs.logit_opacities)
            for reach in (0.0, *REACHES):
                tilt = plain
                if reach:
                    tilt = tilted(places, plain, feet, discs.offsets[:, 2], opacities, reach)
                everywhere = torch.ones(1, len(tilt))
                error = float(normal_error((tilt @ turn.T)[None], truth[None], everywhere))
                errors.setdefault(reach, []).append(error)
    for reach, found in errors.items():
        name = f"slopes over {1000 * reach:.0f} mm" if reach else "the mesh alone"
        print(f"{name:20}{np.mean(found):6.2f} degrees, worst view {max(found):6.2f}")


def tilted(
    places: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    feet: Float[Tensor, "m 3"],
    heights: Float[Tensor, " m"],
    weights: Float[Tensor, " m"],
    reach: float,
) -> Float[Tensor, "n 3"]:
    """Unit normals of what stands `heights` above the mesh at `feet`: n - g, where g is the slope
    of the plane that fits the samples about a place."""
    _, found = KDTree(feet.numpy()).query(places.numpy(), REACHES[reach])
    near = torch.from_numpy(np.asarray(found))
    away = feet[near] - places[:, None]
    shares = weights[near] * torch.exp(-away.square().sum(2) / (2 * reach**2))
    shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-12)
    flat = away - (away * normals[:, None]).sum(2, keepdim=True) * normals[:, None]
    flat = flat - (shares[..., None] * flat).sum(1, keepdim=True)
    rise = heights[near] - (shares * heights[near]).sum(1, keepdim=True)
    spread = torch.einsum("nk,nki,nkj->nij", shares, flat, flat)
    spread = spread + RIDGE * reach**2 * torch.eye(3)
    slope = torch.linalg.solve(spread, torch.einsum("nk,nki,nk->ni", shares, flat, rise))
    return normalize(normals - slope, dim=1)


if __name__ == "__main__":
    main()
