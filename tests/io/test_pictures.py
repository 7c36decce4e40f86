from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from incarnate.io.pictures import backdrop, finished, write_picture

RGB = torch.tensor([0.4, 0.2, 0.0]).expand(2, 2, 3)
ALPHA = torch.tensor([[0.5, 1.0], [0.0, 0.5]])
PREMULTIPLIED = RGB * ALPHA[..., None]


def test_a_render_stands_before_its_backdrop():
    picture = finished(PREMULTIPLIED, ALPHA, backdrop("#0000ff", 2, 2))
    assert picture[0].tolist() == [[51, 26, 128], [102, 51, 0]]
    assert picture[1, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("text", ["#3070b0", "none"])
def test_native_bytes_are_those_of_the_definition(text: str):
    rng = torch.Generator().manual_seed(0)
    alpha = (1.4 * torch.rand(37, 53, generator=rng) - 0.2).clamp(0, 1)
    rgb = (1.2 * torch.rand(37, 53, 3, generator=rng) - 0.1) * alpha[..., None]
    behind = backdrop(text, 53, 37)
    ours = finished(rgb, alpha, behind).astype(int)
    off = np.abs(ours - finished(rgb, alpha, behind, "torch"))
    assert off.max() <= 1 and (off > 0).mean() < 1e-3  # Halves, to rounding.


def test_files_hold_straight_alpha(tmp_path: Path):
    write_picture(tmp_path / "me.png", finished(PREMULTIPLIED, ALPHA, backdrop("none", 2, 2)))
    read = np.array(Image.open(tmp_path / "me.png"))
    assert read[0].tolist() == [[102, 51, 0, 128], [102, 51, 0, 255]]
    assert read[1, 0, 3] == 0


def test_a_picture_fills_the_backdrop_without_changing_its_shape(tmp_path: Path):
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    behind = backdrop(str(tmp_path / "wide.png"), 10, 10)
    assert behind is not None and behind.shape == (10, 10, 3)
    assert behind.min() > 0.99, "the middle of a wide picture is what a square one shows"


def test_what_cannot_be_written_or_shown_says_what_can(tmp_path: Path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    with pytest.raises(ValueError, match="JPEG has no transparency; use .png"):
        write_picture(tmp_path / "me.jpg", rgba)
    with pytest.raises(ValueError, match=r"not '\.gif'"):
        write_picture(tmp_path / "me.gif", rgba)
    with pytest.raises(ValueError, match="neither a picture nor a colour"):
        backdrop("blurple", 2, 2)
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        backdrop(str(tmp_path / "text.png"), 2, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["text.png"]


def test_a_full_disk_leaves_the_old_picture_and_nothing_else(tmp_path: Path, monkeypatch):
    write_picture(tmp_path / "me.png", np.zeros((2, 2, 3), np.uint8))
    before = (tmp_path / "me.png").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write_picture(tmp_path / "me.png", np.ones((2, 2, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]
    assert (tmp_path / "me.png").read_bytes() == before
