"""Exports as other programs take them: three.js, three-vrm, Khronos' validator, splat-transform."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
import trimesh
from numpy.typing import NDArray
from playwright.sync_api import Page

from incarnate.avatar import Avatar
from incarnate.cli import main
from incarnate.figures import figure, floor, light, loss, raised, resting
from incarnate.io.splats import read_splats
from incarnate.motion import walk_cycle
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.scene import Gaussians

WEB = Path(__file__).parents[1]
UNUSED = {"UNUSED_OBJECT"}
"""Of the validator's findings, those that say no more than that a file is generous."""


@pytest.fixture(scope="session")
def glb(path: Path) -> Path:
    out = path.with_name("me.glb")
    told = ["export", str(path), str(out), "--texture", "512", "-q"]
    assert main([*told, "--motion", str(path.with_name("walk.npz"))]) == 0
    return out


@pytest.fixture(scope="session")
def vrm(path: Path) -> Path:
    out = path.with_name("me.vrm")
    assert main(["export", str(path), str(out), "--texture", "512", "-q"]) == 0
    return out


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Path:
    out = folder / "models.html"
    script = folder / "models.js"
    esbuild = [WEB / "node_modules/.bin/esbuild", WEB / "tests/models.ts", "--bundle"]
    subprocess.run([*map(str, esbuild), f"--outfile={script}", "--log-level=warning"], check=True)
    out.write_text(f"<canvas width=360 height=480></canvas><script src={script.name}></script>")
    return out


@pytest.fixture
def page(tab: Page, bundle: Path) -> Page:
    tab.goto(bundle.as_uri())
    return tab


def load(page: Page, path: Path) -> dict[str, list[str]]:
    data = base64.b64encode(path.read_bytes()).decode()
    return page.evaluate("(data) => window.models.load(data)", data)


def asked(page: Page, script: str, *values: object) -> NDArray[np.float64]:
    flat = page.evaluate(f"(values) => window.models.{script}(...values)", values)
    return np.array(flat).reshape(-1, 3)


def corners(avatar: Avatar) -> torch.Tensor:
    """The body's vertex of each of the file's."""
    made = figure(avatar, "me", torch.zeros(1, 1, 3, dtype=torch.uint8))
    pairs = torch.stack([made.faces.flatten(), made.face_uvs.flatten()], 1)
    return pairs.unique(dim=0)[:, 0]


def test_three_plays_the_clip_as_we_do(page: Page, avatar: Avatar, glb: Path):
    told = load(page, glb)
    assert told["clips"] == ["walk"] and len(told["bones"]) == len(avatar.surface.joints)
    own, bound = corners(avatar), 1.5 * loss(avatar, light(avatar))[0]
    for number, drive in enumerate(avatar.drives(walk_cycle())):
        if number % 11 == 5:
            wanted = (avatar.player.vertices(drive) + floor(avatar))[own].numpy()
            gaps = np.linalg.norm(asked(page, "frame", 0, number / 30) - wanted, axis=1)
            assert gaps.max() < bound and gaps.mean() < 0.003


@pytest.mark.parametrize("name", ["jawOpen", "mouthSmileLeft", "eyeBlinkRight"])
def test_three_moves_the_face_as_we_do(page: Page, avatar: Avatar, glb: Path, name: str):
    assert load(page, glb)["shapes"] == list(ARKIT_NAMES)
    moved = asked(page, "shape", name, 0.5) - asked(page, "shape", name, 0)
    rest = resting(avatar)
    face = rest.expression.clone()
    face[ARKIT_NAMES.index(name)] += 0.5
    body, own = avatar.surface.body, corners(avatar)
    wanted = body.express(avatar.surface.rest, face) - body.express(
        avatar.surface.rest, rest.expression
    )
    np.testing.assert_allclose(moved, wanted[own], atol=5e-5)
    assert np.linalg.norm(moved, axis=1).max() > 0.002


def test_three_vrm_moves_arms_and_mouth(page: Page, avatar: Avatar, vrm: Path):
    told = load(page, vrm)
    assert len(told["humanoid"]) >= 50
    assert {"happy", "aa", "blink", "lookLeft", "jawOpen"} <= set(told["expressions"])
    rest = asked(page, "vrm", "leftUpperArm", 0, "aa", 0)
    turned = asked(page, "vrm", "leftUpperArm", -1.2, "aa", 0)
    hand = rest[:, 0] > 0.97 * rest[:, 0].max()  # In T-pose the left hand is farthest to +x.
    other = rest[:, 0] < 0
    assert (turned[hand, 1] < rest[hand, 1] - 0.3).all()
    assert np.abs(turned[other] - rest[other]).max() < 0.02
    spoken = asked(page, "vrm", "leftUpperArm", -1.2, "aa", 1)
    moved = np.linalg.norm(spoken - turned, axis=1)
    height = turned[:, 1].max()
    assert moved.max() > 0.004 and turned[moved > 0.002, 1].min() > 0.75 * height


def test_trimesh_opens_it_with_its_texture(avatar: Avatar, glb: Path):
    scene = trimesh.load_scene(glb)
    [mesh] = scene.geometry.values()
    made = figure(avatar, "me", torch.zeros(1, 1, 3, dtype=torch.uint8))
    assert len(mesh.faces) == len(made.faces)
    tall = float(made.vertices[:, 1].amax() - made.vertices[:, 1].amin())
    assert mesh.extents[1] == pytest.approx(tall, abs=1e-3)
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (512, 512) and np.asarray(texture).std() > 10


@pytest.mark.parametrize("kind", ["glb", "vrm"])
def test_khronos_validator_finds_no_errors(request: pytest.FixtureRequest, kind: str):
    path: Path = request.getfixturevalue(kind)
    script = """
        import fs from "node:fs";
        import validator from "gltf-validator";
        const bytes = new Uint8Array(fs.readFileSync(process.argv[1]));
        console.log(JSON.stringify((await validator.validateBytes(bytes)).issues));
    """
    issues = json.loads(_node(script, path))
    assert issues["numErrors"] == 0, issues["messages"]
    assert {one["code"] for one in issues["messages"] if one["severity"] == 1} <= UNUSED


@pytest.mark.parametrize("kind", [".ply", ".spz"])
def test_splat_transform_reads_the_same_gaussians(avatar: Avatar, path: Path, kind: str):
    """It turns .ply, y down by custom, upright; what it writes is y down again."""
    out = path.with_name(f"splats{kind}")
    back = out.with_name(f"back-{kind[1:]}.ply")
    assert main(["export", str(path), str(out), "-q"]) == 0
    tool = WEB / "node_modules/.bin/splat-transform"
    subprocess.run([str(tool), "-w", str(out), str(back)], check=True, capture_output=True)
    ours = raised(avatar.gaussians(avatar.posed()), floor(avatar))
    theirs = read_splats(back)
    assert len(theirs.means) == len(ours.means)
    near = 1e-5 if kind == ".ply" else 2e-4
    np.testing.assert_allclose(theirs.means, ours.means, atol=near)
    np.testing.assert_allclose(theirs.log_scales, ours.log_scales, atol=0.07)
    np.testing.assert_allclose(
        theirs.logit_opacities.sigmoid(), ours.logit_opacities.sigmoid(), atol=0.01
    )
    np.testing.assert_allclose(theirs.colors, ours.colors, atol=0.02)
    # Half a turn about an own axis changes a quaternion and no Gaussian.
    apart = (_covariances(theirs) - _covariances(ours)).flatten(1).norm(dim=1)
    assert (apart / _covariances(ours).flatten(1).norm(dim=1)).quantile(0.99) < 0.1


def _covariances(cloud: Gaussians) -> torch.Tensor:
    quats = torch.nn.functional.normalize(cloud.quats, dim=1)
    axes = roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(quats)) * cloud.log_scales.exp()[:, None]
    return axes @ axes.mT


def _node(script: str, path: Path) -> str:
    told = ["node", "--input-type=module", "-e", script, str(path)]
    done = subprocess.run(told, cwd=WEB, capture_output=True, text=True, check=True)
    return done.stdout
