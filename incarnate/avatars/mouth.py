"""What opens: teeth set where people have them, as long as the photo's smile shows them, and lips
that do not take their colour.

The body's own teeth lie deep and high behind its lips: its smiles would open onto the tongue.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.avatars.color import to_lab
from incarnate.avatars.garments import LABELS, SKIN, Anatomy
from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.cameras import Camera
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import rasterize
from incarnate.scene import Mesh

INSIDE = [PARTS.index(name) for name in ("teeth", "tongue", "mouth")]
TEETH = LABELS.index("teeth")  # What is numbered from here on lies in the mouth.
FORWARD = 0.002  # Metres.
OVERBITE = 0.004  # Metres by which upper teeth hang before the lower ones.
LONGEST = 0.007  # Metres by which a smile may show the upper teeth to be longer.
MIDDLE = 0.012  # Metres to either side within which they are measured.
CENTRE, LIP_DEPTH = 0.004, 0.010  # Metres that bound the middle of the lips.
TOGETHER = 0.0002  # Metres between lips that touch.
MOST_CLOSING = 0.15
PALE = 5.0  # Lab a* by which teeth are less red than lips.
RIM = 0.006  # Metres from the inner mouth within which a lip lies at its opening.
CORNER = 0.01  # Metres about a corner of the mouth.
DARK = 18.0  # Lab L by which what is darker than lips is neither lip nor tooth.


def set_teeth(body: Anny, rest: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    """Vertex offsets that bring the teeth forward, the upper ones down before the lower."""
    offsets = torch.zeros_like(rest)
    offsets[body.region("teeth") > 0.5, 2] = FORWARD
    offsets[upper_teeth(body, rest), 1] = -OVERBITE
    return offsets


def upper_teeth(body: Anny, rest: Float[Tensor, "v 3"]) -> Bool[Tensor, " v"]:
    """The teeth that the jaw does not move."""
    return (body.region("teeth") > 0.5) & (_moved(body, rest, "jawOpen").norm(dim=1) < 0.001)


def closing(body: Anny, rest: Float[Tensor, "v 3"]) -> float:
    """The ARKit weight of mouthClose that lays a resting face's lips together.

    Of a person photographed with lips apart, some of that gap is taken for the shape of the mouth.
    """
    usual = body.shaped(body.default_betas())
    down = _moved(body, usual, "jawOpen")[:, 1]
    middle = (body.region("lips") > 0.5) & (usual[:, 0].abs() < CENTRE)
    front = middle & (usual[:, 2] > usual[middle, 2].max() - LIP_DEPTH)
    lower = front & (down < 0.5 * down[front].min())
    upper = front & ~lower
    moved = _moved(body, rest, "mouthClose")[:, 1]
    gap = float(rest[upper, 1].min() - rest[lower, 1].max())
    closed = float(moved[lower].mean() - moved[upper].mean())
    return min(max(0.0, gap - TOGETHER) / closed, MOST_CLOSING)


def about(where: Anatomy, labels: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """The lips, and the skin from which discs could stray into the mouth."""
    skin = labels == SKIN
    red = where.points[(where.lips > 0.1) & skin]
    if len(red) == 0:
        return np.zeros(len(labels), bool)
    return skin & (
        np.asarray(KDTree(red).query(where.points, distance_upper_bound=CORNER)[0]) < CORNER
    )


def _moved(body: Anny, rest: Float[Tensor, "v 3"], name: str) -> Float[Tensor, "v 3"]:
    """How an ARKit weight of 1 moves the vertices of a resting face."""
    weights = torch.zeros(len(ARKIT_NAMES))
    weights[ARKIT_NAMES.index(name)] = 1
    return body.express(rest, body.arkit(weights)) - rest


def lengthened(
    body: Anny,
    rest: Float[Tensor, "v 3"],
    posed: Float[Tensor, "v 3"],
    camera: Camera,
    rgb: Float[Tensor, "h w 3"],
) -> Float[Tensor, "v 3"]:
    """Vertex offsets that let the upper teeth reach as far down as the photo shows teeth.

    `posed` are the vertices in the photo, `rgb` its picture of the head. Rows of the mouth's
    opening, from the top, belong to the teeth while most of their pixels are pale.
    """
    offsets = torch.zeros_like(rest)
    upper = upper_teeth(body, rest)
    middle = upper & ((rest[:, 0] - rest[upper, 0].mean()).abs() < MIDDLE)
    ids = rasterize(Mesh(posed, body.faces, torch.zeros(len(posed), 1)), camera).face_ids.numpy()
    inside = np.isin(body.part_labels[body.faces[:, 0]].numpy(), INSIDE)[ids] & (ids >= 0)
    red = (body.region("lips")[body.faces].amin(1).numpy() > 0.5)[ids] & (ids >= 0)
    pixels = camera.project(posed[middle]).numpy()
    inside[:, : int(pixels[:, 0].min())] = inside[:, int(pixels[:, 0].max()) + 1 :] = False
    if not (inside.any() and red.any()):
        return offsets
    lab = to_lab(rgb.numpy().reshape(-1, 3)).reshape(rgb.shape)
    lips = np.median(lab[red], axis=0)
    pale = inside & (lab[..., 1] < lips[1] - PALE) & (lab[..., 0] > lips[0] - DARK)
    mostly = pale.sum(1) > 0.5 * inside.sum(1)
    start = int(mostly.argmax())
    end = start + int(np.argmin([*mostly[start:], False]))
    depth = camera.local(posed[middle])[:, 2].mean()
    drop = float((end - pixels[:, 1].max()) * depth / camera.intrinsics[1, 1])
    height = rest[upper, 1]
    down = (height.max() - height) / (height.max() - height.min())
    offsets[upper, 1] = -min(max(0.0, drop), LONGEST) * down
    return offsets


def doubt_lips(
    trusted: Float[ndarray, " n"],
    where: Anatomy,
    labels: Int[ndarray, " n"],
    lab: Float[ndarray, "n 3"],
) -> None:
    """Lowers trust in lips that are paler at their rim, or darker, than lips, and in corners darker
    than what is about them: teeth lie there, or the gap between them."""
    skin = labels == SKIN
    core = np.flatnonzero((where.lips > 0.5) & skin & (trusted > 0))
    inside = np.flatnonzero(where.fixed == LABELS.index("mouth"))
    if len(core) < 30 or len(inside) == 0:
        return
    usual = np.quantile(lab[core], (0.5, 0.75), axis=0)[[0, 1], [0, 1]]
    mine = np.flatnonzero((where.lips > 0.1) & skin & (trusted > 0))
    depth = np.asarray(KDTree(where.points[inside]).query(where.points[mine])[0])
    rim = np.clip(2 - depth / RIM, 0, 1)
    pale = rim * (usual[1] - lab[mine, 1]) / PALE
    dark = (usual[0] - lab[mine, 0]) / DARK
    trusted[mine] *= np.clip(2.5 - 3 * pale, 0, 1) * np.clip(2 - 2 * dark, 0, 1)
    red = where.points[(where.lips > 0.5) & skin]
    for end in (red[:, 0].argmin(), red[:, 0].argmax()):
        away = np.linalg.norm(where.points - red[end], axis=1)
        near = np.flatnonzero(skin & (away < CORNER))
        about = skin & (away >= CORNER) & (away < 2 * CORNER) & (trusted > 0.5)
        if about.sum() > 20:
            gap = (np.median(lab[about, 0]) - lab[near, 0]) / DARK
            trusted[near] *= np.clip(2 - 2 * gap, 0, 1)
