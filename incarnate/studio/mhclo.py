"""MakeHuman's clothes and hair on our people: `.mhclo` fittings of `.obj` meshes to base mesh hm08.

A vertex is a sum of three base vertices by their weights plus an offset; the offset is scaled along
each axis by how far apart two base vertices are, over a reference in the file. The embedded body
keeps hm08's vertices in order, less 32 on the chest and the cubes that mark joints: references to
these count for nothing. Eyeballs differ, so eyes are not fitted. Textures are not read.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from incarnate.studio import fabrics, hair
from incarnate.studio.clothes import Garment, Worn
from incarnate.studio.figure import Figure, dense_weights, embedded
from incarnate.studio.people import Person, assembled
from incarnate.studio.piece import LABELS, Piece
from incarnate.studio.shell import Shell
from incarnate.studio.styles import SHADES, Cut, Style
from incarnate.studio.wardrobe import color

HM08 = 19158
KEPT = ((0, 1778), (1794, 8450), (8466, 13606), (14742, 14992), (14992, 15128))
"""Half-open ranges of hm08's vertices that the body's skin has, in order."""
HELPERS = (15328, 19150)


@dataclass(frozen=True, eq=False)
class Fitting:
    """One asset as read."""

    name: str
    references: Int[NDArray, "v 3"]
    """Vertices of hm08."""
    shares: Float[NDArray, "v 3"]
    offsets: Float[NDArray, "v 3"]
    scales: tuple[tuple[int, int, float], ...]
    """For x, y and z: two vertices of hm08 and their distance in the file's unit."""
    faces: Int[NDArray, "f 3"]
    uvs: Float[NDArray, "f 3 2"]
    hides: Int[NDArray, " h"]
    """Vertices of hm08 that lie under it."""


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """What a folder holds, by kind."""

    suits: tuple[Path, ...]
    shoes: tuple[Path, ...]
    hats: tuple[Path, ...]
    hair: tuple[Path, ...]


def wardrobe(folder: Path) -> Wardrobe:
    """The `.mhclo` files under a MakeHuman assets folder. ValueError if there are none."""
    found = sorted(folder.rglob("*.mhclo")) if folder.is_dir() else []
    clothes = [p for p in found if "clothes" in p.parts]
    cuts = tuple(p for p in found if "hair" in p.parts)
    shoes = tuple(p for p in clothes if "shoe" in p.stem)
    hats = tuple(p for p in clothes if "fedora" in p.stem or "hat" in p.stem)
    suits = tuple(p for p in clothes if p not in shoes and p not in hats)
    if not suits or not cuts:
        raise ValueError(
            f"{folder} has no MakeHuman clothes and hair; name the folder that holds clothes/ and "
            "hair/ with their .mhclo files"
        )
    return Wardrobe(suits, shoes, hats, cuts)


@cache
def fitting(path: Path) -> Fitting:
    """The asset in a `.mhclo` file and its `.obj`. ValueError for a file that is none."""
    try:
        text = _parsed(path)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is not a .mhclo as MakeHuman writes them ({error})") from error
    if not text.rows or not text.obj or set(text.scales) != set("xyz"):
        raise ValueError(f"{path} lacks vertices, scales or an obj_file; it is no whole .mhclo")
    table = np.array(text.rows)
    faces, uvs = _obj(path.with_name(text.obj))
    if faces.max() >= len(table) or table[:, :3].max() >= HM08:
        raise ValueError(f"{path} and {text.obj} do not belong together, or not to hm08")
    references = table[:, :3].astype(np.int64)
    # What hangs on vertices that the body has not is left out.
    known = np.any(_own()[references] >= 0, axis=1)[faces].all(1)
    return Fitting(
        path.stem,
        references,
        table[:, 3:6].astype(np.float32),
        table[:, 6:].astype(np.float32),
        tuple(text.scales[a] for a in "xyz"),
        faces[known],
        uvs[known],
        np.array(text.hides, np.int64),
    )


@dataclass
class _Text:
    rows: list[list[float]]
    hides: list[int]
    scales: dict[str, tuple[int, int, float]]
    obj: str = ""


def _parsed(path: Path) -> _Text:
    out = _Text([], [], {})
    deleting = False
    for line in path.read_text(errors="replace").splitlines():
        words = line.split("#")[0].split()
        match words:
            case []:
                continue
            case ["delete_verts", *_]:
                deleting = True
            case ["obj_file", name, *_]:
                out.obj = name
            case ["x_scale" | "y_scale" | "z_scale" as axis, a, b, c]:
                out.scales[axis[0]] = (int(a), int(b), float(c))
            case [first, *_] if first[0].isalpha():
                continue
            case _ if deleting:
                out.hides += _listed(words)
            case _:
                out.rows.append(_row(words))
    return out


def _row(words: list[str]) -> list[float]:
    numbers = [float(w) for w in words]
    match len(numbers):
        case 1:
            return [numbers[0]] * 3 + [1.0] + [0.0] * 5
        case 9:
            return numbers
        case count:
            raise ValueError(f"a vertex has {count} numbers, 1 or 9 are wanted")


def _listed(words: list[str]) -> list[int]:
    """Vertices of '5 7 - 9'."""
    out: list[int] = []
    span = False
    for word in words:
        if word == "-":
            span = True
        elif span:
            out += range(out[-1] + 1, int(word) + 1)
            span = False
        else:
            out.append(int(word))
    return out


def _obj(path: Path) -> tuple[Int[NDArray, "f 3"], Float[NDArray, "f 3 2"]]:
    places: list[list[float]] = []
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    for line in path.read_text(errors="replace").splitlines():
        match line.split():
            case ["vt", u, v, *_]:
                places.append([float(u), float(v)])
            case ["f", *words]:
                ids = [[int(x or 1) - 1 for x in w.split("/")[:2]] for w in words]
                for k in range(1, len(ids) - 1):
                    faces.append([ids[i][0] for i in (0, k, k + 1)])
                    corners.append([ids[i][-1] for i in (0, k, k + 1)])
    if not faces:
        raise ValueError(f"{path} has no faces")
    uvs = np.array(places or [[0.0, 0.0]], np.float32)
    return np.array(faces), uvs[np.minimum(np.array(corners), len(uvs) - 1)]


@cache
def _own() -> Int[NDArray, " n"]:
    """For each vertex of hm08 its row among the body's vertices, then the helpers'; -1 for none."""
    out = np.full(HM08, -1)
    start = 0
    for low, high in KEPT:
        out[low:high] = np.arange(start, start + high - low)
        start += high - low
    out[slice(*HELPERS)] = embedded().num_vertices + np.arange(HELPERS[1] - HELPERS[0])
    return out


def fitted(person: Figure, asset: Fitting) -> Shell:
    """The asset on this person at rest, with the skin weights of what it is fitted to."""
    with torch.no_grad():
        helpers = person.body.shaped_helpers(torch.from_numpy(person.betas)).numpy()
    base = np.concatenate([person.vertices, helpers])
    weights = np.concatenate([dense_weights(person.body, False), dense_weights(person.body, True)])
    rows = _own()[asset.references]
    shares = np.where(rows >= 0, asset.shares, 0)
    total = shares.sum(1, keepdims=True)
    shares = shares / np.where(np.abs(total) < 1e-3, 1, total)
    scale = np.ones(3, np.float32)
    for axis, (a, b, reference) in enumerate(asset.scales):
        ends = base[_own()[[a, b]], axis]
        scale[axis] = abs(ends[1] - ends[0]) / reference
    points = (shares[..., None] * base[rows]).sum(1) + asset.offsets * scale
    positive = np.clip(shares, 0, None)
    positive = positive / np.maximum(positive.sum(1, keepdims=True), 1e-6)
    blended = (positive[..., None] * weights[rows]).sum(1)
    return Shell(points.astype(np.float32), asset.faces, blended.astype(np.float32))


def dressed(who: Person, clothes: Wardrobe, rng: np.random.Generator) -> Person:
    """The person in a suit, shoes and hair of the folder instead of their own."""
    own = [p for p in clothes.suits if p.stem.startswith("female" if who.woman else "male_")]
    suit = (own or clothes.suits)[rng.integers(len(own or clothes.suits))]
    chosen = [suit]
    if clothes.shoes:
        chosen.append(clothes.shoes[rng.integers(len(clothes.shoes))])
    pieces: list[Piece] = []
    words: list[Worn] = []
    hidden = np.zeros(len(who.figure.vertices), bool)
    for path in chosen:
        asset = fitting(path)
        shell = fitted(who.figure, asset)
        garments = _cloths(who.figure, asset, shell, rng)
        pieces += [w.piece for w in garments]
        words += garments
        hidden |= _hidden(asset, len(hidden))
    cut = fitting(clothes.hair[rng.integers(len(clothes.hair))])
    shade = str(rng.choice(list(SHADES)[:7]))
    pieces.append(_hair(who.figure, cut, shade, rng))
    name = "".join(c for c in cut.name if c.isalpha())
    described = Style(_CUTS.get(name, "long"), shade).words
    bare = assembled(who.figure, who.complexion, who.woman, ([], pieces, described), rng, hidden)
    return replace(bare, worn=tuple(words), foreign=True)


_CUTS: dict[str, Cut] = {
    "short": "short", "bob": "bob", "afro": "afro", "long": "long", "ponytail": "ponytail",
}  # fmt: skip


def _cloths(person: Figure, asset: Fitting, shell: Shell, rng: np.random.Generator) -> list[Worn]:
    """A suit's separate meshes, upper and lower ones each in one cloth."""
    count = len(shell.vertices)
    ends = np.concatenate([shell.faces[:, :2], shell.faces[:, 1:]])
    links = coo_array((np.ones(len(ends)), tuple(ends.T)), shape=(count, count))
    _, part = connected_components(links, directed=False)
    height = shell.vertices[:, 1]
    means = np.bincount(part, height) / np.bincount(part)
    waist = person.joint("spine1")[1]
    low = (means < waist - 0.1 * person.scale)[part[shell.faces[:, 0]]]
    out = []
    groups = [("shoes", np.ones(len(low), bool), "shoes")]
    if "shoe" not in asset.name:
        groups = [("suit top", ~low, "top"), ("trousers", low, "bottom")]
    for name, faces, label in groups:
        if not faces.any():
            continue
        cloth = fabrics.Fabric("plain", color(rng), seams=False)
        own = shell.kept(faces)
        texture = fabrics.textures(cloth, {0}, rng)[:1]
        zeros = np.zeros(len(own.faces), np.int64)
        piece = Piece(name, LABELS.index(label), own, asset.uvs[faces], zeros, texture, 0.03)
        garment = Garment(name, label, cloth)
        out.append(Worn(garment, piece, person.measured(own.vertices, own.weights)))
    return out


def _hair(person: Figure, asset: Fitting, shade: str, rng: np.random.Generator) -> Piece:
    shell = fitted(person, asset)
    texture = hair.strands(shade, rng)
    zeros = np.zeros(len(shell.faces), np.int64)
    return Piece("hair", LABELS.index("hair"), shell, asset.uvs, zeros, (texture,), 0.2)


def _hidden(asset: Fitting, count: int) -> Bool[NDArray, " v"]:
    out = np.zeros(count, bool)
    rows = _own()[asset.hides]
    out[rows[(rows >= 0) & (rows < count)]] = True
    return out
