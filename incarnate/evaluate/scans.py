"""THuman2.0's scans under the suite `views4`: SVAD's protocol on the data it was made for.

The avatar is made of a drawing of the textured scan from the front and posed by the data set's
SMPL-X fit. Joints would need SMPL-X's own files, so size and place come from the scan itself: its
height, its lowest point, and the middle of its surface. Normals are the scan's.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.cameras import orbit
from incarnate.evaluate.datasets import Frame, motion_of, plain_pickle
from incarnate.motion import Motion
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

SAMPLES = 2  # A pixel's side.
PHOTO_SIDE, VIEW_SIDE = 1024, 512
MARGIN = 1.1


@dataclass(frozen=True, eq=False)
class Scan:
    """A textured mesh and the pose fitted to it."""

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    uvs: Float[Tensor, "f 3 2"]
    texture: UInt8[np.ndarray, "y x 3"]
    motion: Motion

    @property
    def facing(self) -> float:
        """Radians by which the person is turned to their left from +z."""
        forward = self.motion.pose[0, 0] @ torch.tensor([0.0, 0.0, 1.0])
        return float(torch.atan2(forward[0], forward[2]))


@cache
def scan(folder: Path) -> Scan:
    """Reads 0001/0001.obj, its texture and its smplx_param.pkl. ValueError or OSError in a line."""
    mesh = folder / f"{folder.name}.obj"
    vertices, faces, uvs = _obj(mesh)
    textures = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpeg", ".jpg", ".png"))
    if not textures:
        raise FileNotFoundError(f"{folder} has no texture (material0.jpeg) beside its mesh")
    texture = np.array(Image.open(textures[0]).convert("RGB"))
    return Scan(vertices, faces, uvs, texture, _pose(_fit(folder)))


def front(folder: Path) -> UInt8[np.ndarray, "h w 4"]:
    """The picture to learn from, with its alpha."""
    seen, _ = drawn(scan(folder), 0.0, PHOTO_SIDE)
    return np.dstack([seen.rgb, (seen.alpha * 255).round().astype(np.uint8)])


def drawn(
    person: Scan, azimuth: float, side: int
) -> tuple[Frame, Float[np.ndarray, "side side 3"]]:
    """The scan on white from `azimuth` (0 looks at the face), and its normals in camera axes."""
    low, high = person.vertices.amin(0), person.vertices.amax(0)
    reach = MARGIN * float((high - low).max())
    camera = orbit((low + high) / 2, reach, azimuth + person.facing, 0.0, side, side)
    fine = camera.resized(side * SAMPLES, side * SAMPLES)
    normals = vertex_normals(person.vertices, person.faces) @ camera.world_to_camera[:3, :3].T
    seen = rasterize(Mesh(person.vertices, person.faces, normals), fine)
    hit = seen.face_ids >= 0
    ids, shares = seen.face_ids[hit], seen.barycentrics[hit][..., None]
    layers = torch.ones(*hit.shape, 7)
    layers[..., 3:] = 0
    layers[hit] = torch.cat(
        [
            _texels(person.texture, (person.uvs[ids] * shares).sum(1)),
            torch.ones(len(ids), 1),
            (normals[person.faces[ids]] * shares).sum(1),
        ],
        1,
    )
    small = layers.reshape(side, SAMPLES, side, SAMPLES, 7).mean((1, 3)).numpy()
    rgb = (small[..., :3] * 255).round().clip(0, 255).astype(np.uint8)
    length = np.linalg.norm(small[..., 4:], axis=-1, keepdims=True)
    return Frame(camera, rgb, small[..., 3], person.motion), small[..., 4:] / length.clip(1e-6)


def brought(avatar: Avatar, person: Scan) -> tuple[Drive, float, Float[Tensor, "3"]]:
    """The avatar in the scan's pose, and the scale and shift that bring it onto the scan."""
    drive = next(avatar.drives(person.motion))
    ours, faces = avatar.player.vertices(drive), avatar.surface.body.faces
    theirs = person.vertices
    low, high = ours.amin(0), ours.amax(0)
    scale = float((theirs[:, 1].amax() - theirs[:, 1].amin()) / (high[1] - low[1]))
    shift = _middle(theirs, person.faces) - scale * _middle(ours, faces)
    shift[1] = theirs[:, 1].amin() - scale * low[1]
    return drive, scale, shift


def views(folder: Path, azimuths: list[float]) -> list[tuple[Frame, np.ndarray]]:
    """The held-out pictures and their normals."""
    person = scan(folder)
    return [drawn(person, azimuth, VIEW_SIDE) for azimuth in azimuths]


def _middle(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "3"]:
    """The mean of a surface."""
    a, b, c = vertices[faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1, keepdim=True)
    return ((a + b + c) / 3 * area).sum(0) / area.sum()


def _texels(texture: UInt8[np.ndarray, "y x 3"], uvs: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Colours in [0, 1], between texels; v = 0 is the last row."""
    picture = torch.from_numpy(texture).permute(2, 0, 1)[None].float() / 255
    grid = torch.stack([2 * uvs[:, 0] - 1, 1 - 2 * uvs[:, 1]], 1)[None, None]
    picked = torch.nn.functional.grid_sample(
        picture, grid, padding_mode="border", align_corners=False
    )
    return picked[0, :, 0].T


def _fit(folder: Path) -> Path:
    """Where the pose lies: beside the mesh, or under the same name in a folder next to the set."""
    places = [folder, *(p / folder.name for p in sorted(folder.parent.iterdir()) if p.is_dir())]
    places += [p / folder.name for p in sorted(folder.parent.parent.iterdir()) if p.is_dir()]
    for place in places:
        if (place / "smplx_param.pkl").is_file():
            return place / "smplx_param.pkl"
    raise FileNotFoundError(f"there is no smplx_param.pkl for {folder}, beside it or next to it")


def _pose(path: Path) -> Motion:
    """Of a fit; hands that are told by principal components stay flat."""
    kept = plain_pickle(path)
    rotvec = torch.zeros(1, 55, 3)
    parts = (("global_orient", 0, 1), ("body_pose", 1, 22), ("left_hand_pose", 25, 40),
             ("right_hand_pose", 40, 55))  # fmt: skip
    try:
        for name, first, last in parts:
            values = np.asarray(kept[name], np.float32).ravel()
            if len(values) == 3 * (last - first):
                rotvec[0, first:last] = torch.from_numpy(values.reshape(-1, 3).copy())
            elif not name.endswith("hand_pose"):
                raise ValueError(f"{path} has {len(values)} numbers of {name}")
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no fit of SMPL-X ({error})") from error
    return motion_of(rotvec)


def _obj(path: Path) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"], Float[Tensor, "f 3 2"]]:
    """A textured triangle mesh. ValueError for anything else."""
    points, places, faces, corners = [], [], [], []
    with path.open(errors="replace") as file:
        for line in file:
            words = line.split()
            match words[:1]:
                case ["v"]:
                    points.append([float(x) for x in words[1:4]])
                case ["vt"]:
                    places.append([float(x) for x in words[1:3]])
                case ["f"]:
                    ids = [word.split("/") for word in words[1:]]
                    if any(len(i) < 2 or not i[1] for i in ids):
                        raise ValueError(f"{path} has faces without texture coordinates")
                    for k in range(1, len(ids) - 1):
                        fan = [ids[0], ids[k], ids[k + 1]]
                        faces.append([int(i[0]) - 1 for i in fan])
                        corners.append([int(i[1]) - 1 for i in fan])
    if not faces:
        raise ValueError(f"{path} has no faces")
    vertices, uvs = torch.tensor(points), torch.tensor(places)
    return vertices, torch.tensor(faces), uvs[torch.tensor(corners)]
