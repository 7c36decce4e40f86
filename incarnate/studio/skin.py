"""Skin, lips, brows, stubble and eyes: textures painted where the average body has them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
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
    base = tone(look.melanin, look.blood)
    grain = 0.022 * noise.field(rng, 0.6, (SIDE, SIDE)) + 1
    grain += 0.028 * noise.field(rng, 1.6, (SIDE, SIDE))
    out = np.empty((SIDE, SIDE, 3), np.float32)
    for c in range(3):
        np.multiply(grain, base[c], out=out[..., c])
    flat = out.reshape(-1, 3)
    _face(flat, base, look, rng)
    polish = base * [1.08, 0.98, 0.98] if look.makeup < 0.5 else np.array([150, 30, 50])
    _toward(flat, np.minimum(polish, 245), places().nails)
    return np.clip(out, 0, 255, out=out).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Layer:
    """Texels that something covers, as flat indices into the texture, and how much."""

    at: Int[NDArray, " n"]
    share: Float[NDArray, " n"]

    @staticmethod
    def of(share: NDArray) -> "Layer":
        """Where there is any."""
        at = np.flatnonzero(share > 0.004)
        return Layer(at, np.clip(share.ravel()[at], 0, 1).astype(np.float32))

    def times(self, factor: float | NDArray) -> "Layer":
        """As much more or less."""
        return Layer(self.at, np.clip(self.share * factor, 0, 1).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Places:
    """Where on the skin of the average body things are painted."""

    flush: Layer
    freckles: Layer
    lips: Layer
    eyelids: Layer
    lash_line: Layer
    brows: Layer
    """Shares are 1; `along` and `beside` tell the rest."""
    along: Float[NDArray, " n"]
    """Of each of the brows' texels: 0 at the nose's end, 1 at the temple's."""
    beside: Float[NDArray, " n"]
    """Metres from the brow's middle line."""
    stubble: Layer
    nails: Layer


@cache
def places() -> Places:
    """The embedded body's, found once a process."""
    a = atlas()
    mask: dict[str, NDArray] = dict(zip(MASKS, np.moveaxis(a.masks, -1, 0), strict=True))
    x, y, z = np.moveaxis(a.points, -1, 0)
    head = a.head * _within_head()
    front, side = head * (z > -0.03), np.abs(x)
    flush = _bump(side, 0.042, 0.018) * _bump(y, -0.040, 0.018)
    flush = flush + 0.8 * _bump(side, 0.0, 0.016) * _bump(y, -0.040, 0.014)
    flush = np.clip(flush, 0, 1) * front + 0.6 * mask["ears"] * head
    freckles = np.clip(_bump(y, -0.035, 0.03) * _bump(side, 0.02, 0.05), 0, 1) * front
    line = mask["eyelids"] * _step(0.0035 - np.abs(np.abs(y - 0.002) - 0.0045), 0.002)
    # A brow rises from the nose to two thirds of its length, then falls and thins.
    along = np.clip((side - 0.009) / 0.044, 0, 1)
    arch = 0.0205 + 0.0018 * along + 0.0048 * np.sin(np.pi * along**1.2)
    beside = np.abs(y - arch)
    brow = _step(side - 0.009, 0.002) * _step(0.053 - side, 0.003) * front * (beside < 0.008)
    brows = Layer.of(brow)
    return Places(
        Layer.of(flush),
        Layer.of(freckles),
        Layer.of(mask["lips"]),
        Layer.of(0.5 * mask["eyelids"]),
        Layer.of(0.35 * line),
        brows,
        along.ravel()[brows.at],
        beside.ravel()[brows.at],
        Layer.of(_bearded(a, mask) * head),
        Layer.of(0.8 * np.maximum(mask["fingernails"], mask["toenails"])),
    )


def _bearded(a: Atlas, mask: dict[str, NDArray]) -> Float[NDArray, "r c"]:
    """Where beards grow, thinning over a centimetre or two wherever they end."""
    x, y, z = np.moveaxis(a.points, -1, 0)
    side = np.abs(x)
    jaw = _soft(-0.056 - y + 0.35 * np.clip(side - 0.025, 0, 1), 0.022)
    cheek = _soft(side - 0.047, 0.024) * _soft(-0.030 - y, 0.026)
    lip = _bump(y, -0.062, 0.007) * _soft(0.030 - side, 0.014)
    area = 1 - (1 - jaw) * (1 - cheek) * (1 - np.clip(lip, 0, 1))
    neck = _soft(y + 0.118, 0.034)  # Under the chin it thins into the throat.
    return area * neck * (1 - mask["lips"]) * (1 - mask["ears"]) * _soft(z + 0.008, 0.030)


def _face(
    out: Float[NDArray, "t 3"],
    base: Float[NDArray, "3"],
    look: Complexion,
    rng: np.random.Generator,
) -> None:
    """Paints all that faces have."""
    on = places()
    red = np.array([0.03, -0.05, -0.05], np.float32) * (1.1 - 0.6 * look.melanin)
    strength = on.flush.share * (0.5 + look.blood + look.makeup)
    out[on.flush.at] *= 1 + strength[:, None] * red
    if look.freckles > 0:
        spots = _noise(rng, 0.9, on.freckles) > 1.9 - 0.5 * look.freckles
        _toward(out, base * [0.72, 0.58, 0.48], on.freckles.times(0.7 * spots))
    lip = base * [0.82, 0.56, 0.56]
    if look.makeup > 0.3:
        lip = np.array([[168, 40, 52], [196, 88, 98], [132, 44, 62]][rng.integers(3)])
    _toward(out, lip, on.lips.times(0.55 + 0.45 * look.makeup))
    _toward(out, base * [0.84, 0.72, 0.68], on.eyelids)
    color = np.array(look.brow_color, np.float32)
    thick = (0.0028 + 0.0022 * look.brows) * (1 - 0.65 * on.along)
    hairs = 0.75 + 0.25 * np.tanh(2 * _noise(rng, 0.3, on.brows))
    brow = _step(thick - on.beside, 0.0012) * hairs * (0.45 + 0.5 * look.brows)
    _toward(out, color, on.brows.times(brow))
    _toward(out, color * 0.6, on.lash_line.times(0.4 + look.makeup))
    if look.stubble > 0:
        dots = 0.6 + 0.4 * np.tanh(2 * _noise(rng, 0.2, on.stubble))
        _toward(out, color, on.stubble.times(dots * 0.75 * look.stubble))


def _within_head() -> Bool[NDArray, "r c"]:
    """The rectangle of the texture that holds the head."""
    a = atlas()
    rows, columns = (np.flatnonzero((a.own * a.head).max(axis) > 0.5) for axis in (1, 0))
    inside = np.zeros(a.own.shape, bool)
    inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return inside


def _noise(rng: np.random.Generator, roughness: float, layer: Layer) -> Float[NDArray, " n"]:
    return noise.field(rng, roughness, (SIDE, SIDE)).ravel()[layer.at]


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
    out = _blended(out, iris * shade[..., None], _step(rim - r, 0.03))
    out = _blended(out, np.array([8, 7, 8]), _step(pupil - r, 0.03))
    glint = _step(0.07 - np.hypot(at[None] - 0.16, at[:, None] - 0.22), 0.03)
    return np.clip(_blended(out, np.array([250, 250, 250]), 0.85 * glint), 0, 255).astype(np.uint8)


def _toward(out: Float[NDArray, "t 3"], color: NDArray, layer: Layer) -> None:
    """Draws texels to a colour where a layer says so."""
    some = out[layer.at]
    some += layer.share[:, None] * (np.asarray(color, np.float32) - some)
    out[layer.at] = some


def _blended(out: NDArray, color: NDArray, share: NDArray) -> NDArray:
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


def _soft(value: NDArray, width: float) -> NDArray:
    """A step without a kink."""
    t = _step(value, width)
    return t * t * (3 - 2 * t)
