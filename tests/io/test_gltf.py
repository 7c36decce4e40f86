"""GLB files as a reader by the letter of the standard finds them (tests/io/gltf_reader.py)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from incarnate.body.skinning import forward_kinematics, skin
from incarnate.io.gltf import Clip, Figure, held, write_glb
from incarnate.io.obj import write_obj
from tests.io.gltf_reader import Scene

PARENTS = [-1, 0, 1, 1, 0, 4]


def figure(vertices: int = 40, clips: tuple[Clip, ...] = ()) -> Figure:
    rng = torch.Generator().manual_seed(1)
    faces = torch.randint(vertices, (60, 3), generator=rng)
    faces[:40, 0] = torch.arange(vertices)  # Each vertex is used.
    morphs = torch.zeros(3, vertices, 3)
    morphs[0, 5:9] = torch.randn(4, 3, generator=rng)
    morphs[1, 30] = torch.tensor([0.1, -0.2, 0.3])  # The third one moves nothing.
    return Figure(
        "a person",
        torch.randn(vertices, 3, generator=rng),
        faces,
        torch.rand(50, 2, generator=rng),
        torch.randint(50, (60, 3), generator=rng),
        torch.randint(256, (16, 16, 3), generator=rng, dtype=torch.uint8),
        [f"bone {j}" for j in range(len(PARENTS))],
        PARENTS,
        torch.randn(len(PARENTS), 3, generator=rng),
        torch.rand(vertices, len(PARENTS), generator=rng) ** 4,
        ("jawOpen", "eyeBlinkLeft", "tongueOut"),
        morphs,
        clips,
    )


def moving(frames: int = 5) -> Clip:
    rng = torch.Generator().manual_seed(2)
    vectors = torch.randn(frames, len(PARENTS), 3, generator=rng)
    vectors[:, 3] = 0  # One bone is still.
    return Clip(
        "dance",
        24.0,
        roma.rotvec_to_rotmat(vectors),
        torch.randn(frames, 3, generator=rng),
        torch.rand(frames, 3, generator=rng),
    )


def corners(made: Figure) -> torch.Tensor:
    pairs = torch.stack([made.faces.flatten(), made.face_uvs.flatten()], 1)
    return pairs.unique(dim=0)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    path = tmp_path / "me.glb"
    write_glb(path, figure(clips=(moving(),)))
    return Scene(path)


def test_every_frame_puts_the_skin_where_our_own_skinning_does(scene: Scene):
    made, clip = figure(), moving()
    weights, joints = held(made.weights)
    own = corners(made)[:, 0]
    for k in range(len(clip.pose)):
        told, seconds = scene.frame(0, k)
        assert seconds == pytest.approx(k / 24)
        assert (3, "rotation") not in told
        bones = forward_kinematics(made.joints, clip.pose[k], clip.transl[k], torch.tensor(PARENTS))
        face = made.vertices + (clip.expression[k][:, None, None] * made.morphs).sum(0)
        wanted = skin(face, weights, joints, bones)[own]
        np.testing.assert_allclose(scene.vertices(told), wanted, atol=2e-5)


def test_at_rest_it_is_the_figure_with_texture_triangles_and_named_expressions(scene: Scene):
    made = figure()
    pairs = corners(made)
    np.testing.assert_allclose(scene.vertices({}), made.vertices[pairs[:, 0]], atol=1e-5)
    triangles = pairs[torch.from_numpy(scene.faces().astype(np.int64))]
    assert torch.equal(triangles[..., 0], made.faces)
    assert torch.equal(triangles[..., 1], made.face_uvs)
    uvs = scene.attribute("TEXCOORD_0")
    np.testing.assert_allclose(uvs[:, 1], 1 - made.uvs[pairs[:, 1], 1])  # From the upper left.
    assert np.array_equal(scene.texture(), made.texture)
    assert list(scene.targets()) == list(made.morph_names)
    for name, moved in zip(made.morph_names, made.morphs, strict=True):
        np.testing.assert_array_equal(scene.targets()[name], moved[pairs[:, 0]])


def test_weights_are_four_that_sum_to_one_and_unused_bones_are_the_first():
    weights = torch.tensor([[0.4, 0.0, 0.3, 0.1, 0.15, 0.05], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])
    kept, joints = held(weights)
    torch.testing.assert_close(kept[0], torch.tensor([0.4, 0.3, 0.15, 0.1]) / 0.95)
    assert joints.tolist() == [[0, 2, 4, 3], [2, 0, 0, 0]]


def test_turns_go_the_short_way_from_frame_to_frame(tmp_path: Path):
    angles = torch.linspace(0, 6, 30)  # The quaternion of 2 pi is the other one of 0.
    pose = roma.rotvec_to_rotmat(angles[:, None, None] * torch.tensor([0.0, 1.0, 0.0]))
    clip = replace(moving(30), pose=pose.expand(-1, len(PARENTS), -1, -1))
    write_glb(tmp_path / "me.glb", figure(clips=(clip,)))
    scene = Scene(tmp_path / "me.glb")
    turns = np.stack([scene.frame(0, k)[0][1, "rotation"] for k in range(30)])
    assert ((turns[1:] * turns[:-1]).sum(1) > 0.99).all()


def test_what_the_validator_wants_to_know_is_said(scene: Scene):
    for index in scene.mesh.primitives[0].targets:
        accessor = scene.gltf.accessors[index["POSITION"]]
        values = scene.accessor(index["POSITION"])
        np.testing.assert_array_equal(accessor.min, values.min(0))
        np.testing.assert_array_equal(accessor.max, values.max(0))
        at = accessor.sparse.indices
        rows = scene.view(at.bufferView, 0, np.uint32, accessor.sparse.count)
        assert (np.diff(rows.astype(int)) > 0).all()
    position = scene.gltf.accessors[scene.mesh.primitives[0].attributes.POSITION]
    np.testing.assert_array_equal(position.min, scene.attribute("POSITION").min(0))
    assert all(view.byteOffset % 4 == 0 for view in scene.gltf.bufferViews)
    assert len(scene.path.read_bytes()) % 4 == 0


def test_a_mesh_goes_to_glb_alone(tmp_path: Path):
    with pytest.raises(ValueError, match="written to .glb"):
        write_glb(tmp_path / "me.gltf", figure())
    with pytest.raises(ValueError, match="written to .obj"):
        write_obj(tmp_path / "me.glb", figure())
    assert not list(tmp_path.iterdir())


def test_an_obj_has_every_corner_and_its_picture(tmp_path: Path):
    made = figure()
    written = write_obj(tmp_path / "me.obj", made)
    assert [path.name for path in written] == ["me.obj", "me.mtl", "me.texture.png"]
    lines = [line.split() for line in written[0].read_text().splitlines()]
    rows = {key: [line[1:] for line in lines if line[0] == key] for key in ("v", "vt", "f")}
    np.testing.assert_allclose(np.array(rows["v"], float), made.vertices, atol=1e-6)
    np.testing.assert_allclose(np.array(rows["vt"], float), made.uvs, atol=1e-6)
    told = np.array([[corner.split("/") for corner in face] for face in rows["f"]], int) - 1
    assert np.array_equal(told[..., 0], made.faces) and np.array_equal(told[..., 1], made.face_uvs)
    assert "map_Kd me.texture.png" in written[1].read_text()
