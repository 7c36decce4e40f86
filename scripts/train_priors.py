"""Trains the embedded priors: python scripts/train_priors.py SHARDS RUN [--only STAGE] [...]

SHARDS is what `incarnate studio SHARDS --lessons N --size 128` made. Stages, each resumed where it
was stopped (Ctrl-C or a kill), from RUN/STAGE.pt:

    vae      pictures of all domains, 64 x 64: crops and whole
    latents  every picture's latents, once
    text     the text encoder alone, on captions and what they say; frozen from then on
    base     UNet and the guiders (pose, normal, projection) together, at 64 x 64;
             pictures of the same person as references, read by the same UNet
    fine     the same at 128 x 128, a third at 64
    motion   motion modules, everything else frozen, clips of 8 frames

`--export DIR` writes what is there as a diffusers directory in float16. Progress counts samples.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from priors_data import DOMAINS, Domain, Lessons, clip, still, unpacked
from priors_fit import STAGES, Run, fitted
from priors_nets import CHANNELS, GUIDERS, TEXT_WIDTH, WIDTHS, Parts
from priors_text import Facts, spoken
from torch import Tensor
from torch.nn.functional import avg_pool2d

from incarnate import distributed
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Branches, References
from incarnate.priors.lean import keep_memory
from incarnate.priors.train.objective import weighted
from incarnate.priors.unet import predicted, reference_states
from incarnate.studio.lessons import CLIP_FRAMES, SHOTS_A_LESSON, STANCES

SHARES: dict[Domain, float] = {"rgb": 0.45, "normal": 0.375, "depth": 0.175}
"""How often the autoencoder and the text encoder learn each."""
PAINTED: dict[Domain, float] = {"rgb": 0.5, "normal": 0.35, "depth": 0.15}
"""How often the UNet does: only rgb has colours, and of words it learns them last."""
GAMMA, KL = 5.0, 1e-4
MUTED_COLORS = (
    "grey", "dark grey", "olive", "brown", "navy", "mint", "green", "purple", "lilac", "cream"
)  # fmt: skip
MUTED = {64: 0.5, 128: 0.25}
"""How often rgb of this size shows people in these: near the mean of all, they are learnt last."""
HUES, LARGE, SHAPES = 3.0, 4.0, 2.5
"""What these count in the UNet's loss, where rgb's channels of light count 1: its channels of
colour, its means over 4 x 4 latents, and all of normals and depth."""
COARSE, FINE = 1500, 900  # People of whom there are latents at 64 and at 128 pixels.


def main() -> None:
    with distributed.group():
        _main()


def _main() -> None:
    parser = argparse.ArgumentParser(
        description="Trains the embedded priors, in stages that can be stopped"
    )
    parser.add_argument("shards", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--only", choices=STAGES, help="one stage instead of all")
    parser.add_argument("--samples", type=int, help="how many the stage is to see in all")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--begin", type=Path, help="an exported directory to begin with")
    parser.add_argument("--export", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    chosen.run.mkdir(parents=True, exist_ok=True)
    lessons = unpacked(chosen.shards, chosen.run / "data", 2)
    parts = Parts.at(chosen.run, lessons, chosen.begin)
    plan = {
        "vae": (train_vae, 120_000, 2e-3),
        "latents": (encode_all, 0, 0.0),
        "text": (train_text, 200_000, 2e-3),
        "base": (train_base, 300_000, 1e-3),
        "fine": (train_base, 150_000, 4e-4),
        "motion": (train_motion, 12_000, 1e-3),
    }
    for stage in [chosen.only] if chosen.only else [] if chosen.export else STAGES:
        work, samples, lr = plan[stage]
        run = Run(chosen.run, stage, chosen.samples or samples, chosen.batch, chosen.lr or lr)
        work(parts, lessons, run)
    if chosen.export:
        parts.export(chosen.export)


def _chosen(rng: np.random.Generator, shares: dict[Domain, float] = SHARES) -> Domain:
    names = list(shares)
    return names[rng.choice(len(names), p=list(shares.values()))]


def train_vae(parts: Parts, lessons: Lessons, run: Run) -> None:
    """L1 and squared error of crops and of whole pictures, a little KL."""

    def picture(rng: np.random.Generator) -> NDArray:
        index = int(rng.integers(len(lessons)))
        domain = "rgb" if rng.random() < 0.4 else _chosen(rng)
        if rng.random() < 0.5:
            return lessons.picture(index, domain, 64)
        x, y = rng.integers(0, lessons.size - 64 + 1, 2)
        return lessons.picture(index, domain, lessons.size)[y : y + 64, x : x + 64]

    def loss(rng: np.random.Generator, batch: int, step: int) -> Tensor:
        shown = torch.from_numpy(np.stack([picture(rng) for _ in range(batch)]))
        shown = shown.movedim(-1, 1).contiguous(memory_format=torch.channels_last) * 2 - 1
        noise = torch.from_numpy(rng.standard_normal((batch, CHANNELS, 16, 16), dtype=np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = parts.vae.encode(shown).latent_dist
            z = posterior.mean + posterior.std * noise
            made = parts.vae.decode(z).sample
        gap, spread = made.float() - shown, posterior.logvar.float()
        divergence = (posterior.mean.float().square() + spread.exp() - 1 - spread).mean() / 2
        # Squared errors alone let a small VAE paint green clothes blue: colour counts more than
        # light, and two channels of the latents are led to hold it.
        hue = _hues(gap).abs().mean()
        led = (posterior.mean.float()[:, -2:] - 2 * _hues(shown)).square().mean()
        close = gap.abs().mean() + 2 * gap.square().mean() + hue
        return close + 0.2 * led + KL * divergence

    parts.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fitted(parts.modules(run.stage), run, loss, 0.998, falls=0.6)
    _scale(parts, lessons, run)


def _hues(shown: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2 y x"]:
    """Red against green, and blue against both, of every 4 x 4 pixels."""
    red, green, blue = avg_pool2d(shown, 4).unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


@torch.no_grad()
def _scale(parts: Parts, lessons: Lessons, run: Run) -> None:
    """Gives each channel of the latents mean 0 and variance 1 over the mix of domains."""
    rng = np.random.default_rng(3)
    coder, found = Autoencoder(parts.vae), []
    for domain in DOMAINS:
        rows = rng.integers(len(lessons), size=96)
        shown = torch.from_numpy(np.stack([lessons.picture(int(i), domain, 128) for i in rows]))
        z = coder.encode(shown)
        found.append(z)
        mse = (coder.decode(z).clamp(0, 1) - shown).square().mean((1, 2, 3))
        print(f"vae {domain}: {float((-10 * mse.log10()).mean()):.2f} dB", flush=True)
    mix = torch.cat([found[0], found[1], found[2][::2]]).movedim(1, 0).flatten(1)
    mean, spread = mix.mean(1), mix.std(1)
    into, out = parts.vae.quant_conv, parts.vae.post_quant_conv
    assert into is not None and out is not None and out.bias is not None and into.bias is not None
    into.bias[:CHANNELS] -= mean
    for rows in (into.weight.flatten(1), into.bias[:, None]):
        rows[:CHANNELS] /= spread[:, None]
    into.bias[CHANNELS:] -= 2 * spread.log()
    out.bias += (out.weight.flatten(1) * mean).sum(1)
    out.weight *= spread[:, None, None]
    if distributed.rank() == 0:
        kept = torch.load(run.state, weights_only=True)
        kept["average"] |= {n: p.clone() for n, p in parts.modules("vae").named_parameters()}
        torch.save(kept, run.state)
    distributed.wait()


@torch.no_grad()
def encode_all(parts: Parts, lessons: Lessons, run: Run) -> None:
    """latents64.npy and latents128.npy: n 3 c y x in float16, of rgb, normal, depth.

    At 128 only of the first FINE people. A size is whole or not there.
    """
    coder = Autoencoder(parts.vae)
    parts.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for size, people in ((64, min(COARSE, lessons.people)), (128, min(FINE, lessons.people))):
        path, part = run.folder / f"latents{size}.npy", run.folder / f"latents{size}.part"
        if path.exists():
            continue
        rows, side, chunk = people * SHOTS_A_LESSON, size // 4, 4096 // size
        if distributed.rank() == 0:
            shape = (rows, 3, CHANNELS, side, side)
            np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
        distributed.wait()
        out = np.lib.format.open_memmap(part, mode="r+")
        starts = list(range(0, rows, chunk))
        for first in distributed.share(starts):
            some = range(first, min(first + chunk, rows))
            for k, domain in enumerate(DOMAINS):
                shown = np.stack([lessons.picture(i, domain, size) for i in some])
                with torch.autocast("cpu", torch.bfloat16):
                    z = coder.encode(torch.from_numpy(shown))
                out[first : first + len(some), k] = z.float().numpy()
            if first % (chunk * 40) == 0:
                print(f"latents {size}: {first}/{rows}", flush=True)
        distributed.wait()
        if distributed.rank() == 0:
            part.replace(path)
        distributed.wait()


class Latents:
    """What `encode_all` wrote."""

    def __init__(self, folder: Path) -> None:
        paths = {size: folder / f"latents{size}.npy" for size in (64, 128)}
        self.rows = {s: np.load(p, mmap_mode="r") for s, p in paths.items() if p.exists()}

    def people(self, size: int) -> int:
        """How many people are there."""
        return len(self.rows[size]) // SHOTS_A_LESSON

    def __call__(self, index: int, domain: Domain, size: int) -> Tensor:
        """c y x."""
        return torch.from_numpy(
            self.rows[size][index, list(DOMAINS).index(domain)].astype(np.float32)
        )


def train_text(parts: Parts, lessons: Lessons, run: Run) -> None:
    """Every fact of a caption from what follows it."""
    modules = parts.modules(run.stage)
    modules["facts"] = reader = Facts(lessons, TEXT_WIDTH)

    def loss(rng: np.random.Generator, batch: int, step: int) -> Tensor:
        told = [spoken(lessons, rng, _chosen(rng)) for _ in range(batch)]
        with torch.autocast("cpu", torch.bfloat16):
            return reader.loss(parts, [prompt for prompt, _ in told], [said for _, said in told])

    fitted(modules, run, loss, 0.99, falls=0.5)


def guides(
    parts: Parts, pictures: dict[str, list[tuple[int, NDArray]]], rows: int, side: int
) -> Tensor:
    """What the guiders add to the first features of each row; nothing where they see nothing."""
    total = torch.zeros(rows, WIDTHS[0], side, side)
    for name, seen in pictures.items():
        if seen:
            at = torch.tensor([i for i, _ in seen])
            shown = torch.from_numpy(np.stack([p for _, p in seen])).movedim(-1, 1)
            total = total.index_add(0, at, parts.guiders[name](shown).float())
    return total


def train_base(parts: Parts, lessons: Lessons, run: Run) -> None:
    """v of all domains, with every guide now and then, and references."""
    latents = Latents(run.folder)
    parts.text.requires_grad_(False)
    plain = {domain: [DOMAINS[domain]] for domain in DOMAINS}
    muted = lessons.people_in(MUTED_COLORS)

    def row(rng: np.random.Generator, size: int, people: int, reads: bool) -> dict[str, Any]:
        domain = _chosen(rng, PAINTED)
        who = int(rng.integers(people))
        some = muted[muted < people]
        if domain == "rgb" and len(some) and rng.random() < MUTED[size]:
            who = int(rng.choice(some))
        # A third of what is shown are the frames of clips: other poses.
        index = still(rng, who) if rng.random() < 0.7 else int(rng.choice(clip(who)))
        told: dict[str, Any] = {"index": index, "domain": domain}
        unsaid = rng.random() < 0.12
        told["prompt"] = DOMAINS[domain] if unsaid else lessons.prompt(index, domain, rng)
        if rng.random() < 0.3:
            told["pose"] = lessons.skeleton(index, size)
        if domain == "rgb":
            if rng.random() < 0.15:
                told["normal"] = lessons.picture(index, "normal", size)
            if rng.random() < 0.15:
                told["projection"] = _known(lessons, index, size, rng)
        if reads and rng.random() < 0.8:
            person = index // SHOTS_A_LESSON
            told["reference"] = person * SHOTS_A_LESSON + int(rng.integers(2 * STANCES))
        return told

    def loss(rng: np.random.Generator, batch: int, step: int) -> Tensor:
        large = run.stage == "fine" and step % 3 > 0
        size = 128 if large else 64
        people = latents.people(size)
        reads = step % 8 == 0  # References double the work of a step.
        rows = [row(rng, size, people, reads) for _ in range(batch)]
        x_0 = torch.stack([latents(r["index"], r["domain"], size) for r in rows])
        noise = torch.from_numpy(rng.standard_normal(x_0.shape, dtype=np.float32))
        # Words matter where there is much noise: such levels come more often.
        t = torch.from_numpy(rng.random(batch) ** 0.5 * (parts.schedule.num_levels - 1))
        x_t = parts.schedule.add_noise(x_0, noise, t).float()
        readers = [i for i, r in enumerate(rows) if "reference" in r]
        with torch.autocast("cpu", torch.bfloat16):
            pictures = {
                name: [(i, r[name]) for i, r in enumerate(rows) if name in r] for name in GUIDERS
            }
            pose = guides(parts, pictures, batch, size // 4)
            references = None
            if readers:
                shown = torch.stack([latents(rows[i]["reference"], "rgb", size) for i in readers])
                states = reference_states(
                    parts.unet, shown, torch.zeros(len(readers)), parts.words(plain["rgb"])
                )
                references = References(states, tuple(readers))
            output = predicted(
                parts.unet,
                x_t,
                parts.schedule.told(t).float(),
                parts.words([r["prompt"] for r in rows]),
                Branches(pose=pose, references=references),
            )
        painted = torch.tensor([r["domain"] == "rgb" for r in rows])
        return _missed(parts, t, output.float(), parts.schedule.target(x_0, noise, t), painted)

    fitted(parts.modules(run.stage), run, loss, 0.999, falls=0.35 if run.stage == "fine" else 0.3)


def _missed(
    parts: Parts,
    t: Float[Tensor, " b"],
    output: Float[Tensor, "b c y x"],
    target: Float[Tensor, "b c y x"],
    painted: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """The loss; where `painted`, colours and what is large count more than light and small things.

    Squares of any linear map of the error are least for the same output. But what words tell is
    large and of a colour, and drowns in the error of small things that nothing tells.
    """
    only = painted.view(-1, 1, 1, 1)
    loud = torch.where(only, 1.0, SHAPES).repeat(1, CHANNELS, 1, 1)
    loud[painted, -2:] = HUES
    output, target = output * loud.sqrt(), target * loud.sqrt()
    large = avg_pool2d(output, 4) * only, avg_pool2d(target, 4) * only
    fine = weighted(parts.schedule, t, output, target, GAMMA)
    return fine + LARGE * weighted(parts.schedule, t, *large, GAMMA)


def _known(lessons: Lessons, index: int, size: int, rng: np.random.Generator) -> NDArray:
    """The picture with holes beside the holes: another view's, or the truth with a patch out."""
    paired = index % SHOTS_A_LESSON < 2 * STANCES
    if paired and rng.random() < 0.7:
        image, hole = lessons.projected(index, size)
    else:
        image, hole = lessons.picture(index, "rgb", size), np.zeros((size, size, 1), np.float32)
        for _ in range(int(rng.integers(1, 4))):
            left, top = np.round(size * rng.uniform(0, 0.7, 2)).astype(int)
            w, h = np.round(size * rng.uniform(0.1, 0.6, 2)).astype(int)
            hole[top : top + h, left : left + w] = 1
    return np.concatenate([image * (1 - hole), hole], -1).astype(np.float32)


def train_motion(parts: Parts, lessons: Lessons, run: Run) -> None:
    """Clips that follow skeletons and a picture of the person; only motion modules learn."""
    latents, frames, size = Latents(run.folder), CLIP_FRAMES, 64
    for module in (parts.unet, parts.text, parts.guiders):
        module.requires_grad_(False)

    def loss(rng: np.random.Generator, batch: int, step: int) -> Tensor:
        count, people = max(1, batch // frames), latents.people(size)
        chosen = rng.integers(people, size=count)
        domains: list[Domain] = ["rgb" if rng.random() < 0.75 else "normal" for _ in chosen]
        rows = [i for person in chosen for i in clip(int(person))]
        each: list[Domain] = [domain for domain in domains for _ in range(frames)]
        x_0 = torch.stack([latents(i, d, size) for i, d in zip(rows, each, strict=True)])
        x_0 = x_0.unflatten(0, (count, frames)).transpose(1, 2)
        noise = torch.from_numpy(rng.standard_normal(x_0.shape, dtype=np.float32))
        t = torch.from_numpy(rng.uniform(0, parts.schedule.num_levels - 1, count))
        x_t = parts.schedule.add_noise(x_0, noise, t).float()
        posed = {"pose": [(k, lessons.skeleton(i, size)) for k, i in enumerate(rows)]}
        readers = tuple(k for k in range(count) if rng.random() < 0.8)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                pose = guides(parts, posed, len(rows), size // 4)
                words = parts.words(
                    [
                        lessons.prompt(clip(int(p))[0], d, rng)
                        for p, d in zip(chosen, domains, strict=True)
                    ]
                )
                references = None
                if readers:
                    seen = [chosen[k] * SHOTS_A_LESSON + rng.integers(2 * STANCES) for k in readers]
                    shown = torch.stack([latents(int(i), "rgb", size) for i in seen])
                    states = reference_states(
                        parts.unet, shown, torch.zeros(len(seen)), parts.words([DOMAINS["rgb"]])
                    )
                    references = References(states, readers)
            output = predicted(
                parts.unet,
                x_t,
                parts.schedule.told(t).float(),
                words,
                Branches(pose=pose, motion=parts.motion, references=references),
            )
        target = parts.schedule.target(x_0, noise, t)
        return weighted(parts.schedule, t, output, target, GAMMA).float()

    fitted(parts.modules(run.stage), run, loss, 0.995)


if __name__ == "__main__":
    main()
