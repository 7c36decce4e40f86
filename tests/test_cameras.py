import pytest
import torch

from incarnate.cameras import Stance

PELVIS, HEAD = torch.tensor([0.0, 0.95, 0.1]), torch.tensor([0.0, 1.62, 0.1])
PERSON = Stance(torch.tensor([[-0.5, 0.0, -0.1], [0.5, 1.75, 0.3]]), PELVIS, HEAD, 0.549)
CROWN, SOLES = torch.tensor([0.0, 1.75, 0.1]), torch.tensor([0.0, 0.0, 0.1])


def rows(framing, person=PERSON, **points):
    """How far down the picture points are, 0 at its top and 1 at its bottom."""
    camera = person.camera(framing, 0.4, 0.0, 100)
    return {name: float(camera.project(point)[1]) / 100 for name, point in points.items()}


@pytest.mark.parametrize(
    ("framing", "shown"),
    [
        ("full", ("crown", "head", "pelvis", "soles")),
        ("upper", ("crown", "head", "pelvis")),
        ("lower", ("pelvis", "soles")),
        ("head", ("crown", "head")),
    ],
)
def test_a_framing_shows_what_its_name_says(framing, shown):
    at = rows(framing, crown=CROWN, head=HEAD, pelvis=PELVIS, soles=SOLES)
    assert tuple(name for name, row in at.items() if 0 < row < 1) == shown


def test_a_whole_body_fills_the_picture_but_for_a_tenth():
    at = rows("full", low=SOLES + torch.tensor([0.0, 0.0, -0.1]), high=CROWN)
    assert at["low"] - at["high"] == pytest.approx(1 / 1.1, abs=0.03)


def test_a_taller_person_is_framed_alike():
    taller = Stance(1.3 * PERSON.box, 1.3 * PELVIS, 1.3 * HEAD, 1.3 * 0.549)
    for framing in ("full", "upper", "lower", "head"):
        own = rows(framing, crown=CROWN, pelvis=PELVIS)
        theirs = rows(framing, taller, crown=1.3 * CROWN, pelvis=1.3 * PELVIS)
        assert theirs == pytest.approx(own, abs=1e-4)
