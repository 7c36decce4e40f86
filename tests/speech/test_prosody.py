import numpy as np
import pytest

from incarnate.audio import SPEECH_RATE
from incarnate.speech.prosody import HOP, levels, pitches
from incarnate.speech.springs import Spring, bump, chance, wander


def frames(hertz: float, loud: float = 0.3) -> np.ndarray:
    at = np.arange(640) / SPEECH_RATE
    buzz = sum(np.sin(2 * np.pi * hertz * k * at + k) / k for k in range(1, 8))
    return np.stack([loud * buzz]).astype(np.float32)


@pytest.mark.parametrize("hertz", [80, 110, 165, 220, 330])
def test_the_pitch_of_a_buzz_is_its_own(hertz):
    pitch, strength = pitches(frames(hertz))
    # A lag is a whole number of samples: at 330 Hz one is 2 %.
    assert pitch[0] == pytest.approx(hertz, rel=0.03)
    assert strength[0] > 0.8


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal((20, 640)).astype(np.float32)
    assert np.mean(pitches(noise)[0] == 0) > 0.9
    assert pitches(np.zeros((1, 640), np.float32))[0] == 0


def test_a_sine_is_3_decibels_below_full_scale():
    sine = np.sin(2 * np.pi * 200 * np.arange(SPEECH_RATE) / SPEECH_RATE).astype(np.float32)
    heard = levels(sine)
    assert len(heard) == round(1 / HOP) + 1
    assert heard[10:-10] == pytest.approx(-3.01, abs=0.05)


def test_a_spring_arrives_without_overshooting_whatever_the_steps():
    one = Spring(0.0).towards(1.0, 6.0, 0.5)
    many = Spring(0.0)
    path = []
    for _ in range(50):
        many = many.towards(1.0, 6.0, 0.01)
        path.append(many.value)
    # (1 + w t) e^(-w t) is what is left of the way.
    assert one.value == pytest.approx(1 - 4 * np.exp(-3))
    assert (many.value, many.speed) == pytest.approx((one.value, one.speed))
    assert max(path) < 1 and (np.diff(path) > 0).all()


def test_wandering_is_smooth_centred_and_repeatable():
    at = np.arange(0, 2000, 0.05)
    curve = np.array([wander(t, 2.0, "a") for t in at])
    assert abs(curve.mean()) < 0.05
    assert 0.3 < curve.std() < 0.8  # Draws in -1 to 1 have 0.58.
    assert np.abs(np.diff(curve)).max() < 0.1
    assert curve[777] == wander(at[777], 2.0, "a") != wander(at[777], 2.0, "b")


def test_chances_are_even():
    draws = np.array([chance(f"key {k}") for k in range(2000)])
    assert np.abs(np.histogram(draws, 4, (0, 1))[0] / 500 - 1).max() < 0.15


def test_a_bump_rises_to_one_and_ends():
    assert bump(0.2, 0.2, 0.4) == pytest.approx(1)
    assert bump(0.0, 0.2, 0.4) == bump(0.61, 0.2, 0.4) == 0
