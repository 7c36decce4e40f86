"""A page of one file that shows an avatar in any browser, offline: web/ says how it draws.

The page is the template that `make page` builds from web/; what it shows lies in it as base64:
named arrays in a gzipped safetensors file, whose metadata has `facts` as JSON, and sounds as MP3.
"""

import base64
import gzip
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from incarnate.io.runs import replacing

TEMPLATE = files("incarnate") / "assets/page/page.html"


@dataclass(frozen=True, eq=False)
class Page:
    """What a page shows."""

    title: str
    arrays: Mapping[str, NDArray]
    """float32, uint8, uint16, int16 or int32."""
    facts: Mapping[str, Any]
    """As web/src/pack.ts names them."""
    sounds: Sequence[bytes] = ()
    """MP3 files."""


def check_template() -> None:
    """OSError if the page has not been built."""
    if not TEMPLATE.is_file():
        raise FileNotFoundError(
            "this installation has no page for .html: it was set up without npm; install Node.js "
            "and run `make page`"
        )


def write_page(path: Path, page: Page) -> None:
    """Writes the file, whole or not at all. OSError if there is no template or it cannot be."""
    check_template()
    named = {name: np.ascontiguousarray(array) for name, array in page.arrays.items()}
    packed = safetensors.numpy.save(named, {"facts": json.dumps(page.facts, allow_nan=False)})
    data = [_element('id="avatar" data-packed="gzip"', gzip.compress(packed, mtime=0))]
    data += [_element('data-sound="audio/mpeg"', sound) for sound in page.sounds]
    before, after = TEMPLATE.read_text("utf-8").split("{{data}}")
    before = before.replace("{{title}}", html.escape(page.title))
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.writelines([before, "\n".join(data), after])


def _element(attributes: str, data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    return f'<script type="application/octet-stream" {attributes}>{text}</script>'
