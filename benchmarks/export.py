"""What each kind of exported file weighs, how long it takes, and how near the mesh stays.

    PYTHONPATH=. python benchmarks/export.py AVATAR [PHOTO] [--texture 2048]

A row for each kind that `incarnate export` writes of an avatar: bytes, bytes a Gaussian, seconds in
this process (reading the avatar apart). With the photo: the likeness of the textured mesh to it,
beside that of the Gaussians, over the pixels that both cover, in the photo's own pose and camera.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import roma
import torch
from PIL import Image
from playback import machine

from incarnate.avatar import Avatar
from incarnate.exporting import KINDS, MESHES, Order, checked, exported
from incarnate.io.written_motions import ENDINGS
from incarnate.metrics import psnr
from incarnate.progress import Silent
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.verbs import Export
from tests.io.gltf_reader import Scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--texture", type=int, default=2048)
    chosen = parser.parse_args()
    count = len(Avatar.load(chosen.avatar).surface.discs.faces)
    print(machine())
    print(f"{count:,} Gaussians, texture of {chosen.texture} texels a side")
    with tempfile.TemporaryDirectory() as folder:
        for ending, _, _ in KINDS:
            if ending in ENDINGS:
                continue
            out = Path(folder) / f"me{ending}"
            order: Order = checked(Export(chosen.avatar, out, texture=chosen.texture))
            start = time.perf_counter()
            written = exported(order, Silent())
            seconds = time.perf_counter() - start
            size = sum(path.stat().st_size for path in written)
            each = "" if ending in MESHES else f"{size / count:8.1f} a Gaussian"
            print(f"{ending:16}{size:12,} bytes {seconds:8.2f} s {each}")
        if chosen.photo:
            mesh, cloud = likeness(chosen.avatar, chosen.photo, Scene(Path(folder) / "me.glb"))
            print(f"against the photo: mesh {mesh:.2f} dB, Gaussians {cloud:.2f} dB")


def likeness(path: Path, photo: Path, scene: Scene) -> tuple[float, float]:
    """PSNR of mesh and Gaussians to the photo, in dB."""
    avatar = Avatar.load(path)
    window = tuple(round(edge) for edge in avatar.meta["window"])
    shown = Image.open(photo).convert("RGB").crop(window)
    small = shown.resize((avatar.camera.width, avatar.camera.height), Image.Resampling.BOX)
    truth = torch.from_numpy(np.asarray(small, np.float32) / 255)
    told = {
        (j, "rotation"): roma.rotmat_to_unitquat(turn).numpy()
        for j, turn in enumerate(avatar.photo.pose)
    }
    told[0, "translation"] = (avatar.surface.joints[0] + avatar.photo.transl).numpy()
    vertices = torch.from_numpy(scene.vertices(told)).float()
    faces = torch.from_numpy(scene.faces().astype(np.int64))
    seen = rasterize(Mesh(vertices, faces, torch.zeros_like(vertices)), avatar.camera)
    uvs = torch.from_numpy(scene.attribute("TEXCOORD_0").copy())[faces]
    at = (uvs[seen.face_ids.clamp(min=0)] * seen.barycentrics[..., None]).sum(2) * 2 - 1
    texture = torch.tensor(scene.texture()).float().movedim(2, 0)[None] / 255
    mesh = torch.nn.functional.grid_sample(texture, at[None], align_corners=False)[0].movedim(0, 2)
    view = avatar.render(avatar.photo, avatar.camera)
    both = ((seen.face_ids >= 0) & (view.alpha > 0.5)).float()
    cloud = view.rgb / view.alpha.clamp_min(0.5)[..., None]
    return psnr(mesh, truth, both), psnr(cloud, truth, both)


if __name__ == "__main__":
    main()
