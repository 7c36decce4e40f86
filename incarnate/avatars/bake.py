"""A texture for an avatar's mesh, taken from pictures of its Gaussians.

Every texel looks from its place on the mesh into the cameras and takes the mean of what those see
that see it, the straighter and the nearer the more. What no camera sees (mouth, armpits) takes
the colours of the Gaussians nearest to it on the same part of the body. In the mouth, the photo
alone is believed: other pictures see teeth past the fringes of lips; what it does not show is as
dark as an open mouth is there. Texels count from the upper left, as pictures and glTF do; uvs from
the lower left.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d, normalize

from incarnate.avatars.hollow import OPEN, inner, lit
from incarnate.avatars.playback import Player
from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera, orbit
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import rasterize
from incarnate.render.raster import Fragments
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

SLACK = 0.004
"""Metres that a texel may lie behind what a camera sees first: Gaussians stand off the mesh."""
STRAIGHT = 6.0
"""The power of the cosine between normal and ray: high keeps pictures apart, low blends them."""
AWAY = 0.05
"""Texels at a lower cosine are not looked at."""
FAR = 1e3
NEAREST = 4  # Gaussians, where no camera sees.
GUESS = 5.0
"""What a guess in the mouth counts: as much as a photo of 500 pixels a metre, seen straight."""
GAMMA = 2.2  # From light to the numbers of a picture.


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture that a texture is taken from."""

    drive: Drive
    camera: Camera
    weight: float = 1.0
    """How much it counts beside others that see as straight and as near."""
    mouth: bool = False
    """Whether it is believed where it sees into the mouth."""


def baked(
    player: Player,
    shots: Sequence[Shot],
    size: int = 2048,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> UInt8[Tensor, "s s 3"]:
    """The texture, `size` texels a side, filled to its edges."""
    body = player.surface.body
    texels = unwrapped(body.uvs, body.face_uvs, size)
    inside = texels.face_ids >= 0
    spots = Spots(texels.face_ids[inside], texels.barycentrics[inside])
    total = torch.zeros(len(spots.faces), 4)
    inward = inner(body.part_labels[body.faces[spots.faces, 0]])
    skin: _Skin | None = None
    for k, shot in enumerate(shots):
        if skin is None or skin.drive is not shot.drive:
            skin = _Skin.of(player, shot.drive, spots)
        seen = shot.weight * _taken(player, shot, skin)
        total += seen if shot.mouth else torch.where(inward[:, None], 0, seen)
        progress(k + 1, len(shots))
    total[inward] += _guessed(player, shots[0].drive, spots.at(inward))
    colors = total[:, :3] / total[:, 3:].clamp_min(1e-12)
    unseen = total[:, 3] < 1e-4
    colors[unseen] = _nearest(player, shots[0].drive, spots.at(unseen))
    out = torch.zeros(size, size, 3)
    out[inside] = colors
    return (_filled(out, inside).clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Spots:
    """Places on a mesh."""

    faces: Int[Tensor, " n"]
    barycentrics: Float[Tensor, "n 3"]

    def at(self, some: Bool[Tensor, " n"]) -> "Spots":
        """Some of them."""
        return Spots(self.faces[some], self.barycentrics[some])

    def on(self, corners: Float[Tensor, "f 3 3"]) -> Float[Tensor, "n 3"]:
        """Where they are when the triangles' corners are these."""
        return (corners[self.faces] * self.barycentrics[..., None]).sum(1)


@dataclass(frozen=True, eq=False)
class _Skin:
    """The spots in one pose, which many pictures show."""

    drive: Drive
    mesh: Mesh
    places: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]

    @staticmethod
    def of(player: Player, drive: Drive, spots: Spots) -> "_Skin":
        vertices, faces = player.vertices(drive), player.surface.body.faces
        corners = vertices[faces]
        flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        mesh = Mesh(vertices, faces, torch.zeros_like(vertices))
        return _Skin(drive, mesh, spots.on(corners), normalize(flat, dim=1)[spots.faces])


def unwrapped(uvs: Float[Tensor, "t 2"], face_uvs: Int[Tensor, "f 3"], size: int) -> Fragments:
    """Which triangle lies at the middle of each texel, and where on it."""
    flat = torch.cat([uvs[:, :1], 1 - uvs[:, 1:], torch.ones(len(uvs), 1)], 1)
    intrinsics = torch.tensor([[size, 0.0, 0.0], [0.0, size, 0.0], [0.0, 0.0, 1.0]])
    camera = Camera(torch.eye(4), intrinsics, size, size, orthographic=True)
    return rasterize(Mesh(flat, face_uvs, torch.zeros(len(flat), 3)), camera)


def around(player: Player, drive: Drive) -> list[Shot]:
    """Pictures of a person and of their head: three rings each, and from above and below."""
    vertices = player.vertices(drive)
    head = vertices[player.surface.body.region("head") > 0.5]
    shots = []
    for points, size in ((vertices, 1536), (head, 1024)):
        low, high = points.amin(0), points.amax(0)
        extent = 1.05 * float((high - low).max())
        for elevation, count in ((0.0, 12), (0.6, 6), (-0.6, 6), (1.4, 1), (-1.4, 1)):
            for k in range(count):
                azimuth = 2 * math.pi * k / count
                camera = orbit((low + high) / 2, extent, azimuth, elevation, size, size)
                shots.append(Shot(drive, camera))
    return shots


def _taken(player: Player, shot: Shot, skin: _Skin) -> Float[Tensor, "n 4"]:
    """Weighted colours and weights of the texels that this picture shows."""
    camera, places = shot.camera, skin.places
    rays = normalize(camera.center - places, dim=1)
    straight = (skin.normals * rays).sum(1)
    facing = (straight > AWAY).nonzero()[:, 0]
    here, straight = places[facing], straight[facing] ** STRAIGHT
    view = player.view(shot.drive, camera)
    depth = camera.local(here)[:, 2]
    at = camera.project(here) / here.new_tensor([camera.width, camera.height]) * 2 - 1
    seen = torch.cat([view.rgb, view.alpha[..., None]], 2).movedim(2, 0)
    colors, alpha = _looked_up(seen, at).split([3, 1], 1)
    front = _looked_up(_nearest_around(rasterize(skin.mesh, camera).depth)[None], at)[:, 0]
    visible = (depth < front + SLACK) & (alpha[:, 0] > 0.5)
    near = (float(camera.intrinsics[1, 1]) / 1000 / depth) ** 2
    weights = torch.where(visible, straight * near, 0)[:, None]
    own = torch.cat([colors / alpha.clamp_min(0.5), torch.ones_like(alpha)], 1) * weights
    return torch.zeros(len(places), 4).index_copy(0, facing, own)


def _looked_up(picture: Float[Tensor, "c h w"], at: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
    """The picture between its pixels, at places in [-1, 1]; 0 outside."""
    return grid_sample(picture[None], at[None, None], align_corners=False)[0, :, 0].T


def _nearest_around(depth: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The least depth of the pixels around each: what lies behind an edge is not taken from it."""
    known = torch.where(depth > 0, depth, FAR)
    return -max_pool2d(-known[None], 5, 1, 2)[0]


def _nearest(player: Player, drive: Drive, spots: Spots) -> Float[Tensor, "n 3"]:
    """Of each place the mean colour of the Gaussians next to it on its part of the body."""
    surface = player.surface
    faces = surface.body.faces
    parts = surface.body.part_labels[faces[:, 0]]
    places = spots.on(player.vertices(drive)[faces])
    means, discs = player.gaussians(drive).means, surface.discs
    of_discs, of_places = parts[discs.faces], parts[spots.faces]
    out = torch.zeros(len(places), 3)
    for part in of_places.unique():
        some = (of_discs == part).nonzero()[:, 0]
        some = some if len(some) else torch.arange(len(means))
        here = of_places == part
        tree = KDTree(means[some].numpy())
        _, near = tree.query(places[here].numpy(), min(NEAREST, len(some)))
        out[here] = discs.colors[some][torch.from_numpy(near).reshape(int(here.sum()), -1)].mean(1)
    return out


def _guessed(player: Player, drive: Drive, spots: Spots) -> Float[Tensor, "n 4"]:
    """Weighted colours and weights of places in the mouth, as light finds them when it is open."""
    lights = []
    for weights in OPEN:
        opened = drive.expression.clone()
        opened[[ARKIT_NAMES.index(name) for name in weights]] = torch.tensor([*weights.values()])
        skin = _Skin.of(player, replace(drive, expression=opened), spots)
        normals = vertex_normals(skin.mesh.vertices, skin.mesh.faces)
        smooth = normalize(spots.on(normals[skin.mesh.faces]), dim=1)
        lights.append(lit(skin.places, smooth, skin.mesh))
    light = torch.stack(lights).amax(0) ** (1 / GAMMA)
    colors = _nearest(player, drive, spots) * light[:, None]
    return GUESS * torch.cat([colors, torch.ones(len(colors), 1)], 1)


def _filled(picture: Float[Tensor, "s s 3"], inside: Bool[Tensor, "s s"]) -> Tensor:
    """Outside, what is nearest inside: seams show nothing else, however small the picture gets."""
    found = distance_transform_edt(~inside.numpy(), return_distances=False, return_indices=True)
    rows, columns = torch.from_numpy(np.asarray(found)).long()
    return picture[rows, columns]
