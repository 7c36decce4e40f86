"""Sound: one channel of float32 samples, about -1 to 1, at a rate in hertz."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

SPEECH_RATE = 16000
"""Hertz: what everything that listens to speech works at."""
SILENCE = 10 ** (-60 / 20)
"""A recording that never rises above this amplitude holds nothing."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """A stretch of sound."""

    samples: Float32[np.ndarray, " n"]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.sample_rate

    @property
    def peak(self) -> float:
        """The largest amplitude; 0 if there are no samples."""
        return float(np.abs(self.samples).max(initial=0.0))


def resampled(waveform: Waveform, sample_rate: int) -> Waveform:
    """The same sound at another rate, band-limited; sample 0 stays at time 0."""
    if sample_rate <= 0:
        raise ValueError(f"sample_rate is {sample_rate}; give a positive number of hertz")
    if sample_rate == waveform.sample_rate:
        return waveform
    from scipy.signal import resample_poly  # A second and a half to import.

    common = math.gcd(sample_rate, waveform.sample_rate)
    up, down = sample_rate // common, waveform.sample_rate // common
    samples = resample_poly(waveform.samples, up, down).astype(np.float32)
    return Waveform(samples, sample_rate)
