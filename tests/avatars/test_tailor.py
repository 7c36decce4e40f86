"""What of the photo is believed: on a flat face with one eye."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from incarnate.avatars import garments, tailor
from incarnate.avatars.garments import Anatomy
from incarnate.avatars.surface import Discs, together

SKIN_LAB, IRIS_LAB, HAIR_LAB = (65.0, 15.0, 18.0), (25.0, 4.0, 6.0), (12.0, 1.0, 2.0)


def face(lids: bool = True) -> Anatomy:
    """A grid of skin 12 by 12 cm, 2 mm apart; the left eye's lids are a disc of 1.2 cm in it."""
    across, up = np.meshgrid(np.linspace(-0.06, 0.06, 61), np.linspace(-0.06, 0.06, 61))
    points = np.stack([across.ravel(), up.ravel(), 0 * up.ravel()], 1)
    count, none = len(points), np.zeros(len(points))
    far = np.linalg.norm(points[:, :2] - [0.03, 0.0], axis=1)
    moved = np.clip((0.024 - far) / 0.012, 0, 1) if lids else none
    normals = np.tile([0.0, 0.0, 1.0], (count, 1))
    segments = np.full(count, garments.HEAD)
    return Anatomy(
        points, normals, segments, across.ravel() > 0, none, np.full(count, -1), none, moved,
        none + 1, none,
    )  # fmt: skip


def none(where: Anatomy) -> np.ndarray:
    return np.zeros(len(where.points), bool)


def shaded(where: Anatomy) -> np.ndarray:
    """Skin that darkens by 6 in L from cheek to brow: no lid is the colour of the mean face."""
    return np.array(SKIN_LAB) - where.points[:, 1:2] * [50.0, 0, 0]


def test_iris_on_a_lid_is_not_believed_and_plain_lid_is():
    where = face()
    lab = shaded(where)
    eye = np.linalg.norm(where.points[:, :2] - [0.03, 0.0], axis=1) < 0.006
    lab[eye] = IRIS_LAB
    labels, sure = np.full(len(lab), garments.SKIN), np.ones(len(lab))
    trust = tailor.trusted(where, labels, lab, sure, np.ones(len(lab)))
    assert (trust[eye] == 0).all()
    assert (trust[~eye] > 0.9).all()


def test_hair_beside_a_cheek_seen_at_a_slant_is_not_believed_and_a_beard_is():
    where = face(lids=False)
    across = where.points[:, 0]
    facing = np.where(across > 0.045, 0.4, 0.95)
    labels, sure = np.full(len(across), garments.SKIN), np.ones(len(across))
    tuft = shaded(where)
    tuft[across > 0.05] = HAIR_LAB
    assert (tailor.trusted(where, labels, tuft, sure, facing)[across > 0.051] == 0).all()
    beard = shaded(where)
    beard[where.points[:, 1] < -0.02] = HAIR_LAB
    trust = tailor.trusted(where, labels, beard, sure, facing)
    chin = where.points[:, 1] < -0.04
    assert (trust[chin & (across < 0.045)] > 0.9).all()
    assert (trust[chin & (across > 0.05)] > 0.3).all()  # Less for the slant, not for the beard.


def test_lids_that_the_photo_does_not_vouch_for_stay_and_the_rest_learns():
    where = face()
    doubted = where.lids > 0.3
    free = tailor.freedom(where, np.full(len(doubted), garments.SKIN), 1.0 - doubted, none(where))
    for bound in (free.color, free.offset, free.shrunk, free.grown, free.faded):
        assert (bound[torch.tensor(doubted)] == 0).all()
        assert (bound[torch.tensor(~doubted)] > (0.001 if bound is free.offset else 0.3)).all()


def test_lids_that_the_photo_vouches_for_neither_cover_the_eye_nor_take_its_colour():
    where = face()
    lids = torch.tensor(where.lids > 0.3)
    free = tailor.freedom(where, np.full(len(lids), garments.SKIN), np.ones(len(lids)), none(where))
    assert (free.offset[lids] <= 0.001).all() and (free.grown[lids] == 0).all()
    assert (free.color[lids] <= 0.1).all() and (free.color[~lids] > 0.3).all()


def test_cloth_beside_an_arm_keeps_its_colour():
    where = face(lids=False)
    beside = where.points[:, 0] > 0.02
    sure = np.ones(len(beside))
    for label, held in ((garments.TOP, True), (garments.SKIN, False)):
        color = tailor.freedom(where, np.full(len(beside), label), sure, beside).color.numpy()
        assert (color[~beside] > 0.3).all() and ((color[beside] < 0.15).all() == held)


def test_lashes_are_as_dark_as_the_photo_says():
    where = face()
    lash = where.lids > 0.8
    where = replace(where, rim=np.where(lash, 0.001, 0.01))
    lab = shaded(where)
    lab[where.lids > 0.6] = [12.0, 3, 5]
    labels, sure = np.full(len(lab), garments.SKIN), np.ones(len(lab))
    trust = tailor.trusted(where, labels, lab, sure, sure)
    assert (trust[lash] == 1).all() and (trust[(where.lids > 0.6) & ~lash] < 0.1).all()
    color = tailor.freedom(where, labels, trust, none(where)).color.numpy()
    assert (color[lash] > 0.3).all() and (color[(where.lids > 0.6) & ~lash] == 0).all()


def test_a_lining_lies_beneath_hair_and_slanted_skin_of_the_head():
    where = face()
    count = 6
    corners = np.tile(np.arange(count)[:, None], 3)
    where = garments.interpolated(where, corners, np.eye(3)[[0] * count])
    labels = torch.tensor([garments.HAIR, garments.SKIN] * 3)
    discs = Discs(
        torch.arange(count), torch.full((count, 3), 1 / 3), torch.zeros(count, 3),
        torch.zeros(count), torch.full((count, 3), -6.0), torch.full((count,), 3.5),
        torch.rand(count, 3), labels,
    )  # fmt: skip
    assert tailor.lining(discs, where, -np.ones(count)).faces.tolist() == [0, 2, 4]
    seen = tailor.lining(discs, where, np.array([1, 0.4, 1, 0.9, 1, -0.9]))
    assert seen.faces.tolist() == [0, 1, 2, 4]
    beneath = tailor.lining(discs, where, np.ones(count))
    assert (beneath.offsets[:, 2] < -0.002).all() and (beneath.offsets[:, :2] == 0).all()
    whole = together(discs, beneath)
    assert len(whole.colors) == 9
    torch.testing.assert_close(whole.colors[6:], discs.colors[::2])


def test_an_arm_across_the_belly_is_no_waist():
    height = np.linspace(-0.1, 0.7, 9000)
    n = len(height)
    legs = height < 0.08
    where = garments.Anatomy(
        np.stack([np.zeros(n), height, np.zeros(n)], 1),
        np.tile([0.0, 0, 1], (n, 1)),
        np.where(legs, garments.LEG, garments.TORSO),
        np.ones(n, bool),
        np.where(legs, 0.1, 0.0),
        np.full(n, -1),
        np.zeros(n),
        np.zeros(n),
        np.ones(n),
        np.zeros(n),
    )
    where.segments[height > 0.65] = garments.NECK
    lab = np.where(height[:, None] < 0.2, [12.0, 1, -15], [48.0, 0, -6])  # Jeans, then a shirt.
    arm = np.abs(height - 0.33) < 0.03
    lab[arm] = [50, 15, 25]
    assert garments.outfit(where, lab, np.ones(n)).waist == pytest.approx(0.2, abs=0.02)
