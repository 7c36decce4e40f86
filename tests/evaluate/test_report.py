from pathlib import Path

import pytest

from incarnate.evaluate.figures import Evaluation, Figure, Row, Stage
from incarnate.evaluate.report import ordered, table, write_comparison, write_report


def row(subject: str, method: str, psnr: float) -> Row:
    figures = (
        Figure("psnr", psnr, "dB", "up", "a definition"),
        Figure("landmarks", 40 - psnr, "%", "down", "a model"),
    )
    return Row(subject, method, f"{subject}{method}", figures, (Stage("fit", 2.0, 1.0),), 3.0, 1.2)


def run(method: str, gain: float) -> Evaluation:
    rows = tuple(row(f"P{i}", method, 20.0 + i + gain + 0.1 * (i % 2)) for i in range(6))
    return Evaluation("photos", {"quality": "tiny"}, rows)


def test_what_is_saved_comes_back(tmp_path: Path):
    evaluation = run("one-shot", 0.0)
    evaluation.save(tmp_path / "metrics.json")
    assert Evaluation.load(tmp_path) == evaluation
    psnr = evaluation.summary("one-shot")[0]
    assert psnr.n == 6 and psnr.value == pytest.approx(22.55)
    assert psnr.interval is not None and psnr.interval.low < 22.55 < psnr.interval.high
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is no metrics\.json"):
        Evaluation.load(tmp_path)


def test_a_gain_is_significant_and_named_for_what_it_is(tmp_path: Path):
    worse, better = run("one-shot", 0.0), run("one-shot", 1.0)
    assert write_comparison(worse, better, ("a", "b"), tmp_path / "c.html").count("B better") == 2
    assert write_comparison(better, worse, ("a", "b"), tmp_path / "c.html").count("B worse") == 2
    other = run("other", 1.0)  # Nothing alike: each against each.
    assert "one-shot (A) and other (B)" in write_comparison(
        worse, other, ("a", "b"), tmp_path / "c.html"
    )


def test_failures_and_the_worst_come_first():
    rows = [row("good", "m", 30.0), row("bad", "m", 10.0), Row("none", "m", "k", failure="no")]
    assert [r.subject for r in ordered(rows)] == ["none", "bad", "good"]


def test_names_cannot_break_the_page(tmp_path: Path):
    evil = Evaluation("photos", {}, (row("<script>x</script>", "m", 1.0),))
    write_report(evil, tmp_path, tmp_path / "r.html")
    assert "<script>" not in (tmp_path / "r.html").read_text()
    assert "| psnr (dB) ↑ | 1.000 |" in table(evil)
