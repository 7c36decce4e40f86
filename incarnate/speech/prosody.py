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
    spectrum = np.fft.rfft(centered * np.hanning(640), 2048)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, :321]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(640), 2048)) ** 2)[:321]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-9) * (window[0] / window)
    low, high = int(SPEECH_RATE / _HIGHEST), int(SPEECH_RATE / _LOWEST)
    # The shortest of nearly equal periods: twice a period fits as well as one.
    part = correlation[:, low:high] * np.linspace(1, 0.9, high - low)
    best = part.argmax(1)
    strength = np.take_along_axis(correlation, best[:, None] + low, 1)[:, 0]
    loud = np.sqrt((centered.astype(np.float64) ** 2).mean(1)) > 1e-3
    return np.where(loud & (strength > _VOICED), SPEECH_RATE / (best + low), 0.0), strength
