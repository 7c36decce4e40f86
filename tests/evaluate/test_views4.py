"""Four views against the studio's truth: alignment in closed form, and damage that shows."""

import math

import pytest
import torch

from incarnate.cameras import orbit
from incarnate.evaluate import views4


def test_similarity_undoes_a_scale_and_a_shift():
    points = torch.rand(22, 3, generator=torch.Generator().manual_seed(0))
    scale, shift = views4.similarity(points, 1.3 * points + torch.tensor([0.1, -2.0, 0.5]))
    assert scale == pytest.approx(1.3, abs=1e-5)
    torch.testing.assert_close(shift, torch.tensor([0.1, -2.0, 0.5]), atol=1e-5, rtol=0)


def test_subjects_are_drawn_once_and_half_of_them_lie_outside_the_body_model(tmp_path, monkeypatch):
    monkeypatch.setattr(views4, "PHOTO_SIDE", 64)
    first = views4.subjects(2, tmp_path)
    assert [who.name.split("-")[0] for who in first] == ["inside", "outside"]
    stamps = [who.photo.stat().st_mtime_ns for who in first]
    again = views4.subjects(2, tmp_path)
    assert [who.photo.stat().st_mtime_ns for who in again] == stamps
    assert not views4._person("inside-000", None).foreign
    assert views4._person("outside-001", None).foreign


def test_a_shrunk_camera_sees_the_same_picture_of_what_is_smaller():
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1))
    camera = orbit(torch.full((3,), 0.5), 2.0, 0.7, 0.2, 96, 96)
    scale, shift = 1.25, torch.tensor([0.2, 0.1, -0.3])
    seen = views4.shrunk(camera, scale, shift).project((points - shift) / scale)
    torch.testing.assert_close(seen, camera.project(points), atol=1e-3, rtol=0)


def test_beyond_the_outline_colours_count_and_within_both_none():
    """Four columns of ten each, ours one further to the right, on white."""
    theirs, ours = torch.ones(10, 10, 3), torch.ones(10, 10, 3)
    theirs[:, 2:6] = 0.2
    ours[:, 3:7] = torch.tensor([0.9, 0.5, 0.1])
    both = torch.zeros(10, 10, dtype=torch.bool)
    both[:, 3:6] = True
    # Column 2 is white instead of 0.2, column 6 coloured instead of white, each a tenth of all.
    error = (0.8**2 + (0.1**2 + 0.5**2 + 0.9**2) / 3) / 10
    assert views4.outline_psnr(ours, theirs, both) == pytest.approx(-10 * math.log10(error))
    recolored = ours.clone()
    recolored[both] = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    wanted = views4.outline_psnr(ours, theirs, both)
    assert views4.outline_psnr(recolored, theirs, both) == pytest.approx(wanted)
