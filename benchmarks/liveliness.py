"""Whether a talking avatar is alive: measured on a minute of film, and on what drove it.

    python benchmarks/liveliness.py AVATAR --speech FILE [--text "its words"] [--out out/liveliness]

Films the avatar with `incarnate talk` (512 x 512, 30 fps) saying the recording and TEXT, calm and
lively, full and head, and prints for each:

film: blinks a minute (lids less than half as far apart as they mostly are; head framing); the
longest stretch in which the picture stays as it is (less than 0.5 % of the subject's pixels further
than 12/255 from its first frame); the share of energy above 8 Hz in places, of the head (the eyes'
middle; the nose in full framing) and wrists as networks find them in the frames, whose own noise is
in it, and the spread of the places in pixels, by which to judge that.

motion: the same share in speeds, which weigh high frequencies more, of the exact joints; how far
feet stray; hands inside the body or each other: vertices of a hand at which the rest of the body's
own mesh (without clothes and without that arm) has a winding number over a half, and how far the
deepest is from the nearest vertex of that rest. A contact sheet of each film lies beside it.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from scipy.spatial import KDTree

from incarnate.avatar import Avatar
from incarnate.motion import Motion
from incarnate.motion.skeleton import INDEX, positions
from incarnate.perception.landmarkers import Perception
from incarnate.progress import Silent
from incarnate.sources import joined, recording, sentence
from incarnate.speech import Speaking, Style

TEXT = (
    "Good morning, and thank you for coming. I would like to tell you something about the river "
    "behind our house. When I was a boy, it froze every winter, and we walked across it to school. "
    "Nobody was afraid! Today it never freezes, and the boats go by all year."
)
FPS = 30.0
STYLES: tuple[Style, ...] = ("calm", "lively")
NOSE, WRISTS = 0, (15, 16)
LIDS = ((159, 145, 33, 133), (386, 374, 362, 263))
NEAR = 0.03
EVERY = 3  # Frames between two looks for hands inside something.


@dataclass(frozen=True, eq=False)
class Seen:
    """What networks and pixels say of a film, per frame; NaN where nothing is found."""

    lids: np.ndarray
    head: np.ndarray
    wrists: np.ndarray
    frozen: float
    """Seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--text", help="the words of --speech, which the avatar is told")
    parser.add_argument("--out", type=Path, default=Path("out/liveliness"))
    parser.add_argument("--keep", action="store_true", help="use films that are there already")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    told = ["--text", arguments.text] if arguments.text else []
    talks = ([str(arguments.speech), *told], ["--say", TEXT])
    for style in STYLES:
        for framing in ("head", "full"):
            films = []
            for k, talk in enumerate(talks):
                film = arguments.out / f"{arguments.avatar.stem}_{style}_{framing}_{k}.mp4"
                if not (arguments.keep and film.exists()):
                    filmed(arguments.avatar, talk, style, framing, film)
                sheet(film)
                films.append(seen(film, framing))
            print(f"{style:6s} {framing:4s} film: {told_of(films, framing)}", flush=True)
        config = Speaking(style, FPS)
        motions = [
            recording(arguments.speech, arguments.text, config, 0, False, Silent()),
            sentence(TEXT, config, 0),
        ]
        moved = [joined(one.parts()) for one in motions]
        print(f"{style:6s} motion: {driven(Avatar.load(arguments.avatar), moved)}", flush=True)


def filmed(avatar: Path, talk: list[str], style: str, framing: str, film: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "incarnate", "talk", str(avatar), *talk, "-o", str(film),
         "--framing", framing, "--style", style, "--size", "512", "--fps", str(FPS), "--quiet"],
        check=True,
    )  # fmt: skip


def pictures(film: Path) -> Iterator[np.ndarray]:
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def seen(film: Path, framing: str) -> Seen:
    lids, head, wrists = [], [], []
    since, frozen, first, subject = 0, 0, None, np.zeros(0)
    with Perception() as perception:
        for k, picture in enumerate(pictures(film)):
            faces = perception.faces(picture) if framing == "head" else []
            poses = perception.poses(picture) if framing == "full" else []
            points = faces[0].points[:, :2] if faces else np.full((478, 2), np.nan)
            body = poses[0].points[:, :2] if poses else np.full((33, 2), np.nan)
            lids.append(opening(points))
            head.append(points[[33, 263]].mean(0) if framing == "head" else body[NOSE])
            wrists.append(body[list(WRISTS)])
            now = picture.astype(np.int16)
            if first is None or (np.abs(now - first).max(-1)[subject] > 12).mean() > 0.005:
                first, since = now, k
                subject = (np.abs(now - now[0, 0]) > 16).any(-1)
            frozen = max(frozen, k - since)
    return Seen(np.array(lids), np.array(head), np.array(wrists), frozen / FPS)


def opening(points: np.ndarray) -> float:
    """How far the lids are apart, in widths of an eye."""
    up, wide = zip(
        *((np.linalg.norm(points[a] - points[b]), np.linalg.norm(points[c] - points[d]))
          for a, b, c, d in LIDS), strict=True
    )  # fmt: skip
    return float(sum(up) / sum(wide))


def told_of(films: list[Seen], framing: str) -> str:
    frozen = max(film.frozen for film in films)
    head, spread = high_share([film.head for film in films])
    out = f"longest still {frozen:.2f} s, above 8 Hz: head {100 * head:.1f} % of {spread:.1f} px"
    if framing == "full":
        for side, name in enumerate(("left", "right")):
            share, spread = high_share([film.wrists[:, side] for film in films])
            out += f", {name} wrist {100 * share:.1f} % of {spread:.1f} px"
        return out
    minutes = sum(len(film.lids) for film in films) / FPS / 60
    return out + f", blinks {sum(blinks(film.lids) for film in films) / minutes:.1f} a minute"


def blinks(lids: np.ndarray) -> int:
    shut = lids < 0.5 * np.nanmedian(lids)
    return int((shut[1:] & ~shut[:-1]).sum())


def high_share(paths: list[np.ndarray]) -> tuple[float, float]:
    """Share of the energy above 8 Hz, and the root of the mean energy."""
    high = total = 0.0
    for path in paths:
        known = path[~np.isnan(path).any(-1)]
        power = np.abs(np.fft.rfft(known - known.mean(0), axis=0)) ** 2 / len(known)
        power[1:-1] *= 2
        high += float(power[np.fft.rfftfreq(len(known), 1 / FPS) > 8].sum())
        total += float(power.sum())
    return high / total, (total / sum(map(len, paths))) ** 0.5


def driven(avatar: Avatar, motions: list[Motion]) -> str:
    tracks = [positions(m.pose, m.transl).double().numpy() for m in motions]
    out = []
    for name in ("head", "left_middle1", "right_middle1"):
        share, _ = high_share([np.diff(track[:, INDEX[name]], axis=0) for track in tracks])
        out.append(f"{name} {100 * share:.2f} %")
    strays = [
        np.linalg.norm(track[:, joint] - track[0, joint], axis=1)
        for track in tracks
        for joint in (INDEX[f"{side}_{part}"] for side in ("left", "right")
                      for part in ("ankle", "foot"))
    ]  # fmt: skip
    stray = max(float(one.max()) for one in strays)
    depths = np.concatenate([inside(avatar, motion) for motion in motions])
    return (
        f"speeds above 8 Hz: {', '.join(out)}; feet stray {1000 * stray:.1f} mm; hands inside "
        f"something in {int((depths > 0).sum())} of {len(depths)} frames, "
        f"at most {1000 * depths.max():.0f} mm"
    )


def inside(avatar: Avatar, motion: Motion) -> np.ndarray:
    """Metres by which the hands are inside the body or each other, in every EVERYth frame."""
    body = avatar.surface.body
    hands = [(body.region(f"hand_{side}") > 0.5).nonzero()[::5, 0] for side in ("left", "right")]
    rests = [faces_without(avatar, side) for side in ("left", "right")]
    frames = torch.arange(0, len(motion), EVERY)
    out = np.zeros(len(frames))
    for k, drive in enumerate(avatar.drives(motion)):
        if k % EVERY:
            continue
        with torch.no_grad():
            vertices = avatar.surface.vertices(drive)
        for hand, faces in zip(hands, rests, strict=True):
            out[k // EVERY] = max(out[k // EVERY], depth(vertices[hand], vertices, faces))
    return out


def faces_without(avatar: Avatar, side: str) -> torch.Tensor:
    """The mesh without the arm of a side, from its shoulder on."""
    body = avatar.surface.body
    arm = torch.tensor([
        name.endswith((".L", "_l") if side == "left" else (".R", "_r"))
        and name.startswith(("upperarm", "lowerarm", "wrist", "hand", "finger", "metacarpal"))
        for name in body.joint_names
    ])  # fmt: skip
    if not arm.any():
        raise SystemExit(f"no arm among {body.joint_names}")
    share = (body.skin_weights * arm[body.skin_joints]).sum(1)
    return body.faces[(share[body.faces] < 0.5).all(1)]


def depth(points: torch.Tensor, vertices: torch.Tensor, faces: torch.Tensor) -> float:
    """How far the deepest of points inside the surface is from its nearest vertex; 0 if none is.

    A hand that goes in has vertices near the surface: where none is, nothing is looked for.
    """
    used = faces.unique()
    distance = KDTree(vertices[used].numpy()).query(points.numpy())[0]
    if distance.min() > NEAR:
        return 0.0
    close = np.flatnonzero(distance < 4 * NEAR)
    parts = [
        winding(points[part], vertices[faces])
        for part in np.array_split(close, 1 + len(close) // 64)
    ]
    held = close[(torch.cat(parts) > 0.5).numpy()]
    return float(distance[held].max(initial=0.0))


def winding(points: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Solid angles of all triangles, in whole spheres (Van Oosterom and Strackee 1983)."""
    a, b, c = (triangles[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (v.norm(dim=-1) for v in (a, b, c))
    above = (a * torch.linalg.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(above, below).sum(1) / (2 * torch.pi)


def sheet(film: Path) -> None:
    """48 frames over the film, in reading order."""
    frames = list(pictures(film))
    picked = [frames[round(k * (len(frames) - 1) / 47)] for k in range(48)]
    small = [cv2.resize(f, (224, 224), interpolation=cv2.INTER_AREA) for f in picked]
    rows = [np.concatenate(small[k : k + 8], 1) for k in range(0, 48, 8)]
    cv2.imwrite(str(film.with_suffix(".png")), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
