"""Textures taken from an avatar whose every part has a colour of its own."""

import pytest
import torch

from incarnate.avatars.bake import Shot, baked, unwrapped
from incarnate.avatars.playback import Player
from incarnate.avatars.surface import Discs, Drive, SurfaceAvatar, dense_weights, scattered
from incarnate.body.anny import Anny
from incarnate.body.body import PARTS
from incarnate.cameras import orbit

SIZE = 512


@pytest.fixture(scope="module")
def surface() -> SurfaceAvatar:
    """Thin opaque discs: teeth white, all else of the mouth red, the face green, the rest blue."""
    rng = torch.Generator().manual_seed(0)
    body = Anny.load()
    parts = body.part_labels[body.faces[:, 0]]
    near = torch.isin(parts, torch.tensor([PARTS.index(p) for p in ("head", "tongue", "mouth")]))
    teeth = parts == PARTS.index("teeth")
    faces, barycentrics, _ = scattered(1.0 + 3 * near + 9 * teeth, 60_000, rng)
    own = parts[faces]
    colors = torch.tensor([0.1, 0.1, 0.9]).repeat(len(faces), 1)
    colors[own == PARTS.index("head")] = torch.tensor([0.1, 0.9, 0.1])
    for name in ("tongue", "mouth"):
        colors[own == PARTS.index(name)] = torch.tensor([0.7, 0.2, 0.2])
    colors[own == PARTS.index("teeth")] = torch.tensor([0.95, 0.95, 0.95])
    n = len(faces)
    flat = torch.tensor([-5.5, -5.5, -8.0]).repeat(n, 1)
    labels = torch.zeros(n, dtype=torch.long)
    discs = Discs(
        faces, barycentrics, torch.zeros(n, 3), torch.zeros(n), flat, torch.full((n,), 4.0),
        colors, labels,
    )  # fmt: skip
    betas, offsets = body.default_betas(), torch.zeros(len(body.part_labels), 3)
    return SurfaceAvatar(body, betas, offsets, dense_weights(body), discs)


def test_each_part_has_its_colour_and_the_depth_of_the_mouth_is_dark(surface: SurfaceAvatar):
    body = surface.body
    drive = Drive(torch.zeros(52), body.neutral_pose(), torch.zeros(3))
    head = surface.rest[body.region("head") > 0.5].mean(0)
    shots = [Shot(drive, orbit(head, 0.3, azimuth, 0.0, 256, 256)) for azimuth in (0.0, 1.5, 4.5)]
    texture = baked(Player(surface), shots, SIZE).float() / 255
    texels = unwrapped(body.uvs, body.face_uvs, SIZE)
    inside = texels.face_ids >= 0
    faces, colors = texels.face_ids[inside], texture[inside]
    part = body.part_labels[body.faces[faces, 0]]
    for name in ("tongue", "mouth"):
        own = colors[part == PARTS.index(name)]
        assert (own[:, 0] > 1.5 * own[:, 1]).all()  # No tooth, nor face: still red.
    teeth = part == PARTS.index("teeth")
    assert (colors[teeth].amax(1) - colors[teeth].amin(1)).max() < 0.05
    places = surface.rest[body.faces[faces]].mean(1)
    depth = places[teeth, 2].amax() - places[teeth, 2]
    before, behind = colors[teeth][depth < 0.01].mean(1), colors[teeth][depth > 0.035].mean(1)
    assert before.amax() > 0.9 and behind.median() < 0.7 * before.amax()
    face = colors[part == PARTS.index("head")]
    assert (face[:, 1] > face[:, 0] + 0.3).float().mean() > 0.97
