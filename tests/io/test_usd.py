"""USD stages as Pixar's own library finds them."""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no types that pyright finds.)

from pathlib import Path

import numpy as np
import pytest
import torch
from pxr import Gf, Usd, UsdGeom, UsdShade, UsdSkel, UsdValidation, UsdVol

from incarnate.body.skinning import forward_kinematics, skin
from incarnate.io import usd
from incarnate.io.gltf import held
from incarnate.io.usd import USD, write_usd
from incarnate.scene import Gaussians
from tests.io.test_gltf import PARENTS, figure, moving


def cloud(count: int = 50) -> Gaussians:
    rng = torch.Generator().manual_seed(4)
    return Gaussians(
        torch.randn(count, 3, generator=rng),
        torch.randn(count, 4, generator=rng),
        torch.randn(count, 3, generator=rng) - 4,
        torch.randn(count, generator=rng),
        torch.rand(count, 3, generator=rng),
    )


@pytest.fixture(params=USD)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Usd.Stage:
    path = tmp_path / f"me{request.param}"
    written = write_usd(path, figure(clips=(moving(),)), cloud())
    assert sorted(tmp_path.iterdir()) == sorted(written)
    return Usd.Stage.Open(str(path))


def test_every_frame_puts_the_skin_where_our_own_skinning_does(stage: Usd.Stage):
    """UsdSkel itself bends it: blend shapes, then joints."""
    made, clip = figure(), moving()
    weights, joints = held(made.weights)
    assert UsdSkel.BakeSkinning(
        UsdSkel.Root(stage.GetPrimAtPath("/Person/Body")), Gf.Interval(0, 9)
    )
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Person/Body/Skin")).GetPointsAttr()
    assert stage.GetTimeCodesPerSecond() == 24 and stage.GetEndTimeCode() == len(clip.pose) - 1
    for k in range(len(clip.pose)):
        bones = forward_kinematics(made.joints, clip.pose[k], clip.transl[k], torch.tensor(PARENTS))
        face = made.vertices + (clip.expression[k][:, None, None] * made.morphs).sum(0)
        wanted = skin(face, weights, joints, bones)
        np.testing.assert_allclose(points.Get(k), wanted, atol=3e-5)


def test_gaussians_come_back_exactly_and_sleep_until_asked_for(stage: Usd.Stage):
    person = stage.GetPrimAtPath("/Person")
    look = person.GetVariantSet("look")
    assert look.GetVariantSelection() == "mesh"
    assert stage.GetPrimAtPath("/Person/Body").IsActive()
    assert not stage.GetPrimAtPath("/Person/Gaussians").IsActive()
    look.SetVariantSelection("gaussians")
    assert not stage.GetPrimAtPath("/Person/Body").IsActive()
    field, made = UsdVol.ParticleField3DGaussianSplat.Get(stage, "/Person/Gaussians"), cloud()
    assert np.array_equal(field.GetPositionsAttr().Get(), made.means)
    assert np.array_equal(field.GetScalesAttr().Get(), made.log_scales.exp())
    np.testing.assert_array_equal(
        field.GetOpacitiesAttr().Get(), torch.sigmoid(made.logit_opacities)
    )
    for quat, own in zip(field.GetOrientationsAttr().Get(), made.quats, strict=True):
        told = torch.tensor([quat.GetReal(), *quat.GetImaginary()])
        torch.testing.assert_close(told, own / own.norm())
    colors = 0.5 + 0.5 / np.sqrt(np.pi) * np.array(
        field.GetRadianceSphericalHarmonicsCoefficientsAttr().Get()
    )
    np.testing.assert_allclose(colors, made.colors, atol=1e-6)


def test_it_stands_in_metres_with_its_texture_names_and_triangles(stage: Usd.Stage):
    made = figure()
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Person/Body/Skin"))
    np.testing.assert_array_equal(mesh.GetPointsAttr().Get(), made.vertices)
    assert list(mesh.GetFaceVertexIndicesAttr().Get()) == made.faces.flatten().tolist()
    st = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st")
    np.testing.assert_array_equal(st.ComputeFlattened(), made.uvs[made.face_uvs.flatten()])
    assert list(UsdSkel.BindingAPI(mesh).GetBlendShapesAttr().Get()) == list(made.morph_names)
    skeleton = UsdSkel.Skeleton(stage.GetPrimAtPath("/Person/Body/Skeleton"))
    assert list(skeleton.GetJointNamesAttr().Get()) == list(made.joint_names)
    assert skeleton.GetJointsAttr().Get()[3] == "bone_0/bone_1/bone_3"
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    image = UsdShade.Shader(stage.GetPrimAtPath(material.GetPath().AppendChild("image")))
    asset = image.GetInput("file").Get()
    assert asset.resolvedPath.endswith(".png") or asset.resolvedPath.endswith(".png]")


def test_pixars_validators_find_nothing(stage: Usd.Stage):
    registry = UsdValidation.ValidationRegistry()
    validators = registry.GetOrLoadAllValidators()
    assert len(validators) > 10
    for look in ("gaussians", "mesh"):
        stage.GetPrimAtPath("/Person").GetVariantSet("look").SetVariantSelection(look)
        errors = UsdValidation.ValidationContext(validators).Validate(stage)
        assert [error.GetErrorAsString() for error in errors] == []


def test_without_the_library_or_for_another_ending_it_says_so(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="written to .usdz, .usdc, .usda"):
        write_usd(tmp_path / "me.usd", figure(), cloud())
    monkeypatch.setattr(usd, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'incarnate\[usd\]'"):
        write_usd(tmp_path / "me.usdz", figure(), cloud())
    assert not list(tmp_path.iterdir())
