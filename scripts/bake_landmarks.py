"""Finds where MediaPipe's 478 face points lie on the body: python scripts/bake_landmarks.py

Renders several people with plain skin, dark irises and tinted lips, lets the face network find its
points on them, and reads the triangle and the barycentrics under each point. Every point is taken
from the person whose answer is most like the others' (the medoid). Lips come from slightly open
mouths, for on a closed one both lips' inner points would lie on the same line.
"""

from pathlib import Path

import numpy as np
import torch

from incarnate.body.anny import Anny
from incarnate.cameras import look_at
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.perception.landmarkers import Perception
from incarnate.render import rasterize, shade
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

OUT = Path(__file__).parents[1] / "incarnate" / "assets" / "body" / "landmarks.npz"
SIDE = 768
PEOPLE = ({}, {"gender": 0.1}, {"gender": 0.9}, {"asian": 1.0}, {"african": 1.0}, {"weight": 0.8})
LIPS = (
    61,
    146,
    91,
    181,
    84,
    17,
    314,
    405,
    321,
    375,
    291,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    78,
    95,
    88,
    178,
    87,
    14,
    317,
    402,
    318,
    324,
    308,
    191,
    80,
    81,
    82,
    13,
    312,
    311,
    310,
    415,
)
TINTS = {
    "lips": (0.7, 0.35, 0.35),
    "sclera": (0.95, 0.95, 0.95),
    "iris": (0.25, 0.15, 0.1),
    "limbus": (0.2, 0.12, 0.1),
    "pupil": (0.02, 0.02, 0.02),
}


def main() -> None:
    body = Anny.load()
    closed, opened = [], []
    with Perception() as perception:
        for person in PEOPLE:
            closed.append(found(body, person, 0.0, perception))
            opened.append(found(body, person, 0.2, perception))
    rest = body.shaped(body.default_betas())
    ids, barycentrics, spread = medoid(rest, body.faces, closed)
    mouth = list(LIPS)
    open_answers = medoid(rest, body.faces, opened)
    for every, lips in zip((ids, barycentrics, spread), open_answers, strict=True):
        every[mouth] = lips[mouth]
    np.savez_compressed(
        OUT,
        faces=ids.numpy().astype(np.int32),
        barycentrics=barycentrics.numpy().astype(np.float32),
        spread=spread.numpy().astype(np.float32),
    )


def found(
    body: Anny, person: dict[str, float], jaw: float, perception: Perception
) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangle and barycentrics under each of the 478 points, on one rendered person."""
    betas = body.default_betas().clone()
    for name, value in person.items():
        betas[body.betas_names.index(name)] = value
    expression = torch.zeros(len(ARKIT_NAMES))
    expression[ARKIT_NAMES.index("jawOpen")] = jaw
    vertices = body.express(body.shaped(betas), expression)
    colors = torch.tensor([0.8, 0.62, 0.52]).repeat(len(vertices), 1)
    for region, tint in TINTS.items():
        mask = body.region(region)[:, None]
        colors = colors * (1 - mask) + mask * torch.tensor(tint)
    light = torch.nn.functional.normalize(torch.tensor([0.2, 0.4, 1.0]), dim=0)
    lit = (vertex_normals(vertices, body.faces) @ light).clamp(0, 1)
    colors = colors * (0.35 + 0.65 * lit)[:, None]
    face = vertices[body.region("face") > 0.5]
    center = (face.amin(0) + face.amax(0)) / 2
    camera = look_at(center + torch.tensor([0.0, 0.0, 0.8]), center, 2.1 * SIDE, SIDE, SIDE)
    mesh = Mesh(vertices, body.faces, colors)
    fragments = rasterize(mesh, camera)
    view = shade(mesh, fragments)
    picture = (view.rgb + (1 - view.alpha[..., None]) * 0.5).clamp(0, 1) * 255
    points = perception.faces(picture.round().byte().numpy())[0].points
    column, row = torch.tensor(points[:, :2]).floor().long().clamp(0, SIDE - 1).unbind(1)
    return fragments.face_ids[row, column].long(), fragments.barycentrics[row, column]


def medoid(rest, faces, answers) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each point the answer nearest to all others, and the mean distance to them in metres."""
    places = torch.stack([(rest[faces[i]] * b[..., None]).sum(1) for i, b in answers], 1)
    lost = torch.stack([i < 0 for i, _ in answers], 1)
    gaps = torch.cdist(places, places).mean(2) + lost * 1e3
    best = gaps.argmin(1)
    pick = torch.arange(len(best))
    ids = torch.stack([i for i, _ in answers], 1)[pick, best]
    barycentrics = torch.stack([b for _, b in answers], 1)[pick, best]
    return ids, barycentrics, gaps[pick, best]


if __name__ == "__main__":
    main()
