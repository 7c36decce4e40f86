"""The programs of docs/rasterizer.md, as they stand there: each ends in what it promises."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "rasterizer.md"
PROGRAMS = re.findall(r"^## ([^\n]*)\n.*?```python\n(.*?)```", PAGE.read_text(), re.M | re.S)


@pytest.mark.parametrize("title, program", PROGRAMS, ids=[title for title, _ in PROGRAMS])
def test_the_program_does_what_the_page_says(title, program):
    exec(compile(program, f"{PAGE.name}: {title}", "exec"), {"__name__": "page"})


def test_the_page_has_both_programs():
    assert [title for title, _ in PROGRAMS] == ["Fit a picture", "Fit a scene"]
