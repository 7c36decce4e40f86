"""What priors learn from is what its order says it is."""

import numpy as np
import pytest

from incarnate.studio.lessons import APART, CLIP_FRAMES, SHOTS_A_LESSON, STANCES, lesson
from incarnate.studio.people import person
from incarnate.studio.scenes import Sample
from incarnate.studio.shards import LESSONS_A_SHARD, Order, checked


@pytest.fixture(scope="module")
def shots() -> list[Sample]:
    return list(lesson(person((8, 3)), np.random.default_rng(4), 48))


def test_a_lesson_is_pairs_then_a_clip(shots: list[Sample]) -> None:
    assert len(shots) == SHOTS_A_LESSON == 2 * STANCES + CLIP_FRAMES
    assert [s.frame for s in shots] == [None] * 2 * STANCES + list(range(CLIP_FRAMES))
    for a, b in zip(shots[: 2 * STANCES : 2], shots[1 : 2 * STANCES : 2], strict=True):
        np.testing.assert_array_equal(a.shot.posed.vertices, b.shot.posed.vertices)
        assert a.framing == b.framing and a.light is b.light
        apart = abs((a.azimuth - b.azimuth + np.pi) % (2 * np.pi) - np.pi)
        assert APART[0] <= apart <= APART[1]


def test_a_clip_moves_before_a_still_camera(shots: list[Sample]) -> None:
    frames = shots[2 * STANCES :]
    for frame in frames[1:]:
        assert frame.shot.camera.world_to_camera.equal(frames[0].shot.camera.world_to_camera)
        assert frame.shot.posed.person is frames[0].shot.posed.person
        assert frame.caption == frames[0].caption
    steps = [
        np.abs(a.shot.posed.vertices - b.shot.posed.vertices).max()
        for a, b in zip(frames, frames[1:], strict=False)
    ]
    assert min(steps) > 1e-3


def test_people_stand_alone_before_grey(shots: list[Sample]) -> None:
    for taken in (s.shot for s in shots):
        behind = taken.rgb[taken.alpha == 0]
        assert len(behind) and np.abs(behind.astype(int) - 127).max() <= 1


def test_the_words_are_those_of_the_pictures(shots: list[Sample]) -> None:
    words = {"full": "full body", "upper": "upper body", "lower": "lower body"}
    for s in shots:
        assert words.get(s.framing, "head and shoulders") in s.caption
        assert s.action in s.caption


def test_lower_bodies_have_no_heads() -> None:
    rng = np.random.default_rng(0)
    seen = 0
    for seed in range(4):
        for s in lesson(person((9, seed)), rng, 32):
            if s.framing == "lower" and s.frame is None:
                seen += 1
                assert not s.shot.joints_seen[15]
    assert seen


def test_an_order_of_lessons() -> None:
    order = Order(1, 128, lessons=40)
    assert order.total == 40 * SHOTS_A_LESSON
    assert order.per_shard == LESSONS_A_SHARD * SHOTS_A_LESSON
    checked(order, 1)
    with pytest.raises(ValueError, match="-1 lessons cannot be made; give 0 or more"):
        checked(Order(1, lessons=-1), 1)
    with pytest.raises(ValueError, match="poses of their own"):
        checked(Order(1, lessons=1, talking=1), 1)
