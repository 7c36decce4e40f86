"""Trains the perceptual distance on the studio: python scripts/train_perceptual.py FOLDER

Draws people into FOLDER, damages patches of their pictures with known strength, and teaches the
network which of two damaged patches is damaged more. Three sorts of pairs: one damage at two
strengths, where the order is certain; a damage alone and with a second one on top, likewise; two
different damages, whose strengths were put on one scale by eye (`damages`), and only where they
are far apart. Started again it goes on where it stopped. Prints how often the network, PSNR and
SSIM are right on people, kinds of damage, and photos that it never saw.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from damages import HELD_OUT, TRAINED, damaged
from torch import Tensor
from torch.nn.functional import avg_pool2d, relu, softplus

from incarnate.metrics import psnr, ssim
from incarnate.metrics.perceptual import Levels
from incarnate.studio.scenes import samples

SEED, TEST_SEED = 11, 12  # Of the people learnt from, and of those held out.
PEOPLE, TEST_PEOPLE, SHOTS, SIDE = 240, 40, 8, 256
PATCH, BATCH, RATE = 48, 32, 2e-3
SURE, FAR = 0.1, 0.3  # Least gap in strength of one damage, and of two different ones.
EVERY = 100  # Steps between two states that a stopped run goes on from.
SORTS = ("one damage", "one more", "two damages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="held-out photos")
    parser.add_argument("--out", type=Path, default=Path("perceptual.safetensors"))
    chosen = parser.parse_args()
    pictures = drawn(chosen.folder / "train", SEED, PEOPLE)
    held = drawn(chosen.folder / "test", TEST_SEED, TEST_PEOPLE)
    network = trained(pictures, chosen.folder / "state.pt", chosen.steps)
    kept = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(kept, chosen.out)
    network.load_state_dict({name: tensor.float() for name, tensor in kept.items()})
    photos = _photos(chosen.photos)
    for title, source, kinds in (
        ("studio people it never saw", held, TRAINED),
        ("and damages it never saw", held, HELD_OUT),
        ("photos", photos, TRAINED),
        ("photos, damages it never saw", photos, HELD_OUT),
    ):
        if source:
            report(title, network, source, kinds)


def drawn(folder: Path, seed: int, people: int) -> list[Tensor]:
    """(shots 3 side side) bytes of each person, drawn where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index in range(people):
        path = folder / f"{index:04d}.npy"
        if not path.exists():
            shots = [one.shot.rgb for one in samples(seed, index, SIDE, SHOTS)]
            part = path.with_suffix(".part.npy")
            np.save(part, np.stack(shots).transpose(0, 3, 1, 2))
            part.rename(path)
        found.append(torch.from_numpy(np.load(path)))
    return found


def trained(pictures: list[Tensor], state: Path, steps: int) -> Levels:
    """The network after `steps`; every EVERY of them it is kept in `state`."""
    torch.manual_seed(SEED)
    network = Levels().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sharpness = torch.tensor(1.0, requires_grad=True)
    descent = torch.optim.Adam([*network.parameters(), sharpness], RATE)
    first, right = 0, 0.5
    if state.exists():
        kept = torch.load(state, weights_only=True)
        network.load_state_dict(kept["network"])
        descent.load_state_dict(kept["descent"])
        sharpness.data = kept["sharpness"]
        first = kept["step"]
    for step in range(first, steps):
        for group in descent.param_groups:
            warm, fall = min(1, (step + 1) / 100), 0.5 + 0.5 * math.cos(math.pi * step / steps)
            group["lr"] = RATE * warm * fall
        rng = torch.Generator().manual_seed(1_000_003 * SEED + step)
        reference, a, b, worse = batch(pictures, TRAINED, int(step), rng)
        far_a, far_b = apart(network, reference, a, b)
        logit = softplus(sharpness) * (torch.log(far_b + 1e-5) - torch.log(far_a + 1e-5))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, worse)
        # Distances of the order of 1: their scale is free otherwise.
        loss = loss + 0.01 * relu(torch.log(torch.cat([far_a, far_b]) + 1e-5) ** 2 - 9).mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
        right = 0.99 * right + 0.01 * float(((logit > 0) == (worse > 0.5)).float().mean())
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            print(f"step {step + 1}: right {right:.3f}, loss {loss.item():.3f}", flush=True)
            torch.save(
                {
                    "network": network.state_dict(),
                    "descent": descent.state_dict(),
                    "sharpness": sharpness.data,
                    "step": step + 1,
                },
                state,
            )
    return network.eval()


def apart(network: Levels, reference: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of two damaged batches from the undamaged one."""
    pictures = torch.cat([reference, a, b]).to(memory_format=torch.channels_last)
    features = network.features(pictures)
    thirds = [x.chunk(3) for x in features]
    own = [x[0] for x in thirds]
    return (
        network.between(own, [x[1] for x in thirds]),
        network.between(own, [x[2] for x in thirds]),
    )


def batch(
    pictures: list[Tensor], kinds: tuple[str, ...], step: int, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Patches, each damaged twice, and 1 where the second is damaged more."""
    reference, others = patches(pictures, rng), patches(pictures, rng)
    a, b = reference.clone(), reference.clone()
    worse = torch.zeros(BATCH)
    for i in range(BATCH):
        sort = SORTS[int(torch.randint(3, (1,), generator=rng))]
        a[i], b[i], worse[i] = pair(reference[i], others[i], sort, kinds, rng)
    return reference, a, b, worse


def pair(
    patch: Tensor, other: Tensor, sort: str, kinds: tuple[str, ...], rng: torch.Generator
) -> tuple[Tensor, Tensor, float]:
    """Two damaged patches, and 1.0 if the second is damaged more."""
    one, two = (kinds[int(k)] for k in torch.randperm(len(kinds), generator=rng)[:2])
    low, high = torch.rand(2, generator=rng).sort().values.tolist()
    gap = FAR if sort == "two damages" else SURE
    low, high = low * (1 - gap), gap + high * (1 - gap)
    seed, second = torch.randint(2**31, (2,), generator=rng).tolist()
    match sort:
        case "one damage":
            mild = damaged(patch, other, one, low, seed)
            bad = damaged(patch, other, one, high, seed)
        case "one more":
            mild = damaged(patch, other, one, low, seed)
            bad = damaged(mild, other, two, high, second)
        case _:
            mild = damaged(patch, other, one, low, seed)
            bad = damaged(patch, other, two, high, second)
    if float(torch.rand(1, generator=rng)) < 0.5:
        return mild, bad, 1.0
    return bad, mild, 0.0


def patches(pictures: list[Tensor], rng: torch.Generator) -> Tensor:
    """(BATCH 3 PATCH PATCH) cut at random, half of them from pictures at half their size."""
    cut = []
    while len(cut) < BATCH:
        person = pictures[int(torch.randint(len(pictures), (1,), generator=rng))]
        picture = person[int(torch.randint(len(person), (1,), generator=rng))].float() / 255
        if torch.rand(1, generator=rng) < 0.5:
            picture = avg_pool2d(picture, 2)
        room = [n - PATCH + 1 for n in picture.shape[1:]]
        top, left = (int(torch.randint(n, (1,), generator=rng)) for n in room)
        found = picture[:, top : top + PATCH, left : left + PATCH]
        if float(found.std((1, 2)).mean()) > 0.02:  # Bare background teaches nothing.
            cut.append(found)
    return torch.stack(cut)


def report(
    title: str, network: Levels, pictures: list[Tensor], kinds: tuple[str, ...], rounds: int = 12
) -> None:
    """Prints the share of pairs in which each measure finds the worse one."""
    right: dict[tuple[str, str], list[bool]] = {}
    rng = torch.Generator().manual_seed(77)
    for _ in range(rounds):
        reference, others = patches(pictures, rng), patches(pictures, rng)
        for sort in SORTS:
            for patch, other in zip(reference, others, strict=True):
                a, b, worse = pair(patch, other, sort, kinds, rng)
                with torch.no_grad():
                    far_a, far_b = apart(network, patch[None], a[None], b[None])
                flat = [x.permute(1, 2, 0) for x in (patch, a, b)]
                says = {
                    "network": bool(far_b > far_a),
                    "psnr": psnr(flat[0], flat[2]) < psnr(flat[0], flat[1]),
                    "ssim": ssim(flat[0], flat[2]) < ssim(flat[0], flat[1]),
                }
                for name, said in says.items():
                    right.setdefault((sort, name), []).append(said == (worse > 0.5))
    for sort in SORTS:
        shares = {n: np.mean(right[sort, n]) for n in ("network", "psnr", "ssim")}
        count = len(right[sort, "network"])
        cells = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
        print(f"{title} | {sort} (n {count}): {cells}", flush=True)


def _photos(paths: list[Path]) -> list[Tensor]:
    from PIL import Image

    found = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        ratio = 512 / max(picture.size)
        width, height = (max(PATCH * 2, round(side * ratio)) for side in picture.size)
        small = np.array(picture.resize((width, height), Image.Resampling.LANCZOS))
        found.append(torch.from_numpy(small).permute(2, 0, 1)[None])
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
