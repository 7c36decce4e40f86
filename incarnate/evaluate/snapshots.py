"""People-Snapshot under the suite `reenact`: a person turns round before one camera.

The avatar is made of the film's first frame with its mask, and compared with the held-out frames
of InstantAvatar's split (Jiang et al. 2023), at half size, on white. Poses are the data set's own
(SMPL's, hands flat), not refined against the picture as InstantAvatar and ExAvatar do; place and
size are set by the mask's box.
"""

import importlib
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from incarnate import metrics
from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.evaluate import wholeness
from incarnate.evaluate.datasets import Frame, motion_of, plain_pickle, with_alpha
from incarnate.evaluate.figures import Figure, Row
from incarnate.evaluate.jobs import Job
from incarnate.evaluate.photos import made_avatar, strip
from incarnate.evaluate.stopwatch import Stopwatch
from incarnate.io.film import film_frames
from incarnate.metrics import perceptual

SPLIT = {
    "female-3-casual": (446, 647, 4),
    "female-4-casual": (335, 523, 4),
    "male-3-casual": (456, 675, 4),
    "male-4-casual": (660, 872, 6),
}
"""InstantAvatar's first and last held-out frame, and every how many-th counts. Of others the last
third is held out, by fours."""
MOST_FRAMES = 16  # Of the held-out ones, evenly.
SHRINK = 2
SETTLING = 6  # Rounds in which the place follows the mask's box.
NOTE = (
    "poses are the data set's own and not refined; size and place follow the mask's box in each "
    "frame; papers refine the poses against the held-out pictures first"
)
MISSING = "People-Snapshot's files need h5py; pip install 'incarnate[datasets]'"


def photo(folder: Path) -> UInt8[np.ndarray, "h w 4"]:
    """The first frame with its mask."""
    frame = frames(folder, [0])[0]
    return with_alpha(frame.rgb, frame.alpha)


def held_out(folder: Path) -> list[Frame]:
    """The frames that count, at half size."""
    count = len(_hdf5(folder / "masks.hdf5")["masks"])
    start, end, step = SPLIT.get(folder.name, (2 * count // 3, count - 1, 4))
    numbers = list(range(start, min(end, count - 1) + 1, step))
    if not numbers:
        raise ValueError(f"{folder} has {count} frames, none of which is held out")
    picked = np.linspace(0, len(numbers) - 1, min(MOST_FRAMES, len(numbers))).round().astype(int)
    return [_halved(frame) for frame in frames(folder, [numbers[i] for i in picked])]


def frames(folder: Path, numbers: list[int]) -> list[Frame]:
    """Some frames, free of the lens's distortion. ValueError or OSError if files do not fit."""
    film = folder / f"{folder.name}.mp4"
    about, poses = plain_pickle(folder / "camera.pkl"), _hdf5(folder / "reconstructed_poses.hdf5")
    try:
        camera, bent = _camera(about), np.asarray(about["camera_k"], np.float64)
        masks, rotvec = _hdf5(folder / "masks.hdf5")["masks"], np.asarray(poses["pose"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder} is not as People-Snapshot's folders are ({error})") from error
    if max(numbers) >= min(len(masks), len(rotvec)):
        raise ValueError(f"{folder} has {len(masks)} masks and {len(rotvec)} poses, too few")
    motion = motion_of(torch.from_numpy(rotvec[numbers]).float().reshape(len(numbers), 24, 3))
    lens = camera.intrinsics.double().numpy()
    found = []
    seen = {i: f.rgb for i, f in enumerate(islice(film_frames(film), max(numbers) + 1))
            if i in numbers}  # fmt: skip
    for k, number in enumerate(numbers):
        if number not in seen:
            raise ValueError(f"{film} has {len(seen)} of the {len(numbers)} frames wanted")
        mask = np.asarray(masks[number], np.float32)
        rgb, alpha = (cv2.undistort(picture, lens, bent) for picture in (seen[number], mask))
        found.append(Frame(camera, rgb, alpha.clip(0, 1), motion.frames(k, k + 1)))
    return found


def measure(job: Job) -> Row:
    """The row of one person; pictures are written beside it."""
    if job.subject.source is None:
        raise ValueError(f"{job.subject.name} has lost its film; name the set with --data again")
    watch, notes = Stopwatch(), [NOTE]
    avatar, made = made_avatar(job, Anny.load(), watch)
    watch.stage("film")
    judges = perceptual.judges(job.lpips)
    if job.lpips is None:
        notes.append(f"lpips: {perceptual.MISSING}")
    pairs = [compared(avatar, frame, judges) for frame in held_out(job.subject.source)]
    shown = pairs[:: max(1, len(pairs) // 6)]
    strip([picture for _, picture in shown], job.folder / "film.jpg", 720)
    wholeness.turntable(avatar).save(job.folder / "turntable.jpg", quality=82)
    models = {kind: model for kind, (_, model) in judges.items()}
    figures = [
        Figure(
            name,
            float(np.mean([one[name] for one, _ in pairs])),
            "dB" if name == "psnr" else "",
            "up" if name in ("psnr", "ssim", "iou") else "down",
            models.get(name, "torchmetrics 1.9 over the picture, on white"),
        )
        for name in pairs[0][0]
    ]
    return job.measured(figures, made, watch, notes)


def compared(avatar: Avatar, frame: Frame, judges: dict) -> tuple[dict[str, float], torch.Tensor]:
    """Figures of one frame; the truth above the avatar."""
    assert frame.motion is not None
    drive = next(avatar.drives(frame.motion))
    camera = placed(avatar, drive, frame)
    view = avatar.render(drive, camera, torch.ones(3))
    alpha = torch.from_numpy(frame.alpha)
    theirs = torch.from_numpy(frame.rgb).float() / 255
    theirs = theirs * alpha[..., None] + 1 - alpha[..., None]
    ours = view.rgb.clamp(0, 1)
    one = {
        "mse": metrics.mse(ours, theirs),
        "l1": metrics.l1(ours, theirs),
        "psnr": metrics.psnr(ours, theirs),
        "ssim": metrics.ssim(ours, theirs),
        "iou": metrics.silhouette_iou(view.alpha, alpha),
    }
    one |= {kind: judge.distance(ours, theirs) for kind, (judge, _) in judges.items()}
    return one, torch.cat([theirs, ours])


def placed(avatar: Avatar, drive: Drive, frame: Frame) -> Camera:
    """The frame's camera, moved so that the avatar's box is the mask's in height and middle."""
    rows, columns = np.nonzero(frame.alpha > 0.5)
    if not len(rows):
        raise ValueError("a mask of the data set is empty")
    wanted = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
    vertices, camera = avatar.player.vertices(drive), frame.camera
    matrix = camera.world_to_camera.clone()
    focal = float(camera.intrinsics[1, 1])
    height = vertices.amax(0) - vertices.amin(0)
    depth = focal * float(height.max()) / float(wanted[3] - wanted[1])
    matrix[:3, 3] = torch.tensor([0, 0, depth]) - matrix[:3, :3] @ vertices.mean(0)
    for _ in range(SETTLING):
        camera = replace(camera, world_to_camera=matrix.clone())
        pixels = camera.project(vertices)
        box = torch.cat([pixels.amin(0), pixels.amax(0)])
        depth = float(camera.local(vertices)[:, 2].mean())
        gap = (wanted[:2] + wanted[2:] - box[:2] - box[2:]) / 2
        matrix[:2, 3] += (
            gap * depth / torch.stack([camera.intrinsics[0, 0], camera.intrinsics[1, 1]])
        )
        matrix[2, 3] += depth * float((box[3] - box[1]) / (wanted[3] - wanted[1]) - 1)
    return replace(camera, world_to_camera=matrix)


def _camera(about: Any) -> Camera:
    turn, _ = cv2.Rodrigues(np.asarray(about["camera_rt"], np.float64).reshape(3))
    matrix, lens = torch.eye(4), torch.eye(3)
    matrix[:3, :3] = torch.from_numpy(turn)
    matrix[:3, 3] = torch.from_numpy(np.asarray(about["camera_t"], np.float64).reshape(3))
    focal, middle = (np.asarray(about[f"camera_{k}"], np.float64) for k in "fc")
    lens[0, 0], lens[1, 1] = float(focal[0]), float(focal[1])
    lens[0, 2], lens[1, 2] = float(middle[0]), float(middle[1])
    return Camera(matrix, lens, int(about["width"]), int(about["height"]))


def _halved(frame: Frame) -> Frame:
    size = frame.camera.width // SHRINK, frame.camera.height // SHRINK
    rgb, alpha = (cv2.resize(p, size, interpolation=cv2.INTER_AREA)
                  for p in (frame.rgb, frame.alpha))  # fmt: skip
    return replace(frame, camera=frame.camera.resized(*size), rgb=rgb, alpha=alpha)


def _hdf5(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file. OSError if there is no h5py, or no such file."""
    try:
        h5py: Any = importlib.import_module("h5py")  # an extra: no checker can count on it
    except ModuleNotFoundError as error:
        raise OSError(MISSING) from error
    with h5py.File(path, "r") as file:
        return {name: np.asarray(file[name]) for name in file}
