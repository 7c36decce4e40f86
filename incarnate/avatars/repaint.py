"""Colours of discs that no photo corrects, so that a render of them has the colours they stand for.

Flat discs overlap like scales: the nearest to the camera hides half of its neighbours, so that fine
texture, told disc by disc, turns into swirls. The texture is therefore drawn on the mesh, from
several sides, and the discs' colours are solved for.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.avatars.surface import Discs, SurfaceAvatar, placed
from incarnate.cameras import Camera, orbit
from incarnate.render import contributions, rasterize, render
from incarnate.scene import Gaussians, Mesh

AROUND = (105.0, 180.0, 255.0)  # Degrees from which the unseen is looked at.
HEIGHT = 900  # Pixels.
NEAREST = 3  # Discs whose colours mix at a pixel.
STEPS = 5
UNSEEN = 0.05  # Pixels of it in the photo below which a disc counts as unseen.
SEEN_AT_ALL = 0.3  # Pixels of blending weight from which a disc's colour can be told.


def repainted(
    avatar: SurfaceAvatar, wanted: Float[Tensor, "m 3"], shown: Float[Tensor, " n"]
) -> Discs:
    """The avatar's discs, those that a photo does not show with colours such that a render of the
    avatar at rest shows what is `wanted` of the first m discs.

    `shown` are pixels of blending weight in the photo.
    """
    discs = avatar.discs
    shape = avatar.rest + avatar.vertex_offsets
    mesh = Mesh(shape, avatar.body.faces, torch.zeros_like(shape[:, :1]))
    corners = mesh.vertices[mesh.faces[discs.faces[: len(wanted)]]]
    places = (corners * discs.barycentrics[: len(wanted), :, None]).sum(1)
    tree = KDTree(places.numpy())
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    middle, extent = (low + high) / 2, 1.05 * float((high - low).amax())
    pictures = []
    for turn in AROUND:
        camera = orbit(middle, extent, math.radians(turn), 0.0, HEIGHT, HEIGHT)
        pictures.append((camera, *_drawn(mesh, camera, tree, wanted.numpy())))
    colors = solved(placed(discs, avatar.rest_frames), shown < UNSEEN, pictures)
    return replace(discs, colors=colors)


def solved(
    gaussians: Gaussians,
    mine: Bool[Tensor, " n"],
    pictures: list[tuple[Camera, Float[Tensor, "h w 3"], Float[Tensor, "h w"]]],
) -> Float[Tensor, "n 3"]:
    """Colours with which renders meet pictures, where masks say so; only `mine` change.

    Renders are linear in colours, c -> A c. This is SIRT: c += A^T (b - A c) / A^T 1, which starts
    from the colours there are and keeps to them where pictures say nothing.
    """
    colors = gaussians.colors.detach().clone()
    shares = [contributions(gaussians, camera, known) for camera, _, known in pictures]
    total = torch.stack(shares).sum(0)
    told = (mine & (total > SEEN_AT_ALL))[:, None]
    for _ in range(STEPS):
        pull = torch.zeros_like(colors)
        for camera, rgb, known in pictures:
            own = colors.clone().requires_grad_()
            shown = render(replace(gaussians, colors=own), camera).rgb
            gap = (rgb - shown.detach()) * known[..., None]
            pull += torch.autograd.grad(shown, own, gap)[0]
        colors = torch.where(told, colors + pull / total.clamp_min(SEEN_AT_ALL)[:, None], colors)
        colors = colors.clamp(0, 1)
    return colors


def _drawn(
    mesh: Mesh, camera: Camera, tree: KDTree, wanted: Float[ndarray, "m 3"]
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """The wanted colours on the mesh, each pixel a mix of the nearest discs', and where it is."""
    seen = rasterize(mesh, camera)
    known = seen.face_ids >= 0
    corners = mesh.vertices[mesh.faces[seen.face_ids[known]]]
    places = (corners * seen.barycentrics[known][..., None]).sum(1)
    far, near = (np.asarray(a) for a in tree.query(places.numpy(), k=NEAREST, workers=-1))
    share = 1 / (far**2 + 1e-9)
    mixed = (share[..., None] * wanted[near]).sum(1) / share.sum(1, keepdims=True)
    rgb = torch.zeros(*known.shape, 3)
    rgb[known] = torch.from_numpy(mixed).float()
    return rgb, known.float()
