"""The inspection viewer: an avatar in the browser, served on this machine's loopback by viser.

What it shows is worked out without viser (`sliders`, `clips`, `looks`, `puppet`, `overlay`,
`views`, `takes`), so that it can be tested and measured without a browser. What binds it to viser
comes on top: `splats` (Gaussians on the wire), `site` (server and tabs), `panels`, `show` (the
loop of `incarnate view`) and `watch` (the same while an avatar is made).
"""

import importlib.util


def check(port: int) -> None:
    """ValueError, saying what to do, if viser is not there or the port is none."""
    if importlib.util.find_spec("viser") is None:
        raise ValueError("the viewer needs viser: pip install 'incarnate[viewer]'")
    if not 0 <= port <= 65535:
        raise ValueError(f"--port is {port}; give 1 to 65535, or 0 for any that is free")
