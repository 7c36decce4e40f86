"""What the bake tells about vertices: joints regressed from them, parts, regions, mirror twins."""

from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from incarnate.body.body import PARTS

NUM_REGRESSED = 64
RIDGE = 3e-5
MOUTH_CAVITY = (112, 172, 255)  # Its color in the package's part map.
TEXTURES = {
    "lips": "lips",
    "eyelids": "eyelids",
    "ears": "ears",
    "face": "face",
    "inner_mouth": "inside-mouth",
    "fingernails": "fingernails",
    "toenails": "toenails",
}
HAIR_REACH = 0.02  # Metres from the hair helper to the scalp, at most.


def joint_regressor(
    points: np.ndarray, shapes: np.ndarray, heads: np.ndarray, kept: np.ndarray
) -> dict[str, np.ndarray]:
    """Each joint as weights (summing to one) of NUM_REGRESSED of the kept vertices.

    Ridge regression over all shapes, towards equal weights. points (n, 3), shapes (r, n, 3); heads
    (1 + r, j, 3) holds the joints of the template, then of each shape.
    """
    skin = kept[kept < 13380]
    columns, weights = [], []
    for joint in range(heads.shape[1]):
        near = surrounding(points[skin], heads[0, joint])
        a = np.concatenate([points[skin[near]][None], shapes[:, skin[near]]])
        b = heads[:, joint]
        a, b = a.transpose(0, 2, 1).reshape(-1, len(near)), b.reshape(-1)
        a, b = np.concatenate([a, np.full((1, len(near)), 30.0)]), np.append(b, 30.0)
        start = np.full(len(near), 1 / len(near))
        gram = a.T @ a + RIDGE * len(a) * 1e-2 * np.eye(len(near))
        solved = start + np.linalg.solve(gram, a.T @ (b - a @ start))
        columns.append(np.searchsorted(kept, skin[near]))
        weights.append(solved / solved.sum())
    return {
        "joint_vertices": np.array(columns, np.uint16),
        "joint_weights": np.array(weights, np.float32),
    }


def surrounding(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    """NUM_REGRESSED points near the center, spread over all directions from it."""
    offset = points - center
    distance = np.linalg.norm(offset, axis=1)
    i = np.arange(NUM_REGRESSED) + 0.5
    cosine, turn = 1 - 2 * i / NUM_REGRESSED, i * np.pi * (1 + 5**0.5)
    sine = np.sqrt(1 - cosine**2)
    ways = np.stack([sine * np.cos(turn), cosine, sine * np.sin(turn)], 1)
    facing = (offset @ ways.T) / distance[:, None].clip(1e-9)
    price = distance[:, None] * (1 + 4 * (1 - facing))
    chosen: list[int] = []
    for column in price.T:
        order = np.argsort(column)[: NUM_REGRESSED + 1]
        chosen.append(int(next(v for v in order if v not in chosen)))
    return np.array(chosen)


def at_uvs(image: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Image values at texture coordinates from the lower left."""
    height, width = image.shape[:2]
    x = np.rint(uvs[:, 0] * width - 0.5).astype(int).clip(0, width - 1)
    y = np.rint((1 - uvs[:, 1]) * height - 0.5).astype(int).clip(0, height - 1)
    return image[y, x]


def vertex_uvs(mesh: dict[str, np.ndarray]) -> np.ndarray:
    """One texture coordinate per kept vertex: inside its island as far as the corners allow."""
    uvs = np.zeros((len(mesh["kept"]), 2), np.float32)
    uvs[mesh["faces"].ravel()] = mesh["uvs"][mesh["face_uvs"].ravel()]
    return uvs


def regions(
    package: Path, mesh: dict[str, np.ndarray], points: np.ndarray, mirror: np.ndarray
) -> dict[str, np.ndarray]:
    """Soft masks (regions, kept) in 1/255, the same on both sides."""
    kept, uvs = mesh["kept"], vertex_uvs(mesh)
    body = kept < 13380
    masks = {}
    for name, file in TEXTURES.items():
        image = cv2.imread(str(package / f"data/mpfb2/textures/mpfb_{file}.jpg"), 0)
        assert image is not None, file
        mask = np.where(body, at_uvs(image, uvs), 0)
        masks[name] = np.maximum(mask, mask[mirror])
    head = labelled(kept, np.arange(18722, 19150), points)
    masks["scalp"] = np.where(body & (masks["ears"] < 128) & (masks["face"] < 128), head, 0)
    return {
        "region_names": np.array(list(masks)),
        "regions": np.stack(list(masks.values())).astype(np.uint8),
    }


def labelled(kept: np.ndarray, hair: np.ndarray, points: np.ndarray) -> np.ndarray:
    """255 where a kept vertex lies within reach of the hair helper, falling to 0 at twice that."""
    distance = cKDTree(points[hair]).query(points[kept])[0]
    return np.rint(255 * (2 - distance / HAIR_REACH).clip(0, 1))


def part_labels(
    package: Path, mesh: dict[str, np.ndarray], influence: np.ndarray, names: list[str],
    masks: dict[str, np.ndarray],
) -> np.ndarray:  # fmt: skip
    """A part per kept vertex: hands from the wrists, feet from the ankles, by weights (v, j)."""
    kept = mesh["kept"]
    sides = {"left": "L", "right": "R"}
    labels = np.zeros(len(kept), np.uint8)

    def share(belongs: list[bool]) -> np.ndarray:
        return influence[:, belongs].sum(1)

    labels[share([n in ("head", "eye.L", "eye.R") for n in names]) >= 0.5] = PARTS.index("head")
    for side, mark in sides.items():
        hand = [
            n.endswith("." + mark) and n.startswith(("wrist", "finger", "metacarpal"))
            for n in names
        ]
        foot = [n.endswith("." + mark) and n.startswith(("foot", "toe")) for n in names]
        labels[share(hand) >= 0.5] = PARTS.index(f"hand_{side}")
        labels[share(foot) >= 0.5] = PARTS.index(f"foot_{side}")
    ears = masks["regions"][masks["region_names"].tolist().index("ears")] >= 128
    left = mesh["points"][:, 0] > 0
    labels[ears & left], labels[ears & ~left] = PARTS.index("ear_left"), PARTS.index("ear_right")
    image = cv2.imread(str(package / "data/segmentation/body_parts_segmentation.png"))
    assert image is not None
    cavity = (at_uvs(image[..., ::-1], vertex_uvs(mesh)) == MOUTH_CAVITY).all(1)
    labels[cavity & (kept < 13380)] = PARTS.index("mouth")
    for name, start, end in (
        ("tongue", 13380, 13606), ("lashes", 14742, 14992), ("teeth", 14992, 15128),
    ):  # fmt: skip
        labels[(kept >= start) & (kept < end)] = PARTS.index(name)
    return labels


def mirror_twins(package: Path, kept: np.ndarray) -> np.ndarray:
    """The kept vertex on the other side of the body, itself on the midline."""
    twin = np.arange(19158)
    for line in (package / "data/mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines():
        a, b, _ = line.split()
        twin[int(a)], twin[int(b)] = int(b), int(a)
    found = np.searchsorted(kept, twin[kept]).clip(max=len(kept) - 1)
    assert (kept[found] == twin[kept]).all(), "a kept vertex lacks its twin"
    return found
