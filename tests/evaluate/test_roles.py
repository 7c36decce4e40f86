"""Every role of the embedded priors is worth something: beside the same without it."""

import pytest

from incarnate.evaluate import readback
from incarnate.evaluate.bench import CONTROLS, Bench, Effort, Findings
from incarnate.evaluate.heldout import held_out
from incarnate.priors.embedded import Priors
from incarnate.progress import Silent


@pytest.fixture(scope="module")
def bench() -> Bench:
    effort = Effort(people=2, rows=8, clips=1, steps=8, size=64)
    return Bench(Priors.embedded(), effort, held_out(2, 64), Silent())


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (readback.posed, "silhouette with pose"),  # text-to-normal
        (readback.deep, "depth against truth with pose"),  # text-to-depth
        (readback.aligned, "rgb's silhouette with normals"),  # normal-aligned-rgb
        (readback.completed, "hole in the person with another view"),  # projected-reference
        (readback.moving, "jitter of silhouettes, as a clip"),  # posed-video
        (readback.alike, "colours off with a picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_role_does_better_than_without_what_it_is_told(bench, part, name):
    found = Findings()
    part(bench, found)
    figures = {figure.name: figure for figure in found.figures}
    told, untold = figures[name], figures[CONTROLS[name]]
    better = told.value - untold.value if told.better == "up" else untold.value - told.value
    assert better > 0.05 * abs(untold.value)
