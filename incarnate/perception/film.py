"""A film of a person becomes a motion: body, head, hands, face and gaze.

    motion = motion_from_film(Path("dance.mp4"), Silent())

The person is followed from frame to frame (`follow`), a skeleton laid through all frames at once
(`figure`), hands and face read off, gaps bridged and everything smoothed without lag. The motion is
told in the joints of the idealised adult: any avatar may play it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from incarnate.io.film import film_facts, film_frames
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.feet import planted
from incarnate.motion.motion import Motion
from incarnate.motion.presets import pose_preset
from incarnate.motion.skeleton import INDEX, LEG_LENGTH, turns
from incarnate.perception import mimic
from incarnate.perception.figure import (
    NUM_JOINTS,
    POINTS,
    Figure,
    Seen,
    Weights,
    first_pose,
    fitted,
    leg_length,
)
from incarnate.perception.fingers import finger_names, finger_turns, hand_turns
from incarnate.perception.follow import Sightings, follow
from incarnate.perception.landmarkers import Perception
from incarnate.perception.smooth import (
    bridged,
    bridged_turns,
    nearest_turns,
    smoothed,
    smoothed_turns,
)
from incarnate.progress import Report
from incarnate.rotations import between

VISIBLE = 0.4
FOCAL = 1.3  # Of the frame's longer side; films do not tell.
HEAD_PITCH = math.radians(-9.0)  # Of a head held upright in the axes of the network's face.
UPRIGHT = 0.6  # Radians: people who lean more than that are not used to level the camera.
STRAIGHT, MOST_AHEAD = 0.3, 0.12  # Share of upright frames with a straight knee; metres.
TURNED = math.radians(120)  # From the resting wrist; hands that seem turned further are misread.
SMALL = 36  # Pixels of a hand; smaller ones are misread.
DEPTH = 0.4  # Trust in moves of feet along the line of sight, when it is asked whether they stand.
SIDES = ("left", "right")


@dataclass(frozen=True)
class Following:
    """How a film becomes a motion. Frequencies are those of which half is left, in hertz."""

    figure: Weights = Weights()
    body_hertz: float = 8.0
    place_hertz: float = 4.0
    hand_hertz: float = 5.0
    face_hertz: float = 5.0
    lid_hertz: float = 8.0
    """Blinks are the fastest thing a face does."""
    bridge: float = 1.0
    """Seconds without a sighting that are bridged; after longer ones a part goes to rest."""


def motion_from_film(
    path: Path, report: Report, person: int | None = None, config: Following = Following()
) -> Motion:
    """What a person in a film does: the largest one, or number `person` (1 is the largest).

    Raises OSError if there is no such film, ValueError if it cannot be read or shows nobody.
    """
    facts = film_facts(path)
    report.stage("watching the film")
    with Perception() as perception:
        seen = follow(film_frames(path), facts.fps, perception, report, person, facts.num_frames)
    report.stage("fitting the motion")
    return motion_of(seen, config)


def motion_of(seen: Sightings, config: Following = Following()) -> Motion:
    """The motion of what was seen."""
    with torch.no_grad():
        view = _view(seen)
        figure = _figure(view, seen, config)
        rest = pose_preset("stand").pose[0]
        pose = rest.repeat(len(seen), 1, 1, 1)
        here = view.body
        pose[:, :NUM_JOINTS] = bridged_turns(
            figure.pose, here | view.facing, rest[:NUM_JOINTS], seen.fps, config.bridge
        )
        pose[:, :NUM_JOINTS] = smoothed_turns(
            pose[:, :NUM_JOINTS], torch.ones(len(seen)), seen.fps, config.body_hertz
        )
        _add_hands(pose, view, seen.fps, config)
        transl = _path(figure, view, seen.fps, config)
        face = _face(view, seen.fps, config)
        return planted(Motion(seen.fps, pose, transl, face), DEPTH)


@dataclass(frozen=True, eq=False)
class _View:
    """Sightings in the world of the camera: x right, y up, z towards it."""

    points: Float[Tensor, "f 33 2"]
    """At one metre's distance."""
    visible: Float[Tensor, "f 33"]
    world: Float[Tensor, "f 33 3"]
    body: Bool[Tensor, " f"]
    metre: Float[Tensor, " f"]
    """How long a metre of the body is at one metre's distance."""
    head: Float[Tensor, "f 3 3"]
    facing: Bool[Tensor, " f"]
    arkit: Float[Tensor, "f 52"]
    face: Float[Tensor, "f 478 3"]
    """Pixels, but y up and z towards the camera."""
    hands: Float[Tensor, "f 2 21 3"]
    handed: Bool[Tensor, "f 2"]


def _view(seen: Sightings) -> _View:
    height, width = seen.size
    focal = FOCAL * max(height, width)
    center = torch.tensor([width / 2, height / 2])

    def flat(pixels: np.ndarray) -> Tensor:
        out = (torch.nan_to_num(torch.from_numpy(pixels)) - center) / focal
        return out * torch.tensor([1.0, -1.0])

    upright = torch.tensor([1.0, -1.0, -1.0])
    body = torch.from_numpy(np.isfinite(seen.points).all((1, 2)))
    pixels = np.nan_to_num(seen.points[..., :2])
    inside = ((pixels > 0) & (pixels < np.asarray([width, height]))).all(-1)
    sure = torch.from_numpy(np.nan_to_num(seen.points[..., 2]))
    visible = sure * torch.from_numpy(inside) * (sure > VISIBLE) * body[:, None]
    points = flat(seen.points[..., :2])
    middle = points[:, [11, 12, 23, 24]].mean(1)
    world = torch.nan_to_num(torch.from_numpy(seen.world)) * upright
    world = world @ _aside(middle).mT
    world = _levelled(world, visible)
    facing = torch.from_numpy(np.isfinite(seen.head).all((1, 2)))
    head = torch.nan_to_num(torch.from_numpy(seen.head))
    head[~facing] = torch.eye(3)
    head = _aside(flat(np.nan_to_num(seen.face[..., :2])).mean(1)) @ nearest_turns(head)
    head = head @ roma.rotvec_to_rotmat(torch.tensor([HEAD_PITCH, 0.0, 0.0]))
    handed = torch.from_numpy(np.isfinite(seen.hands_world).all((2, 3)))
    reach = torch.from_numpy(np.ptp(np.nan_to_num(seen.hands), axis=2)).amax(-1)
    handed = handed & (reach > SMALL)
    hands = torch.nan_to_num(torch.from_numpy(seen.hands_world)) * upright
    for side in range(2):
        hands[:, side] = hands[:, side] @ _aside(flat(seen.hands[:, side]).mean(1)).mT
    arkit = torch.nan_to_num(torch.from_numpy(seen.arkit))
    face = torch.nan_to_num(torch.from_numpy(seen.face)) * upright
    return _View(points, visible, world, body, _metre(points, world, visible), head, facing,
                 arkit, face, hands, handed)  # fmt: skip


def _aside(at: Float[Tensor, "f 2"]) -> Float[Tensor, "f 3 3"]:
    """From a crop's own camera, which looks straight at what it holds, to the film's."""
    ahead = torch.tensor([0.0, 0.0, -1.0]).expand(len(at), 3)
    return between(ahead, torch.cat([at, -torch.ones(len(at), 1)], 1))


def _levelled(world: Tensor, visible: Tensor) -> Tensor:
    """Depths without the trend to lean that camera and network add, told by all upright frames."""
    legs = visible[:, [11, 12, 27, 28]].amin(1) > 0
    top, bottom = world[:, 11:13].mean(1), world[:, 27:29].mean(1)
    up = top - bottom
    upright = legs & (up[:, 1] > up.norm(dim=1) * float(np.cos(UPRIGHT)))
    if int(upright.sum()) < 3:
        return world
    slope = (up[upright, 2] / up[upright, 1]).median()
    world = world - world[..., 1:2] * slope * torch.tensor([0.0, 0.0, 1.0])
    for hip, knee, ankle in ((23, 25, 27), (24, 26, 28)):  # Who stands seldom bends both knees.
        a, b, c = world[:, hip], world[:, knee], world[:, ankle]
        share = (a[:, 1] - b[:, 1]) / (a[:, 1] - c[:, 1]).clamp_min(0.1)
        ahead = b[:, 2] - torch.lerp(a[:, 2], c[:, 2], share.clamp(0, 1))
        usual = torch.quantile(ahead[upright], STRAIGHT).clamp(0, MOST_AHEAD)
        world[:, knee, 2] -= usual
    return world


def _metre(points: Tensor, world: Tensor, visible: Tensor) -> Tensor:
    """The ratio of spreads around the middle, over visible points; the film's median if unknown."""
    weight = visible / visible.sum(1, keepdim=True).clamp_min(1e-6)

    def spread(p: Tensor) -> Tensor:
        middle = (weight[..., None] * p).sum(1, keepdim=True)
        return (weight[..., None] * (p - middle).square()).sum((1, 2)).sqrt()

    good = (visible > 0).sum(1) >= 4
    ratio = spread(points) / spread(world[..., :2]).clamp_min(1e-4)
    usual = ratio[good].median() if bool(good.any()) else torch.tensor(0.4)
    return torch.where(good, ratio, usual).clamp_min(1e-3)


def _figure(view: _View, seen: Sightings, config: Following) -> Figure:
    ids = list(POINTS)
    rest = pose_preset("stand").pose[0, :NUM_JOINTS]
    known = view.body
    start = first_pose(view.world, view.visible)
    start = bridged_turns(start, known, rest, seen.fps, config.bridge)
    metre = view.metre.median()
    hips = view.points[:, 23:25].mean(1)
    place = torch.cat([hips, -torch.ones(len(seen), 1)], 1) / metre
    place = bridged(place, known, place[known].median(0).values if bool(known.any()) else place[0],
                    seen.fps, 1e9)  # fmt: skip
    weights = view.visible[:, ids].clone()
    problem = Seen(
        view.points[:, ids], view.world[:, ids, 2], weights, view.head,
        view.facing.float(), (view.visible[:, 23:25].amin(1) > 0).float(), _walks(view), seen.fps,
    )  # fmt: skip
    return fitted(problem, start, place, config.figure)


def _walks(view: _View) -> bool:
    """Whether the ankles are seen in most frames that show the body."""
    ankles = view.visible[:, 27:29].amin(1) > 0
    return int(ankles.sum()) > 0.5 * int(view.body.sum())


def _add_hands(pose: Tensor, view: _View, fps: float, config: Following) -> None:
    """Wrists and fingers of the hands that were seen; the others rest."""
    rest = pose_preset("stand").pose[0]
    body = turns(pose)
    for k, side in enumerate(SIDES):
        handed = view.handed[:, k].clone()
        ids = [INDEX[name] for name in finger_names(side)]
        wrist = INDEX[f"{side}_wrist"]
        if int(handed.sum()) < 2:
            continue
        points = view.hands[:, k].clone()
        points[~handed] = points[handed][0]
        turned = hand_turns(points, side)
        local = body[:, INDEX[f"{side}_elbow"]].mT @ turned
        handed &= roma.rotmat_geodesic_distance(local, rest[wrist].expand_as(local)) < TURNED
        if int(handed.sum()) < 2:
            continue
        found = torch.cat([local[:, None], finger_turns(points, turned, side)], 1)
        out = bridged_turns(found, handed, rest[[wrist, *ids]], fps, config.bridge)
        out = smoothed_turns(out, torch.ones(len(pose)), fps, config.hand_hertz)
        pose[:, wrist], pose[:, ids] = out[:, 0], out[:, 1:]


def _path(figure: Figure, view: _View, fps: float, config: Following) -> Tensor:
    """The pelvis' way from where it is first seen, in metres of the idealised adult."""
    known = view.body
    path = figure.transl * (LEG_LENGTH / leg_length(figure))
    if not bool(known.any()) or not _walks(view):
        return torch.zeros_like(path)
    path = bridged(path, known, path[known][0], fps, 1e9)
    path = smoothed(path, torch.ones(len(path)), fps, config.place_hertz)
    return path - path[:1]


def _face(view: _View, fps: float, config: Following) -> Tensor:
    if not bool(view.facing.any()):
        return torch.zeros(len(view.facing), len(ARKIT_NAMES))
    found = torch.zeros(len(view.facing), len(ARKIT_NAMES))
    found[view.facing] = mimic.weights(view.face[view.facing], view.arkit[view.facing], fps)
    found = bridged(found, view.facing, torch.zeros(len(ARKIT_NAMES)), fps, config.bridge)
    everywhere = torch.ones(len(found))
    out = smoothed(found, everywhere, fps, config.face_hertz)
    lids = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith("eyeBlink")]
    out[:, lids] = smoothed(found[:, lids], everywhere, fps, config.lid_hertz)
    return out.clamp(0, 1)
