"""Fitting the body to one photo: camera, build, pose, hands, expression and gaze.

Damped Gauss-Newton (Levenberg-Marquardt, Nielsen's damping) in stages: the trunk, then the pose
with the face, then build, hands and outline, at last the face at the photo's full precision. In a
`Track` the person stands on y = 0 at x = z = 0.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.perception.face import OVAL
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.limbs import limbs
from incarnate.perception.misfit import Matches, Misfit, Stage
from incarnate.perception.points import Points
from incarnate.perception.sight import JOINTS, SIDES, TRUNK, Sight, landmarks
from incarnate.perception.unknowns import Person, Unknowns
from incarnate.progress import Report
from incarnate.scene.mesh import vertex_normals


@dataclass(frozen=True)
class Tracking:
    """How the body is fitted."""

    focal: float | None = None
    """Pixels, if the photo's file tells; otherwise a prior of 1.3 times the longer side."""
    stages: tuple[Stage, ...] = (
        Stage(5, trunk_only=True, free=("place", "root")),
        Stage(5, face=0.02, face_sigma=0.04, free=("place", "camera", "root", "pose")),
        Stage(8, face=0.05, hands=0.3, outline=0.05),
        Stage(6, face=0.15, hands=0.6, outline=0.1),
        Stage(6, face=0.5, face_sigma=0.014, hands=0.6, outline=0.1),
    )


@dataclass(frozen=True)
class Fit:
    """How well it fits, and what no picture of the photo's view can tell."""

    face: float
    """Mean distance of the inner face's points, over the iris distance."""
    face_oval: float
    joints: float
    """Mean distance of the seen joints, over the person's height."""
    hands: tuple[float | None, float | None]
    """Mean distance of the left and right hand's points in pixels; None where no hand is seen."""
    yaw: float
    """Degrees by which the body is turned from the shoulders and hips of the 3D landmarks."""
    lean: float
    """Degrees by which it leans towards the camera, ankles to neck; 0 where no ankles are seen."""
    knees: tuple[float, float]
    """Degrees by which left and right knee are bent further than in the body's rest pose."""


def gates(fit: Fit) -> tuple[tuple[str, float, float], ...]:
    """Figures of a fit, and beyond which limits the user is told."""
    return (
        ("face off, of the iris distance", fit.face, BAD_FACE),
        ("joints off, of the height", fit.joints, BAD_JOINTS),
    )


@dataclass(frozen=True, eq=False)
class Track:
    """A body fitted to a photo."""

    betas: Float[Tensor, " s"]
    expression: Float[Tensor, " e"]
    pose: Float[Tensor, "j 3 3"]
    transl: Float[Tensor, "3"]
    camera: Camera
    hands_seen: tuple[bool, bool]
    framing: str
    """full, half or head: how much of the body the photo shows."""
    fit: Fit
    warnings: tuple[str, ...]


BAD_FACE, BAD_JOINTS = 0.04, 0.02  # Beyond these the user is told.
DAMPING = 1e-2  # Of the normal matrix's diagonal, at first.


def track(
    body: Anny,
    person: Keypoints,
    alpha: Float[Tensor, "h w"],
    width: int,
    height: int,
    config: Tracking,
    report: Report,
) -> Track:
    """The body fitted to a person's keypoints and matte.

    Raises ValueError if the photo shows no face, or the fit runs away.
    """
    if person.face is None:
        raise ValueError(
            "head not visible: no face was found; use a photo that shows the whole head"
        )
    with torch.no_grad():
        seen = Sight(person, alpha, width, height)
        marks = landmarks(body)
        points = Points(body, marks.mixtures)
        focal = config.focal or 1.3 * max(width, height)
        joints = limbs(body, seen.world, seen.visible > 0)
        unknowns = Unknowns(body, points, joints, seen, focal, _start(body, seen, focal))
        normals = vertex_normals(body.shaped(body.default_betas()), body.faces)
        misfit = Misfit(unknowns, points, marks, seen, normals[marks.surface_ids])
        x = torch.zeros(unknowns.size)
        for i, stage in enumerate(config.stages):
            x = descended(misfit, x, stage)
            report.step(i + 1, len(config.stages))
        return _track(body, misfit, x, person)


def descended(misfit: Misfit, x: Float[Tensor, " n"], stage: Stage) -> Float[Tensor, " n"]:
    """Gauss-Newton steps of one stage. The outline is matched anew before each."""
    unknowns = misfit.unknowns
    free = torch.zeros(unknowns.size, dtype=torch.bool)
    for name in stage.free:
        free[unknowns.parts[name]] = True
    damping, raised = DAMPING, 2.0
    for _ in range(stage.steps):
        matches = misfit.matched(x) if stage.outline else Matches()
        rows = misfit.rows(x, stage, matches, slopes=True)
        matrix, gradient = (
            torch.diag(unknowns.precision).double(),
            (unknowns.precision * x).double(),
        )
        for row in rows:
            more, slope = row.normal()
            matrix, gradient = matrix + more, gradient + slope
        before = _cost(misfit, x, [row.cost() for row in rows])
        matrix, gradient = matrix[free][:, free], gradient[free]
        for _ in range(4):
            damped = matrix + damping * torch.diag(matrix.diagonal() + 1e-3)
            step = -torch.linalg.solve(damped, gradient)
            ahead = x.clone()
            ahead[free] += step.float()
            after = _cost(misfit, ahead, [
                row.cost() for row in misfit.rows(ahead, stage, matches, slopes=False)
            ])  # fmt: skip
            hoped = float(-step @ gradient - 0.5 * step @ matrix @ step)
            gain = (before - after) / max(hoped, 1e-12)
            if gain > 0:
                damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
                raised = 2.0
                x = ahead
                break
            damping, raised = damping * raised, 2 * raised
        else:
            break
    return x


def _cost(misfit: Misfit, x: Tensor, costs: list[float]) -> float:
    return sum(costs) + 0.5 * float((misfit.unknowns.precision * x.square()).double().sum())


def _start(body: Anny, seen: Sight, focal: float) -> Float[Tensor, "3"]:
    """Where the average adult must be moved to appear about where the person is."""
    joints = body.joints(body.shaped(body.default_betas()))
    distance = focal / seen.pixels_per_metre
    names = TRUNK if seen.hips else TRUNK[:2] if seen.shoulders else ()
    if names:
        pixel = seen.points[list(names)].mean(0)
        own = joints[[body.smplx_joints[JOINTS[i]] for i in names]].mean(0)
    else:
        pixel, own = seen.face[:468].mean(0), joints[body.smplx_joints["head"]]
    away = (pixel - seen.center) / focal * distance
    return torch.stack([away[0], -away[1], torch.tensor(-distance)]) - own


def _track(body: Anny, misfit: Misfit, x: Float[Tensor, " n"], found: Keypoints) -> Track:
    seen = misfit.seen
    guess, _ = misfit.posed(x)
    vertices = body.vertices(guess.betas, guess.expression, guess.pose, guess.transl)
    if not torch.isfinite(vertices).all():
        raise ValueError("the body could not be fitted to this photo; try one with a plainer pose")
    ground = torch.stack([vertices[:, 0].mean(), vertices[:, 1].min(), vertices[:, 2].mean()])
    fit = _fit(body, misfit, x)
    framing = "full" if seen.ankles else "half" if seen.hips else "head"
    warnings = []
    if fit.face > BAD_FACE:
        warnings.append(f"the face fits loosely ({100 * fit.face:.1f} % of the iris distance)")
    if fit.joints > BAD_JOINTS:
        warnings.append(f"the body fits loosely ({100 * fit.joints:.1f} % of its height)")
    if framing != "full":
        warnings.append(f"the photo shows the {framing} only; the rest of the body is a guess")
    hands = (found.left_hand is not None, found.right_hand is not None)
    return Track(guess.betas, guess.expression, guess.pose, guess.transl - ground,
                 _camera(guess, ground, seen), hands, framing, fit, tuple(warnings))  # fmt: skip


def _camera(guess: Person, ground: Float[Tensor, "3"], seen: Sight) -> Camera:
    """The fit's camera in a world whose origin is moved to `ground`."""
    world_to_camera = torch.eye(4)
    world_to_camera[:3, :3] = guess.rotation
    world_to_camera[:3, 3] = guess.rotation @ ground
    intrinsics = torch.eye(3)
    intrinsics[0, 0] = intrinsics[1, 1] = guess.focal
    intrinsics[:2, 2] = seen.center
    return Camera(world_to_camera, intrinsics, seen.width, seen.height)


def _fit(body: Anny, misfit: Misfit, x: Float[Tensor, " n"]) -> Fit:
    seen, marks = misfit.seen, misfit.marks
    guess, placed = misfit.posed(x)
    pixels = misfit.pixels(guess, placed.points)
    face = (pixels[marks.face] - seen.face).norm(dim=1) / seen.iris_distance
    oval = torch.zeros(len(face), dtype=torch.bool)
    oval[list(OVAL)] = True
    used = seen.visible[misfit.ids] > 0
    gaps = (pixels[misfit.at] - seen.points[misfit.ids]).norm(dim=1)[used]
    hands = [
        float((pixels[marks.hands[s]] - seen.hands[s]).norm(dim=1).mean())
        if s in seen.hands
        else None
        for s in SIDES
    ]
    at = {name: placed.centers[j] for name, j in body.smplx_joints.items()}
    still = {name: placed.joints[j] for name, j in body.smplx_joints.items()}
    across = at["left_shoulder"] - at["right_shoulder"] + at["left_hip"] - at["right_hip"]
    yaw = torch.atan2(-across[2], across[0]).item() - seen.yaw
    up = at["neck"] - (at["left_ankle"] + at["right_ankle"]) / 2
    lean = torch.atan2(up[2], up[1]).item() if seen.ankles else 0.0
    knees = [_knee(at, side) - _knee(still, side) for side in SIDES]
    return Fit(
        float(face[~oval].mean()),
        float(face[oval].mean()),
        float(gaps.mean()) / seen.tall if len(gaps) else 0.0,
        (hands[0], hands[1]),
        float(np.degrees(yaw)),
        float(np.degrees(lean)),
        (knees[0], knees[1]),
    )


def _knee(at: dict[str, Tensor], side: str) -> float:
    """Degrees between thigh and shin; 0 is straight."""
    first = at[f"{side}_knee"] - at[f"{side}_hip"]
    second = at[f"{side}_ankle"] - at[f"{side}_knee"]
    cos = torch.nn.functional.cosine_similarity(first, second, dim=0)
    return float(np.degrees(torch.acos(cos.clamp(-1, 1)).item()))
