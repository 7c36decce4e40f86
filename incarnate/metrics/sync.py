"""Whether lips belong to what is heard: SyncNet's offset search, with an embedding of our own.

Chung and Zisserman, "Out of time" (2016): five frames of a mouth and 0.2 s of sound each become a
vector; over a film the distances of mouths and sounds that are shifted by -15 to 15 frames are
averaged. LSE-D is the least of the 31 means, LSE-C the median less the least, and the offset where
the least lies. Where the shifted sound would lie outside the film its pairs are left out; SyncNet
counts zeros there.

The embedding (scripts/train_sync.py) was trained on the studio's people, who move as
`incarnate.speech` makes them; its vectors have length 1, so distances lie in [0, 2] and compare
neither with SyncNet's, which are about 6 to 15, nor with anybody else's.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor, nn

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.metrics.mouths import SIDE
from incarnate.weights import path

FPS = 25.0
WINDOW = 5
"""Frames of a mouth, the middle one of which gives the time."""
REACH = 15
"""Frames by which sound is shifted either way."""
HOP = SPEECH_RATE // 100
SPECTRUM, BANDS = 512, 40
LISTENED = 20
"""Steps of HOP that belong to one window: as long as its frames."""
LOW, HIGH = 60.0, 7600.0  # Hertz
WIDTH = 128
MODEL = "incarnate sync 1 (trained on the studio)"


@dataclass(frozen=True)
class Sync:
    """What the search finds."""

    offset: int
    """Frames by which the sound must be taken later to fit the lips: positive if sound lags."""
    confidence: float
    """LSE-C: median less least mean distance."""
    distance: float
    """LSE-D: the least mean distance."""
    at_zero: float
    """The mean distance without a shift."""


@final
class Embedding(nn.Module):
    """Mouths and sounds as unit vectors of one space."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            *_step(WINDOW, 32), *_step(32, 48), *_step(48, 64), *_step(64, 96)
        )
        self.heard = nn.Sequential(
            *_step(1, 32, (2, 1)), *_step(32, 48), *_step(48, 64), *_step(64, 96)
        )  # 40 bands become 20, 10, 5, 3; 20 steps 20, 10, 5, 3.
        self.seen_out = nn.Linear(96 * 3 * 3, WIDTH)
        self.heard_out = nn.Linear(96 * 3 * 3, WIDTH)

    def mouths(self, windows: Float[Tensor, "b t h w"]) -> Float[Tensor, "b d"]:
        """Of WINDOW frames, SIDE x SIDE, as `standardized` gives them."""
        return nn.functional.normalize(self.seen_out(self.seen(windows).flatten(1)), dim=1)

    def sounds(self, windows: Float[Tensor, "b m t"]) -> Float[Tensor, "b d"]:
        """Of BANDS x LISTENED log-mel spectra, as `standardized` gives them."""
        return nn.functional.normalize(
            self.heard_out(self.heard(windows[:, None]).flatten(1)), dim=1
        )


def _step(inside: int, outside: int, stride: tuple[int, int] = (2, 2)) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


@cache
def embedding() -> Embedding:
    """The one that ships. OSError if its file is not there."""
    network = Embedding()
    kept = safetensors.torch.load_file(str(path("sync")))
    network.load_state_dict({name: value.float() for name, value in kept.items()}, strict=False)
    return network.eval().requires_grad_(False)


def synchrony(
    mouths: UInt8[ndarray, "t h w"], sound: Waveform, network: Embedding | None = None
) -> Sync:
    """Offset, confidence and distance of a film at 25 frames a second.

    `mouths` are grey pictures as `incarnate.metrics.mouths.crops` gives them; the sound begins with
    them. ValueError if the film is shorter than two seconds.
    """
    network = network or embedding()
    spectrum = log_mel(resampled(sound, SPEECH_RATE).samples)
    seen, heard = embedded(network, mouths, spectrum)
    if len(seen) < 2 * FPS - WINDOW:
        seconds = len(seen) / FPS
        raise ValueError(f"{seconds:.1f} s of film and sound are too few; 2 s are wanted")
    return searched(seen, heard)


def searched(seen: Float[Tensor, "t d"], heard: Float[Tensor, "t d"]) -> Sync:
    """SyncNet's search over vectors of the same frames."""
    count, means = len(seen), []
    for shift in range(-REACH, REACH + 1):
        first, last = max(0, -shift), min(count, count - shift)
        apart = (seen[first:last] - heard[first + shift : last + shift]).norm(dim=1)
        means.append(float(apart.mean()))
    best = int(np.argmin(means))
    confidence = float(np.median(means)) - means[best]
    return Sync(best - REACH, confidence, means[best], means[REACH])


@torch.no_grad()
def embedded(
    network: Embedding, mouths: UInt8[ndarray, "t h w"], spectrum: Float[Tensor, "s m"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Vectors of all middles of windows that lie in the film and whose sound does."""
    frames = torch.from_numpy(mouths).float() / 255
    middles = range(WINDOW // 2, min(len(frames) - WINDOW // 2, _heard_frames(len(spectrum))))
    if not len(middles):
        return torch.zeros(0, WIDTH), torch.zeros(0, WIDTH)
    pictures = torch.stack([seen_window(frames, k) for k in middles])
    sounds = torch.stack([heard_window(spectrum, k) for k in middles])
    return network.mouths(standardized(pictures)), network.sounds(standardized(sounds))


def seen_window(frames: Float[Tensor, "t h w"], middle: int) -> Float[Tensor, "n h w"]:
    """WINDOW frames about a frame."""
    return frames[middle - WINDOW // 2 : middle + WINDOW // 2 + 1]


def heard_window(spectrum: Float[Tensor, "s m"], middle: int) -> Float[Tensor, "m n"]:
    """LISTENED steps about the instant of a frame."""
    first = round(middle / FPS * SPEECH_RATE / HOP) - LISTENED // 2
    steps = spectrum[max(0, first) : first + LISTENED]
    missing = LISTENED - len(steps)  # The first window begins a step before the sound.
    return torch.cat([steps[:1].expand(missing, -1), steps]).T


def _heard_frames(steps: int) -> int:
    """The first frame whose sound is no longer all there."""
    return math.floor((steps - LISTENED / 2) * HOP / SPEECH_RATE * FPS) + 1


def standardized(windows: Float[Tensor, "b m n *k"]) -> Float[Tensor, "b m n *k"]:
    """Each window with mean 0 and deviation 1: neither light nor loudness is lip sync."""
    flat = windows.flatten(1)
    middle, spread = flat.mean(1, keepdim=True), flat.std(1, keepdim=True)
    return ((flat - middle) / (spread + 0.05)).reshape(windows.shape)


def log_mel(samples: Float32[ndarray, " n"]) -> Float[Tensor, "s m"]:
    """BANDS logarithms of energy every HOP samples; the first window's middle is sample 0."""
    sound = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
    window = torch.hann_window(400)
    spectrum = torch.stft(
        sound, SPECTRUM, HOP, 400, window, center=True, pad_mode="constant", return_complex=True
    )
    return (spectrum.abs().square().T @ _bands() + 1e-5).log()


@cache
def _bands() -> Float[Tensor, "f m"]:
    """Triangles at even distances on the mel scale (O'Shaughnessy's, 2595 log10(1 + f / 700))."""
    top, bottom = (2595 * math.log10(1 + f / 700) for f in (HIGH, LOW))
    mel = torch.linspace(bottom, top, BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = torch.linspace(0, SPEECH_RATE / 2, SPECTRUM // 2 + 1)[:, None]
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return rise.minimum(fall).clamp_min(0)


assert SIDE == 48  # What `seen_out` is made for: 48 / 2 ** 4 = 3.
