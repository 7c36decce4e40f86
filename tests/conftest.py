import os

import pytest
import torch
from hypothesis import settings

# Workers share the cores: one thread each is fastest, and sums come out in one order. numba, which
# gsply brings, sets OpenMP's number, and so torch's, when it first runs in parallel.
torch.set_num_threads(1)
for _library in ("OMP", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

settings.register_profile("incarnate", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("incarnate")


@pytest.fixture(scope="session", autouse=True)
def _own_credential(tmp_path_factory: pytest.TempPathFactory):
    """Signing makes a credential for the user: that of the tests is not the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        for name in ("INCARNATE_CERTIFICATE", "INCARNATE_KEY"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests that compare to the last bit run in the same process after any other."""
    yield
    assert torch.get_num_threads() == 1
