"""Trains the audio-visual embedding that `incarnate evaluate --suite talk` judges lips with.

    python scripts/train_sync.py [--folder out/sync] [--clips 66] [--steps 1300]

Films clips of the studio's people (`sync_clips.py`), contrasts mouths with sounds (InfoNCE both
ways; negatives are other instants of the same clip, at least two frames away, and other clips),
writes `incarnate/assets/perception/sync.safetensors` in half precision and prints what the clips
held out say. Seeded and resumable: clips and the last checkpoint are kept in the folder. The bytes
depend on the machine's arithmetic and on the studio of the day.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch
from sync_clips import HELD_OUT, KEPT, clip
from torch import Tensor, nn

from incarnate.audio import SPEECH_RATE
from incarnate.io.runs import replacing
from incarnate.metrics.mouths import SIDE
from incarnate.metrics.sync import (
    REACH,
    WINDOW,
    Embedding,
    embedded,
    heard_window,
    log_mel,
    searched,
    seen_window,
    standardized,
)
from incarnate.perception.landmarkers import Perception

ASSET = Path(__file__).parents[1] / "incarnate/assets/perception/sync.safetensors"
TEMPERATURE = 0.07
CLIPS_A_STEP, WINDOWS_A_CLIP = 6, 24
NEAR = 1
"""Frames of the same clip that count neither for nor against."""
LR = 2e-3
KEEP_EVERY = 250


@dataclass(frozen=True, eq=False)
class Clip:
    """A film's mouths and its sound."""

    mouths: np.ndarray
    sound: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/sync"))
    parser.add_argument("--clips", type=int, default=66)
    parser.add_argument("--steps", type=int, default=1300)
    arguments = parser.parse_args()
    folder = arguments.folder / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    with Perception() as perception:
        made = [(k, clip(k, folder, perception)) for k in range(arguments.clips)]
    kept = [(k, read(path)) for k, path in made if path is not None]
    learnt = [c for k, c in kept if k % HELD_OUT]
    held_out = [c for k, c in kept if not k % HELD_OUT]
    network = trained(learnt, arguments.steps, arguments.folder / "checkpoint.pt", held_out)
    half = {name: value.half() for name, value in network.state_dict().items() if value.dim()}
    with replacing(ASSET) as part:
        safetensors.torch.save_file(half, part)
    print(f"{ASSET.name} sha256 {hashlib.sha256(ASSET.read_bytes()).hexdigest()}")
    again = Embedding().eval()
    again.load_state_dict({k: v.float() for k, v in half.items()}, strict=False)
    print(judged(again, held_out))


def read(path: Path) -> Clip:
    content = np.load(path, allow_pickle=False)
    return Clip(content["mouths"], content["sound"].astype(np.float32) / 32767)


def trained(clips: list[Clip], steps: int, checkpoint: Path, held_out: list[Clip]) -> Embedding:
    torch.manual_seed(0)
    network = Embedding()
    optimizer = torch.optim.AdamW(network.parameters(), LR, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.1)
    begin = 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        begin = int(kept["step"])
    for step in range(begin, steps):
        network.train()
        loss = contrast(network, clips, np.random.default_rng([1, step]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
            kept = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            kept |= {"schedule": schedule.state_dict(), "step": step + 1}
            with replacing(checkpoint) as part:
                torch.save(kept, part)
            print(step + 1, f"loss {float(loss):.3f}", judged(network.eval(), held_out), flush=True)
    return network.eval()


def contrast(network: Embedding, clips: list[Clip], rng: np.random.Generator) -> Tensor:
    """InfoNCE over windows of some clips, each changed in its own way."""
    seen, heard, owner, middle = [], [], [], []
    for number, k in enumerate(rng.choice(len(clips), CLIPS_A_STEP, replace=False)):
        frames, spectrum = changed(clips[k], rng)
        last = min(len(frames) - WINDOW // 2, len(spectrum) // 4 - 3)
        for m in rng.choice(np.arange(WINDOW // 2, last), WINDOWS_A_CLIP, replace=False):
            seen.append(seen_window(frames, int(m)))
            heard.append(heard_window(spectrum, int(m)))
            owner.append(number)
            middle.append(int(m))
    pictures = standardized(torch.stack(seen))
    noise = torch.from_numpy(rng.standard_normal(pictures.shape, np.float32))
    a = network.mouths(pictures + noise * float(rng.uniform(0, 0.15)))
    b = network.sounds(standardized(torch.stack(heard)))
    who, when = torch.tensor(owner), torch.tensor(middle)
    gap = (when[:, None] - when).abs()
    unsure = (who[:, None] == who) & (gap <= NEAR) & (gap > 0)
    scores = (a @ b.T / TEMPERATURE).masked_fill(unsure, -1e4)
    right = torch.arange(len(a))
    ways = [nn.functional.cross_entropy(s, right, label_smoothing=0.0) for s in (scores, scores.T)]
    return sum(ways, torch.zeros(())) / 2


def changed(one: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A clip's frames (t, SIDE, SIDE) and log-mel spectrum in other light, place, sound."""
    scale = SIDE / KEPT * 1.5 * float(np.exp(rng.normal(0, 0.08)))
    angle = float(rng.normal(0, 4))
    turn = cv2.getRotationMatrix2D(((KEPT - 1) / 2, (KEPT - 1) / 2), angle, scale)
    turn[:, 2] += (SIDE - KEPT) / 2 + rng.normal(0, 1.5, 2)
    flip, blur = rng.random() < 0.5, float(rng.uniform(0.3, 1.6))
    gamma, contrast_ = float(np.exp(rng.normal(0, 0.25))), float(rng.uniform(0.6, 1.2))
    shake = rng.normal(0, 0.25, (len(one.mouths), 2))
    frames = np.empty((len(one.mouths), SIDE, SIDE), np.float32)
    for k, picture in enumerate(one.mouths):
        turn_k = turn + np.concatenate([np.zeros((2, 2)), shake[k][:, None]], 1)
        small = cv2.warpAffine(picture, turn_k, (SIDE, SIDE), flags=1, borderMode=1)
        small = cv2.GaussianBlur(small, (0, 0), blur) if blur > 0.5 else small
        frames[k] = (small[:, ::-1] if flip else small) / 255.0
    frames = (frames**gamma - 0.5) * contrast_ + 0.5
    return torch.from_numpy(frames), _resounded(one.sound, rng)


def _resounded(sound: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The sound with a room's echo, noise, another loudness and another vocal tract."""
    samples = sound * float(np.exp(rng.normal(0, 0.5)))
    level = float(np.sqrt((samples**2).mean()) * 10 ** (-rng.uniform(10, 45) / 20))
    samples = samples + rng.standard_normal(len(samples)).astype(np.float32) * level
    if rng.random() < 0.4:
        late = int(rng.uniform(0.005, 0.04) * SPEECH_RATE)
        samples[late:] += 0.4 * float(rng.random()) * samples[:-late].copy()
    spectrum = log_mel(samples.astype(np.float32))
    # Formants and pitch moved along the bands, in place of resampling, which would move time.
    stretch = float(np.exp(rng.normal(0, 0.08)))
    bands = np.clip(np.arange(spectrum.shape[1]) * stretch, 0, spectrum.shape[1] - 1)
    low = np.minimum(bands.astype(int), spectrum.shape[1] - 2)
    part = torch.from_numpy((bands - low).astype(np.float32))
    mixed = spectrum[:, low] * (1 - part) + spectrum[:, low + 1] * part
    tilt = torch.linspace(-1, 1, spectrum.shape[1]) * float(rng.normal(0, 0.8))
    return mixed + tilt


def judged(network: Embedding, clips: list[Clip]) -> str:
    """How often the right one is found among 2 and among 31, in clips and in single windows."""
    edge = (KEPT - SIDE) // 2
    two, many, offsets, delayed, confidence = [], [], [], [], []
    for one in clips:
        mouths = np.ascontiguousarray(one.mouths[:, edge : edge + SIDE, edge : edge + SIDE])
        seen, heard = embedded(network, mouths, log_mel(one.sound))
        apart = torch.cdist(seen, heard)
        count = len(apart)
        for k in range(REACH, count - REACH):
            near = apart[k, k - REACH : k + REACH + 1]
            many.append(int(near.argmin()) == REACH)
            others = torch.cat([near[: REACH - 1], near[REACH + 2 :]])
            two.append(float((near[REACH] < others).float().mean()))
        found = searched(seen, heard)
        offsets.append(abs(found.offset) <= 1)
        confidence.append(found.confidence)
        for delay in range(-8, 9):
            shifted = heard.roll(delay, 0)
            lo, hi = max(0, delay), count + min(0, delay)
            delayed.append(abs(searched(seen[lo:hi], shifted[lo:hi]).offset - delay) <= 1)
    return (
        f"held out: of 2 {100 * np.mean(two):.1f} %, of 31 {100 * np.mean(many):.1f} % "
        f"({len(many)} windows); clips within a frame {100 * np.mean(offsets):.0f} %, delayed by "
        f"-8 to 8 {100 * np.mean(delayed):.0f} %; confidence {np.mean(confidence):.3f}"
    )


if __name__ == "__main__":
    main()
