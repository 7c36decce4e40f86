"""Long clips through short windows."""

from dataclasses import replace

import pytest
import torch

from incarnate.priors import (
    Audio,
    Condition,
    Denoiser,
    GaussianPrior,
    Pose,
    Schedule,
    Text,
    Windowed,
    Windows,
    ddim,
)
from incarnate.priors.denoiser import Once
from incarnate.priors.windows import picked


def clip(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, count, 2, 2, generator=rng, dtype=torch.float64)


class Counting(Denoiser):
    """Predicts the number of frames it is shown, and remembers their first values."""

    def __init__(self):
        self.schedule = Schedule.scaled_linear()
        self.seen = []

    @property
    def reads(self):
        return ()

    def encode(self, images):
        return images.movedim(-1, 1)

    def decode(self, latents):
        return latents.movedim(1, -1)

    def predict(self, x_t, t, condition):
        self.seen.append(x_t[0, 0, :, 0, 0].tolist())
        return torch.full_like(x_t, float(len(self.seen)))

    def unconditional(self, condition):
        return condition

    def features(self, x_t, t, condition):
        return (x_t,)


@pytest.mark.parametrize("join", ["averaged", "anchored"])
@pytest.mark.parametrize("count", [3, 8, 9, 21, 50])
def test_every_frame_counts_and_no_window_is_too_long(join, count):
    weight = torch.zeros(count)
    for frames, counts in Windows(8, 3, join).cut(count):
        assert len(frames) <= 8
        assert frames == sorted(frames)
        weight[frames] += counts
    assert float(weight.min()) > 0


def test_anchored_windows_start_with_the_reference_and_fade_at_their_ends():
    cuts = Windows(5, 2, "anchored").cut(9)
    assert [frames for frames, _ in cuts] == [[0, 1, 2, 3, 4], [0, 3, 4, 5, 6], [0, 5, 6, 7, 8]]
    assert cuts[0][1].tolist() == [1, 0.25, 0.75, 0.75, 0.25]


@pytest.mark.parametrize("join", ["averaged", "anchored"])
def test_windows_of_a_prior_without_motion_change_nothing(join):
    """The Gaussian prior knows each frame by itself, if the mean is the same in all of them."""
    mean = torch.rand(2, 2, 3, dtype=torch.float64)

    def prior(count):
        return GaussianPrior({"": mean.expand(count, 2, 2, 3)}, 0.3, Schedule.scaled_linear())

    said = Condition(text=Text(("",)))
    x = clip(14)
    levels = prior(14).schedule.levels(10)
    whole = ddim(prior(14), x, said, levels)
    joined = ddim(Windowed(prior(5), Windows(5, 2, join)), x, said, levels)
    torch.testing.assert_close(joined, whole)


def test_overlaps_are_weighed_means_of_the_windows():
    prior = Counting()
    x = torch.arange(7.0).view(1, 1, 7, 1, 1)
    out = Windowed(prior, Windows(4, 1)).predict(x, torch.zeros(1), Condition())
    assert prior.seen == [[0, 1, 2, 3], [3, 4, 5, 6]]
    assert out[0, 0, :, 0, 0].tolist() == [1, 1, 1, 1.5, 2, 2, 2]
    prior = Counting()
    out = Windowed(prior, Windows(4, 1, "anchored")).predict(
        x[:, :, :6], torch.zeros(1), Condition()
    )
    assert prior.seen == [[0, 1, 2, 3], [0, 3, 4, 5]]
    assert out[0, 0, :, 0, 0].tolist() == pytest.approx([1.5, 1, 1, 1.5, 2, 2])


def test_conditions_with_frames_are_cut_with_them_and_others_stay():
    pose = Pose(torch.rand(1, 6, 4, 4, 3), face=torch.rand(1, 6, 2, 2, 3))
    said = Condition(pose=pose, audio=Audio(torch.rand(1, 6, 5)))
    part = picked(said, [0, 4], 6)
    assert part.pose is not None and part.pose.face is not None and part.audio is not None
    assert torch.equal(part.pose.image, pose.image[:, [0, 4]])
    assert part.pose.face.shape[1] == part.audio.features.shape[1] == 2
    still = replace(said, pose=Pose(torch.rand(1, 4, 4, 3)))
    kept = picked(still, [0, 4], 6).pose
    assert kept is not None and kept.image.shape == (1, 4, 4, 3)
    with pytest.raises(ValueError, match="6 frames came for latents of 7"):
        picked(said, [0], 7)


def test_the_same_window_of_the_same_part_is_cut_once():
    said = Condition(pose=Pose(torch.rand(1, 6, 4, 4, 3)))
    kept = Once()
    first = picked(said, [0, 4], 6, kept).pose
    assert first is not None
    assert picked(replace(said, text=Text(("a",))), [0, 4], 6, kept).pose is first
    assert picked(said, [0, 5], 6, kept).pose is not first
    assert picked(said, [0, 4], 6).pose is not first


@pytest.mark.parametrize("length, overlap, join", [(4, 4, "averaged"), (4, 3, "anchored")])
def test_windows_that_do_not_move_on_are_refused(length, overlap, join):
    with pytest.raises(ValueError, match="overlap"):
        Windows(length, overlap, join)
