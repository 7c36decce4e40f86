"""The page at the end of `create`."""

import math
from html import escape
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from incarnate.avatar import Avatar, Framing
from incarnate.cameras import Camera
from incarnate.evaluate.likeness import to_bytes
from incarnate.evaluate.page import inlined, number, write_page
from incarnate.evaluate.review import Review, colored, seen_discs
from incarnate.fit import Target
from incarnate.render import render
from incarnate.scene import Gaussians

BEHIND = torch.full((3,), 0.86)
SEEN, GUESSED = (0.16, 0.62, 0.47), (0.91, 0.56, 0.24)
TURNS = (90, 45, 0, -45, -90, 180)


def write_review(review: Review, avatar: Avatar, photo: Target, path: Path) -> None:
    """Writes the page."""
    rows = "".join(
        f"<tr><td>{part.name}</td><td>{100 * part.seen:.0f} %</td>"
        f"<td>{_or_dash(part.psnr)}</td><td>{_or_dash(part.gap)}</td></tr>"
        for part in review.parts
    )
    chips = [("psnr", review.psnr, "dB in the outline"), ("outline", review.iou, "IoU")]
    chips.append(("face points", 100 * review.landmarks, "% of the irises' distance"))
    made = " · ".join(f"{key} {avatar.meta[key]}" for key in ("method", "quality", "seed"))
    body = [
        "<h1>Your avatar</h1>",
        f"<p class=soft>{escape(made)}</p>",
        "<div class=card><div class=chips>",
        *(f"<span>{n} <b>{number(v)}</b> <small>{u}</small></span>" for n, v, u in chips),
        "</div>",
        _figure(_beside(avatar, photo), "Photo, avatar, and where they differ (four times over)"),
        "</div>",
        *_listed("What would help", review.advice),
        *_listed("What was guessed", review.guessed),
        "<h2>Part by part</h2>",
        f"<div class=card><table><tr><th>part</th><th>seen in the photo</th>"
        f"<th>PSNR there (dB)</th><th>colour off (ΔE00)</th></tr>{rows}</table>"
        "<p><small>Scores are at the photo's own camera: they say how well the photo was "
        "explained, not how true the guessed sides are.</small></p></div>",
        "<h2>All the way round</h2><div class=card>",
        _figure(_around(avatar), "Left, front, right, back; the head likewise"),
        _figure(_map(avatar), "Green: seen in the photo. Orange: guessed"),
        "</div>",
    ]
    write_page("incarnate create", body, path)


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)


def _beside(avatar: Avatar, photo: Target) -> Image.Image:
    view = avatar.render(avatar.photo, avatar.camera, BEHIND)
    truth = photo.rgb + (1 - photo.alpha[..., None]) * BEHIND
    off = 1 - (4 * (view.rgb - truth).abs()).clamp(0, 1)
    return Image.fromarray(to_bytes(torch.cat([truth, view.rgb, off], 1)))


def _around(avatar: Avatar) -> Image.Image:
    drive = avatar.posed()
    rows = []
    framings: tuple[tuple[Framing, int], ...] = (("full", 480), ("head", 300))
    for framing, high in framings:
        cameras = [avatar.framed(drive, framing, math.radians(turn), 0.0, 300, high)
                   for turn in TURNS]  # fmt: skip
        rows.append(torch.cat([avatar.render(drive, c, BEHIND).rgb for c in cameras], 1))
    return Image.fromarray(to_bytes(torch.cat(rows)))


def _map(avatar: Avatar) -> Image.Image:
    """Which parts of the surface the photo shows."""
    drive = avatar.posed()
    told = torch.from_numpy(seen_discs(avatar))[:, None]
    light = avatar.surface.discs.colors.mean(1, keepdim=True).clamp(0, 1)
    tint = torch.where(told, torch.tensor(SEEN), torch.tensor(GUESSED))
    cloud = colored(avatar.gaussians(drive), tint * (0.55 + 0.6 * light))
    cameras = [avatar.framed(drive, "full", math.radians(turn), 0.0, 300, 480)
               for turn in TURNS]  # fmt: skip
    return Image.fromarray(to_bytes(torch.cat([_shown(cloud, c) for c in cameras], 1)))


def _shown(cloud: Gaussians, camera: Camera) -> Tensor:
    return render(cloud, camera, BEHIND).rgb


def _figure(picture: Image.Image, text: str) -> str:
    return (f'<figure><figcaption>{escape(text)}</figcaption><img alt="{escape(text)}" '
            f'src="{inlined(picture)}"></figure>')  # fmt: skip


def _listed(title: str, lines: tuple[str, ...]) -> list[str]:
    items = "".join(f"<li>{escape(line[0].upper() + line[1:])}.</li>" for line in lines)
    return [f"<h2>{title}</h2><div class=card><ul>{items}</ul></div>"] if lines else []
