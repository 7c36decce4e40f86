"""How alike, how whole, how fast: every figure that the README states about avatars from a photo.

    python benchmarks/likeness.py [PICTURE ...] [--quality normal] [--out out/likeness]

Makes an avatar of each picture in a process of its own (timed, peak memory), then prints a row of
figures and writes a contact sheet. Without pictures: the 19 of openpeople P001 to P006 (full-body
photo, the studio portrait and the selfie of each) and scikit-image's astronaut.
"""

import argparse
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from incarnate.avatar import Avatar
from incarnate.create import Likeness, likeness

GREY = torch.full((3,), 0.86)
SUBJECTS = ("P001", "P002", "P003", "P004", "P005", "P006")
KINDS = ("amateur_posture", "studio_portrait", "amateur_selfie")


@dataclass(frozen=True)
class Row:
    """One picture's figures."""

    name: str
    seconds: float
    peak_gb: float
    alike: Likeness
    holes: float
    face_behind: bool
    purity: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--quality", default="normal")
    parser.add_argument("--out", type=Path, default=Path("out/likeness"))
    parser.add_argument("--keep", action="store_true", help="use avatars that are there already")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures = named(arguments.pictures) if arguments.pictures else standard(arguments.out)
    rows = [measured(n, p, arguments) for n, p in pictures.items()]
    whole = [row for row in rows if "posture" in row.name]
    if len(whole) > 1:
        summarised(whole)


def named(pictures: list[Path]) -> dict[str, Path]:
    return {
        f"{p.parent.parent.name}_{p.stem}" if p.parent.name == "assets" else p.stem: p
        for p in pictures
    }


def standard(out: Path) -> dict[str, Path]:
    root = Path(str(files("openpeople"))) / "data" / "curated"
    found = {f"{s}_{k}": root / s / "assets" / f"{k}.jpg" for k in KINDS for s in SUBJECTS}
    from skimage.data import astronaut

    found["astronaut"] = out / "astronaut.png"
    Image.fromarray(astronaut()).save(found["astronaut"])
    return found


def measured(name: str, picture: Path, arguments: argparse.Namespace) -> Row:
    path = arguments.out / f"{name}.avatar"
    seconds, peak = 0.0, 0.0
    if not (arguments.keep and path.exists()):
        seconds, peak = created(picture, path, arguments.quality)
    avatar = Avatar.load(path)
    alike = likeness(avatar, picture)
    row = Row(name, seconds, peak, alike, holes(avatar), face_behind(avatar), purity(avatar))
    contact_sheet(avatar, picture).save(arguments.out / f"{name}.png")
    print(
        f"{name:22s} {row.seconds:5.1f} s {row.peak_gb:4.2f} GB  psnr {alike.psnr:5.2f} "
        f"face {alike.face_psnr:5.2f} iou {alike.iou:.4f} points {100 * alike.landmarks:4.1f} %  "
        f"yaw {alike.yaw:+5.1f} lean {alike.lean:+5.1f} "
        f"knees {alike.knees[0]:4.1f} {alike.knees[1]:4.1f}  "
        f"alpha {row.holes:.4f} face behind {'YES' if row.face_behind else 'no'} "
        f"purity {row.purity:.3f}",
        flush=True,
    )
    return row


def created(picture: Path, path: Path, quality: str) -> tuple[float, float]:
    """Wall seconds and peak resident gigabytes of `incarnate create`."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "incarnate", "create", str(picture), "-o", str(path),
               "--quality", quality, "--quiet"]  # fmt: skip
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{picture}: create ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def holes(avatar: Avatar) -> float:
    """The least share of the mesh's pixels (eroded 2 px) with alpha >= 0.99, over 16 views."""
    from incarnate.render import rasterize
    from incarnate.scene import Mesh

    drive = avatar.posed()
    vertices = avatar.surface.vertices(drive)
    mesh = Mesh(vertices, avatar.surface.body.faces, torch.zeros(len(vertices), 1))
    least = 1.0
    for i in range(16):
        camera = avatar.framed(drive, azimuth=math.tau * i / 16, width=512, height=683)
        alpha = avatar.render(drive, camera).alpha.numpy()
        inside = (rasterize(mesh, camera).face_ids >= 0).numpy().astype(np.uint8)
        inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
        least = min(least, float((alpha[inside] >= 0.99).mean()))
    return least


def face_behind(avatar: Avatar) -> bool:
    """Whether the face detector finds a face on the back of the head."""
    from incarnate.perception.landmarkers import Perception

    drive = avatar.posed()
    found = False
    with Perception() as perception:
        for turn in (150, 180, 210):
            camera = avatar.framed(drive, "head", math.radians(turn), 0, 512, 512)
            rgb = avatar.render(drive, camera, GREY).rgb
            found |= len(perception.faces((rgb.clamp(0, 1).numpy() * 255).astype(np.uint8))) > 0
    return found


def purity(avatar: Avatar) -> float:
    """The least over hands and legs of the share of discs whose colour is their material's.

    A disc is pure if it is nearer to the median of its own material than to that
    of the other one worn beside it: skin on the hands against the trousers, trousers against skin.
    """
    from incarnate.avatars import garments
    from incarnate.avatars.color import to_lab

    surface = avatar.surface
    where = garments.anatomy(surface.body, surface.rest)
    corners = surface.body.faces[surface.discs.faces].numpy()
    points = garments.interpolated(where, corners, surface.discs.barycentrics.numpy())
    colors, labels = to_lab(surface.discs.colors.numpy()), surface.discs.labels.numpy()
    face = (points.segments == garments.HEAD) & (labels == garments.SKIN)
    bottom = labels == garments.BOTTOM
    skin_middle, cloth_middle = np.median(colors[face], 0), np.median(colors[bottom], 0)
    shares = []
    for mine, own, other in (
        (points.segments == garments.HAND, skin_middle, cloth_middle),
        (bottom, cloth_middle, skin_middle),
    ):
        near = np.linalg.norm((colors[mine] - own) * [0.3, 1, 1], axis=1)
        far = np.linalg.norm((colors[mine] - other) * [0.3, 1, 1], axis=1)
        shares.append(float((near < far).mean()))
    return min(shares)


def contact_sheet(avatar: Avatar, picture: Path) -> Image.Image:
    """Photo; the figure from four sides and in four poses; the head from three, in four moods."""
    width, height = 300, 420
    sheet = Image.new("RGB", (width * 9, height + 380), (219, 219, 219))
    with Image.open(picture) as photo:
        photo = photo.convert("RGB")
        photo.thumbnail((width, height + 380))
        sheet.paste(photo, (0, 0))
    stand = avatar.posed()
    shots = [(stand, 0), (stand, 45), (stand, 90), (stand, 180)]
    shots += [
        (avatar.posed(pose), turn)
        for pose, turn in (("arms-up", 0), ("crossed", 0), ("sitting", 35), ("walking", 50))
    ]
    for i, (drive, turn) in enumerate(shots):
        camera = avatar.framed(drive, "full", math.radians(turn), 0.05, width * 2, height * 2)
        sheet.paste(_picture(avatar, drive, camera).resize((width, height)), (width * (i + 1), 0))
    faces = [
        ("neutral", 0),
        ("neutral", 30),
        ("neutral", 90),
        ("smile", 0),
        ("mouth-open", 0),
        ("eyes-closed", 0),
        ("look-left", 0),
    ]
    for i, (expression, turn) in enumerate(faces):
        drive = avatar.posed("stand", expression)
        camera = avatar.framed(drive, "head", math.radians(turn), 0, 680, 760)
        sheet.paste(_picture(avatar, drive, camera).resize((340, 380)), (width + 340 * i, height))
    return sheet


def _picture(avatar: Avatar, drive, camera) -> Image.Image:
    rgb = avatar.render(drive, camera, GREY).rgb.clamp(0, 1).numpy()
    return Image.fromarray((rgb * 255).round().astype(np.uint8))


def summarised(rows: list[Row]) -> None:
    print(
        f"full-body photos: psnr mean {np.mean([r.alike.psnr for r in rows]):.2f} "
        f"least {min(r.alike.psnr for r in rows):.2f}; "
        f"face {np.mean([r.alike.face_psnr for r in rows]):.2f}; "
        f"iou least {min(r.alike.iou for r in rows):.4f}; "
        f"slowest {max(r.seconds for r in rows):.1f} s; peak {max(r.peak_gb for r in rows):.2f} GB"
    )


if __name__ == "__main__":
    main()
