"""What lies beside a checkpoint is not trusted."""

import io
import os
import pickle
from pathlib import Path

import pytest

from incarnate.priors.train.checkpoints import _Harmless, latest


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_metadata_that_would_run_code_is_refused(tmp_path):
    with pytest.raises(pickle.UnpicklingError, match="mkdir has no place in a checkpoint"):
        _Harmless(io.BytesIO(pickle.dumps(Trap(tmp_path / "sprung")))).load()
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["..", "../000000000008", "000000000009", ""])
def test_a_name_that_is_no_checkpoint_beside_it_is_refused(tmp_path, name):
    (tmp_path / "000000000008").mkdir()
    (tmp_path / "latest").write_text(name)
    with pytest.raises(ValueError, match="names no checkpoint beside it"):
        latest(tmp_path)
    (tmp_path / "latest").write_text("000000000008\n")
    assert latest(tmp_path) == "000000000008"
