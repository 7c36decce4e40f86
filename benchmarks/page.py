"""What a shared page weighs, how long it takes to write, and what it loses.

    PYTHONPATH=. python benchmarks/page.py AVATAR [--seconds 10]

A row for the avatar's own Gaussians and for 25, 50, 100 and 200 thousand of them (the avatar's own,
drawn with repetition and each changed a little), saying a sentence again and again.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from playback import machine

from incarnate.audio import Waveform, resampled
from incarnate.avatar import Avatar
from incarnate.avatars.surface import SurfaceAvatar, picked
from incarnate.figures import floor
from incarnate.io.page import write_page
from incarnate.io.soundtrack import RATE
from incarnate.sharing import shared
from incarnate.sources import Source, still
from incarnate.speech import Speaking, say, spoken

COUNTS = (25_000, 50_000, 100_000, 200_000)
SENTENCE = (
    "One photo made me, and now I say the same again, for as long as anybody wants to know it."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    avatar = Avatar.load(chosen.avatar)
    print(machine())
    speech = speaking(chosen.seconds)
    for count in (len(avatar.surface.discs.faces), *COUNTS):
        dense = crowded(avatar, count)
        begun = time.perf_counter()
        page, lost = shared(dense, "me", [("speech", speech)], floor(dense))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "me.html"
            write_page(out, page)
            size = out.stat().st_size
        print(
            f"{count:8,} Gaussians, {chosen.seconds:g} s of speech: {size / 1e6:5.2f} MB, "
            f"{time.perf_counter() - begun:5.1f} s; off by {1e6 * lost.position:.1f} um, "
            f"expressions {1e6 * lost.expression:.1f} um, sizes {100 * lost.scale:.1f} %"
        )


def speaking(seconds: float) -> Source:
    """So many seconds of a sentence."""
    speech = say(SENTENCE)
    motion = spoken(speech.waveform, speech.phonemes, Speaking(), 0)
    frames = torch.arange(round(seconds * motion.fps)) % len(motion)
    longer = replace(
        motion,
        pose=motion.pose[frames],
        transl=motion.transl[frames],
        expression=motion.expression[frames],
    )
    samples = resampled(speech.waveform, RATE).samples
    heard = Waveform(np.resize(samples, round(seconds * RATE)), RATE)
    return replace(still(longer, lambda: iter([heard])), speaks=True)


def crowded(avatar: Avatar, count: int) -> Avatar:
    """The avatar with so many Gaussians."""
    surface = avatar.surface
    if count == len(surface.discs.faces):
        return avatar
    draw = torch.Generator().manual_seed(0)
    discs = picked(surface.discs, torch.randint(len(surface.discs.faces), (count,), generator=draw))
    near = torch.rand(count, 3, generator=draw).add(0.5)
    discs = replace(
        discs,
        barycentrics=torch.nn.functional.normalize(discs.barycentrics * near, p=1, dim=1),
        offsets=discs.offsets * near,
        spins=discs.spins + near[:, 0],
        log_scales=discs.log_scales + 0.2 * near,
        colors=(discs.colors * near).clamp(0, 1),
    )
    made = SurfaceAvatar(
        surface.body, surface.betas, surface.vertex_offsets, surface.weights, discs
    )
    return replace(avatar, surface=made)


if __name__ == "__main__":
    main()
