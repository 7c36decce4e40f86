"""Clips through priors of pictures, and noise that their frames share."""

import pytest
import torch

from incarnate.guidance import Framewise, sds, sds_of_clip, shared
from incarnate.guidance.clips import clips, condition_of_frames, frames
from incarnate.priors import (
    Audio,
    Condition,
    Depth,
    GaussianPrior,
    Normal,
    Pose,
    Projection,
    Reference,
    Schedule,
    Text,
    View,
)
from tests.guidance.closed import SAID, gaussian, gradient, noise, pictures

T = torch.tensor([200.0, 700.0], dtype=torch.float64)


def test_frames_are_rows_clip_after_clip_and_come_back():
    x = torch.arange(2 * 3 * 4.0).view(2, 1, 3, 2, 2)
    assert [int(row[0, 0, 0]) for row in frames(x)] == [0, 4, 8, 12, 16, 20]
    assert torch.equal(clips(frames(x), 2), x)


def test_a_framewise_prior_is_the_clip_prior_that_knows_no_motion():
    """The mean of a clip whose frames are independent is the frame's, in every frame."""
    schedule = Schedule.scaled_linear(prediction="v")
    inner = gaussian(schedule)
    whole = GaussianPrior(
        {k: m.movedim(0, -1).expand(5, 4, 4, 3) for k, m in inner.means.items()}, 0.5, schedule
    )
    images, e, prior = pictures(2, 5, 4, 4, 3), noise(2, 3, 5, 4, 4), Framewise(inner)
    torch.testing.assert_close(prior.encode(images), whole.encode(images))
    torch.testing.assert_close(prior.decode(e), whole.decode(e))
    torch.testing.assert_close(prior.predict(e, T, SAID), whole.predict(e, T, SAID))
    torch.testing.assert_close(prior.features(e, T, SAID)[0], whole.features(e, T, SAID)[0])
    found = gradient(lambda x: sds_of_clip(prior, x, SAID, T, e, 3.0), images)
    wanted = gradient(lambda x: sds_of_clip(whole, x, SAID, T, e, 3.0), images)
    torch.testing.assert_close(found, wanted)


def test_the_loss_of_a_clip_is_the_mean_over_its_frames():
    inner = gaussian(Schedule.scaled_linear())
    images, e = pictures(2, 5, 4, 4, 3), noise(2, 3, 5, 4, 4)
    each = [sds(inner, images[:, i], SAID, T, e[:, :, i]) for i in range(5)]
    found = sds_of_clip(Framewise(inner), images, SAID, T, e)
    torch.testing.assert_close(found, torch.stack(each).mean())


def test_equal_frames_are_told_the_same_only_if_they_share_their_noise():
    prior = Framewise(gaussian(Schedule.scaled_linear()))
    images = pictures(2, 1, 4, 4, 3).expand(2, 5, 4, 4, 3)
    rng = torch.Generator().manual_seed(0)

    def told(share):
        e = shared((2, 3, 4, 4), 5, rng, share).double()
        return gradient(lambda x: sds_of_clip(prior, x, SAID, T, e), images)

    assert float(told(1.0).var(1).max()) == 0
    assert float(told(0.9).var(1).max()) > 0


def test_each_frame_is_told_its_own_row_of_the_condition():
    azimuths = (0.0, 1.5, 3.1)
    names = ["a, full body, front view", "a, full body, left side view", "a, full body, back view"]
    inner = gaussian(Schedule.scaled_linear(), ["", *names])
    said = Condition(text=Text(("a",)), view=View(azimuths))
    x = noise(1, 3, 3, 4, 4)
    found = Framewise(inner).predict(x, T[:1], said)
    for i, azimuth in enumerate(azimuths):
        one = Condition(text=Text(("a",)), view=View((azimuth,)))
        torch.testing.assert_close(found[:, :, i], inner.predict(x[:, :, i], T[:1], one))


def test_conditions_of_clips_become_conditions_of_frames():
    image, still = pictures(2, 3, 4, 4, 3).float(), pictures(2, 4, 4, 3, seed=3).float()
    sound = torch.arange(6.0).view(2, 3, 1)
    said = Condition(
        text=Text(("a", "b"), ("x",)),
        normal=Normal(image, 0.5),
        pose=Pose(still, face=image),
        depth=Depth(still[:1, ..., :1]),
        reference=Reference(still),
        projection=Projection(image, image[..., :1]),
        audio=Audio(sound),
    )
    told = condition_of_frames(said, 2, 3)
    assert told.text == Text(("a", "a", "a", "b", "b", "b"), ("x",))
    assert told.normal is not None and told.normal.scale == 0.5
    assert torch.equal(told.normal.image, image.reshape(6, 4, 4, 3))
    assert told.pose is not None and told.pose.face is not None
    assert torch.equal(told.pose.image, still.repeat_interleave(3, 0))
    assert told.depth is not None
    assert torch.equal(told.depth.image, still[:1, ..., :1]), "one picture for all stays one"
    assert torch.equal(told.pose.face[:, 0], image.reshape(6, 4, 4, 3))
    assert told.reference is not None and told.projection is not None and told.audio is not None
    assert torch.equal(told.reference.image, still.repeat_interleave(3, 0))
    assert told.projection.hole.shape == (6, 4, 4, 1)
    assert told.audio.features[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    one = condition_of_frames(Condition(normal=Normal(image[:1])), 2, 3)
    assert one.normal is not None
    same = condition_of_frames(Condition(pose=Pose(still[:1], face=image[:1])), 1, 3)
    assert same.pose is not None
    assert torch.equal(same.pose.image, still[:1].expand(3, 4, 4, 3))
    assert torch.equal(one.normal.image, image[:1].expand(2, 3, 4, 4, 3).reshape(6, 4, 4, 3))


def test_conditions_that_fit_neither_clips_nor_frames_are_refused():
    with pytest.raises(ValueError, match="give 1, 2 or 6"):
        condition_of_frames(Condition(text=Text(("a", "b", "c"))), 2, 3)
    with pytest.raises(ValueError, match="2 clips of 4 frames came for 2 clips of 3"):
        condition_of_frames(Condition(audio=Audio(torch.rand(2, 4, 1))), 2, 3)
