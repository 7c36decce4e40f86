"""How skin keeps its volume where joints bend: linear blending against turning about centers.

    python benchmarks/bending.py [AVATAR]

A joint at a time is bent, from a person standing with their arms out. Of the skin within the
radius (see BENDS) of the joint at rest: *volume*, over the same skin's at rest (signed tetrahedra,
each rim closed by a fan to its middle); *p95* and *worst*, how many times as large or as small a
triangle becomes; *turned over*, the share of triangles whose normal points inwards, against what
their bones' mean turn makes of the normal at rest. Without an avatar: the default body, bare.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import roma
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from incarnate.avatar import Avatar
from incarnate.avatars.surface import dense_weights
from incarnate.body.anny import Anny
from incarnate.body.bending import Centers, Hold, centers, skinned
from incarnate.body.retarget import pose_for
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX, SMPLX_JOINTS

Rule = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Bend:
    """Joints turned about an axis by so many degrees, and the metres around `where` looked at."""

    joints: tuple[str, ...]
    axis: tuple[float, float, float]
    degrees: float
    where: str
    radius: float


BENDS = {
    "elbow 60": Bend(("left_elbow",), (0, -1, 0), 60, "left_elbow", 0.10),
    "elbow 120": Bend(("left_elbow",), (0, -1, 0), 120, "left_elbow", 0.10),
    "elbow 145": Bend(("left_elbow",), (0, -1, 0), 145, "left_elbow", 0.10),
    "knee 60": Bend(("left_knee",), (1, 0, 0), 60, "left_knee", 0.13),
    "knee 120": Bend(("left_knee",), (1, 0, 0), 120, "left_knee", 0.13),
    "hip 90": Bend(("left_hip",), (-1, 0, 0), 90, "left_hip", 0.16),
    "arm aside 90": Bend(("left_shoulder",), (0, 0, 1), 0, "left_shoulder", 0.13),
    "arm aside 150": Bend(("left_shoulder",), (0, 0, 1), 60, "left_shoulder", 0.13),
    "arm forward 90": Bend(("left_shoulder",), (0, -1, 0), 90, "left_shoulder", 0.13),
    "wrist 80": Bend(("left_wrist",), (0, 0, -1), 80, "left_wrist", 0.07),
    "forearm twist 90": Bend(("left_wrist",), (1, 0, 0), 90, "left_wrist", 0.10),
    "forearm twist 150": Bend(("left_wrist",), (1, 0, 0), 150, "left_wrist", 0.10),
    "neck turn 60": Bend(("neck", "head"), (0, 1, 0), 60, "neck", 0.10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", nargs="?", type=Path)
    path = parser.parse_args().avatar
    body = Anny.load()
    rest, weights = body.shaped(body.default_betas()), dense_weights(body)
    joints = body.joints(rest)
    if path:
        surface = Avatar.load(path).surface
        rest, weights = surface.rest + surface.vertex_offsets, surface.weights
        joints = surface.joints
    about = centers(rest, Hold.of(weights), body.faces)
    hold = Hold(about.hold.weights[:0], about.hold.bones[:0])
    none = Centers(about.vertices[:0], about.points[:0], hold)
    rules: dict[str, Rule] = {
        "linear": lambda bones: skinned(rest, weights, bones, none),
        "centers": lambda bones: skinned(rest, weights, bones, about),
    }
    print(f"{'':18}{'radius':>8}" + "".join(f"{name:>34}" for name in rules))
    print(f"{'':26}" + f"{'volume   p95   worst  turned over':>34}" * len(rules))
    for name, bend in BENDS.items():
        bones = posed(body, joints, bend)
        faces = near(body, rest, joints[body.smplx_joints[bend.where]], bend.radius)
        cells = [measured(rest, rule(bones), weights, bones, faces) for rule in rules.values()]
        print(f"{name:18}{100 * bend.radius:5.0f} cm" + "".join(f"{cell:>34}" for cell in cells))


def posed(body: Anny, joints: torch.Tensor, bend: Bend) -> torch.Tensor:
    """The bones of a person with arms out and one joint bent."""
    pose = torch.eye(3).repeat(len(SMPLX_JOINTS), 1, 1)
    angle = math.radians(bend.degrees) / len(bend.joints)
    for name in bend.joints:
        pose[INDEX[name]] = roma.rotvec_to_rotmat(angle * torch.tensor(bend.axis))
    still = Motion.still(pose)
    own = pose_for(body, replace(still, transl=torch.zeros(1, 3)), joints)
    return body.bones(joints, own.pose[0], own.transl[0])


def near(body: Anny, rest: torch.Tensor, joint: torch.Tensor, radius: float) -> torch.Tensor:
    """The triangles of the skin around a joint."""
    skin = (body.part_labels < 8) & ((rest - joint).norm(dim=1) < radius)
    return body.faces[skin[body.faces].all(1)]


def measured(
    rest: torch.Tensor,
    now: torch.Tensor,
    weights: torch.Tensor,
    bones: torch.Tensor,
    faces: torch.Tensor,
) -> str:
    before, after = crosses(rest, faces), crosses(now, faces)
    larger = after.norm(dim=1) / before.norm(dim=1).clamp_min(1e-12)
    change = torch.maximum(larger, 1 / larger.clamp_min(1e-6))
    turn = Hold.of(weights[faces].mean(1)).turns(bones)
    over = ((turn @ before[..., None])[..., 0] * after).sum(1) < 0
    share = volume(now, faces) / volume(rest, faces)
    return (
        f"{share:.3f}{change.quantile(0.95):7.2f}{change.max():8.1f}"
        f"{100 * over.float().mean():9.1f} %"
    )


def crosses(points: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    a, b, c = points[faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)


def volume(points: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Within faces and the fans that close their rims."""
    ends = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = len(points)
    there, back = ends @ torch.tensor([count, 1]), ends @ torch.tensor([1, count])
    rim = ends[~torch.isin(back, there)]
    links = coo_array((torch.ones(len(rim)), rim.T), shape=(count, count))
    loop = torch.tensor(connected_components(links, directed=False)[1])[rim[:, 0]].long()
    start = points[rim[:, 0]]
    sums = start.new_zeros(count, 3).index_add(0, loop, start)
    middle = sums[loop] / torch.bincount(loop, minlength=count)[loop, None]
    fans = torch.stack([points[rim[:, 1]], start, middle], 1)
    a, b, c = torch.cat([points[faces], fans]).unbind(1)
    return (torch.linalg.cross(a, b) * c).sum() / 6


if __name__ == "__main__":
    main()
