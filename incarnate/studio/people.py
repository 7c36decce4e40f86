"""A person from a seed: body, skin, hair and clothes, with all that a caption may say."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray

from incarnate.body.body import PARTS
from incarnate.studio import hair, hats, skin, wardrobe
from incarnate.studio.clothes import Worn, base_of, covered, sewn
from incarnate.studio.figure import Figure, dense_weights, embedded, figure
from incarnate.studio.piece import LABELS, Piece
from incarnate.studio.shell import Shell
from incarnate.studio.skin import Complexion
from incarnate.studio.styles import SHADES
from incarnate.studio.whole import Whole, joined


@dataclass(frozen=True, eq=False)
class Person:
    """A dressed person at rest, ready to be posed and shot."""

    figure: Figure
    complexion: Complexion
    woman: bool
    pieces: tuple[Piece, ...]
    """The first is the body; of it only `body_vertices` are kept."""
    body_vertices: Int[NDArray, " w"]
    worn: tuple[Worn, ...]
    hair_words: str
    foreign: bool = False
    """Whether any mesh comes from outside the body model, or the shape from outside its space."""
    hat: wardrobe.Hat | None = None
    moved: Float[NDArray, "v 3"] | None = None
    """Displacement of the body at rest that its shapes do not know."""

    @cached_property
    def whole(self) -> Whole:
        """All pieces in one."""
        return joined(self.pieces)

    @property
    def words(self) -> str:
        """Who it is and what is worn, for a caption."""
        return wardrobe.description(self)

    def displaced(self, amount: float, rng: np.random.Generator) -> "Person":
        """The person under a smooth random displacement of about `amount` metres (one deviation).

        The field varies over some 25 cm and moves body, hair and clothes alike; no shape of the
        body model makes it.
        """
        waves = rng.normal(0, 2 * np.pi / 0.6, (24, 3)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, 24).astype(np.float32)
        toward = (rng.standard_normal((24, 3)) * amount * (2 / 24) ** 0.5).astype(np.float32)

        def move(points: NDArray) -> NDArray:
            return np.asarray(np.sin(points @ waves.T + phase) @ toward, np.float32)

        pieces = tuple(
            replace(p, shell=replace(p.shell, vertices=p.shell.vertices + move(p.shell.vertices)))
            for p in self.pieces
        )
        moved = move(self.figure.vertices)
        joints = self.figure.joints + move(self.figure.joints)
        shape = replace(self.figure, vertices=self.figure.vertices + moved, joints=joints)
        return replace(self, figure=shape, pieces=pieces, moved=moved, foreign=True)


def person(seed: int | tuple[int, ...]) -> Person:
    """The person of that seed; the same on every machine, to rounding."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    woman = bool(rng.random() < 0.5)
    shape = figure(_betas(rng, woman))
    look, shade = _complexion(rng, woman, shape)
    outfit = wardrobe.outfit(rng, woman)
    base = base_of(shape, shape.tights())
    worn = [sewn(shape, garment, base, rng) for garment in outfit.garments]
    style = hair.style(rng, woman, _age(shape), shade, outfit.hat is not None)
    tufts = hair.grown(shape, style, outfit.hat is not None, rng)
    if outfit.hat is not None:
        tufts += hats.hat(shape, outfit.hat.kind, outfit.hat.fabric)
    who = assembled(shape, look, woman, (worn, tufts, style.words), rng)
    return replace(who, hat=outfit.hat)


def assembled(
    shape: Figure,
    look: Complexion,
    woman: bool,
    dressed: tuple[list[Worn], list[Piece], str],
    rng: np.random.Generator,
    hidden: Bool[NDArray, " v"] | None = None,
) -> Person:
    """Body, hair and clothes put together; what lies under cloth, or is `hidden`, is left out."""
    worn, others, hair_words = dressed
    pieces: list[Piece] = []
    for i, inner in enumerate(worn):
        points = inner.piece.shell.vertices
        under = np.zeros(len(points), bool)
        for outer in worn[i + 1 :]:
            if outer.garment.label != "shoes" or inner.garment.label == "bottom":
                under |= covered(shape, outer.garment, points, inner.measured)
        pieces.append(_without(inner.piece, under))
    measured = shape.measured(shape.vertices, dense_weights(shape.body, False))
    bare = np.zeros(len(shape.vertices), bool) if hidden is None else hidden.copy()
    for one in worn:
        bare |= covered(shape, one.garment, shape.vertices, measured)
    body, kept = body_piece(shape, look, bare, rng)
    return Person(shape, look, woman, (body, *pieces, *others), kept, tuple(worn), hair_words)


def _without(piece: Piece, hidden: Bool[NDArray, " v"]) -> Piece:
    seen = ~hidden[piece.shell.faces].all(1)
    shell, used = piece.shell.compact(piece.shell.faces[seen])
    normals = None if piece.normals is None else piece.normals[used]
    return replace(
        piece, shell=shell, uvs=piece.uvs[seen], materials=piece.materials[seen], normals=normals
    )


def body_piece(
    shape: Figure, look: Complexion, hidden: Bool[NDArray, " v"], rng: np.random.Generator
) -> tuple[Piece, Int[NDArray, " w"]]:
    """The body without what is hidden, and which of its vertices are left."""
    body = shape.body
    weights = dense_weights(body, False)
    faces = body.faces.numpy()
    materials = _materials()
    uvs = body.uvs.numpy()[body.face_uvs.numpy()]
    uvs = np.where((materials == 1)[:, None, None], _eye_uvs(), uvs).astype(np.float32)
    textures = (
        skin.skin_texture(look, rng),
        skin.eye_texture(look, rng),
        _plain((214, 206, 190)),
        _plain((150, 72, 72)),
        _plain((96, 38, 38)),
        _plain((28, 22, 20)),
    )
    shell = Shell(shape.vertices, faces, weights)
    whole = Piece("body", LABELS.index("skin"), shell, uvs, materials, textures, 0.12)
    # The sculpted lashes are a few thick cards: the lids' painted line looks more like lashes.
    hidden = hidden | (body.part_labels.numpy() == PARTS.index("lashes"))
    used = np.unique(faces[~hidden[faces].all(1)])
    return _without(whole, hidden), used


@cache
def _materials() -> Int[NDArray, " f"]:
    """Skin 0, eyes 1, teeth 2, tongue 3, inner mouth 4, lashes 5."""
    body = embedded()
    table = np.zeros(len(PARTS), np.int64)
    for part, material in (
        ("eye_left", 1), ("eye_right", 1), ("teeth", 2), ("tongue", 3), ("mouth", 4), ("lashes", 5)
    ):  # fmt: skip
        table[PARTS.index(part)] = material
    return table[body.part_labels.numpy()[body.faces.numpy()[:, 0]]]


@cache
def _eye_uvs() -> Float[NDArray, "f 3 2"]:
    """Each eye seen from the front: x and y of the average ball, 0 to 1 over its diameter."""
    body = embedded()
    rest = body.shaped(body.default_betas())
    out = torch.zeros(len(rest), 2)
    for side in ("left", "right"):
        own = body.part_labels == PARTS.index(f"eye_{side}")
        middle = (rest[own].amax(0) + rest[own].amin(0)) / 2
        radius = (rest[own].amax(0) - rest[own].amin(0))[:2].max() / 2
        out[own] = (rest[own] - middle)[:, :2] / (2 * radius) * 0.98 + 0.5
    return out[body.faces].numpy()


def _plain(color: tuple[int, int, int]) -> UInt8[NDArray, "1 1 3"]:
    return np.array(color, np.uint8)[None, None]


def _betas(rng: np.random.Generator, woman: bool) -> Float[NDArray, " s"]:
    body = embedded()
    betas = body.default_betas().numpy().copy()
    at = body.betas_names.index
    betas[at("gender")] = np.clip(0.92 + 0.08 * rng.standard_normal() if woman else
                                  0.08 + 0.08 * rng.standard_normal(), 0, 1)  # fmt: skip
    betas[at("age")] = rng.uniform(0.62, 0.98) if rng.random() < 0.9 else rng.uniform(0.5, 0.62)
    for name, middle, width in (
        ("muscle", 0.5, 0.18), ("weight", 0.5, 0.18), ("height", 0.42, 0.16),
        ("proportions", 0.6, 0.15), ("cupsize", 0.45, 0.15), ("firmness", 0.6, 0.15),
    ):  # fmt: skip
        betas[at(name)] = np.clip(rng.normal(middle, width), 0.05, 0.95)
    betas[[at(n) for n in ("african", "asian", "caucasian")]] = rng.dirichlet([0.6, 0.6, 0.6])
    names = body.betas_names[11:]
    face = [n.startswith(_FACE) for n in names]
    step = rng.normal(0, 0.28, len(names)).clip(-0.7, 0.7)
    changes = np.where(face, step, 0.0).astype(np.float32)
    mirror = {n: i for i, n in enumerate(names)}
    for i, n in enumerate(names):  # Both sides of a face are mostly alike.
        if n.startswith("r-"):
            changes[i] = 0.85 * changes[mirror["l-" + n[2:]]] + 0.15 * changes[i]
        if n.endswith(("trans-out", "angle-out")) and not n.startswith(("l-", "r-")):
            changes[i] *= 0.12  # These push a whole feature to one side.
    betas[11:] = changes
    return betas.astype(np.float32)


_FACE = (
    "chin", "l-cheek", "r-cheek", "l-ear", "r-ear", "eyebrows", "l-eye", "r-eye", "forehead",
    "head", "mouth", "neck-scale", "nose",
)  # fmt: skip


def _age(shape: Figure) -> float:
    return float(shape.betas[shape.body.betas_names.index("age")])


def _complexion(rng: np.random.Generator, woman: bool, shape: Figure) -> tuple[Complexion, str]:
    at = shape.body.betas_names.index
    african, asian = shape.betas[at("african")], shape.betas[at("asian")]
    melanin = float(np.clip(rng.normal(0.22 + 0.55 * african + 0.08 * asian, 0.08), 0.02, 0.98))
    light = melanin < 0.35 and rng.random() < 0.6
    irises = ("blue", "grey", "green", "hazel") if light else ("brown", "dark brown", "brown")
    shade = hair.shade(rng, melanin, _age(shape))
    brow = np.array(SHADES[shade]) * 0.75
    look = Complexion(
        melanin,
        float(rng.uniform(0.2, 0.9)),
        float(rng.uniform(0.3, 1)) if melanin < 0.4 and rng.random() < 0.2 else 0.0,
        0.0 if woman or rng.random() < 0.4 else float(rng.uniform(0.25, 1)),
        float(rng.uniform(0.2, 0.8)) if woman and rng.random() < 0.6 else 0.0,
        float(rng.uniform(0.4, 1)),
        (int(brow[0]), int(brow[1]), int(brow[2])),
        str(rng.choice(irises)),
    )
    return look, shade
