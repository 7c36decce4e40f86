"""Whatever drives an avatar, and mixtures of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from incarnate.audio import Waveform
from incarnate.io.soundtrack import RATE, add_sound
from incarnate.io.video import write_video
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX
from incarnate.progress import Silent
from incarnate.sources import Share, Source, joined, mixed, sentence, source
from incarnate.speech import Speaking

CONFIG = Speaking(fps=30.0)


def nodding(count: int, jaw: float) -> Source:
    """A source whose head turns by its frame's number, in hundredths of a radian."""
    pose = torch.eye(3).repeat(count, 55, 1, 1)
    angle = torch.arange(count) / 100
    pose[:, INDEX["head"], 0, 0] = pose[:, INDEX["head"], 2, 2] = angle.cos()
    pose[:, INDEX["head"], 0, 2] = angle.sin()
    pose[:, INDEX["head"], 2, 0] = -angle.sin()
    motion = Motion(30.0, pose, torch.zeros(count, 3), torch.full((count, 52), jaw))
    halves = [motion.frames(0, count // 2), motion.frames(count // 2, count)]
    return Source(30.0, count, lambda: iter(halves))


def test_a_region_follows_the_other_source_which_begins_again():
    base, over = nodding(10, 0.0), nodding(4, 1.0)
    both = joined(mixed(base, over, Share(head=1.0)).parts())
    assert len(both) == 10
    turned = both.pose[:, INDEX["head"], 0, 2].asin() * 100
    torch.testing.assert_close(
        turned, torch.tensor([0.0, 1, 2, 3, 0, 1, 2, 3, 0, 1]), atol=1e-3, rtol=0
    )
    assert (both.expression == 0).all(), "the face stays the base's"


def test_a_weight_goes_half_the_way():
    both = joined(mixed(nodding(4, 0.0), nodding(4, 1.0), Share(face=0.5)).parts())
    torch.testing.assert_close(both.expression, torch.full((4, 52), 0.5))


def test_a_sentence_brings_its_sound_as_long_as_its_motion():
    speaking = sentence("Hello there.", CONFIG, seed=0)
    assert speaking.speaks and speaking.sound is not None
    blocks = list(speaking.sound())
    assert {block.sample_rate for block in blocks} == {RATE}
    seconds = sum(block.seconds for block in blocks)
    frames = len(joined(speaking.parts()))
    assert abs(frames - speaking.num_frames) <= 1
    assert abs(frames / 30 - seconds) < 0.05


def test_speech_on_the_face_over_a_silent_motion_is_heard():
    both = mixed(nodding(60, 0.0), sentence("Hello there.", CONFIG, 0), Share(face=1.0))
    assert both.speaks and both.sound is not None


def test_what_drives_nothing_is_refused(tmp_path: Path):
    with pytest.raises(OSError, match="does not exist; name a motion, a film or a recording"):
        source(tmp_path / "none.wav", CONFIG, 0, Silent())
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(ValueError, match="cannot be read"):
        source(tmp_path / "text.txt", CONFIG, 0, Silent())


def test_a_film_without_a_person_is_refused_as_a_film_even_with_sound(tmp_path: Path):
    grey = [np.full((64, 64, 3), 90, np.uint8)] * 5
    write_video(tmp_path / "still.mp4", grey, 30)
    tone = Waveform(np.sin(np.arange(RATE // 6) / 20).astype(np.float32), RATE)
    add_sound(tmp_path / "still.mp4", [tone], tmp_path / "grey.mp4")
    with pytest.raises(ValueError, match="no person found"):
        source(tmp_path / "grey.mp4", CONFIG, 0, Silent())
