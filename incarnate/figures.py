"""An avatar as a skinned mesh that other programs bend: its skin, texture, expressions, clips."""

from collections.abc import Iterator
from dataclasses import replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.bake import Shot, around
from incarnate.avatars.surface import Drive
from incarnate.body.bending import skinned
from incarnate.body.body import PARTS
from incarnate.body.fewer import fitted
from incarnate.body.retarget import pose_for
from incarnate.body.skinning import skin
from incarnate.io.gltf import Clip, Figure, held
from incarnate.motion import POSES, SMPLX_JOINTS, Motion, pose_preset, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.scene import Gaussians

PHOTO_SIDE, PHOTO_WEIGHT = 1536, 60.0
"""Pixels of the photo's own picture, and its weight: it is what the rest is guessed from."""
RANDOM = 12
"""Poses with random turns, for weights to be fitted to, and as many others to test them on."""


def pictures(avatar: Avatar) -> list[Shot]:
    """What the texture is taken from: all sides, and above all what the photo showed."""
    camera = avatar.camera
    times = max(1.0, PHOTO_SIDE / max(camera.width, camera.height))
    close = camera.resized(round(times * camera.width), round(times * camera.height))
    return [*around(avatar.player, resting(avatar)), Shot(avatar.photo, close, PHOTO_WEIGHT, True)]


def floor(avatar: Avatar) -> Float[Tensor, "3"]:
    """What brings the soles of the avatar at rest from where we have them to y = 0."""
    lowest = avatar.player.vertices(resting(avatar))[:, 1].amin()
    return torch.tensor([0.0, -float(lowest), 0.0])


def raised(cloud: Gaussians, up: Float[Tensor, "3"]) -> Gaussians:
    """The Gaussians, moved."""
    return replace(cloud, means=cloud.means + up)


def resting(avatar: Avatar) -> Drive:
    """The body's rest pose, with the face of the photo."""
    body = avatar.surface.body
    return Drive(avatar.photo.expression, body.neutral_pose(), torch.zeros(3))


def figure(avatar: Avatar, name: str, texture: Tensor) -> Figure:
    """The mesh at rest on y = 0, its face as in the photo; expressions are what they add."""
    up = floor(avatar)
    surface, face = avatar.surface, avatar.photo.expression
    body = surface.body
    drawn = (body.part_labels[body.faces] != PARTS.index("lashes")).all(1)  # No Gaussians on them.
    neutral = body.express(surface.rest, face)
    ones = torch.eye(len(ARKIT_NAMES))
    return Figure(
        name,
        neutral + surface.vertex_offsets + up,
        body.faces[drawn],
        body.uvs,
        body.face_uvs[drawn],
        texture,
        body.joint_names,
        body.parents.tolist(),
        surface.joints + up,
        surface.weights,
        ARKIT_NAMES,
        torch.stack([body.express(surface.rest, face + one) - neutral for one in ones]),
    )


def laid(made: Figure, avatar: Avatar, drive: Drive) -> Figure:
    """The figure at rest in another pose, on the floor: skin, joints, what expressions add."""
    surface = avatar.surface
    bones = surface.body.bones(surface.joints, drive.pose, drive.transl)
    turns = (made.weights @ bones[:, :3, :3].flatten(1)).unflatten(1, (3, 3))
    vertices = avatar.player.vertices(drive)
    up = torch.tensor([0.0, -float(vertices[:, 1].amin()), 0.0])
    return replace(
        made,
        vertices=vertices + up,
        joints=(bones[:, :3, :3] @ surface.joints[..., None])[..., 0] + bones[:, :3, 3] + up,
        morphs=(turns @ made.morphs[..., None])[..., 0],
    )


def clip(avatar: Avatar, name: str, motion: Motion) -> Clip:
    """A motion as the figure's joints turn, its face on top of the figure's own."""
    drives = list(avatar.drives(motion))
    return Clip(
        name,
        motion.fps,
        torch.stack([drive.pose for drive in drives]),
        torch.stack([drive.transl for drive in drives]),
        torch.stack([drive.expression for drive in drives]) - avatar.photo.expression,
    )


def light(avatar: Avatar) -> Float[Tensor, "v j"]:
    """Weights of at most four bones a vertex, fitted to how our skin bends in presets, a walk and
    random poses."""
    surface = avatar.surface
    poses = [*map(pose_preset, POSES), walk_cycle(fps=5.0), _random(RANDOM, 0.25, seed=0)]
    bones = (matrices for motion in poses for matrices in _bones(avatar, motion))
    points = surface.rest + surface.vertex_offsets
    kept, joints = fitted(points, surface.weights, surface.centers, bones)
    return torch.zeros_like(surface.weights).scatter_add(1, joints, kept)


def loss(avatar: Avatar, weights: Float[Tensor, "v j"]) -> tuple[float, float]:
    """Metres by which skin on these weights is off ours in random poses that no fit has seen: at
    most, and for all but one in a thousand of its points."""
    surface = avatar.surface
    points = surface.rest + surface.vertex_offsets
    kept, joints = held(weights)
    gaps = [
        skin(points, kept, joints, bones) - skinned(points, surface.weights, bones, surface.centers)
        for bones in _bones(avatar, _random(RANDOM, 0.35, seed=1))
    ]
    far = torch.cat(gaps).norm(dim=1)
    return float(far.amax()), float(far.quantile(0.999))


def _bones(avatar: Avatar, motion: Motion) -> Iterator[Float[Tensor, "j 4 4"]]:
    surface = avatar.surface
    posed = pose_for(surface.body, motion, surface.joints)
    for pose, transl in zip(posed.pose, posed.transl, strict=True):
        yield surface.body.bones(surface.joints, pose, transl)


def _random(count: int, spread: float, seed: int) -> Motion:
    """Poses whose joints turn by `spread` radians about each axis, jaw, eyes and pelvis apart."""
    rng = torch.Generator().manual_seed(seed)
    vectors = spread * torch.randn(count, len(SMPLX_JOINTS), 3, generator=rng)
    vectors[:, [0, 22, 23, 24]] = 0
    pose = roma.rotvec_to_rotmat(vectors)
    return Motion(1.0, pose, torch.zeros(count, 3), torch.zeros(count, len(ARKIT_NAMES)))
