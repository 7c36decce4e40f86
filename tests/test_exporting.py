"""Exports of an avatar: what other programs get is what ours shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from incarnate.avatar import Avatar
from incarnate.avatars.surface import Drive
from incarnate.cli import main
from incarnate.exporting import KINDS
from incarnate.figures import clip, figure, floor, light, loss, raised, resting
from incarnate.io.gltf import write_glb
from incarnate.io.motions import read_motion
from incarnate.io.splats import FORMATS, read_splats
from incarnate.io.written_motions import ENDINGS
from incarnate.motion import pose_preset, save_motion, walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.render import rasterize
from incarnate.scene import Mesh
from tests.io.gltf_reader import Scene
from tests.io.usd_reader import bent, gaussians


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    Image.fromarray(astronaut()).save(folder / "astronaut.png")
    Avatar.from_photo(folder / "astronaut.png", "tiny").save(folder / "me.avatar")
    save_motion(walk_cycle(fps=10.0), folder / "walk.npz")
    return folder / "me.avatar"


@pytest.fixture(scope="module")
def avatar(path: Path) -> Avatar:
    return Avatar.load(path)


@pytest.fixture(scope="module")
def scene(path: Path) -> Scene:
    out = path.with_name("me.glb")
    told = ["export", str(path), str(out), "--texture", "512", "--fps", "10", "-q"]
    assert main([*told, "--motion", str(path.with_name("walk.npz"))]) == 0
    return Scene(out)


def corners(avatar: Avatar) -> torch.Tensor:
    """The body's vertex of each of the file's."""
    made = figure(avatar, "me", torch.zeros(1, 1, 3, dtype=torch.uint8))
    pairs = torch.stack([made.faces.flatten(), made.face_uvs.flatten()], 1)
    return pairs.unique(dim=0)[:, 0]


def test_a_clip_moves_the_mesh_as_we_do_but_for_the_loss_that_is_told(avatar, scene):
    own = corners(avatar)
    most, _ = loss(avatar, light(avatar))
    for number, drive in enumerate(avatar.drives(walk_cycle(fps=10.0))):
        told, _ = scene.frame(0, number)
        wanted = (avatar.player.vertices(drive) + floor(avatar))[own].numpy()
        gaps = np.linalg.norm(scene.vertices(told) - wanted, axis=1)
        assert gaps.max() < most < 0.06
        assert gaps.mean() < 0.001
    assert scene.gltf.animations[0].name == "walk"


@pytest.mark.parametrize("name", ["jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp"])
def test_an_expression_moves_the_mesh_as_ours(avatar, scene, name):
    rest = resting(avatar)
    face = rest.expression.clone()
    face[ARKIT_NAMES.index(name)] += 0.5
    wanted = avatar.player.vertices(replace(rest, expression=face))[corners(avatar)]
    np.testing.assert_allclose(scene.vertices({}, {name: 0.5}), wanted + floor(avatar), atol=2e-5)


def test_the_textured_mesh_looks_like_the_gaussians(avatar, scene):
    rest = resting(avatar)
    for azimuth in (0.0, 2.0, np.pi):
        camera = avatar.framed(rest, "upper", azimuth, width=256, height=256)
        vertices = torch.from_numpy(scene.vertices({})).float() - floor(avatar)
        faces = torch.from_numpy(scene.faces().astype(np.int64))
        seen = rasterize(Mesh(vertices, faces, torch.zeros_like(vertices)), camera)
        uvs = torch.from_numpy(scene.attribute("TEXCOORD_0").copy())[faces]
        at = (uvs[seen.face_ids.clamp(min=0)] * seen.barycentrics[..., None]).sum(2) * 2 - 1
        texture = torch.tensor(scene.texture()).float().movedim(2, 0)[None] / 255
        shown = torch.nn.functional.grid_sample(texture, at[None], align_corners=False)[0]
        view = avatar.render(rest, camera)
        both = (seen.face_ids >= 0) & (view.alpha > 0.9)
        gap = (shown.movedim(0, 2) - view.rgb / view.alpha.clamp_min(0.5)[..., None])[both]
        upside_down = (shown.movedim(0, 2).flip(0) - view.rgb)[both]
        assert float(-10 * gap.square().mean().log10()) > 22
        assert gap.square().mean() < 0.2 * upside_down.square().mean()


@pytest.mark.parametrize("ending", FORMATS)
def test_gaussians_stand_as_posed(avatar, path, ending, tmp_path):
    out = tmp_path / f"me{ending}"
    told = ["export", str(path), str(out), "--pose", "arms-up", "--expression", "smile", "-q"]
    assert main(told) == 0
    drive, found = avatar.posed("arms-up", "smile"), read_splats(out)
    made = raised(avatar.gaussians(drive), floor(avatar))
    assert abs(float(made.means[:, 1].quantile(0.01))) < 0.1  # Soles.
    assert len(found.means) == len(made.means)
    for bound in (torch.amin, torch.amax, torch.mean):
        torch.testing.assert_close(bound(found.means, 0), bound(made.means, 0), rtol=0, atol=2e-3)
    torch.testing.assert_close(found.colors.mean(0), made.colors.mean(0), rtol=0, atol=5e-3)


def test_a_sequence_has_a_file_for_each_frame(avatar, path, tmp_path):
    motion = ["--motion", str(path.with_name("walk.npz")), "--fps", "10"]
    assert main(["export", str(path), str(tmp_path / "%03d.splat"), *motion, "-q"]) == 0
    drives = list(avatar.drives(walk_cycle(fps=10.0)))
    files = sorted(tmp_path.glob("*.splat"))
    assert [file.name for file in files] == [f"{k:03d}.splat" for k in range(len(drives))]
    wanted = avatar.gaussians(drives[3]).means + floor(avatar)
    torch.testing.assert_close(read_splats(files[3]).means, wanted)


def test_obj_stands_as_posed(avatar, path, tmp_path):
    told = ["export", str(path), str(tmp_path / "me.obj"), "--pose", "arms-up", "--texture", "64"]
    assert main([*told, "-q"]) == 0
    lines = [line.split() for line in (tmp_path / "me.obj").read_text().splitlines()]
    points = np.array([line[1:] for line in lines if line[0] == "v"], float)
    wanted = avatar.player.vertices(avatar.posed("arms-up"))
    np.testing.assert_allclose(points, wanted + floor(avatar), atol=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_motion_goes_elsewhere_without_an_avatar(path, ending, tmp_path):
    walk, out = path.with_name("walk.npz"), tmp_path / f"walk{ending}"
    assert main(["export", str(walk), str(out), "--fps", "20", "-q"]) == 0
    found = read_motion(out)
    assert len(found) == 21 and (found.fps == pytest.approx(20) or ending == ".csv")


def test_a_still_clip_is_the_pose(avatar, tmp_path):
    made = figure(avatar, "me", torch.zeros(8, 8, 3, dtype=torch.uint8))
    write_glb(tmp_path / "a.glb", replace(made, clips=[clip(avatar, "t", pose_preset("t-pose"))]))
    told, _ = Scene(tmp_path / "a.glb").frame(0, 0)
    posed = avatar.posed("t-pose")
    drive = Drive(avatar.photo.expression, posed.pose, posed.transl)
    wanted = (avatar.player.vertices(drive) + floor(avatar))[corners(avatar)].numpy()
    gaps = np.linalg.norm(Scene(tmp_path / "a.glb").vertices(told) - wanted, axis=1)
    assert gaps.mean() < 0.003


def test_a_vrm_stands_in_t_pose_on_the_floor_with_its_bones_and_expressions(avatar, path):
    out = path.with_name("me.vrm")
    assert main(["export", str(path), str(out), "--texture", "64", "-q"]) == 0
    told = Scene(out)
    vertices, joints = told.vertices({}), told.joints()
    assert vertices[:, 1].min() == pytest.approx(0, abs=1e-5)
    vrm = told.gltf.extensions["VRMC_vrm"]
    bones = {name: joints[bone["node"]] for name, bone in vrm["humanoid"]["humanBones"].items()}
    assert len(bones) == 52
    for side, sign in (("left", 1), ("right", -1)):
        arm = bones[f"{side}Hand"] - bones[f"{side}UpperArm"]
        assert sign * arm[0] / np.linalg.norm(arm) > 0.995
        assert bones[f"{side}Foot"][1] < bones[f"{side}LowerLeg"][1] < bones["hips"][1]
    parents = {"chest": "spine", "leftHand": "leftLowerArm", "rightIndexDistal": "rightHand"}
    for bone, parent in parents.items():
        inner = vrm["humanoid"]["humanBones"]
        assert told.below(inner[parent]["node"], inner[bone]["node"])
    names = list(told.targets())
    presets = vrm["expressions"]["preset"]
    assert set(vrm["expressions"]["custom"]) == set(ARKIT_NAMES)
    blink = {names[bind["index"]] for bind in presets["blinkLeft"]["morphTargetBinds"]}
    assert blink == {"eyeBlinkLeft"}
    moved = told.vertices({}, {"jawOpen": 0.6}) - vertices
    assert moved[:, 1].min() < -0.01 and np.abs(moved[vertices[:, 1] < 1.0]).max() < 1e-3


def test_a_usdz_moves_as_the_glb_and_has_the_gaussians(avatar, path, scene):
    out, walk = path.with_name("me.usdz"), str(path.with_name("walk.npz"))
    told = ["export", str(path), str(out), "--texture", "64", "--fps", "10", "--motion", walk]
    assert main([*told, "-q"]) == 0
    for number in (0, 7):
        wanted = scene.vertices(scene.frame(0, number)[0])
        np.testing.assert_allclose(bent(out, number)[corners(avatar)], wanted, atol=1e-4)
    wanted = avatar.gaussians(resting(avatar)).means + floor(avatar)
    np.testing.assert_allclose(gaussians(out), wanted, atol=1e-6)


def test_a_picture_of_the_same_name_stays(path, tmp_path):
    for ending in (".obj", ".usdc"):
        (tmp_path / "me.png").write_bytes(b"a photo")
        out = tmp_path / f"me{ending}"
        assert main(["export", str(path), str(out), "--texture", "64", "-q"]) == 0
        assert (tmp_path / "me.png").read_bytes() == b"a photo"
        assert (tmp_path / "me.texture.png").is_file()


def test_the_list_names_every_kind(capsys):
    assert main(["export", "--list"]) == 0
    said = capsys.readouterr().out
    assert {*FORMATS, *ENDINGS, ".glb", ".vrm", ".obj", ".html", ".usdz"} == {
        ending for ending, _, _ in KINDS
    }
    assert all(ending in said for ending, _, _ in KINDS)


@pytest.mark.parametrize(
    "told, said",
    [
        ([], "name the avatar and what to write"),
        (["me.bvh"], "give the motion itself instead of an avatar"),
        (["me.fbx"], "avatars are exported to .ply, "),
        (["me.ply", "--motion", "walk.npz"], "holds no motion"),
        (["me.obj", "--motion", "walk.npz"], "holds no motion"),
        (["%d.ply"], "wants exactly one --motion"),
        (["%d%s.ply", "--motion", "walk.npz"], "no pattern for numbers"),
        (["me.glb", "--texture", "9"], "--texture is 9; give 64 to 8192"),
        (["me.glb", "--fps", "0"], "--fps is 0; give 1 to 240"),
        (["me.glb", "--motion", "gone.bvh"], "there is no file"),
        (["none/me.glb"], "does not exist; create it first"),
        (["me.ply", "--pose", "stnd"], "stand"),
        (["me.glb", "--pose", "sitting"], "is to be posed by others"),
        (["%d.ply", "--motion", "walk.npz", "--expression", "smile"], "is to be posed by others"),
        (["me.glb", "--speech", "walk.npz"], "walk.npz"),
        (["me.glb", "--seed", "-1"], "--seed is -1; give 0 to"),
        (["50%.glb", "--texture", "9"], "--texture is 9"),
    ],
)
def test_what_cannot_be_is_one_line(path, told, said, tmp_path, capsys, monkeypatch):
    (tmp_path / "walk.npz").write_bytes(path.with_name("walk.npz").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(path), *told, "-q"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error
    assert [file.name for file in tmp_path.iterdir()] == ["walk.npz"]
