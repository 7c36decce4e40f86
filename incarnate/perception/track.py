"""Fitting the body to one photo: camera, build, pose, hands, expression and gaze.

Staged LBFGS over scaled variables (the order of stages of SMPLify-X, Pavlakos et al. 2019, Sec. 3):
the root on shoulders and hips, then the pose, then hands, face and outline. In the fit, the camera
stands at the origin and looks along -z of the body's world; in a `Track` the world is moved so that
the person stands on y = 0 at x = z = 0. "Units"
below are pixels of a person who is 1024 pixels tall.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.perception import sight
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.sight import Points, Sight
from incarnate.perception.unknowns import Person, Unknowns
from incarnate.progress import Report


@dataclass(frozen=True)
class Tracking:
    """How the body is fitted."""

    focal: float | None = None
    """Pixels, if the photo's file tells; otherwise a prior of 1.3 times the longer side."""
    steps: tuple[int, int, int, int, int] = (15, 40, 35, 25, 50)
    """LBFGS iterations of each stage."""


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


STAGES = (
    ("root", "transl"),
    ("root", "transl", "focal", "pose", "phenotypes"),
    ("root", "transl", "focal", "pose", "phenotypes", "local", "expression"),
    ("root", "transl", "focal", "pose", "phenotypes", "local", "expression"),
    ("root", "transl", "focal", "pose", "phenotypes", "local", "expression"),
)
BAD_FACE, BAD_JOINTS = 0.04, 0.02  # Beyond these the user is told.


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
    seen = Sight(person, alpha, width, height)
    points = Points(body, seen)
    unknowns = Unknowns(body, seen, points, config.focal or 1.3 * max(width, height))
    for stage, (names, steps) in enumerate(zip(STAGES, config.steps, strict=True)):
        with torch.no_grad():
            outline = points.outline(unknowns.person(), seen) if stage >= 2 else None

        def loss(stage: int = stage, outline: Tensor | None = outline) -> Tensor:
            guess = unknowns.person()
            return points.misfit(guess, seen, stage, outline) + unknowns.implausibility(stage)

        descend(unknowns, names, steps, loss)
        report.step(stage + 1, len(STAGES))
    with torch.no_grad():
        return _track(body, unknowns, points, seen, person)


def descend(unknowns: Unknowns, names: tuple[str, ...], steps: int, loss) -> None:
    """LBFGS on some of the unknowns. Tolerances are off: scaled steps are small ones."""
    leaves = [unknowns.values[name].requires_grad_() for name in names]
    optimizer = torch.optim.LBFGS(
        leaves, max_iter=steps, max_eval=int(1.3 * steps), history_size=15,
        line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    for name in names:
        unknowns.values[name] = unknowns.values[name].detach()


def _track(body: Anny, unknowns: Unknowns, points: Points, seen: Sight, found: Keypoints) -> Track:
    guess = unknowns.person()
    vertices = body.vertices(guess.betas, guess.expression, guess.pose, guess.transl)
    if not torch.isfinite(vertices).all():
        raise ValueError("the body could not be fitted to this photo; try one with a plainer pose")
    ground = torch.stack([vertices[:, 0].mean(), vertices[:, 1].min(), vertices[:, 2].mean()])
    fit = _fit(body, guess, points, seen, unknowns.yaw)
    framing = "full" if seen.ankles else "half" if seen.hips else "head"
    warnings = []
    if fit.face > BAD_FACE:
        warnings.append(f"the face fits loosely ({100 * fit.face:.1f} % of the iris distance)")
    if fit.joints > BAD_JOINTS:
        warnings.append(f"the body fits loosely ({100 * fit.joints:.1f} % of its height)")
    if framing != "full":
        warnings.append(f"the photo shows the {framing} only; the rest of the body is a guess")
    hands = (found.left_hand is not None, found.right_hand is not None)
    camera = sight.camera(guess.focal, ground, seen)
    return Track(guess.betas, guess.expression, guess.pose, guess.transl - ground, camera, hands,
                 framing, fit, tuple(warnings))  # fmt: skip


def _fit(body: Anny, guess: Person, points: Points, seen: Sight, yaw: float) -> Fit:
    face, oval, joints, hands = points.residuals(guess, seen)
    rest = body.joints(body.shaped(guess.betas))
    bones = body.bones(rest, guess.pose, guess.transl)
    placed = (bones[:, :3, :3] @ rest[..., None])[..., 0] + bones[:, :3, 3]
    at = {name: placed[j] for name, j in body.smplx_joints.items()}
    across = at["left_shoulder"] - at["right_shoulder"] + at["left_hip"] - at["right_hip"]
    turned = torch.atan2(-across[2], across[0])
    ankles = (at["left_ankle"] + at["right_ankle"]) / 2
    up = at["neck"] - ankles
    lean = torch.atan2(up[2], up[1]) if seen.ankles else up.new_zeros(())
    still = {name: rest[j] for name, j in body.smplx_joints.items()}
    knees = [_knee(at, side) - _knee(still, side) for side in ("left", "right")]
    return Fit(face, oval, joints, hands, float(np.degrees(turned.item() - yaw)),
               float(np.degrees(lean.item())), (knees[0], knees[1]))  # fmt: skip


def _knee(at: dict[str, Tensor], side: str) -> float:
    """Degrees between thigh and shin; 0 is straight."""
    first = at[f"{side}_knee"] - at[f"{side}_hip"]
    second = at[f"{side}_ankle"] - at[f"{side}_knee"]
    cos = torch.nn.functional.cosine_similarity(first, second, dim=0)
    return float(np.degrees(torch.acos(cos.clamp(-1, 1)).item()))
