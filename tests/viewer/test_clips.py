import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from incarnate.io.written_motions import write_motion
from incarnate.motion import Motion, walk_cycle
from incarnate.progress import Silent
from incarnate.viewer.clips import Clip, Clock, clips
from incarnate.viewer.transport import player


def test_a_clock_plays_pauses_and_goes_on():
    clock = Clock(4.0).play(100.0)
    assert clock.at(101.5) == 1.5
    held = clock.pause(101.5)
    assert held.at(500.0) == 1.5
    assert held.play(200.0).at(201.0) == 2.5


def test_a_clock_goes_round_or_stops_at_its_end():
    round_, once = Clock(4.0).play(0.0), Clock(4.0, loop=False).play(0.0)
    assert (round_.at(9.0), once.at(9.0)) == (1.0, 4.0)
    assert (round_.ended(9.0), once.ended(9.0), once.ended(3.9)) == (False, True, False)
    assert once.pause(9.0).play(20.0).at(21.0) == 1.0  # From the start again.


def test_seeking_and_another_speed_keep_the_place():
    clock = Clock(4.0).play(0.0).seek(3.0, 1.0)
    assert clock.at(1.5) == 3.5
    slow = clock.paced(0.5, True, 1.5)
    assert (slow.at(1.5), slow.at(2.5)) == (3.5, 0.0)
    assert Clock(4.0).seek(99.0, 0.0).at(7.0) == 4.0


def test_a_clip_shows_the_frame_of_the_time():
    clip = Clip("walk", walk_cycle(10.0))
    assert clip.seconds == len(clip.motion) / 10
    for seconds, frame in ((0.0, 0), (0.099, 0), (0.1, 1), (0.3, 3), (99.0, len(clip.motion) - 1)):
        assert torch.equal(clip.frame(seconds).pose, clip.motion.pose[frame : frame + 1]), seconds


def test_files_become_clips_with_a_walk_beside_them(tmp_path: Path):
    path = tmp_path / "wave.bvh"
    write_motion(path, Motion.still(num_frames=8, fps=20.0))
    found = clips([path, path], 20.0, 0, Silent())
    assert [clip.name for clip in found] == ["wave.bvh", "wave.bvh (2)", "walk"]
    assert [clip.path for clip in found] == [path, path, None]
    with pytest.raises(ValueError, match="--fps is 0"):
        clips([], 0.0, 0, Silent())


def test_sound_starts_where_the_clip_does():
    from incarnate.audio import Waveform

    samples = np.linspace(0, 1, 8000, dtype=np.float32)
    import base64
    import io

    html = player(Waveform(samples, 8000), 0.25)
    data = html.split("base64,")[1].split('"')[0]
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32767
        assert file.getframerate() == 8000
    np.testing.assert_allclose(heard, samples[2000:], atol=1e-4)
    assert "autoplay" in html
