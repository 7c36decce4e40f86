"""The papers' data sets on tiny files of the same layout, made here from a body of our own."""

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from PIL import Image
from skimage.data import astronaut
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Discs, Drive, SurfaceAvatar, dense_weights, scattered
from incarnate.body.anny import Anny
from incarnate.cameras import Camera
from incarnate.evaluate import datasets, scans, snapshots, views4
from incarnate.evaluate.jobs import Subject
from incarnate.io.video import write_video
from incarnate.motion import Motion, pose_preset

YAW = 0.6


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """The average body in red on its left side and blue on its right."""
    body = Anny.load()
    betas = body.default_betas()
    rest = body.shaped(betas)
    a, b, c = rest[body.faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    faces, barycentrics, shares = scattered(area, 6000, torch.Generator().manual_seed(0))
    points = (rest[body.faces[faces]] * barycentrics[..., None]).sum(1)
    count, sigma = len(faces), 0.5 * (area[faces] * shares).sqrt().clamp(2e-3, 0.03)
    discs = Discs(
        faces,
        barycentrics,
        torch.zeros(count, 3),
        torch.zeros(count),
        torch.stack([sigma, sigma, sigma / 5], 1).log(),
        torch.full((count,), 4.0),
        torch.where(points[:, :1] > 0, torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 1.0]])),
        torch.ones(count, dtype=torch.long),
    )
    surface = SurfaceAvatar(body, betas, torch.zeros_like(rest), dense_weights(body), discs)
    pose = torch.eye(3).repeat(len(body.parents), 1, 1)
    drive = Drive(torch.zeros_like(body.arkit(torch.zeros(52))), pose, torch.zeros(3))
    return Avatar(surface, drive, Camera(torch.eye(4), torch.eye(3), 8, 8), {})


def turned(motion: Motion, turn: Tensor) -> Motion:
    pose = motion.pose.clone()
    pose[:, 0] = turn @ pose[:, 0]
    return Motion(motion.fps, pose, torch.zeros(len(motion), 3), motion.expression)


def about_y(angle: float) -> Tensor:
    return roma.rotvec_to_rotmat(torch.tensor([0.0, angle, 0.0]))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


@pytest.fixture(scope="module")
def thuman(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """THuman2.0: a scan in centimetres, turned, textured red and blue; its fit beside the set."""
    root = tmp_path_factory.mktemp("thuman")
    folder, fit = root / "scans" / "0007", root / "smplx" / "0007"
    folder.mkdir(parents=True)
    fit.mkdir(parents=True)
    motion = turned(pose_preset("stand"), about_y(YAW))
    vertices = avatar.player.vertices(next(avatar.drives(motion))) * 100 + torch.tensor([5.0, 0, 9])
    rest, faces = avatar.surface.rest, avatar.surface.body.faces
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices.tolist()]
    lines += ["vt 0.25 0.5", "vt 0.75 0.5"]
    for face in faces.tolist():
        side = 1 if float(rest[face, 0].mean()) > 0 else 2
        lines.append("f " + " ".join(f"{i + 1}/{side}" for i in face))
    (folder / "0007.obj").write_text("\n".join(lines))
    texture = np.zeros((16, 16, 3), np.uint8)
    texture[:, :8, 0], texture[:, 8:, 2] = 255, 255
    Image.fromarray(texture).save(folder / "material0.jpeg", quality=100, subsampling=0)
    rotvec = roma.rotmat_to_rotvec(motion.pose[0]).numpy()
    content = {
        "global_orient": rotvec[None, 0],
        "body_pose": rotvec[1:22].reshape(1, 63),
        "left_hand_pose": rotvec[25:40].reshape(1, 45),
        "right_hand_pose": rotvec[40:55].reshape(1, 45),
        "betas": np.zeros((1, 10), np.float32),
    }
    (fit / "smplx_param.pkl").write_bytes(pickle.dumps(content))
    return root


def test_a_scan_is_seen_from_its_own_front_and_met_by_an_avatar_of_itself(
    avatar: Avatar, thuman: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scans, "PHOTO_SIDE", 96)
    monkeypatch.setattr(scans, "VIEW_SIDE", 288)
    (who,) = datasets.subjects(thuman, "views4", None, tmp_path)
    assert who.name == "thuman-0007" and who.source == thuman / "scans" / "0007"
    photo = pixels(who.photo).astype(int)
    inside = photo[..., 3] > 250
    left = np.arange(96)[None] < 46  # Facing us, the person's right, blue, is on the left.
    assert photo[inside & left][:, 2].mean() > 200 > 50 > photo[inside & left][:, 0].mean()
    drive, scale, shift = scans.brought(avatar, scans.scan(who.source))
    assert scale == pytest.approx(100, rel=1e-3)
    torch.testing.assert_close(shift, torch.tensor([5.0, 0, 9]), atol=0.3, rtol=0)
    found, _ = views4.figures(avatar, who, None, [])
    values = {figure.name: figure.value for figure in found}
    assert values["iou"] > 0.85 and values["normals"] < 12 and values["psnr"] > 15
    assert not any("body model" in name for name in values)


def test_a_pickle_that_names_code_is_not_read(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    path = tmp_path / "camera.pkl"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="is not run here"):
        datasets.plain_pickle(path)
    assert not (tmp_path / "touched").exists()
    kept = {"camera_f": np.array([2.0, 3.0]), "width": 8, "scale": np.float32(2)}
    for protocol in (0, 2, 4):
        path.write_bytes(pickle.dumps(kept, protocol))
        assert datasets.plain_pickle(path)["camera_f"].tolist() == [2.0, 3.0]


@pytest.fixture(scope="module")
def snapshot(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People-Snapshot: the person turns before a camera whose y axis, the world's, points down."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("people") / "male-9-casual"
    folder.mkdir()
    down = roma.rotvec_to_rotmat(torch.tensor([math.pi, 0, 0]))
    stand = pose_preset("stand")
    lens = torch.tensor([[220.0, 0, 64], [0, 220, 64], [0, 0, 1]])
    camera = Camera(torch.eye(4), lens, 128, 128)
    pictures, masks, poses = [], [], []
    for k in range(9):
        motion = turned(stand, down @ about_y(0.7 * k))
        drive = next(avatar.drives(motion))
        vertices = avatar.player.vertices(drive)
        matrix = torch.eye(4)
        matrix[:3, 3] = torch.tensor([0.05, 0, 4]) - vertices.mean(0)
        view = avatar.render(drive, Camera(matrix, lens, 128, 128), torch.full((3,), 0.4))
        pictures.append((view.rgb.clamp(0, 1).numpy() * 255).astype(np.uint8))
        masks.append((view.alpha.numpy() > 0.5).astype(np.uint8))
        poses.append(roma.rotmat_to_rotvec(motion.pose[0, :24]).numpy().ravel())
    write_video(folder / "male-9-casual.mp4", pictures, 30)
    with h5py.File(folder / "masks.hdf5", "w") as file:
        file["masks"] = np.stack(masks)
    with h5py.File(folder / "reconstructed_poses.hdf5", "w") as file:
        file["pose"], file["trans"] = np.stack(poses), np.zeros((9, 3))
        file["betas"] = np.zeros(10)
    about = {
        "camera_f": np.array([220.0, 220.0]),
        "camera_c": np.array([64.0, 64.0]),
        "camera_k": np.zeros(5),
        "camera_rt": np.zeros(3),
        "camera_t": np.zeros(3),
        "width": camera.width,
        "height": camera.height,
    }
    (folder / "camera.pkl").write_bytes(pickle.dumps(about, 2))
    return folder.parent


def test_held_out_frames_meet_the_avatar_they_were_drawn_of(
    avatar: Avatar, snapshot: Path, tmp_path: Path
):
    (who,) = datasets.subjects(snapshot, "reenact", None, tmp_path)
    assert who.name == "snapshot-male-9-casual" and who.source is not None
    assert pixels(who.photo).shape == (128, 128, 4)
    frames = snapshots.held_out(who.source)
    assert len(frames) == 1 and frames[0].camera.width == 64  # 6, by fours; half the size.
    one, _ = snapshots.compared(avatar, frames[0], {})
    assert one["iou"] > 0.7 and one["psnr"] > 12  # 64 pixels: discs reach past the outline.
    away = frames[0].__class__(
        frames[0].camera, frames[0].rgb, frames[0].alpha,
        turned(frames[0].motion or pose_preset("stand"), about_y(math.pi / 2)),
    )  # fmt: skip
    assert snapshots.compared(avatar, away, {})[0]["psnr"] < one["psnr"] - 1


def test_instant_avatars_split_is_the_published_one():
    assert snapshots.SPLIT["male-3-casual"] == (456, 675, 4)
    assert snapshots.SPLIT["female-4-casual"] == (335, 523, 4)


def test_a_rig_has_the_cameras_of_its_table_and_the_photo_that_shows_the_face(tmp_path: Path):
    folder = tmp_path / "Actor01" / "Sequence1" / "4x"
    table = "name,w,h,rx,ry,rz,tx,ty,tz,fx,fy,px,py\n"
    table += (
        "Cam001,200,200,0,0,0,0,0,-2,1,1,0.5,0.5\nCam002,400,200,0,3.14159265,0,0,0,2,.5,1,.5,.5\n"
    )
    pictures = (np.full((100, 100, 3), 90, np.uint8), astronaut())
    for name, picture in zip(("Cam001", "Cam002"), pictures, strict=True):
        for kind in ("rgbs", "masks"):
            (folder / kind / name).mkdir(parents=True)
        Image.fromarray(picture).save(folder / "rgbs" / name / f"{name}_rgb000003.jpg")
        mask = np.full(picture.shape[:2], 255, np.uint8)
        Image.fromarray(mask).save(folder / "masks" / name / f"{name}_mask000003.png")
    (folder / "calibration.csv").write_text(table)
    cameras = datasets.rig(folder)
    point = torch.tensor([0.2, 0.1, 0.0])
    torch.testing.assert_close(cameras["Cam001"].project(point), torch.tensor([120.0, 110.0]))
    # From behind, left and right change places.
    torch.testing.assert_close(
        cameras["Cam002"].project(point), torch.tensor([180.0, 110.0]), atol=1e-3, rtol=0
    )
    (who,) = datasets.subjects(tmp_path, "photos", None, tmp_path / "out")
    assert who == Subject("actorshq-Actor01-Sequence1-4x", who.photo, None)
    assert pixels(who.photo).shape == (512, 512, 4)


def test_a_talker_is_taken_from_a_light_room(tmp_path: Path):
    for name, tone in (("0001_00", 20), ("0001_01", 200)):
        (tmp_path / "part" / "0001").mkdir(parents=True, exist_ok=True)
        frames = [np.full((32, 32, 3), tone, np.uint8)] * 2
        write_video(tmp_path / "part" / "0001" / f"{name}.mp4", frames, 30)
    about = {"0001": {"files": [], "dark_files": ["part/0001/0001_00.mp4"], "label": {}}}
    (tmp_path / "CasualConversations.json").write_text(json.dumps(about))
    (who,) = datasets.subjects(tmp_path, "photos", None, tmp_path / "out")
    assert pixels(who.photo).mean() > 150


def test_what_is_no_data_set_or_does_not_serve_is_refused(thuman: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="has the layout of none of People-Snapshot"):
        datasets.subjects(tmp_path, "photos", None, tmp_path)
    with pytest.raises(ValueError, match="THuman2.0 is for views4 and photos, not for talk"):
        datasets.subjects(thuman, "talk", None, tmp_path)
