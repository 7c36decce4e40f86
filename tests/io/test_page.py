"""Pages: what is put in comes out, and nothing can break out of its place."""

import numpy as np
import pytest

from incarnate.io import page
from incarnate.io.page import Page, write_page
from tests.io.page_reader import read_page

TEMPLATE = "<title>{{title}}</title><body>{{data}}<script>main()</script></body>"
ARRAYS = {
    "points": np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32),
    "faces": np.arange(60, dtype=np.uint16).reshape(20, 3),
    "parents": np.array([-1, 0], np.int32),
}


@pytest.fixture
def template(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text(TEMPLATE)
    monkeypatch.setattr(page, "TEMPLATE", path)
    return path


def test_what_is_put_in_comes_out(template, tmp_path):
    facts = {"title": "</script><script>alert(1)</script>", "ranges": {"points": [0.0, 1.0]}}
    made = Page(facts["title"], ARRAYS, facts, [b"sound </script>", b"\xff\x00"])
    write_page(tmp_path / "me.html", made)
    back = read_page(tmp_path / "me.html")
    assert back.facts == facts and list(back.sounds) == list(made.sounds)
    assert back.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back.arrays[name], array)
        assert back.arrays[name].dtype == array.dtype
    text = (tmp_path / "me.html").read_text()
    assert "alert(1)</script>" not in text.replace("&lt;/script&gt;", "")
    assert text.count("<script") == 4 and text.count("</script>") == 4


def test_the_same_page_is_the_same_bytes(template, tmp_path):
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, Page("me", ARRAYS, {"title": "me"}))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_without_a_template_it_says_how_to_get_one(template, tmp_path):
    template.unlink()
    with pytest.raises(FileNotFoundError, match="make page"):
        write_page(tmp_path / "me.html", Page("me", ARRAYS, {"title": "me"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "<p>hello</p>", '<script data-packed="gzip">AAAA</script>', "\x00"]
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "other.html").write_text(text)
    with pytest.raises(ValueError, match="other.html is not a page that incarnate wrote"):
        read_page(tmp_path / "other.html")
