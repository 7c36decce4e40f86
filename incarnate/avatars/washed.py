"""Skin that took the colour of hair, washed: cheek and jaw where the photo grazes them.

At the edge of a face the photo's pixels mix skin with the hair before and behind it, and the
Gaussians there learn that mix. From the front it is a seam; from the side it is a dark patch.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import normalize

from incarnate.avatars.color import to_lab
from incarnate.avatars.garments import SKIN
from incarnate.avatars.surface import Drive, SurfaceAvatar
from incarnate.body.body import PARTS
from incarnate.cameras import Camera

BELOW = 0.02
"""Metres below the eyes: above, brows and hair are dark by right."""
ASIDE = 0.4
"""Of half the face's width: nearer to its middle, nostrils and mouth are dark by right."""
FACING = 0.4, 0.7
"""Cosines to the photo's rays: up to the first it grazed, from the second on it has its say."""
UNIT = (8.0, 4.0, 4.0)
"""Of colours, in Lab: light differs more than colour."""
COMMON = 0.03
"""Part of the middle of the face that has a colour, for it to count as the face's."""
UNLIKE = 0.7, 1.4
"""Units from all common colours: skin up to the first, none from the second."""
NEAR = 24  # Gaussians.
ENOUGH = 100  # Gaussians that say what skin looks like.


def washed(surface: SurfaceAvatar, photo: Drive, camera: Camera) -> SurfaceAvatar:
    """The avatar, cheeks and jaw recoloured where the photo grazed them and they are unlike all
    that is common in the middle of the face.

    They take the mean of the nearest skin that is like it. A beard is common there, and stays.
    """
    body, discs = surface.body, surface.discs
    places = surface.rest_frames.origins[discs.faces] * discs.barycentrics[..., None]
    parts = body.part_labels[body.faces[discs.faces, 0]]
    eyes = surface.joints[list(body.eye_joints), 1].mean()
    face = (discs.labels == SKIN) & (parts == PARTS.index("head"))
    face &= places.sum(1)[:, 1] < eyes - BELOW
    low, high = FACING
    grazed = ((high - _cosines(surface, photo, camera)) / (high - low)).clamp(0, 1)
    told = (discs.colors, places.sum(1), face, grazed)
    changed = replace(discs, colors=torch.from_numpy(recolored(*(x.numpy() for x in told))))
    return SurfaceAvatar(body, surface.betas, surface.vertex_offsets, surface.weights, changed)


def recolored(
    colors: Float[ndarray, "n 3"],
    places: Float[ndarray, "n 3"],
    face: Bool[ndarray, " n"],
    grazed: Float[ndarray, " n"],
) -> Float[ndarray, "n 3"]:
    """All colours; `face` is the skin below the eyes, x = 0 its middle, `grazed` how much."""
    lab, width = to_lab(colors), np.abs(places[face, 0]).max(initial=0)
    aside = np.abs(places[:, 0]) > ASIDE * width
    front = places[:, 2] > np.median(places[face, 2]) if face.any() else face
    usual = lab[face & ~aside & front]
    if len(usual) < ENOUGH:
        return colors
    common = max(1, round(COMMON * len(usual)))
    gaps, _ = KDTree(usual / UNIT).query(lab[face] / UNIT, common)
    far = np.zeros(len(lab))
    far[face] = np.asarray(gaps).reshape(int(face.sum()), -1)[:, -1]
    low, high = UNLIKE
    strays = np.flatnonzero(face & aside & (far > low))
    sound = np.flatnonzero(face & (far <= low))
    if len(sound) < NEAR:
        return colors
    gaps, near = KDTree(places[sound]).query(places[strays], NEAR)
    shares = 1 / (np.asarray(gaps) + 0.002) ** 2
    mean = (shares[..., None] * colors[sound[near]]).sum(1) / shares.sum(1, keepdims=True)
    out = colors.copy()
    much = grazed[strays] * ((far[strays] - low) / (high - low)).clip(0, 1)
    out[strays] += (much[:, None] * (mean - colors[strays])).astype(colors.dtype)
    return out


def _cosines(surface: SurfaceAvatar, photo: Drive, camera: Camera) -> Float[Tensor, " n"]:
    """Between the normal of each Gaussian's triangle and the ray to the photo's camera."""
    corners = surface.vertices(photo)[surface.body.faces]
    flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rays = normalize(camera.center - corners.mean(1), dim=1)
    return (normalize(flat, dim=1) * rays).sum(1)[surface.discs.faces]
