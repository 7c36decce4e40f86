"""What the embedded priors know, read back from what they make (`evaluate priors`).

Every figure says who or what judged it. Readers (`readers`) are networks, with what they get right
on held-out people beside each figure; silhouettes are what covers black by half (normals) or is
other than grey (rgb); all else compares with held-out people (`heldout`) whom the studio draws on
the spot. Where a role shall be worth something, the same samples without it stand beside: its
control.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from incarnate.evaluate.bench import Bench, Findings, Strip, Told
from incarnate.evaluate.heldout import Asked, HeldOut, Seen, in_plain_terms, view_of
from incarnate.evaluate.portraits import (
    BANDS,
    COARSE,
    GREY,
    color_gap,
    colored,
    flicker,
    ious,
    jitter,
    lit,
    looks_apart,
    spread,
)
from incarnate.evaluate.readers import Readers, Shows
from incarnate.metrics import psnr
from incarnate.metrics.perceptual import OWN, StudioDistance
from incarnate.priors.conditions import Condition, Pose, Projection, Reference, Text, View, side
from incarnate.priors.conditions import Normal as NormalMap
from incarnate.priors.denoiser import Images
from incarnate.recipe import Framing
from incarnate.sampled import by_words, worded_skeletons


def measured(bench: Bench, asked: Sequence[Asked], readers: Readers) -> Findings:
    """Everything."""
    found = Findings()
    for title, part in (
        ("pictures there and back", autoencoder),
        ("poses", posed),
        ("depth", deep),
        ("rgb after normals", aligned),
        ("rgb around what is known", completed),
        ("clips", moving),
        ("people from a picture", alike),
    ):
        bench.report.stage(title)
        part(bench, found)
    bench.report.stage("views and colours")
    read_back(bench, asked, readers, found)
    return found


# What readers say.


def read_back(bench: Bench, asked: Sequence[Asked], readers: Readers, found: Findings) -> None:
    """Sides and colours of samples, and sides of the studio's own pictures.

    Words alone tell what is shown, then also a skeleton drawn after them, as by `sample`. An eighth
    of the normals are of heads, whose clothes are not seen.
    """
    near = [replace(one, framing="head") if k % 8 == 7 else one for k, one in enumerate(asked)]
    plainly, after = "", ", words drawn as skeletons"
    whole = [seen for seen in bench.truth.pairs if seen.framing != "lower"]
    sets: tuple[tuple[str, Sequence[Asked], Shows, int], ...] = (
        (plainly, near, "normal", 1),
        (after, near, "normal", 1),
        (plainly, asked, "rgb", 2),
        (after, asked, "rgb", 2),
    )
    for how, captions, shows, seed in sets:
        name = "normals" if shows == "normal" else "rgb"
        worded: list[Worded] = [(one.caption, one.azimuth, one.framing) for one in captions]
        told = drawn_as_told(worded, bench.effort.size) if how else as_told(worded)
        made = bench.drawn(by_words(bench.priors, shows), told, len(captions), seed)
        judge = f"reader, right on {_share(readers, f'side of {shows}')} of held-out pictures"
        right = right_sides(readers, made, [one.side for one in captions], shows)
        found.add(f"view read from {name}{how}", percent(right), "%", judge)
        if shows == "rgb":
            _read_colors(made, captions, how, readers, found)
        if not how:
            true = torch.stack([seen.normal if shows == "normal" else seen.rgb for seen in whole])
            right = right_sides(readers, true, [side(seen.azimuth) for seen in whole], shows)
            found.add(f"view read from the studio's {name}", percent(right), "%", judge)


def _read_colors(
    made: Images, captions: Sequence[Asked], how: str, readers: Readers, found: Findings
) -> None:
    judge = f"reader, right on {_share(readers, 'color of rgb')} of held-out pictures"
    said = readers.colors(made)
    right = np.array([one.color == color for one, color in zip(captions, said, strict=True)])
    plain = np.array([in_plain_terms(one) for one in captions])
    found.add(f"colour read{how}", percent(right), "%", f"{judge}, eleven basic terms")
    name = f"colour read, where the caption has a basic term{how}"
    found.add(name, percent(right[plain]), "%", judge)


Worded = tuple[str, float, Framing]
"""Caption, azimuth, framing."""


def as_told(asked: Sequence[Worded]) -> Told:
    """By words alone."""

    def told(rows: Sequence[int]) -> Condition:
        texts, azimuths, framings = zip(*(asked[k] for k in rows), strict=True)
        return Condition(Text(texts), View(azimuths, framings))

    return told


def drawn_as_told(asked: Sequence[Worded], size: int) -> Told:
    """By words, and by a skeleton that does what they say."""
    plain = as_told(asked)

    def told(rows: Sequence[int]) -> Condition:
        drawn = [
            worded_skeletons(text, [k], View((azimuth,), (framing,)), size)
            for k, (text, azimuth, framing) in ((k, asked[k]) for k in rows)
        ]
        return replace(plain(rows), pose=Pose(torch.cat(drawn)))

    return told


def percent(right: Bool[np.ndarray, " n"]) -> list[float]:
    """100 where right, 0 elsewhere."""
    return (100.0 * right).tolist()


def right_sides(
    readers: Readers, pictures: Images, sides: Sequence[str], shows: Shows
) -> Bool[np.ndarray, " n"]:
    """Where the reader sees the side that was named."""
    said = readers.sides(pictures, shows)
    return np.array([one == other for one, other in zip(said, sides, strict=True)])


def _share(readers: Readers, task: str) -> str:
    return f"{100 * readers.held_out[task]:.1f} %"


# What held-out people say.


@torch.no_grad()
def autoencoder(bench: Bench, found: Findings) -> None:
    """PSNR of held-out pictures through the VAE."""
    some = _spread(bench.truth.pairs, bench.effort.rows)
    prior = bench.priors.text_to_rgb
    for name, pictures in (
        ("normals", [s.normal for s in some]),
        ("rgb", [s.rgb for s in some]),
        ("depth", [s.depth for s in some]),
    ):
        true = torch.stack(pictures)
        back = torch.cat([prior.decode(prior.encode(x)).clamp(0, 1) for x in true.split(8)])
        whole = [psnr(a, b) for a, b in zip(back, true, strict=True)]
        person = [psnr(a, b, s.alpha) for a, b, s in zip(back, true, some, strict=True)]
        found.add(f"autoencoder, {name}", whole, "dB", "PSNR of the picture, mean over pictures")
        found.add(f"autoencoder, {name}, person alone", person, "dB", "PSNR where alpha > 0.5")


def posed(bench: Bench, found: Findings) -> None:
    """Normals that follow skeletons, against the same captions without, and how much they vary."""
    some = _spread(bench.truth.full(), bench.effort.rows)
    prior = bench.priors.text_to_normal
    truth = torch.stack([s.normal for s in some])
    inside = torch.stack([s.alpha for s in some]) > 0.5
    made = bench.drawn(prior, _told(some, pose=True), len(some), 3)
    plain = bench.drawn(prior, _told(some), len(some), 3)
    how = "IoU with the truth's; where normals of length 1 cover half of a pixel"
    found.add("silhouette with pose", ious(lit(made), inside), "", how)
    found.add("silhouette with text alone", ious(lit(plain), inside), "", how)
    _varied("normals", plain, truth, found)
    rows = {"skeleton": _stacked(some, "skeleton"), "made": made, "truth": truth}
    found.strips.append(Strip("pose", "Normals after skeletons", rows, "made", "normal"))


def deep(bench: Bench, found: Findings) -> None:
    """Depth that follows skeletons, against depth from the same captions."""
    some = _spread(bench.truth.full(), max(2, bench.effort.rows // 3))
    truth, prior = _stacked(some, "depth"), bench.priors.text_to_depth
    made = bench.drawn(prior, _told(some, pose=True), len(some), 8)
    plain = bench.drawn(prior, _told(some), len(some), 8)
    for name, pictures in (("pose", made), ("text alone", plain)):
        scores = [psnr(a, b) for a, b in zip(pictures, truth, strict=True)]
        found.add(f"depth against truth with {name}", scores, "dB", "PSNR")
    rows = {"skeleton": _stacked(some, "skeleton"), "made": made, "truth": truth}
    found.strips.append(Strip("depth", "Depth after skeletons", rows, "made", "depth"))


def aligned(bench: Bench, found: Findings) -> None:
    """Rgb that follows normals, against rgb from the same captions, and how much that varies."""
    some = _spread(bench.truth.full(), bench.effort.rows)
    truth, normals = (_stacked(some, name) for name in ("rgb", "normal"))
    inside = colored(truth)

    def told(rows: Sequence[int]) -> Condition:
        normal = NormalMap(normals[list(rows)])
        return _condition([some[k] for k in rows], normal=normal)

    made = bench.drawn(bench.priors.aligned_rgb, told, len(some), 4)
    plain = bench.drawn(bench.priors.text_to_rgb, _told(some), len(some), 4)
    how = "IoU with the truth's, both where other than grey"
    for name, pictures in (("normals", made), ("text alone", plain)):
        found.add(f"rgb's silhouette with {name}", ious(colored(pictures), inside), "", how)
        scores = [psnr(a, b) for a, b in zip(pictures, truth, strict=True)]
        found.add(f"rgb against truth with {name}", scores, "dB", "PSNR")
    _varied("rgb", plain, truth, found)
    rows = {"normals": normals, "made": made, "truth": truth, "text alone": plain}
    found.strips.append(Strip("aligned", "Rgb after normals", rows, "made", "rgb"))


def completed(bench: Bench, found: Findings) -> None:
    """What is made where another view tells nothing, against rgb from the caption alone."""
    some = _spread([s for s in bench.truth.pairs if s.known is not None], bench.effort.rows)
    known = [s.known for s in some if s.known is not None]
    image = torch.cat([k.image for k in known])
    hole = torch.cat([k.hole for k in known])
    truth = _stacked(some, "rgb")

    def told(rows: Sequence[int]) -> Condition:
        at = list(rows)
        return _condition([some[k] for k in at], projection=Projection(image[at], hole[at]))

    made = bench.drawn(bench.priors.projected, told, len(some), 5)
    plain = bench.drawn(bench.priors.text_to_rgb, _told(some), len(some), 5)
    for name, pictures in (("another view", made), ("text alone", plain)):
        scores = []
        for k, seen in enumerate(some):
            unknown = hole[k, ..., 0] * (seen.alpha > 0.5)
            if unknown.any():
                scores.append(psnr(pictures[k], truth[k], unknown))
        found.add(f"hole in the person with {name}", scores, "dB", "PSNR where nothing was known")
    both = zip(made, truth, hole, strict=True)
    kept = [psnr(a, b, 1 - h[..., 0]) for a, b, h in both if (h < 0.5).any()]
    found.add("what was known, kept", kept, "dB", "PSNR where the other view told the colour")
    rows = {"known": image + GREY * hole, "made": made, "truth": truth}
    found.strips.append(Strip("projected", "Rgb around another view", rows, "made", "rgb"))


def moving(bench: Bench, found: Findings) -> None:
    """Clips after skeletons and a picture of the person, against the same frame by frame."""
    some = [clip for clip in bench.truth.clips if clip[0].framing != "head"] or bench.truth.clips
    some = some[: bench.effort.clips]
    photos = torch.stack([_photo(bench.truth, clip[0].person).rgb for clip in some])
    truth = torch.stack([_stacked(clip, "rgb") for clip in some])
    skeletons = torch.stack([_stacked(clip, "skeleton") for clip in some])
    inside = colored(truth.flatten(0, 1)).unflatten(0, truth.shape[:2])
    frames, prior = truth.shape[1], bench.priors.posed_video

    def told(rows: Sequence[int], chosen: slice) -> Condition:
        at = list(rows)
        firsts = [some[k][0] for k in at]
        pose, who = Pose(skeletons[at][:, chosen]), Reference(photos[at])
        return _condition(firsts, pose=pose, reference=who)

    made = bench.drawn(prior, lambda rows: told(rows, slice(None)), len(some), 6, frames)
    single = torch.cat(
        [
            bench.drawn(prior, lambda rows, k=k: told(rows, slice(k, k + 1)), len(some), 60 + k, 1)
            for k in range(frames)
        ],
        1,
    )
    for name, clips in (("as a clip", made), ("frame by frame", single)):
        outlines = colored(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        scores = [psnr(a, b) for a, b in zip(clips.flatten(0, 1), truth.flatten(0, 1), strict=True)]
        overlaps = ious(outlines.flatten(0, 1), inside.flatten(0, 1))
        found.add(f"frames against truth, {name}", scores, "dB", "PSNR")
        how = "IoU with the truth's, both where other than grey"
        found.add(f"frames' silhouettes, {name}", overlaps, "", how)
        how = "area of false change between frames, share of the person's"
        found.add(f"jitter of silhouettes, {name}", jitter(outlines, inside), "", how, up=False)
        how = "mean |change between frames - the truth's|, where both frames show the person"
        found.add(f"flicker, {name}", flicker(clips, truth, inside), "", how, up=False)
    rows = {"skeletons": skeletons[0], "made": made[0], "frame by frame": single[0]}
    rows |= {"truth": truth[0], "picture of the person": photos[0].expand_as(truth[0])}
    found.strips.append(Strip("clip", "A clip after skeletons and a picture", rows, "made", "rgb"))


def alike(bench: Bench, found: Findings) -> None:
    """Colours of people who are known from a picture alone, against nobody's picture."""
    some = [s for s in bench.truth.full() if s is not _photo(bench.truth, s.person)]
    some = _spread(some, max(1, bench.effort.rows // 2))
    photos = torch.stack([_photo(bench.truth, s.person).rgb for s in some])
    skeletons, truth = (_stacked(some, name) for name in ("skeleton", "rgb"))

    def told(known: bool) -> Told:
        def condition(rows: Sequence[int]) -> Condition:
            at = list(rows)
            who = Reference(photos[at]) if known else None
            view = view_of([some[k] for k in at])
            return Condition(view=view, pose=Pose(skeletons[at][:, None]), reference=who)

        return condition

    prior = bench.priors.posed_video
    rows: dict[str, Tensor] = {"picture": photos, "skeleton": skeletons}
    for name, known in (("a picture", True), ("nobody's", False)):
        made = bench.drawn(prior, told(known), len(some), 7, 1)[:, 0]
        gaps = [color_gap(a, s.rgb, s.alpha) for a, s in zip(made, some, strict=True)]
        how = f"CIEDE2000 of mean colours in {BANDS} bands of the true silhouette"
        found.add(f"colours off with {name}", gaps, "ΔE00", how, up=False)
        rows["made" if known else "nobody's"] = made
    rows["truth"] = truth
    found.strips.append(Strip("alike", "People known from a picture alone", rows, "made", "rgb"))


def _photo(truth: HeldOut, person: int) -> Seen:
    """The picture that a person is known by: the first whole one, or else the first."""
    own = [seen for seen in truth.pairs if seen.person == person]
    return next((seen for seen in own if seen.framing == "full"), own[0])


def _varied(name: str, made: Images, truth: Images, found: Findings) -> None:
    """Mean distance between samples, over that of the data with the same captions."""
    if len(made) < 2:
        return
    how = f"mean distance of all pairs over the data's, RMS at {COARSE} pixels"
    found.add(f"diversity of {name}", [spread(made) / max(spread(truth), 1e-9)], "", how)
    judge, some = StudioDistance(), slice(0, 20)
    ours, theirs = (looks_apart(judge, x[some]) for x in (made, truth))
    found.add(f"diversity of {name}, as seen", [ours / max(theirs, 1e-9)], "", f"{OWN}, 64 pixels")


# Conditions.


def _told(some: Sequence[Seen], pose: bool = False) -> Told:
    def condition(rows: Sequence[int]) -> Condition:
        chosen = [some[k] for k in rows]
        return _condition(chosen, pose=Pose(_stacked(chosen, "skeleton")) if pose else None)

    return condition


def _condition(
    some: Sequence[Seen],
    pose: Pose | None = None,
    normal: NormalMap | None = None,
    projection: Projection | None = None,
    reference: Reference | None = None,
) -> Condition:
    """Caption and view, and what else is given."""
    return Condition(
        Text(tuple(s.caption for s in some)),
        view_of(some),
        normal,
        None,
        pose,
        reference,
        projection,
    )


def _stacked(some: Sequence[Seen], name: str) -> Images:
    return torch.stack([getattr(seen, name) for seen in some])


def _spread(some: Sequence[Seen], count: int) -> list[Seen]:
    """At most `count`, evenly taken."""
    at = np.unique(np.linspace(0, len(some) - 1, min(count, len(some))).round().astype(int))
    return [some[int(k)] for k in at]
