"""Trains the readers: python scripts/train_readers.py READ TEST

READ and TEST are folders of shards, people apart from one another and from all that priors learn:

    incarnate studio READ --lessons 600 --seed 10 --size 64
    incarnate studio TEST --lessons 96 --seed 9 --size 64

The readers of sides see these enlarged to 128. Pictures are mirrored, shifted, blurred and made
noisy, since what priors make is not as crisp as the studio. Prints how often the readers are right
on TEST, and writes it into their file.
"""

import argparse
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import (
    affine_grid,
    avg_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    grid_sample,
    interpolate,
)

from incarnate.evaluate.readers import (
    BASIC,
    PIXELS,
    SECTORS,
    TASKS,
    TERMS,
    ColorReader,
    SideReader,
    Task,
    averages,
    cloths,
    top_color,
)
from incarnate.priors.conditions import side
from incarnate.priors.train.shards import Shards
from incarnate.priors.train.shots import decoded, picture
from incarnate.studio.fabrics import COLORS
from incarnate.studio.piece import LABELS
from incarnate.studio.wardrobe import SKIRTS, TROUSERS

SUFFIXES = ("png", "normal.png", "alpha.png", "parts.png", "json")
BATCH, RATE, SEED = 48, 3e-3, 5
CLEAR = math.radians(10)
"""How far from two sides' border an azimuth must be to count as clear."""
SPREAD = 0.75  # Sectors: sigma of the target about the true azimuth.
ABOVE = [LABELS.index(name) for name in ("top", "dress", "outer")]
BELOW = LABELS.index("bottom")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("read", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--steps", type=int, nargs=3, default=(2500, 4000, 1500), help="by task")
    parser.add_argument("--only", nargs="*", choices=TASKS)
    parser.add_argument("--cache", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path, default=Path("readers.safetensors"))
    chosen = parser.parse_args()
    read, test = (
        Pictures.of(folder, chosen.cache / f"readers-{folder.name}.npz")
        for folder in (chosen.read, chosen.test)
    )
    kept: dict[str, Tensor] = {}
    held_out: dict[str, float] = {}
    for task, steps in zip(TASKS, chosen.steps, strict=True):
        if chosen.only and task not in chosen.only:
            continue
        torch.manual_seed(SEED)
        net = (
            colors_learnt(read, steps)
            if task == "color of rgb"
            else sides_learnt(task, read, steps)
        )
        halves = {name: _half(tensor) for name, tensor in net.state_dict().items()}
        net.load_state_dict({name: _float(tensor) for name, tensor in halves.items()})
        held_out |= measured(net.eval(), task, test)
        stem = task.replace(" ", "_")
        kept |= {f"{stem}.{name}": tensor for name, tensor in halves.items()}
    safetensors.torch.save_file(kept, chosen.out, {"held_out": json.dumps(held_out)})


def _half(tensor: Tensor) -> Tensor:
    return tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


@dataclass(frozen=True, eq=False)
class Pictures:
    """All samples of a folder, small."""

    rgb: NDArray[np.uint8]
    normal: NDArray[np.uint8]
    above: NDArray[np.uint8]
    """n 32 32: how much of 2 x 2 pixels is garment of the upper body, of 255."""
    below: NDArray[np.uint8]
    azimuths: NDArray[np.float64]
    framings: NDArray[np.str_]
    captions: NDArray[np.str_]

    @staticmethod
    def of(folder: Path, cache: Path) -> "Pictures":
        """Decoded once, then read from `cache`."""
        if not cache.exists():
            shards = Shards.of(folder, SUFFIXES)
            rows = [_small(shards, i) for i in range(len(shards))]
            names = ("rgb", "normal", "above", "below", "azimuths", "framings", "captions")
            columns = zip(*rows, strict=True)
            np.savez(cache, **dict(zip(names, map(np.array, columns), strict=True)))
        with np.load(cache) as found:
            return Pictures(*(found[name] for name in found.files))


def _small(
    shards: Shards, index: int
) -> tuple[NDArray, NDArray, NDArray, NDArray, float, str, str]:
    files = shards.files(index)
    shot = decoded({name: data for name, data in files.items() if name != "parts.png"})
    rgb = _bytes(picture(shot, "rgb", PIXELS["side of rgb"]))
    normal = _bytes(picture(shot, "normal", PIXELS["side of normal"]))
    parts = cv2.imdecode(np.frombuffer(files["parts.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert parts is not None
    above, below = (
        cv2.resize(mask.astype(np.uint8) * 255, (32, 32), interpolation=cv2.INTER_AREA)
        for mask in (np.isin(parts, ABOVE), parts == BELOW)
    )
    assert shot.azimuth is not None
    return rgb, normal, above, below, shot.azimuth, str(shot.framing), shot.caption


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(picture * 255).astype(np.uint8)


# Sides.


def sides_learnt(task: Task, data: Pictures, steps: int) -> SideReader:
    """The network after so many steps."""
    pictures, azimuths = _sided(task, data)
    net = SideReader().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(SEED)

    def loss() -> Tensor:
        rows = rng.integers(len(pictures), size=BATCH)
        flip = rng.random(BATCH) < 0.5
        seen = mirrored(pictures[rows].float() / 255, flip, normals=task == "side of normal")
        seen = moved(seen, moves(rng), "zeros" if task == "side of normal" else "border")
        seen = strange(damaged(seen, rng), rng, exchanged=task == "side of rgb")
        turned = np.where(flip, -azimuths[rows], azimuths[rows])
        with torch.autocast("cpu", torch.bfloat16):
            said = net(seen)
        return cross_entropy(said.float(), torch.from_numpy(_bells(turned)))

    descended(net, loss, steps, task)
    return net


def _sided(task: Task, data: Pictures) -> tuple[Tensor, NDArray]:
    """Pictures n 3 s s (bytes) and azimuths, but for those of legs alone."""
    keep = data.framings != "lower"
    shown = (data.normal if task == "side of normal" else data.rgb)[keep]
    return torch.from_numpy(shown).permute(0, 3, 1, 2).contiguous(), data.azimuths[keep]


def _bells(azimuths: NDArray) -> NDArray[np.float32]:
    """Chances of sectors: a bell about the azimuth, so that neighbours are no great error."""
    apart = (azimuths[:, None] - _middles() + np.pi) % (2 * np.pi) - np.pi
    bell = np.exp(-0.5 * (apart / (SPREAD * 2 * np.pi / SECTORS)) ** 2)
    return (bell / bell.sum(1, keepdims=True)).astype(np.float32)


def _middles() -> NDArray:
    return ((np.arange(SECTORS) + 0.5) / SECTORS - 0.5) * 2 * np.pi


# Colours.


def colors_learnt(data: Pictures, steps: int) -> ColorReader:
    """First where garments are, from all people; then what their colours are called."""
    keep = np.isin(data.framings, ("full", "upper"))
    pictures = _for_colors(data.rgb[keep])
    above, below = (torch.from_numpy(mask[keep]) for mask in (data.above, data.below))
    net = ColorReader().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(SEED)

    def loss() -> Tensor:
        rows = rng.integers(len(pictures), size=BATCH)
        flip, by = rng.random(BATCH) < 0.5, moves(rng)
        seen = moved(mirrored(pictures[rows].float() / 255, flip), by, "border")
        seen = strange(damaged(seen, rng), rng, exchanged=True)
        wanted = moved(mirrored(above[rows][:, None].float() / 255, flip), by, "zeros")
        with torch.autocast("cpu", torch.bfloat16):
            said = net.places(seen)
        return binary_cross_entropy_with_logits(said.float(), wanted[:, 0])

    descended(net, loss, steps, "color of rgb")
    net.eval()
    captions, azimuths = data.captions[keep], data.azimuths[keep]
    tops = np.array([_top(c, a) for c, a in zip(captions, azimuths, strict=True)])
    bottoms = np.array([_bottom(caption) for caption in captions])
    bottoms[below.flatten(1).amax(1).numpy() < 250] = -1
    _named(net, pictures, [(above, tops), (below, bottoms)])
    return net


def _for_colors(rgb: NDArray[np.uint8]) -> Tensor:
    """Pictures n 3 s s (bytes) in the size that is read for colours."""
    size = PIXELS["color of rgb"]
    small = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in rgb]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous()


def _named(net: ColorReader, pictures: Tensor, worn: list[tuple[Tensor, NDArray]]) -> None:
    """Teaches the last layers what means of colours are called, whichever garment they are of."""
    means, classes = [], []
    with torch.no_grad():
        for k, (masks, terms) in enumerate(worn):
            keep = torch.from_numpy(terms >= 0)
            seen = pictures[keep].float() / 255
            covers = [masks[keep].float() / 255]
            if k == 0:  # As it will be, too.
                covers.append(torch.cat([net.places(p).sigmoid() for p in seen.split(256)]))
            means += [averages(seen, cover) for cover in covers]
            classes += [torch.from_numpy(terms[terms >= 0])] * len(covers)
    x, y = torch.cat(means), torch.cat(classes)
    rng = torch.Generator().manual_seed(SEED)
    descent = torch.optim.AdamW(net.saying.parameters(), 5e-3, weight_decay=0.02)
    counts = torch.bincount(y, minlength=len(TERMS)).float()
    weight = (counts.mean() / counts.clamp_min(1)).sqrt()
    for step in range(3000):
        descent.param_groups[0]["lr"] = 5e-3 * (0.5 + 0.5 * math.cos(math.pi * step / 3000))
        rows = torch.randint(len(x), (512,), generator=rng)
        noise = torch.randn((512, 6), generator=rng) * 0.02
        loss = cross_entropy(net.saying(x[rows] + noise), y[rows], weight, label_smoothing=0.02)
        descent.zero_grad()
        loss.backward()
        descent.step()
    right = (net.saying(x).argmax(1) == y).float().mean()
    print(f"colours of {len(x)} garments: {float(right):.4f} right in training", flush=True)


def _top(caption: str, azimuth: float) -> int:
    """The class of what is worn above, -1 if it has none.

    Here also prints on the chest and open jackets, which from behind are of one colour.
    """
    told, worn = top_color(caption), cloths(caption)
    if told is None and side(azimuth) == "back view":
        outer = [c for c in worn if c.name in ("jacket", "blazer", "cardigan")]
        seen = outer or worn
        if len(seen) == 1 and seen[0].look in ("", "knitted", "printed"):
            told = BASIC[seen[0].color]
    return -1 if told is None else TERMS.index(told)


_LOWER = "|".join(sorted({g.name for g in (*TROUSERS, *SKIRTS)}, key=len, reverse=True))
_TINTS = "|".join(sorted(COLORS, key=len, reverse=True))
_BOTTOM = re.compile(rf"\b({_TINTS})(?: denim)? (?:{_LOWER})\b")


def _bottom(caption: str) -> int:
    """The class of trousers or a skirt of one colour, -1 if there are none."""
    found = _BOTTOM.search(caption)
    return -1 if found is None else TERMS.index(BASIC[found[1]])


# Training.


def descended(net: SideReader | ColorReader, loss, steps: int, name: str) -> None:
    """Steps of AdamW with a rate that rises and falls."""
    descent = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    running = 0.0
    for step in range(steps):
        warm, fall = min(1, (step + 1) / 100), 0.5 + 0.5 * math.cos(math.pi * step / steps)
        descent.param_groups[0]["lr"] = RATE * warm * fall
        error = loss()
        descent.zero_grad()
        error.backward()
        descent.step()
        running = error.item() if step == 0 else 0.98 * running + 0.02 * error.item()
        if (step + 1) % 250 == 0:
            print(f"{name}: step {step + 1}, loss {running:.3f}", flush=True)


def mirrored(pictures: Tensor, flip: NDArray, normals: bool = False) -> Tensor:
    """Those of `flip` in a mirror; b c s s. In a map of normals x then points the other way."""
    some = torch.from_numpy(flip)[:, None, None]
    out = torch.where(some[:, None], pictures.flip(-1), pictures)
    if not normals:
        return out
    across = out[:, :1]
    hit = (out.amax(1, keepdim=True) > 0.2) & some[:, None]
    return torch.cat([torch.where(hit, (1 - across).clamp(0, 1), across), out[:, 1:]], 1)


def moves(rng: np.random.Generator) -> Tensor:
    """Shifts by up to a tenth of the picture, and sizes up to a sixth other."""
    to = np.zeros((BATCH, 2, 3), np.float32)
    to[:, 0, 0] = to[:, 1, 1] = rng.uniform(0.85, 1.15, BATCH)
    to[:, :, 2] = rng.uniform(-0.2, 0.2, (BATCH, 2))
    return torch.from_numpy(to)


def moved(pictures: Tensor, by: Tensor, beyond: str) -> Tensor:
    """Each picture shifted and sized."""
    grid = affine_grid(by, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, padding_mode=beyond, align_corners=False)


def damaged(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Blurred or coarse now and then, and noisy."""
    kind = rng.random()
    if kind < 0.3:
        pictures = avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    elif kind < 0.45:
        pictures = interpolate(avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    noise = torch.from_numpy(rng.standard_normal(pictures.shape, np.float32))
    strength = rng.uniform(0, 0.05, (len(pictures), 1, 1, 1)).astype(np.float32)
    return pictures + noise * torch.from_numpy(strength)


def strange(pictures: Tensor, rng: np.random.Generator, exchanged: bool) -> Tensor:
    """Brighter or darker by channel; with channels exchanged, colours mean nothing."""
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(pictures), 3, 1, 1)).astype(np.float32))
    if exchanged:
        pictures = ((pictures - 0.5) * gain + 0.5)[:, rng.permutation(3)]
    else:
        pictures = pictures * gain
    return pictures.clamp(0, 1).contiguous(memory_format=torch.channels_last)


# Measures.


@torch.no_grad()
def measured(net: SideReader | ColorReader, task: Task, data: Pictures) -> dict[str, float]:
    """Shares of held-out pictures read right."""
    if task == "color of rgb":
        keep = np.isin(data.framings, ("full", "upper"))
        keep &= np.array([top_color(caption) is not None for caption in data.captions])
        true = np.array([top_color(caption) for caption in data.captions[keep]])
        pictures = _for_colors(data.rgb[keep])
        said = torch.cat([net(part.float() / 255) for part in pictures.split(256)])
        found = np.array(TERMS)[said.argmax(-1).numpy()]
        _confused(found, true)
        print(f"  of {len(set(data.captions[keep]))} captions")
        return _told({task: found == true})
    pictures, azimuths = _sided(task, data)
    said = torch.cat([net(part.float() / 255) for part in pictures.split(256)]).softmax(-1).numpy()
    names = np.array([side(a) for a in _middles()])
    chances = {name: said[:, names == name].sum(1) for name in dict.fromkeys(names.tolist())}
    found = np.array(list(chances))[np.stack(list(chances.values()), 1).argmax(1)]
    true = np.array([side(a) for a in azimuths])
    _confused(found, true)
    off = (azimuths + np.pi / 4) % (np.pi / 2)
    clear = np.minimum(off, np.pi / 2 - off) > CLEAR
    right = found == true
    return _told({task: right, f"{task}, clear": right[clear]})


def _told(rights: dict[str, NDArray]) -> dict[str, float]:
    for name, right in rights.items():
        print(f"{name}: {right.mean():.4f} of {len(right)} held-out pictures", flush=True)
    return {name: round(float(right.mean()), 4) for name, right in rights.items()}


def _confused(found: NDArray[np.str_], true: NDArray[np.str_]) -> None:
    wrong = found != true
    pairs = Counter(zip(true[wrong].tolist(), found[wrong].tolist(), strict=True))
    for (one, other), count in pairs.most_common(8):
        print(f"  {one} read as {other}: {count}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    main()
