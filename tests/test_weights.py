"""The table of weights."""

import pytest

from incarnate import weights


def test_every_row_names_what_a_licence_check_needs():
    for row in weights.TABLE:
        assert row.file and row.licence and row.origin and row.script.startswith("scripts/")


@pytest.mark.parametrize("name", [row.name for row in weights.TABLE])
def test_the_files_are_those_of_the_table(name: str):
    assert weights.verify(name)


def test_the_table_has_every_file_of_weights():
    assets = weights.path("anny").parent.parent
    suffixes = (".safetensors", ".task", ".npz")
    found = {str(p.relative_to(assets)) for p in assets.rglob("*") if p.suffix in suffixes}
    assert found == {row.file for row in weights.TABLE}


def test_the_priors_stay_within_their_size():
    priors = [row.name for row in weights.TABLE if row.name.startswith("prior-")]
    assert len(priors) == 7
    assert sum(weights.path(name).stat().st_size for name in priors) <= 13 * 2**20


def test_perception_stays_within_its_size():
    assert sum(weights.path(name).stat().st_size for name in ("pose", "hand", "face")) <= 17_500_000


def test_a_changed_byte_is_noticed(tmp_path, monkeypatch):
    content = bytearray(weights.path("face").read_bytes())
    content[1000] ^= 1
    changed = tmp_path / "face.task"
    changed.write_bytes(bytes(content))
    monkeypatch.setattr(weights, "path", lambda name: changed)
    assert not weights.verify("face")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no weights named 'x'; known are: pose, hand"):
        weights.path("x")
