"""Webdataset shards of studio shots: tar files that come out alike wherever they are made.

Shard k holds the shots of people k x PEOPLE_A_SHARD and on, each sample as

    000017.png         rgb, 8 bits           000017.alpha.png   8 bits
    000017.normal.png  rgb = 32767.5 (n + 1), 16 bits, n in camera axes; 0 beside the person
    000017.depth.png   DEPTH_UNIT metres, 16 bits, 0 beside the person
    000017.parts.png   index into the part names of studio.json, 8 bits
    000017.json        caption, camera, keypoints, body parameters, light

or, of those who talk (`talks` says what is in them), 000017.mp4, .wav, .npz and .json.
A shard is whole or absent, so a stopped run continues where it was.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import roma
import torch
from numpy.typing import NDArray

from incarnate._native import set_threads
from incarnate.io.runs import replacing
from incarnate.motion import SMPLX_JOINTS
from incarnate.progress import Report
from incarnate.studio import talks
from incarnate.studio.lessons import SHOTS_A_LESSON, lesson
from incarnate.studio.mhclo import Wardrobe, dressed, wardrobe
from incarnate.studio.people import Person, person
from incarnate.studio.piece import LABELS
from incarnate.studio.poses import clips
from incarnate.studio.scenes import SHOTS_A_PERSON, Sample, pictured

PEOPLE_A_SHARD = 4
SHOTS_A_SHARD = PEOPLE_A_SHARD * SHOTS_A_PERSON
CLIPS_A_SHARD = 4
LESSONS_A_SHARD = 32
DEPTH_UNIT = 0.0002
LISTING = "studio.json"


@dataclass(frozen=True)
class Order:
    """What to make; everything here changes the bytes."""

    count: int
    size: int = 256
    seed: int = 0
    makehuman: Path | None = None
    """A MakeHuman assets folder; half the people then wear its clothes and hair."""
    motions: tuple[Path, ...] = ()
    """BVH or SMPL-X files; half the shots then hold one of their frames."""
    talking: int = 0
    """How many clips of people who talk; if any, there are no pictures."""
    lessons: int = 0
    """How many people for priors to learn from (`lessons`); if any, they are all there is."""

    @property
    def total(self) -> int:
        """How many samples."""
        return self.talking or self.lessons * SHOTS_A_LESSON or self.count

    @property
    def per_shard(self) -> int:
        """How many samples a shard."""
        if self.lessons:
            return LESSONS_A_SHARD * SHOTS_A_LESSON
        return CLIPS_A_SHARD if self.talking else SHOTS_A_SHARD


def make(order: Order, folder: Path, workers: int, report: Report) -> int:
    """Writes the shards that are not there yet; returns how many it wrote.

    ValueError for an order that makes no sense or differs from the folder's.
    """
    checked(order, workers)
    _open(order, folder)
    total = -(-order.total // order.per_shard)
    missing = [k for k in range(total) if not _path(folder, k).exists()]
    done = total - len(missing)
    report.stage("shooting")
    if workers == 1:
        for k in missing:
            _shard(order, folder, k)
            done += 1
            report.step(done, total)
        return len(missing)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for job in as_completed([pool.submit(_shard, order, folder, k) for k in missing]):
            job.result()
            done += 1
            report.step(done, total)
    return len(missing)


def checked(order: Order, workers: int) -> None:
    """ValueError for what cannot be made; a bad file is refused before any work."""
    if order.count < 1:
        raise ValueError(f"the count is {order.count}; give at least 1 picture")
    if order.lessons < 0:
        raise ValueError(f"{order.lessons} lessons cannot be made; give 0 or more")
    if order.lessons and (order.talking or order.motions):
        raise ValueError("lessons have poses of their own; give no --talking and no --motion")
    if order.talking < 0:
        raise ValueError(f"{order.talking} talking clips cannot be made; give 0 or more")
    if order.talking and order.motions:
        raise ValueError("who talks moves as speech does; give --talking or --motion, not both")
    if not 16 <= order.size <= 2048:
        raise ValueError(f"the size is {order.size}; give 16 to 2048 pixels a side")
    if workers < 1:
        raise ValueError(f"{workers} workers make nothing; give at least 1")
    if order.seed < 0:
        raise ValueError(f"the seed is {order.seed}; give 0 or more")
    clips(order.motions)
    if order.makehuman is not None:
        wardrobe(order.makehuman)


def _open(order: Order, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder for the shards")
    folder.mkdir(parents=True, exist_ok=True)
    asked = json.loads(json.dumps(asdict(order), default=str))
    listing = {"order": asked, "parts": LABELS, "joints": SMPLX_JOINTS, "depth_unit": DEPTH_UNIT}
    path = folder / LISTING
    if path.exists():
        try:
            known = json.loads(path.read_text())["order"]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path} is not a studio's listing; choose another folder") from error
        if known != asked:
            raise ValueError(f"{folder} holds another order; choose another folder, or repeat it")
        return
    with replacing(path) as part:
        part.write_text(json.dumps(listing, indent=1) + "\n")


def _path(folder: Path, k: int) -> Path:
    return folder / f"studio-{k:06d}.tar"


def _shard(order: Order, folder: Path, k: int) -> None:
    set_threads(1)
    torch.set_num_threads(1)  # Workers share the machine, and sums keep their order.
    clothes = None if order.makehuman is None else wardrobe(order.makehuman)
    first = k * order.per_shard
    numbers = range(first, min(first + order.per_shard, order.total))
    if order.lessons:
        made = _lessons(order, k, clothes)
    else:
        made = _clips(order, numbers, clothes) if order.talking else _pictures(order, k, clothes)
    with replacing(_path(folder, k)) as part, tarfile.open(part, "w") as tar:
        for i, files in zip(numbers, made, strict=False):
            for suffix, data in files:
                entry = tarfile.TarInfo(f"{i:06d}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def _pictures(
    order: Order, k: int, clothes: Wardrobe | None
) -> Iterator[Iterator[tuple[str, bytes]]]:
    motions = clips(order.motions)
    for index in range(k * PEOPLE_A_SHARD, (k + 1) * PEOPLE_A_SHARD):
        who = _member(order, index, clothes)
        rng = np.random.default_rng([order.seed, index, 1])
        for sample in pictured(who, rng, order.size, SHOTS_A_PERSON, motions):
            yield encoded(sample)


def _lessons(
    order: Order, k: int, clothes: Wardrobe | None
) -> Iterator[Iterator[tuple[str, bytes]]]:
    for index in range(k * LESSONS_A_SHARD, (k + 1) * LESSONS_A_SHARD):
        who = _member(order, index, clothes)
        rng = np.random.default_rng([order.seed, index, 6])
        for sample in lesson(who, rng, order.size):
            yield encoded(sample)


def _clips(
    order: Order, numbers: range, clothes: Wardrobe | None
) -> Iterator[Iterator[tuple[str, bytes]]]:
    for index in numbers:
        who = _member(order, index, clothes)
        yield talks.clip(who, np.random.default_rng([order.seed, index, 5]), order.size)


def _member(order: Order, index: int, clothes: Wardrobe | None) -> Person:
    who = person((order.seed, index))
    if clothes is None or index % 2 == 0:
        return who
    return dressed(who, clothes, np.random.default_rng([order.seed, index, 2]))


def encoded(sample: Sample) -> Iterator[tuple[str, bytes]]:
    """Suffix and bytes of each of a sample's files."""
    taken = sample.shot
    hit = taken.alpha > 0
    normal = np.round((taken.normal + 1) * 32767.5 * hit[..., None]).astype(np.uint16)
    yield "png", _png(taken.rgb[..., ::-1])
    yield "alpha.png", _png(np.round(taken.alpha * 255).astype(np.uint8))
    yield "normal.png", _png(normal[..., ::-1])
    yield "depth.png", _png(np.round(taken.depth / DEPTH_UNIT).clip(0, 65535).astype(np.uint16))
    yield "parts.png", _png(taken.parts)
    yield "json", (json.dumps(_told(sample)) + "\n").encode()


def _png(pixels: NDArray) -> bytes:
    done, data = cv2.imencode(
        ".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    if not done:
        raise OSError("a picture could not be encoded as PNG")
    return data.tobytes()


def _told(sample: Sample) -> dict[str, object]:
    taken, who = sample.shot, sample.shot.posed.person
    motion = taken.posed.motion
    return {
        "caption": sample.caption,
        "action": sample.action,
        "framing": sample.framing,
        "azimuth": round(sample.azimuth, 5),
        "frame": sample.frame,
        "foreign": who.foreign,
        "world_to_camera": talks.rounded(taken.camera.world_to_camera.numpy()),
        "intrinsics": talks.rounded(taken.camera.intrinsics.numpy(), 3),
        "joints": talks.rounded(np.nan_to_num(taken.joints, nan=-1.0), 2),
        "joints_seen": taken.joints_seen.tolist(),
        "joints_3d": talks.rounded(np.nan_to_num(taken.posed.joints, nan=0.0)),
        "landmarks": talks.rounded(taken.landmarks, 2),
        "landmarks_seen": taken.landmarks_seen.tolist(),
        "body": who.figure.body.name,
        "betas": talks.rounded(who.figure.betas),
        "pose": talks.rounded(roma.rotmat_to_rotvec(motion.pose[0]).numpy()),
        "transl": talks.rounded(motion.transl[0].numpy()),
        "expression": talks.rounded(motion.expression[0].numpy()),
        "light": sample.light.kind,
        "background": sample.background.kind,
    }
