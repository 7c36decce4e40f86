"""What is read back: figures on constructed pictures, the suite on priors that know the data."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from incarnate.evaluate import portraits, readback
from incarnate.evaluate.bench import EFFORTS, Bench, Findings, Strip
from incarnate.evaluate.figures import Evaluation, Figure
from incarnate.evaluate.heldout import AZIMUTHS, asked, bare, held_out, projected, view_of
from incarnate.evaluate.priors import Trained, evaluate_directory, evaluate_priors
from incarnate.evaluate.readback_page import caption_sheet, card, strip_sheet, table, verdict
from incarnate.evaluate.readers import Readers, top_color
from incarnate.metrics.color import ciede2000, lab
from incarnate.priors import Condition, Denoiser, Schedule, Text
from incarnate.priors.conditions import side
from incarnate.priors.embedded import Priors
from incarnate.progress import Silent
from incarnate.recipe import Shows

GREY = torch.full((16, 16, 3), 0.5)


@pytest.fixture(scope="module")
def truth():
    return held_out(2, 64)


def figures(found):
    return {figure.name: figure.value for figure in found.figures}


# Held-out people.


def test_captions_leave_framing_and_view_to_others(truth):
    said = "a man with short hair, in a red shirt, walking, head and shoulders, three-quarter view"
    assert bare(said) == "a man with short hair, in a red shirt, walking"
    prompt = Condition(Text((truth.pairs[0].caption,)), view_of(truth.pairs[:1])).prompts(1)[0]
    assert prompt.count("view") == 1 and prompt.count("body") + prompt.count("head,") <= 2


def test_a_picture_projected_into_itself_is_known_wherever_there_is_somebody():
    from incarnate.studio.lessons import lesson
    from incarnate.studio.people import person

    one = next(lesson(person((9, 0)), np.random.default_rng(0), 48))
    known = projected(one, one)
    person_here = torch.from_numpy(one.shot.depth > 0)
    assert torch.equal(known.hole[0, ..., 0] < 0.5, person_here)
    rgb = torch.from_numpy(one.shot.rgb).float() / 255
    torch.testing.assert_close(known.image[0][person_here], rgb[person_here])


def test_another_view_tells_colours_that_are_nearly_the_truth(truth):
    """Of places that both see; the light does not move with the camera."""
    seen = next(s for s in truth.pairs if s.known is not None and s.framing == "full")
    known = seen.known.hole[0, ..., 0] < 0.5
    assert 0.2 < float(known.sum() / (seen.alpha > 0.5).sum()) <= 1.1
    off = (seen.known.image[0] - seen.rgb).abs().mean(-1)
    assert float(off[known].median()) < 0.06


def test_made_up_captions_ask_for_one_colour_and_for_every_side_alike(truth):
    made = asked(40, truth.pairs)
    assert len(made) == 40 and len({one.caption for one in made}) > 35
    assert all(top_color(one.caption) == one.color for one in made)
    assert {sum(one.side == name for one in made) for name in AZIMUTHS} == {10}
    assert all(side(one.azimuth) == one.side for one in made)


# Measures.


def test_silhouettes_are_what_is_not_background():
    rng = torch.Generator().manual_seed(0)
    toward = torch.randn((1, 30, 30, 3), generator=rng)
    toward[..., 2].abs_()
    toward = torch.nn.functional.normalize(toward, dim=-1)
    covered = torch.rand((1, 30, 30), generator=rng)
    seen = portraits.lit((toward + 1) / 2 * covered[..., None])
    # Exact but for the few that lean far to the left and down at once.
    usual = toward.sum(-1) > -0.99
    assert float(usual.float().mean()) > 0.9
    assert torch.equal(seen[usual], (covered > 0.5)[usual])


def test_grey_clothes_within_somebody_belong_to_the_silhouette():
    picture = GREY.clone()
    picture[4:12, 4:12] = torch.tensor([0.8, 0.4, 0.3])
    picture[6:10, 6:10] = 0.5
    mask = portraits.colored(picture[None])[0]
    assert int(mask.sum()) == 64 and bool(mask[8, 8])


def test_iou_counts_what_is_shared():
    a, b = torch.zeros(2, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4, dtype=torch.bool)
    a[0, :2], b[0, 1:3] = True, True
    assert portraits.ious(a, b) == [pytest.approx(1 / 3), 1.0]


def test_the_data_itself_is_as_diverse_as_the_data(truth):
    pictures = torch.stack([s.rgb for s in truth.pairs])
    found = Findings()
    readback._varied("rgb", pictures, pictures, found)
    assert list(figures(found).values()) == [pytest.approx(1), pytest.approx(1)]
    found = Findings()
    readback._varied("rgb", pictures[:1].expand_as(pictures), pictures, found)
    assert list(figures(found).values()) == [0, pytest.approx(0, abs=1e-6)]


def test_half_the_contrast_is_half_the_spread():
    pictures = torch.rand(5, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    rms = [(a - b).square().mean().sqrt() for k, a in enumerate(pictures) for b in pictures[:k]]
    assert portraits.spread(pictures) == pytest.approx(float(np.mean(rms)), rel=1e-5)
    assert portraits.spread(pictures / 2) == pytest.approx(portraits.spread(pictures) / 2, rel=1e-5)


def test_jitter_is_change_that_should_not_be():
    truth = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    for k in range(3):
        truth[0, k, :, k : k + 4] = True  # Moves a column a frame.
    assert portraits.jitter(truth, truth) == [0.0]
    still = truth[:, :1].expand(-1, 3, -1, -1)
    # What stands still misses two columns' changes (8 pixels each) of an area of 32.
    assert portraits.jitter(still, truth) == [pytest.approx(0.5)]


def test_flicker_counts_changes_of_colour_where_somebody_is():
    inside = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    inside[:, :, :2] = True
    steady = torch.full((1, 2, 4, 4, 3), 0.5)
    other = steady.clone()
    other[:, 1, :2] += 0.2
    other[:, 1, 2:] += 0.4  # Beside the person: of no account.
    assert portraits.flicker(other, steady, inside) == [pytest.approx(0.2)]
    assert portraits.flicker(other, other, inside) == [0.0]


def test_colours_off_in_one_band_count_as_much_as_its_share():
    alpha = torch.zeros(24, 8)
    alpha[:, 2:6] = 1
    truth, made = torch.full((24, 8, 3), 0.4), torch.full((24, 8, 3), 0.4)
    made[:4] = torch.tensor([0.7, 0.2, 0.2])  # The first of six bands.
    made[:, :2] = 1.0  # Beside the person.
    gap = ciede2000(lab(np.array([[0.7, 0.2, 0.2]])), lab(np.full((1, 3), 0.4)))[0]
    assert portraits.color_gap(made, truth, alpha) == pytest.approx(float(gap) / 6, rel=1e-3)
    assert portraits.color_gap(truth, truth, alpha) == pytest.approx(0, abs=1e-4)


def test_captions_turned_to_the_next_side_are_never_right(truth):
    readers = Readers()
    pictures = torch.stack([s.normal for s in truth.pairs])
    said = readers.sides(pictures, "normal")
    assert readback.right_sides(readers, pictures, said, "normal").all()
    following = {a: b for a, b in pairwise([*AZIMUTHS, next(iter(AZIMUTHS))])}
    assert not readback.right_sides(
        readers, pictures, [following[one] for one in said], "normal"
    ).any()


# The suite.


class Memory(Denoiser):
    """Knows the held-out pictures by heart: the best that a prior can be."""

    schedule = Schedule.scaled_linear(prediction="sample")

    def __init__(self, truth, name, heeds=True):
        every = [*truth.pairs, *(seen for clip in truth.clips for seen in clip)]
        self.every, self.name, self.heeds = every, name, heeds
        self.pictures = torch.stack([getattr(s, name) for s in every])
        self.skeletons = torch.stack([s.skeleton for s in every])
        self.normals = torch.stack([s.normal for s in every])
        prompt = lambda s: Condition(Text((s.caption,)), view_of([s])).prompts(1)[0]  # noqa: E731
        self.prompts = [prompt(s) for s in every]

    @property
    def reads(self):
        return ("text", "view", "pose", "normal", "projection", "reference")

    def encode(self, images):
        return images.movedim(-1, 1) * 2 - 1

    def decode(self, latents):
        return (latents.movedim(1, -1) + 1) / 2

    def predict(self, x_t, t, condition):
        frames = x_t.shape[2] if x_t.ndim == 5 else 1
        prompts = condition.prompts(len(x_t))
        rows = torch.tensor(
            [
                [self._found(condition, p, k, f) for f in range(frames)]
                for k, p in enumerate(prompts)
            ]
        )
        shown = self.pictures[rows] if x_t.ndim == 5 else self.pictures[rows[:, 0]]
        return self.encode(shown)

    def _found(self, condition, prompt, row, frame):
        gaps = torch.tensor([0.0 if p == prompt else 1.0 for p in self.prompts])
        if self.heeds and condition.pose is not None:
            told = condition.pose.image[row]
            told = told[frame] if told.ndim == 4 else told
            gaps = gaps + 1e3 * (self.skeletons - told).square().mean((1, 2, 3))
        if self.heeds and condition.normal is not None:
            told = condition.normal.image[row]
            gaps = gaps + 1e3 * (self.normals - told).square().mean((1, 2, 3))
        if self.heeds and condition.projection is not None:
            known = condition.projection
            off = (self.pictures - known.image[row]).square() * (1 - known.hole[row])
            gaps = gaps + 1e3 * off.mean((1, 2, 3))
        return int(gaps.argmin())

    def unconditional(self, condition):
        return condition

    def features(self, x_t, t, condition):
        return (self.predict(x_t, t, condition),)


def knowing(truth):
    normal, depth, rgb = (Memory(truth, name) for name in ("normal", "depth", "rgb"))
    return Priors(normal, depth, rgb, rgb, rgb, rgb)


@pytest.fixture(scope="module")
def bench(truth):
    effort = replace(EFFORTS["tiny"], size=64, rows=8, clips=2)
    return Bench(knowing(truth), effort, truth, Silent())


def test_a_prior_that_knows_the_data_has_the_best_figures(bench):
    found = Findings()
    readback.autoencoder(bench, found)
    readback.posed(bench, found)
    readback.deep(bench, found)
    readback.aligned(bench, found)
    readback.completed(bench, found)
    readback.moving(bench, found)
    told = figures(found)
    assert told["autoencoder, normals"] > 90 and told["autoencoder, rgb"] > 90
    # At 64 pixels a person's outline is a tenth of the area; coverage is exact on most of it.
    assert told["silhouette with pose"] > 0.95
    assert told["rgb against truth with normals"] > 90
    assert told["hole in the person with another view"] > 90
    assert told["frames against truth, as a clip"] > 90
    assert told["flicker, as a clip"] == pytest.approx(0, abs=1e-5)
    assert told["jitter of silhouettes, as a clip"] == 0
    assert told["frames' silhouettes, as a clip"] == told["rgb's silhouette with normals"] == 1
    assert told["depth against truth with pose"] > 90
    named = {strip.name for strip in found.strips}
    assert named == {"pose", "depth", "aligned", "projected", "clip"}


def test_a_prior_that_heeds_no_pose_is_told_from_one_that_does(bench, truth):
    deaf = replace(
        bench, priors=replace(bench.priors, text_to_normal=Memory(truth, "normal", False))
    )
    one, other = Findings(), Findings()
    readback.posed(bench, one)
    readback.posed(deaf, other)
    assert figures(other)["silhouette with pose"] < figures(one)["silhouette with pose"] - 0.02


def test_number_k_has_the_same_noise_however_many_there_are(bench, truth):
    class Still(Memory):
        def predict(self, x_t, t, condition):
            return x_t

    prior = Still(truth, "rgb")
    told = lambda rows: Condition(Text(("",)))  # noqa: E731
    few = replace(bench, effort=replace(bench.effort, at_once=2))
    many = bench.drawn(prior, told, 5, seed=3)
    torch.testing.assert_close(few.drawn(prior, told, 5, seed=3), many)
    torch.testing.assert_close(bench.drawn(prior, told, 3, seed=3), many[:3])
    assert not torch.allclose(bench.drawn(prior, told, 3, seed=4), many[:3])


def test_what_falls_short_is_said():
    def judged(name, value):
        return verdict(Figure(name, value, "", "up", ""))

    assert judged("silhouette with pose", 0.78) == "short"
    assert judged("silhouette with pose", 0.80) == "pass"
    assert judged("silhouette with pose", 0.86) == "aim reached"
    assert judged("view read from rgb", 95.0) == "pass"
    assert judged("flicker, as a clip", 3.0) == ""
    made = [Figure("colour read", 71.0, "%", "up", "reader", 200)]
    assert "| short |" in table(made) and "at least 80" in table(made)
    text = card(made, {"base": 100_000}, {"base": 0.151}, 12.9, ["No hands."], {"a": "A"})
    assert "- Falls short: colour read is 71.0 %" in text
    assert "| base | 100,000 | 0.1510 |" in text and "- No hands." in text
    assert "![A](a.jpg)" in text


def test_controls_stand_beside_what_they_are_for():
    pair = [
        Figure("flicker, as a clip", 0.01, "", "down", "x"),
        Figure("flicker, frame by frame", 0.04, "", "down", "x"),
    ]
    lines = table(pair).splitlines()
    assert len(lines) == 3 and "| 0.010 |" in lines[2] and "| 0.040 |" in lines[2]


def test_sheets_have_a_place_for_everything(truth):
    pictures = torch.stack([s.rgb for s in truth.pairs[:3]])
    strip = Strip("x", "X", {"a": pictures, "made": pictures}, "made", "rgb")
    sheet = strip_sheet(strip)
    assert sheet.height >= 128 and sheet.width >= 3 * 64
    made: dict[Shows, torch.Tensor] = {"rgb": pictures, "normal": pictures}
    close: dict[Shows, torch.Tensor] = {"rgb": pictures}
    alone = caption_sheet(["one", "two", "three"], made, {})
    beside = caption_sheet(["one", "two", "three"], made, close)
    assert beside.width > alone.width and alone.height == beside.height
    # The first picture, whole, below its caption.
    pasted = np.asarray(alone)[25 : 25 + 64, 6 : 6 + 64] / 255
    np.testing.assert_allclose(pasted, pictures[0].numpy(), atol=0.5 / 255 + 1e-6)


def test_the_whole_suite_writes_its_files(tmp_path):
    small = held_out(EFFORTS["tiny"].people, EFFORTS["tiny"].size)
    trained = Trained({"base": 5}, {}, 1.0)
    text = evaluate_priors(knowing(small), trained, tmp_path, None, "tiny", Silent())
    assert "| view read from normals |" in text
    kept = Evaluation.load(tmp_path)
    assert kept.suite == "priors" and len(kept.rows[0].figures) > 20
    assert all(math.isfinite(figure.value) for figure in kept.rows[0].figures)
    for name in ("report.html", "CARD.md", "captions.jpg", "pose.jpg", "aligned.jpg", "clip.png"):
        assert (tmp_path / name).stat().st_size > 500, name


def test_one_directory_is_measured_at_a_time(tmp_path):
    with pytest.raises(ValueError, match="2 directories of priors came"):
        evaluate_directory(("a", "b"), tmp_path, None, "tiny", Silent())


def test_what_was_trained_is_told_by_the_directory(tmp_path):
    kept = {"vae": {"samples": 7}, "base": {"samples": 9, "loss": 0.5}}
    (tmp_path / "training.json").write_text(json.dumps(kept))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights").write_bytes(bytes(2_000_000))
    told = Trained.of(tmp_path)
    assert told.samples_seen == {"vae": 7, "base": 9} and told.losses == {"base": 0.5}
    assert told.megabytes == pytest.approx(2, rel=1e-3)
