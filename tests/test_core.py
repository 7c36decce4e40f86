"""How the compiled core is loaded: which instruction set it runs on, and who is told."""

import json
import os
import subprocess
import sys

import pytest
import torch

from incarnate import _native, cli, core, doctor

SETS = ["baseline", "v3", "v4"]


def run(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "INCARNATE_ISA": isa}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("isa", [*SETS, ""])
def test_the_environment_picks_the_instruction_set(isa: str):
    have = _native.instruction_sets()
    assert have == SETS[: len(have)] and have[0] == "baseline"
    answer = run(isa, "-c", "from incarnate import _native as n; print(n.instruction_set())")
    if isa and isa not in have:
        assert answer.returncode and "INCARNATE_ISA" in answer.stderr
    else:
        assert answer.stdout.strip() == (isa or have[-1])


def test_an_instruction_set_that_is_not_here_is_one_clear_error():
    answer = run("neon", "-m", "incarnate", "render", "x.avatar", "-o", "x.png")
    assert answer.returncode == 2 and answer.stderr.count("\n") == 1
    for word in ("INCARNATE_ISA", "neon", *_native.instruction_sets(), "unset"):
        assert word in answer.stderr


def test_the_doctor_tells_instruction_sets_and_threads():
    check = doctor._native()
    assert check.state == "ok"
    assert check.detail.startswith(f"{_native.instruction_set()} of baseline")
    assert f"{_native.threads()} threads" in check.detail


def test_the_doctor_passes_on_what_the_core_says_itself():
    answer = run("neon", "-m", "incarnate", "doctor", "--json")
    assert answer.returncode == 1
    (lost,) = (c for c in json.loads(answer.stdout)["checks"] if c["name"] == "native renderer")
    assert lost["state"] == "missing" and "INCARNATE_ISA came as 'neon'" in lost["detail"]
    assert lost["remedy"] == ""


def test_a_core_that_is_not_there_is_no_wrong_instruction_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "incarnate._native", None)
    with pytest.raises(ModuleNotFoundError, match="incarnate._native"):
        core.loaded()
    with pytest.raises(ModuleNotFoundError):
        cli.main(["render", "x.avatar", "-o", "x.png"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert doctor._native().remedy == doctor.REINSTALL


def test_only_float32_on_the_cpu_is_taken_and_the_rest_by_name_referred_elsewhere():
    good = torch.zeros(2)
    core.check("a loop", first=good, second=good)
    for bad, what in ((good.double(), "float64 on cpu"), (good.to("meta"), "float32 on meta")):
        with pytest.raises(ValueError, match=f"second came as torch.{what}; .* use a loop$"):
            core.check("a loop", first=good, second=bad)
