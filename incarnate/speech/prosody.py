"""Loudness and pitch of a voice, every 10 ms.

Value k speaks of the 30 ms (pitch: 40 ms) of sound around k * HOP. Levels are in decibels of full
scale, pitch in hertz, 0 where nothing is voiced.
"""

import numpy as np
from jaxtyping import Float, Float32

from incarnate.audio import SPEECH_RATE

HOP = 0.01
STEP = round(HOP * SPEECH_RATE)
HALF = 320
"""Samples on either side of an instant that its values depend on."""
_QUIET = 1e-5
_LOWEST, _HIGHEST = 70.0, 420.0
_VOICED = 0.55
"""Correlation of a period with the next from which a sound counts as voiced."""


def levels(samples: Float32[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Decibels of full scale at each hop; the sound is silent before and after."""
    padded = np.pad(samples, HALF)
    count = len(samples) // STEP + 1
    return levels_of(np.stack([padded[k * STEP : k * STEP + 2 * HALF] for k in range(count)]))


def levels_of(frames: Float32[np.ndarray, "k 640"]) -> Float[np.ndarray, " k"]:
    """Decibels of full scale of the middle 30 ms of frames of 40 ms."""
    power = (frames[:, 80:-80].astype(np.float64) ** 2).mean(1)
    return 20 * np.log10(np.sqrt(power) + _QUIET)


def pitches(
    frames: Float32[np.ndarray, "k 640"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Pitch in hertz, 0 if unvoiced, and the correlation that says so, of frames of 40 ms."""
    centered = frames - frames.mean(1, keepdims=True)
    correlation = _correlation(centered * _WINDOW)
    correlation = correlation / np.maximum(correlation[:, :1], 1e-9) * _UNBIASED
    best = (correlation[:, _LOW:_HIGH] * _SHORTER).argmax(1)
    strength = np.take_along_axis(correlation, best[:, None] + _LOW, 1)[:, 0]
    loud = np.sqrt((centered.astype(np.float64) ** 2).mean(1)) > 1e-3
    return np.where(loud & (strength > _VOICED), SPEECH_RATE / (best + _LOW), 0.0), strength


def _correlation(frames: np.ndarray) -> np.ndarray:
    """With itself, at 0 to _HIGH samples' lag: 640 samples and 320 of lag fit into 1024."""
    return np.fft.irfft(np.abs(np.fft.rfft(frames, 1024)) ** 2)[..., : _HIGH + 1]


_LOW, _HIGH = int(SPEECH_RATE / _HIGHEST), int(SPEECH_RATE / _LOWEST)
_SHORTER = np.linspace(1, 0.9, _HIGH - _LOW)
"""Of nearly equal periods the shortest: twice a period fits as well as one."""
_WINDOW = np.hanning(640)
_UNBIASED = _correlation(_WINDOW)[0] / _correlation(_WINDOW)
