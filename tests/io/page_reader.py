"""Pages read back."""

import base64
import gzip
import json
from pathlib import Path

import safetensors.numpy

from incarnate.io.page import Page


def read_page(path: Path) -> Page:
    """What a page that `write_page` wrote shows. ValueError if it is another file."""
    try:
        text = path.read_text("utf-8")
        packed = gzip.decompress(base64.b64decode(_between(text, 'data-packed="gzip">')))
        length = int.from_bytes(packed[:8], "little")
        facts = json.loads(json.loads(packed[8 : 8 + length])["__metadata__"]["facts"])
        arrays = safetensors.numpy.load(packed)
    except (IndexError, KeyError, ValueError, OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} is not a page that incarnate wrote ({error})") from error
    sounds = [
        base64.b64decode(rest.split("</script>", 1)[0])
        for rest in text.split('data-sound="audio/mpeg">')[1:]
    ]
    return Page(facts["title"], arrays, facts, sounds)


def _between(text: str, opening: str) -> str:
    return text.split(opening, 1)[1].split("</script>", 1)[0]
