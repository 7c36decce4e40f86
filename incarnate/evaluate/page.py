"""What pages for people look like: one HTML file with every picture in it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from incarnate.io.runs import replacing

STYLE = """
:root{--ink:#1d2530;--soft:#66707d;--line:#e3e7ec;--paper:#fff;--back:#f4f6f8;--best:#0a7a5c;
--bad:#b3402a;--accent:#2456a6}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#98a3b1;--line:#2d3540;
--paper:#181d24;--back:#10141a;--best:#4cc9a0;--bad:#ff8f73;--accent:#8ab4ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 20px 80px}
h1{font-size:28px;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:19px;margin:40px 0 12px}
h3{font-size:16px;margin:0}p{margin:6px 0}.soft{color:var(--soft)}small{color:var(--soft)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:18px;
margin:0 0 20px;overflow-x:auto}
.head{display:flex;justify-content:space-between;gap:16px;align-items:baseline;flex-wrap:wrap;
margin-bottom:10px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap;
vertical-align:top}
th{font-weight:600;font-size:13px;color:var(--soft)}
th:first-child,td:first-child{text-align:left;white-space:normal;min-width:180px}
tr:last-child td{border-bottom:0}.best{color:var(--best);font-weight:650}.bad{color:var(--bad)}
.interval{display:block;font-size:12px;color:var(--soft);font-weight:400}
figure{margin:12px 0 0}figcaption{font-size:12.5px;color:var(--soft);margin-bottom:4px}
img{max-width:100%;height:auto;border-radius:8px;display:block;background:#dbdbdb}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:14px}
@media(max-width:800px){.pair{grid-template-columns:1fr}}
details{margin-top:12px}summary{cursor:pointer;color:var(--accent)}
.chips{display:flex;flex-wrap:wrap;gap:6px 14px;font-size:13.5px;font-variant-numeric:tabular-nums}
.chips b{font-weight:650}
.bar{display:flex;height:10px;border-radius:5px;overflow:hidden;margin:6px 0}
"""


def write_page(title: str, body: Sequence[str], path: Path) -> None:
    """Writes the page, whole or not at all; `body` is HTML, the title is not."""
    page = (
        '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width='
        f'device-width,initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<main>{''.join(body)}</main></html>\n"
    )
    with replacing(path) as part:
        part.write_text(page)


def inlined(picture: Path | Image.Image) -> str:
    """A picture (a file must be a JPEG) as an address that holds all of it."""
    if isinstance(picture, Path):
        jpeg = picture.read_bytes()
    else:
        memory = io.BytesIO()
        picture.save(memory, "JPEG", quality=86)
        jpeg = memory.getvalue()
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def number(value: float) -> str:
    """With as many digits as mean something."""
    size = abs(value)
    return f"{value:.1f}" if size >= 20 else f"{value:.2f}" if size >= 2 else f"{value:.3f}"
