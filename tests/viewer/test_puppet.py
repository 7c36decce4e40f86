import pytest
import torch

from incarnate.avatars.surface import Drive
from incarnate.motion import Motion, walk_cycle
from incarnate.viewer.clips import Clip
from incarnate.viewer.puppet import OWN_POSE, Bearing, Puppet


@pytest.fixture
def puppet(avatar) -> Puppet:
    return Puppet(avatar, (Clip("walk", walk_cycle(10.0)),))


def same(one: Drive, other: Drive, atol: float = 0.0) -> None:
    for name in ("expression", "pose", "transl"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=atol, rtol=0)


@pytest.mark.parametrize("pose", ["stand", "sitting", OWN_POSE])
def test_presets_are_those_that_render_has(puppet: Puppet, avatar, pose: str):
    bearing = Bearing(pose, weights={"jawOpen": 0.5})
    same(puppet.drive(bearing), avatar.posed(pose, "jawOpen=0.5"))


def test_a_slider_turns_the_photo_s_own_pose_from_where_it_is(puppet: Puppet, avatar):
    barely = Bearing(OWN_POSE, degrees={("head", "nod"): 1e-3})
    same(puppet.drive(barely), avatar.photo, atol=1e-3)
    nodding = puppet.drive(Bearing(OWN_POSE, degrees={("head", "nod"): 30.0}))
    head = avatar.surface.body.region("head") > 0.5
    before, after = (avatar.player.vertices(d) for d in (avatar.photo, nodding))
    assert (after - before)[head].norm(dim=1).mean() > 0.02
    feet = before[:, 1] < before[:, 1].min() + 0.05
    assert (after - before)[feet].abs().max() < 1e-4


def test_a_clip_plays_and_sliders_come_on_top(puppet: Puppet, avatar):
    motion = walk_cycle(10.0)
    frames = list(avatar.drives(motion))
    same(puppet.drive(Bearing(clip="walk", seconds=0.3)), frames[3], atol=1e-6)
    held = Bearing(clip="walk", seconds=0.3, degrees={("left arm", "raise"): 60.0})
    wrist = avatar.surface.body.smplx_joints["left_elbow"]
    assert (puppet.drive(held).pose - frames[3].pose).abs().sum() > 0.1
    assert torch.equal(puppet.drive(held).pose[wrist + 40], frames[3].pose[wrist + 40])


def test_what_speaks_leaves_out_the_photo_s_smile(avatar):
    from dataclasses import replace

    smiling = torch.zeros_like(avatar.photo.expression)
    smiling[23:52] = 0.5
    happy = replace(avatar, photo=replace(avatar.photo, expression=smiling))
    still = Motion.still()
    puppet = Puppet(happy, (Clip("says", still, speaks=True), Clip("moves", still)))
    says, moves = (puppet.drive(Bearing(clip=name)) for name in ("says", "moves"))
    assert moves.expression.sum() > says.expression.sum() + 3


def test_an_unknown_clip_or_pose_is_named(puppet: Puppet):
    with pytest.raises(ValueError, match="no clip is called 'dance'"):
        puppet.drive(Bearing(clip="dance"))
    with pytest.raises(ValueError, match="no pose is called"):
        puppet.drive(Bearing(pose="nope"))
