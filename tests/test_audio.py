import numpy as np
import pytest

from incarnate.audio import Waveform, resampled


def tone(sample_rate: int, hertz: float = 440.0, seconds: float = 0.5) -> Waveform:
    at = np.arange(round(seconds * sample_rate)) / sample_rate
    return Waveform(np.sin(2 * np.pi * hertz * at).astype(np.float32), sample_rate)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_a_resampled_tone_is_the_tone_sampled_there(rate):
    got, wanted = resampled(tone(rate), 16000), tone(16000)
    assert abs(len(got.samples) - len(wanted.samples)) <= 1
    # The ends ring: the filter hears silence beyond them.
    middle = slice(800, 7000)
    # The polyphase filter's ripple is 0.5 %.
    assert np.abs(got.samples[middle] - wanted.samples[middle]).max() < 0.01


def test_what_lies_above_the_new_rate_is_gone_and_not_folded():
    high = resampled(tone(48000, 12000), 16000)
    assert np.abs(high.samples[800:7000]).max() < 0.01


def test_the_same_rate_is_the_same_sound():
    sound = tone(16000)
    assert resampled(sound, 16000) is sound


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive number of hertz"):
        resampled(tone(8000), 0)


def test_no_samples_have_no_peak():
    assert Waveform(np.zeros(0, np.float32), 16000).peak == 0
