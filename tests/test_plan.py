"""Plans: what would run, without loading it."""

import json

import pytest

from incarnate.cli import main
from incarnate.plan import OUTLINES, named, plan
from incarnate.priors import embedded
from incarnate.progress import Silent
from incarnate.roles import READS, ROLES
from tests.priors import published, tiny, tiny_embedded


@pytest.fixture(scope="module")
def normals(tmp_path_factory):
    """Stable Diffusion 1.5 at true width: its weights are a hole in the disk."""
    path = published.write("stable-diffusion-v1-5", tmp_path_factory.mktemp("plan") / "sd")
    tiny.tokenizer(path / "tokenizer", 77)
    (path / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n")
    return path


def test_a_role_with_weights_tells_memory_time_and_licence(normals):
    made = plan("humannorm", {"text-to-normal": str(normals)}, "cpu", Silent())
    cast = {c.role: c for c in made.cast}
    assert list(cast) == ["text-to-normal", "text-to-depth", "normal-aligned-rgb"]
    told = cast["text-to-normal"]
    assert told.parameters == 1_066_235_307
    assert told.licences == ("creativeml-openrail-m",)
    assert 4 * told.parameters < told.memory < 5.5 * told.parameters + 1e9
    # 30,000 predictions of .8 TFLOP and 15,000 encodings of 1.1, three times for the way back.
    operations = 30_000 * 0.817e12 + 15_000 * 3 * 1.117e12
    assert told.seconds == pytest.approx(operations / (made.gflops * 1e9), rel=0.01)
    assert not cast["text-to-depth"].weights
    assert "1066 million parameters" in made.text()
    assert "not built yet" in made.text()


def test_of_a_role_without_weights_the_plan_says_what_stands_in(tmp_path, monkeypatch):
    ours = tiny_embedded.written(tmp_path / "small")
    monkeypatch.setattr(embedded, "FOLDER", ours)
    stored = sum(path.stat().st_size for path in ours.rglob("*.safetensors")) / 1e6
    (cast,) = plan("svad", {}, "cpu", Silent()).cast
    assert f"embedded prior ({stored:.1f} MB, mit), a stand-in" in cast.stands_in
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "nothing")
    (cast,) = plan("svad", {}, "cpu", Silent()).cast
    assert "the embedded prior is not in this installation" in cast.stands_in


def test_a_guider_may_be_left_out_so_a_guided_base_plays_roles_of_text(tmp_path):
    base = tiny_embedded.written(tmp_path / "small")
    made = plan("humannorm", {"text-to-normal": f"{base}+pose:{base / 'pose'}"}, "cpu", Silent())
    assert made.cast[0].kind == "StableDiffusionPipeline" and made.cast[0].memory > 0


def test_weights_that_cannot_play_their_role_are_refused(normals):
    with pytest.raises(ValueError, match="cannot play normal-aligned-rgb: it reads text, view"):
        plan("humannorm", {"normal-aligned-rgb": str(normals)}, "cpu", Silent())
    with pytest.raises(ValueError, match="svad has no role text-to-normal; it has pose-driven"):
        plan("svad", {"text-to-normal": str(normals)}, "cpu", Silent())


def test_a_model_of_pictures_cannot_play_a_role_of_clips(normals, tmp_path):
    control = published.write_model(published.C15, tmp_path / "control")
    with pytest.raises(ValueError, match="cannot be run on clips"):
        plan("svad", {"pose-driven-video": f"{normals}+pose:{control}"}, "cpu", Silent())


def test_with_a_control_the_aligned_role_is_played(normals, tmp_path):
    control = published.write_model(published.C15, tmp_path / "control")
    made = plan("humannorm", {"normal-aligned-rgb": f"{normals}+normal:{control}"}, "cpu", Silent())
    told = made.cast[-1]
    assert told.parameters == 1_066_235_307 + 361_279_120
    assert told.licences[1].startswith("not said")


def test_every_role_of_every_method_is_known():
    needs = [need for outline in OUTLINES.values() for need in outline.needs]
    assert {need.role for need in needs} == set(ROLES) == set(READS)


def test_the_command_prints_for_people_and_machines(capsys):
    assert main(["plan", "one-shot", "-q"]) == 0
    assert "no diffusion model" in capsys.readouterr().out
    assert main(["plan", "svad", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["method"] == "svad" and not told["built"]


@pytest.mark.parametrize(
    "weights, match",
    [
        ("text-to-normal", "give ROLE=DIRECTORY with ROLE one of text-to-normal, text-to-depth"),
        ("edges=x", "--weights came as 'edges=x'"),
        ("text-to-normal=/nowhere", "there is no directory /nowhere"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(weights, match, capsys):
    assert main(["plan", "humannorm", "-q", "--weights", weights]) == 2
    err = capsys.readouterr().err
    assert match in err and err.count("\n") == 1


def test_a_role_named_twice_is_refused():
    with pytest.raises(ValueError, match="text-to-depth twice"):
        named(["text-to-depth=a", "text-to-depth=b"])


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device here"):
        plan("svad", {}, "cuda", Silent())


def test_weights_are_listed_and_converted_by_the_command(tmp_path, capsys):
    assert main(["weights", "list"]) == 0
    assert "Apache-2.0 AND CC0-1.0" in capsys.readouterr().out
    (tmp_path / "x.pth").write_text("hello")
    assert main(["weights", "convert", str(tmp_path / "x.pth"), "-q"]) == 2
    assert "was not converted" in capsys.readouterr().err
