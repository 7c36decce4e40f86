"""Skin, lips, brows, stubble and eyes: textures painted where the average body has them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.cameras import Camera
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.studio import noise
from incarnate.studio.figure import embedded
from incarnate.studio.piece import Texture

SIDE = 768
EYE_SIDE = 128
MASKS = ("lips", "eyelids", "ears", "face", "fingernails", "toenails", "scalp")

IRISES = {
    "brown": (74, 44, 24), "dark brown": (44, 26, 16), "hazel": (112, 84, 44),
    "green": (90, 112, 70), "blue": (86, 124, 158), "grey": (120, 130, 136),
}  # fmt: skip


@dataclass(frozen=True)
class Complexion:
    """What skin looks like; shares from 0 to 1."""

    melanin: float = 0.3
    blood: float = 0.5
    freckles: float = 0.0
    stubble: float = 0.0
    makeup: float = 0.0
    brows: float = 0.7
    brow_color: tuple[int, int, int] = (50, 36, 28)
    iris: str = "brown"

    @property
    def words(self) -> str:
        """What a caption says of it."""
        return ("pale", "fair", "tan", "brown", "dark")[min(4, int(self.melanin * 5))]


@dataclass(frozen=True, eq=False)
class Atlas:
    """For each texel of the body's texture where it is on the average body."""

    points: Float[NDArray, "r c 3"]
    """Metres at rest, relative to between the eyes."""
    masks: Float[NDArray, "r c m"]
    head: Float[NDArray, "r c"]
    own: Bool[NDArray, "r c"]
    """Texels that lie on the body; the others repeat the nearest that does."""


@cache
def atlas() -> Atlas:
    """The embedded body's, drawn once a process."""
    body = embedded()
    rest = body.shaped(body.default_betas())
    eyes = [body.joints(rest)[body.smplx_joints[f"{s}_eye_smplhf"]] for s in ("left", "right")]
    middle = (eyes[0] + eyes[1]) / 2
    skin = skin_faces(body)
    corners, uvs = body.faces[skin], body.uvs[body.face_uvs[skin]]
    masks = torch.stack([body.region(name) for name in MASKS], -1)
    head = (body.part_labels == PARTS.index("head")).float()
    values = torch.cat([rest - middle, masks, head[:, None]], -1)
    flat = torch.cat([uvs * SIDE, torch.ones_like(uvs[..., :1])], -1).reshape(-1, 3)
    faces = torch.arange(len(flat)).view(-1, 3)
    camera = Camera(torch.eye(4), torch.eye(3), SIDE, SIDE)
    seen = rasterize(Mesh(flat, faces, flat), camera)
    ids = seen.face_ids.clamp_min(0)
    out = (seen.barycentrics[..., None] * values[corners[ids]]).sum(-2).numpy()
    place = np.zeros((2, SIDE, SIDE), np.int32)
    empty = seen.face_ids.numpy() < 0
    distance_transform_edt(empty, return_distances=False, return_indices=True, indices=place)
    out = out[tuple(place)]
    out = out.astype(np.float32)
    return Atlas(out[..., :3], out[..., 3:-1], out[..., -1], seen.face_ids.numpy() >= 0)


def skin_faces(body: Anny) -> torch.Tensor:
    """Faces that the skin's texture covers: all but eyes, teeth, tongue and lashes."""
    own = body.part_labels[body.faces[:, 0]]
    others = torch.tensor([PARTS.index(p) for p in INNER])
    return ~torch.isin(own, others)


INNER = ("eye_left", "eye_right", "teeth", "tongue", "lashes", "mouth")


def tone(melanin: float, blood: float) -> Float[NDArray, "3"]:
    """sRGB, 0 to 255, of skin: between measured tones from pale to dark, then reddened."""
    knots = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    tones = np.array(
        [[240, 208, 190], [222, 178, 150], [190, 138, 104], [132, 88, 62], [74, 48, 36]]
    )
    base = np.array([np.interp(melanin, knots, tones[:, k]) for k in range(3)])
    return (base * (1 + np.array([0.05, -0.05, -0.06]) * 2 * (blood - 0.5))).astype(np.float32)


def skin_texture(look: Complexion, rng: np.random.Generator) -> Texture:
    """The body's texture, row 0 at v = 0."""
    whole, head, place = atlas(), *_head()
    mask: dict[str, NDArray] = dict(zip(MASKS, np.moveaxis(whole.masks, -1, 0), strict=True))
    base = tone(look.melanin, look.blood)
    fine, soft = (noise.field(rng, r, (SIDE, SIDE)) for r in (0.6, 1.6))
    grain = 0.022 * fine
    grain += 0.028 * soft
    grain += 1
    out = grain[..., None] * base
    out[place] = _face(out[place], base, look, head, rng)
    nails = np.maximum(mask["fingernails"], mask["toenails"])
    polish = base * [1.08, 0.98, 0.98] if look.makeup < 0.5 else np.array([150, 30, 50])
    out = _toward(out, np.minimum(polish, 245), 0.8 * nails)
    return np.clip(out, 0, 255, out=out).astype(np.uint8)


def _face(
    out: NDArray, base: NDArray, look: Complexion, a: Atlas, rng: np.random.Generator
) -> NDArray:
    """The head's part of the texture, with all that faces have."""
    mask: dict[str, NDArray] = dict(zip(MASKS, np.moveaxis(a.masks, -1, 0), strict=True))
    red = np.array([0.03, -0.05, -0.05], np.float32) * (1.1 - 0.6 * look.melanin)
    x, y, z = np.moveaxis(a.points, -1, 0)
    front = a.head * (z > -0.03)
    side = np.abs(x)
    flush = _bump(side, 0.042, 0.018) * _bump(y, -0.040, 0.018)
    flush = flush + 0.8 * _bump(side, 0.0, 0.016) * _bump(y, -0.040, 0.014)
    flush = np.clip(flush, 0, 1) * front + 0.6 * mask["ears"]
    out = out * (1 + (flush * (0.5 + look.blood + look.makeup))[..., None] * red)
    if look.freckles > 0:
        spots = noise.field(rng, 0.9, x.shape) > 1.9 - 0.5 * look.freckles
        share = spots * np.clip(_bump(y, -0.035, 0.03) * _bump(side, 0.02, 0.05), 0, 1) * front
        out = _toward(out, base * [0.72, 0.58, 0.48], 0.7 * share)
    lip = base * [0.82, 0.56, 0.56]
    if look.makeup > 0.3:
        lip = np.array([[168, 40, 52], [196, 88, 98], [132, 44, 62]][rng.integers(3)])
    out = _toward(out, lip, mask["lips"] * (0.55 + 0.45 * look.makeup))
    out = _toward(out, base * [0.84, 0.72, 0.68], 0.5 * mask["eyelids"])
    return _with_hair(out, look, a, mask, rng)


@cache
def _head() -> tuple[Atlas, tuple[slice, slice]]:
    """The part of the atlas that holds the head, and where it is."""
    a = atlas()
    rows, columns = (np.flatnonzero((a.own * a.head).max(axis) > 0.5) for axis in (1, 0))
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Atlas(a.points[place], a.masks[place], a.head[place], a.own[place]), place


def _with_hair(
    out: NDArray, look: Complexion, a: Atlas, mask: dict[str, NDArray], rng: np.random.Generator
) -> NDArray:
    x, y, z = np.moveaxis(a.points, -1, 0)
    side, color = np.abs(x), np.array(look.brow_color, np.float32)
    hairs = 0.75 + 0.25 * np.tanh(2 * noise.field(rng, 0.3, x.shape))
    front = a.head * (z > -0.02)
    # A brow rises from the nose to two thirds of its length, then falls and thins.
    along = np.clip((side - 0.009) / 0.044, 0, 1)
    arch = 0.0205 + 0.0018 * along + 0.0048 * np.sin(np.pi * along**1.2)
    thick = (0.0028 + 0.0022 * look.brows) * (1 - 0.65 * along)
    brow = _step(thick - np.abs(y - arch), 0.0012) * _step(side - 0.009, 0.002)
    brow = brow * _step(0.053 - side, 0.003) * front
    out = _toward(out, color, brow * hairs * (0.45 + 0.5 * look.brows))
    line = mask["eyelids"] * _step(0.0035 - np.abs(np.abs(y - 0.002) - 0.0045), 0.002)
    out = _toward(out, color * 0.6, 0.35 * line * (0.4 + look.makeup))
    if look.stubble > 0:
        jaw = _step(-0.058 - y + 0.25 * np.clip(side - 0.03, 0, 1), 0.008)
        cheek = _step(side - 0.045, 0.012) * _step(-0.028 - y, 0.012)
        lip = _bump(y, -0.062, 0.007) * _step(0.030 - side, 0.006)
        area = np.clip(jaw + cheek + lip, 0, 1) * front * (1 - mask["lips"]) * (y > -0.135)
        area = area * (1 - mask["ears"]) * _step(z + 0.0, 0.02)
        dots = 0.6 + 0.4 * np.tanh(2 * noise.field(rng, 0.2, x.shape))
        out = _toward(out, color, area * dots * 0.75 * look.stubble)
    return out


def eye_texture(look: Complexion, rng: np.random.Generator) -> Texture:
    """An eye seen from the front, the ball's rim at the texture's edge."""
    at = (np.arange(EYE_SIDE) + 0.5) / EYE_SIDE * 2 - 1
    r, angle = np.hypot(at[None], at[:, None]), np.arctan2(at[:, None], at[None])
    white = np.array([228, 222, 216], np.float32)
    veins = noise.field(rng, 1.0, (EYE_SIDE, EYE_SIDE))
    out = white * (1 - 0.04 * np.abs(veins)[..., None] * [0.2, 1, 1])
    out = out * (1 - 0.35 * np.clip(r - 0.55, 0, 1))[..., None]
    iris = np.array(IRISES[look.iris], np.float32)
    rays = noise.at(noise.field(rng, 0.9), angle.ravel() / (2 * np.pi), 0.05 * r.ravel())
    rim, pupil = 0.49, 0.20
    shade = 1.05 + 0.22 * rays.reshape(r.shape) - 0.5 * np.clip((r - 0.40) / 0.09, 0, 1)
    out = _toward(out, iris * shade[..., None], _step(rim - r, 0.03))
    out = _toward(out, np.array([8, 7, 8]), _step(pupil - r, 0.03))
    glint = _step(0.07 - np.hypot(at[None] - 0.16, at[:, None] - 0.22), 0.03)
    return np.clip(_toward(out, np.array([250, 250, 250]), 0.85 * glint), 0, 255).astype(np.uint8)


def _toward(out: NDArray, color: NDArray, share: NDArray) -> NDArray:
    """`out` drawn to a colour where `share` says so; only there is anything done."""
    some = share > 0.004
    part, how = out[some], np.clip(share[some], 0, 1)[:, None].astype(np.float32)
    wanted = color if np.ndim(color) == 1 else np.broadcast_to(color, out.shape)[some]
    out = out.copy()
    out[some] = part + how * (np.asarray(wanted, np.float32) - part)
    return out


def _bump(value: NDArray, middle: float, width: float) -> NDArray:
    return np.exp(-(((value - middle) / width) ** 2))


def _step(value: NDArray, width: float) -> NDArray:
    return np.clip(value / width + 0.5, 0, 1)
