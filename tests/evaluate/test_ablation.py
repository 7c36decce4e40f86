"""Parts of the method that are left out: named, refused, missed, and told in a table."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from incarnate.body.anny import Anny
from incarnate.create import PRESETS, captured, from_capture, parsed
from incarnate.evaluate import ablation
from incarnate.evaluate.figures import Evaluation, Figure, Row
from incarnate.methods.parts import MEANINGS, PARTS
from incarnate.progress import Silent


def test_every_part_has_a_meaning_and_a_name_that_is_understood():
    assert tuple(MEANINGS) == PARTS
    for part in PARTS:
        assert parsed(f"one-shot:no-{part}") == ("one-shot", (part,))
    assert parsed("one-shot:no-lining,no-teeth") == ("one-shot", ("teeth", "lining"))
    with pytest.raises(ValueError, match="'nose' is no part .* known are silhouette, mesh-lap"):
        parsed("one-shot:no-nose")
    with pytest.raises(ValueError, match="average has no parts"):
        parsed("average:no-teeth")


def test_losses_left_out_weigh_nothing_and_the_others_as_before():
    whole = PRESETS["tiny"]
    less = whole.leaving_out(["ssim", "mesh-laplacian", "anisotropy"])
    assert less.appearance.ssim_weight == 0 and less.silhouette.laplacian_weight == 0
    assert less.appearance.isotropic and not whole.appearance.isotropic
    assert less.appearance.rgb_weight == whole.appearance.rgb_weight
    assert whole.leaving_out([]) == whole


def test_parts_left_out_are_missed(tmp_path: Path):
    Image.fromarray(astronaut()).resize((384, 384)).save(tmp_path / "astronaut.png")
    body, tiny = Anny.load(), PRESETS["tiny"]
    kept = captured(tmp_path / "astronaut.png", tiny, None, None, body, Silent())

    def made(*without: str):
        config = tiny.leaving_out(without)
        return from_capture("one-shot", "tiny", config, kept, body, Silent())

    whole, bare, square = made(), made("silhouette", "refinement"), made("anisotropy", "texture")
    assert "without" not in whole.meta and bare.meta["without"] == ["silhouette", "refinement"]
    offsets = [a.surface.vertex_offsets.norm(dim=1).mean() for a in (whole, bare)]
    assert offsets[1] < 0.9 * offsets[0]
    learnt = whole.surface.discs.log_scales[:, 0] - whole.surface.discs.log_scales[:, 1]
    round_ = square.surface.discs.log_scales[:, 0] - square.surface.discs.log_scales[:, 1]
    assert learnt.abs().mean() > 1.2 * round_.abs().mean()
    assert not torch.equal(whole.surface.discs.colors[:2000], square.surface.discs.colors[:2000])


def row(subject: str, method: str, psnr: float) -> Row:
    return Row(subject, method, "k", (Figure("psnr", psnr, "dB", "up", "a definition"),))


def test_the_table_tells_what_is_lost_in_pairs():
    methods = ablation.expanded(["one-shot", "average"])
    assert methods[:2] == ("one-shot", "one-shot:no-silhouette") and methods[-1] == "average"
    assert len(methods) == 2 + len(PARTS)
    rows = [row(f"P{i}", "one-shot", 20.0 + 3 * i) for i in range(6)]
    rows += [row(f"P{i}", "one-shot:no-ssim", 18.0 + 3 * i + 0.1 * (i % 2)) for i in range(6)]
    evaluation = Evaluation("photos", {}, tuple(rows))
    assert "| ssim | -1.95* |" in ablation.table(evaluation)
    page = "".join(ablation.page(evaluation))
    assert "class=best>-1.95" in page and MEANINGS["ssim"] in page
    assert ablation.table(Evaluation("photos", {}, tuple(rows[:6]))) == ""
    with pytest.raises(ValueError, match="nothing here has parts"):
        ablation.expanded(["average"])
