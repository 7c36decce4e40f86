"""Tracking a synthetic person: the truth is known, no detector is asked."""

import math

import numpy as np
import pytest
import torch

from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.perception.face import Crop, Face
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.landmarkers import Hand
from incarnate.perception.limbs import limbs
from incarnate.perception.misfit import Matches, Misfit, Rows, Stage
from incarnate.perception.points import Points, Posed
from incarnate.perception.sight import Landmarks, Sight, calibrated, calibrated_hand, landmarks
from incarnate.perception.track import Track, Tracking, track
from incarnate.perception.unknowns import Unknowns
from incarnate.progress import Silent
from incarnate.render import rasterize
from incarnate.scene import Mesh
from incarnate.scene.mesh import vertex_normals

WIDTH, HEIGHT, FOCAL, YAW = 400, 600, 780.0, -0.3


@pytest.fixture(scope="module")
def body() -> Anny:
    return Anny.load()


@pytest.fixture(scope="module")
def marks(body: Anny) -> Landmarks:
    return landmarks(body)


@pytest.fixture(scope="module")
def points(body: Anny, marks: Landmarks) -> Points:
    return Points(body, marks.mixtures)


def turned(axis: list[float], angle: float) -> torch.Tensor:
    skew = torch.linalg.cross(torch.eye(3), torch.tensor(axis).expand(3, 3))
    return torch.linalg.matrix_exp(angle * skew)


@pytest.fixture(scope="module")
def truth(body: Anny, points: Points) -> tuple[Posed, tuple[torch.Tensor, ...]]:
    """An adult turned by YAW with one bent elbow and a smile, 3 m before a level camera."""
    pose = torch.eye(3).repeat(len(body.joint_names), 1, 1)
    pose[0] = turned([0.0, 1.0, 0.0], YAW)
    pose[body.joint_names.index("upperarm01.R")] = turned([0.0, 0.0, 1.0], 0.5)
    pose[body.joint_names.index("lowerarm01.L")] = turned([0.0, -0.8, 0.6], 0.5)
    expression = torch.zeros(52)
    expression[[body.expression_names.index(f"mouthSmile{s}") for s in ("Left", "Right")]] = 0.6
    betas = body.default_betas().clone()
    betas[body.betas_names.index("weight")] = 0.7
    return points.posed(betas, expression, pose, torch.tensor([0.05, -0.1, -3.0])), (
        betas, expression, pose, torch.tensor([0.05, -0.1, -3.0]))  # fmt: skip


def projected(world: torch.Tensor) -> torch.Tensor:
    flat = torch.stack([world[:, 0], -world[:, 1]], 1) / -world[:, 2:]
    return flat * FOCAL + torch.tensor([WIDTH / 2, HEIGHT / 2])


def misplaced(points: np.ndarray) -> np.ndarray:
    """Where the detector would put joints that are here: `calibrated`, the other way round."""
    truth, seen = torch.from_numpy(points), torch.from_numpy(points)
    for _ in range(20):
        seen = seen + truth - calibrated(seen, torch.ones(33))
    return seen.numpy()


def unplaced(hand: torch.Tensor) -> torch.Tensor:
    """The same of a hand."""
    seen = hand
    for _ in range(20):
        seen = seen + hand - calibrated_hand(seen)
    return seen


@pytest.fixture(scope="module")
def seen(body: Anny, marks: Landmarks, truth) -> tuple[Keypoints, torch.Tensor]:
    """What a perfect detector would say of the truth, and its matte. The right hand is not seen."""
    posed, person = truth
    pixels, world = projected(posed.points), posed.points - person[3]
    pose, metres = np.zeros((33, 3), np.float32), np.zeros((33, 3), np.float32)
    for number, at in marks.pose.items():
        pose[number] = (*pixels[at].tolist(), 1.0)
        metres[number] = world[at].numpy() * (1, -1, -1)
    pose[:, :2], metres = misplaced(pose[:, :2]), misplaced(metres)
    outline = np.concatenate([pixels[marks.face].numpy(), np.zeros((478, 1), np.float32)], 1)
    low, high = outline[:, :2].min(0), outline[:, :2].max(0)
    face = Face(outline, person[1].numpy(), np.eye(4, dtype=np.float32),
                np.concatenate([low, high]).astype(np.float32))  # fmt: skip
    at = marks.hands["left"]
    hand = Hand(np.pad(unplaced(pixels[at]).numpy(), ((0, 0), (0, 1))),
                (world[at].numpy() * (1, -1, -1)).astype(np.float32), 1.0, True)  # fmt: skip
    window = Crop(np.zeros((2, 2, 3), np.uint8), np.zeros(2, np.float32), 1.0)
    found = Keypoints(pose, metres, np.array([100, 20, 300, 580], np.float32), hand, None, face,
                      window, np.zeros((2, 2), np.float32), (HEIGHT, WIDTH))  # fmt: skip
    vertices = body.vertices(*person)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    lens = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    mesh = Mesh(vertices, body.faces, vertex_normals(vertices, body.faces))
    drawn = rasterize(mesh, Camera(flip, lens, WIDTH, HEIGHT))
    return found, (drawn.face_ids >= 0).float()


@pytest.fixture(scope="module")
def fitted(body: Anny, seen: tuple[Keypoints, torch.Tensor]) -> Track:
    return track(body, *seen, WIDTH, HEIGHT, Tracking(focal=FOCAL), Silent())


@pytest.fixture(scope="module")
def misfit(body: Anny, points: Points, marks: Landmarks, seen) -> Misfit:
    found, alpha = seen
    sight = Sight(found, alpha, WIDTH, HEIGHT)
    joints = limbs(body, sight.world, sight.visible > 0)
    place = torch.tensor([0.05, -0.1, -3.0])
    unknowns = Unknowns(body, points, joints, sight, FOCAL, place)
    return Misfit(unknowns, points, marks, sight, torch.zeros(len(marks.surface), 3))


def test_joints_face_and_hand_are_found_again(fitted: Track):
    assert fitted.fit.joints < 0.01  # 6 px of 600; the right wrist gives way to hide its hand.
    assert fitted.fit.face < 0.01  # Of an iris distance of 16 px.
    assert fitted.fit.hands[0] is not None and fitted.fit.hands[0] < 1.5
    assert fitted.fit.hands[1] is None and fitted.hands_seen == (True, False)


def test_the_body_is_turned_as_the_truth(body: Anny, fitted: Track):
    joints = body.joints(body.shaped(fitted.betas))
    bones = body.bones(joints, fitted.pose, fitted.transl)
    ahead = bones[body.smplx_joints["spine3"], :3, 2]
    assert abs(math.degrees(math.atan2(ahead[0], ahead[2]) - YAW)) < 5
    assert abs(fitted.fit.yaw) < 5 and abs(fitted.fit.lean) < 6
    assert max(fitted.fit.knees) < 8


def test_the_world_of_a_track_has_the_person_on_the_ground(body: Anny, fitted: Track, seen):
    vertices = body.vertices(fitted.betas, fitted.expression, fitted.pose, fitted.transl)
    assert vertices[:, 1].min().abs() < 1e-4
    irises = fitted.camera.project(vertices[body.region("pupil") > 0.5]).mean(0)
    wanted = seen[0].face.landmarks[[468, 473], :2].mean(0)
    assert np.abs(irises.numpy() - wanted).max() < 1


def test_a_hand_that_nobody_saw_hides_behind_the_hip(body: Anny, fitted: Track):
    joints = body.joints(body.shaped(fitted.betas))
    bones = body.bones(joints, fitted.pose, fitted.transl)
    placed = (bones[:, :3, :3] @ joints[..., None])[..., 0] + bones[:, :3, 3]
    at = {name: placed[j] for name, j in body.smplx_joints.items()}
    assert at["right_middle1"][2] < at["right_hip"][2] + 0.02


def test_derivatives_are_those_of_differences(misfit: Misfit):
    unknowns = misfit.unknowns
    x = 0.2 * torch.ones(unknowns.size)
    x[unknowns.parts["root"]] = 0  # The root's axes and the camera's are exact at zero only.
    x[unknowns.parts["camera"]] = 0
    stage = Stage(1, face=1.0, hands=1.0)
    rows = misfit.rows(x, stage, Matches(), slopes=True)
    chosen = range(0, unknowns.size, 17)
    step = 2e-2
    for i in [0, 2, 3, 4, 6, 7, *chosen]:
        ahead, behind = x.clone(), x.clone()
        ahead[i] += step
        behind[i] -= step
        both = [misfit.rows(y, stage, Matches(), slopes=False) for y in (ahead, behind)]
        for row, high, low in zip(rows, *both, strict=True):
            wanted = (high.residuals - low.residuals) / (2 * step)
            assert row.slopes is not None
            # Central differences err with step^2; float32 pixels with 1e-7 * 600 / step.
            torch.testing.assert_close(row.slopes[..., i], wanted, rtol=0.02, atol=0.03)


def test_a_row_far_out_does_not_count():
    near = Rows(torch.tensor([[0.1]]), torch.ones(1, 1, 1), torch.ones(1), 3.0)
    far = Rows(torch.tensor([[300.0]]), torch.ones(1, 1, 1), torch.ones(1), 3.0)
    assert near.cost() == pytest.approx(0.005, rel=2e-3)
    assert far.cost() == pytest.approx(4.5, rel=1e-3)  # Half of the limit squared.
    assert far.normal()[0].item() < 1e-6 and near.normal()[0].item() == pytest.approx(1, rel=1e-2)


def test_a_photo_without_a_face_is_refused(body: Anny, seen):
    from dataclasses import replace

    with pytest.raises(ValueError, match="head not visible"):
        track(body, replace(seen[0], face=None), seen[1], WIDTH, HEIGHT, Tracking(), Silent())
