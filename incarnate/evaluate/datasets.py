"""The papers' own data sets, for who has them: none ships, none is downloaded.

Layouts, each told by what lies in the folder (one person's, or one with a folder for each):

    People-Snapshot (Alldieck et al. 2018): NAME/NAME.mp4, camera.pkl, masks.hdf5,
        reconstructed_poses.hdf5 (needs h5py)
    THuman2.0 (Yu et al. 2021): 0001/0001.obj, material0.jpeg; smplx_param.pkl beside them, or in
        a folder 0001 under another that lies next to the scans
    ActorsHQ (Isik et al. 2023): .../calibration.csv, rgbs/CamNNN/CamNNN_rgbNNNNNN.jpg, masks/
    Casual Conversations (Hazirbas et al. 2021): films by subject, CasualConversations*.json

Pickles hold code; here only plain numbers and numpy arrays are read from them.
"""

import csv
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import roma
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from incarnate.cameras import Camera
from incarnate.evaluate.jobs import Subject
from incarnate.io.film import film_frames
from incarnate.io.runs import replacing
from incarnate.motion import Motion
from incarnate.perception.keypoints import NoPersonError, keypoints
from incarnate.perception.landmarkers import Perception

Kind = Literal["snapshot", "thuman", "actorshq", "casual"]
FOR: dict[Kind, tuple[str, ...]] = {
    "snapshot": ("reenact", "photos"),
    "thuman": ("views4", "photos"),
    "actorshq": ("photos", "talk"),
    "casual": ("photos", "talk"),
}
"""The suites that a data set can serve."""
TITLES: dict[Kind, str] = {
    "snapshot": "People-Snapshot",
    "thuman": "THuman2.0",
    "actorshq": "ActorsHQ",
    "casual": "Casual Conversations",
}
PLAIN = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""All that a pickle may name."""
LOOKED_AT = 24  # Cameras of a rig in which a face is looked for.
LOOK_SIDE = 640


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture that an avatar is compared with, and what is known of it."""

    camera: Camera
    rgb: UInt8[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]
    motion: Motion | None = None
    """One frame: the pose in the camera's world, without its place."""


def people(folder: Path) -> tuple[Kind, list[Path]]:
    """Which data set lies there, and its people's folders. ValueError or OSError if none does."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; name a data set's folder with --data")
    for kind in TITLES:
        found = [path for path in (folder, *_below(folder)) if _is(kind, path)]
        if found:
            return kind, found
    raise ValueError(
        f"{folder} has the layout of none of {', '.join(TITLES.values())}; docs/benchmarks.md says "
        "what each looks like"
    )


def subjects(folder: Path, suite: str, limit: int | None, out: Path) -> list[Subject]:
    """The people of a data set, each with a front photo, which is written to `out`.

    ValueError if the set cannot serve the suite.
    """
    kind, found = people(folder)
    if suite not in FOR[kind]:
        raise ValueError(f"{TITLES[kind]} is for {' and '.join(FOR[kind])}, not for {suite}")
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for path in found[:limit]:
        photo = out / f"{kind}-{_name(path)}.png"
        if not photo.exists():
            with replacing(photo) as part:
                Image.fromarray(_front(kind, path)).save(part, "PNG")
        truth = path if suite in ("views4", "reenact") else None
        made.append(Subject(photo.stem, photo, None, truth))
    return made


def plain_pickle(path: Path) -> Any:
    """What a pickle of numbers and arrays holds. ValueError if it names anything else."""
    with path.open("rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError) as error:
            raise ValueError(f"{path} is no pickle of plain arrays ({error})") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not run here")
        return super().find_class(module, name)


def motion_of(rotvec: Float[Tensor, "f j 3"]) -> Motion:
    """A motion without place or face from SMPL's (24) or SMPL-X's (55) joints' rotation vectors;
    of SMPL, whose hands are one joint, the hands stay flat."""
    count, joints = rotvec.shape[:2]
    whole = torch.zeros(count, 55, 3)
    kept = 55 if joints == 55 else 22
    whole[:, :kept] = rotvec[:, :kept]
    whole[:, 22:25] = 0  # Jaw and eyes are the expression's.
    pose = roma.rotvec_to_rotmat(whole)
    return Motion(30.0, pose, torch.zeros(count, 3), torch.zeros(count, 52))


def rig(folder: Path) -> dict[str, Camera]:
    """ActorsHQ's cameras by name: focal lengths and centres are shares of width and height,
    rotation vector and place lead from the camera to the world."""
    cameras = {}
    with (folder / "calibration.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            width, height = int(row["w"]), int(row["h"])
            turn = roma.rotvec_to_rotmat(torch.tensor([float(row[f"r{a}"]) for a in "xyz"]))
            matrix = torch.eye(4)
            matrix[:3, :3] = turn.T
            matrix[:3, 3] = -turn.T @ torch.tensor([float(row[f"t{a}"]) for a in "xyz"])
            intrinsics = torch.eye(3)
            for i, (axis, size) in enumerate((("x", width), ("y", height))):
                intrinsics[i, i] = float(row[f"f{axis}"]) * size
                intrinsics[i, 2] = float(row[f"p{axis}"]) * size
            cameras[row["name"]] = Camera(matrix, intrinsics, width, height)
    return cameras


def rig_frames(folder: Path, number: int) -> Iterator[tuple[str, Frame]]:
    """ActorsHQ's pictures of one moment, by camera; those that are not there are left out."""
    for name, camera in rig(folder).items():
        picture = folder / "rgbs" / name / f"{name}_rgb{number:06d}.jpg"
        mask = folder / "masks" / name / f"{name}_mask{number:06d}.png"
        if not (picture.exists() and mask.exists()):
            continue
        rgb = np.asarray(Image.open(picture).convert("RGB"))
        alpha = np.asarray(Image.open(mask).convert("L"), np.float32) / 255
        fitting = camera.resized(rgb.shape[1], rgb.shape[0])
        yield name, Frame(fitting, rgb, alpha)


def clips(folder: Path) -> list[Path]:
    """A subject's films, those of Casual Conversations' dark rooms last."""
    films = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".mp4")
    dark = _dark(folder.parent) | _dark(folder.parent.parent)
    return sorted(films, key=lambda film: film.name in dark)


def _dark(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in sorted(folder.glob("CasualConversations*.json")):
        content = json.loads(path.read_text())
        rows = content.values() if isinstance(content, dict) else content
        for row in rows:
            if isinstance(row, dict):
                found |= {Path(str(name)).name for name in row.get("dark_files", [])}
    return found


def _below(folder: Path) -> list[Path]:
    """Folders one to three levels down (ActorsHQ: actor, sequence, scale), in order."""
    found = []
    level = [folder]
    for _ in range(3):
        level = [p for f in level for p in sorted(f.iterdir()) if p.is_dir()]
        level = [p for p in level if p.name not in ("rgbs", "masks")]
        found += level
    return found


def _is(kind: Kind, folder: Path) -> bool:
    match kind:
        case "snapshot":
            return (folder / "camera.pkl").is_file() and (folder / "masks.hdf5").is_file()
        case "thuman":
            return (folder / f"{folder.name}.obj").is_file()
        case "actorshq":
            return (folder / "calibration.csv").is_file() and (folder / "rgbs").is_dir()
        case "casual":
            return any(p.suffix.lower() == ".mp4" for p in folder.iterdir())
        case _:
            assert_never(kind)


def _name(folder: Path) -> str:
    if (folder / "calibration.csv").is_file():  # ActorsHQ: Actor01/Sequence1/1x.
        return "-".join(folder.parts[-3:])
    return folder.name


def _front(kind: Kind, folder: Path) -> UInt8[np.ndarray, "h w c"]:
    """The photo to learn from; with the data set's own matte as alpha where it has one."""
    match kind:
        case "snapshot":
            from incarnate.evaluate.snapshots import photo

            return photo(folder)
        case "thuman":
            from incarnate.evaluate.scans import front

            return front(folder)
        case "actorshq":
            return _facing(folder)
        case "casual":
            return next(film_frames(clips(folder)[0])).rgb
        case _:
            assert_never(kind)


def _facing(folder: Path) -> UInt8[np.ndarray, "h w 4"]:
    """The picture of the first moment in which the face is largest."""
    pictures = sorted((folder / "rgbs").glob("*/*_rgb*.jpg"))
    if not pictures:
        raise ValueError(f"{folder} holds no pictures rgbs/CamNNN/CamNNN_rgbNNNNNN.jpg")
    number = min(int(path.stem.split("_rgb")[1]) for path in pictures)
    frames = [frame for _, frame in rig_frames(folder, number)]
    best: tuple[float, Frame] | None = None
    with Perception() as perception:
        for frame in frames[:: max(1, len(frames) // LOOKED_AT)]:
            small = Image.fromarray(frame.rgb)
            small.thumbnail((LOOK_SIDE, LOOK_SIDE))
            try:
                face = keypoints(np.asarray(small), perception)[0].face
            except NoPersonError:
                continue
            if face is not None and (best is None or face.iris_distance > best[0]):
                best = face.iris_distance, frame
    if best is None:
        raise ValueError(f"no camera of {folder} sees a face at its first moment")
    return with_alpha(best[1].rgb, best[1].alpha)


def with_alpha(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 4"]:
    """As a picture file holds it."""
    return np.dstack([rgb, (alpha * 255).round().astype(np.uint8)])
