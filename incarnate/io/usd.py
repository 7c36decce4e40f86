"""USD: a skinned, textured mesh with expressions and clips, and Gaussians at rest, in one stage.

    /Person              variant set `look`: `mesh` (as it comes) or `gaussians`; the other sleeps
    /Person/Body         SkelRoot: Skin (mesh), Skeleton, a SkelAnimation for each clip
    /Person/Gaussians    ParticleField3DGaussianSplat (OpenUSD 26), colours of degree 0
    /Person/Looks/skin   UsdPreviewSurface with the texture

Y up, metres. Joints are called by their paths, with `_` for what names may not hold; `jointNames`
has them as the body calls them. A .usdz holds its texture; .usdc and .usda have it beside them.
"""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no types that pyright finds.)

import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import roma
import torch
from torch import Tensor

from incarnate.io.gltf import Clip, Figure, held
from incarnate.io.pictures import write_picture
from incarnate.io.runs import replacing
from incarnate.io.splats import C0
from incarnate.scene import Gaussians
from incarnate.scene.mesh import vertex_normals

if TYPE_CHECKING:
    from pxr import Usd

USD = (".usdz", ".usdc", ".usda")
MOVED = 1e-7
"""Metres: what an expression moves by less is left out."""


def check_usd() -> None:
    """ValueError where USD's library is not installed."""
    if find_spec("pxr") is None:
        raise ValueError("USD needs the package usd-core: pip install 'incarnate[usd]'")


def write_usd(path: Path, figure: Figure, cloud: Gaussians) -> list[Path]:
    """Writes both; the files are whole or absent, and the stage comes last.

    ValueError for another ending, or without USD's library.
    """
    check_usd()
    if path.suffix.lower() not in USD:
        raise ValueError(f"{path}: a stage is written to {', '.join(USD)}")
    from pxr import Sdf, Usd, UsdUtils

    packed = path.suffix.lower() == ".usdz"
    picture = f"{path.stem}.texture.png"
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / f"stage{'.usdc' if packed else path.suffix.lower()}"
        stage = Usd.Stage.CreateNew(str(inner))
        _fill(stage, figure, cloud, "texture.png" if packed else picture)
        stage.Save()
        made = inner
        if packed:
            write_picture(Path(folder) / "texture.png", figure.texture.numpy())
            made = Path(folder) / "stage.usdz"
            if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(inner)), str(made)):
                raise ValueError(f"{path} could not be packed")
        else:
            write_picture(path.with_name(picture), figure.texture.numpy())
        with replacing(path) as part:
            shutil.copyfile(made, part)
    return [path] if packed else [path, path.with_name(picture)]


def _fill(stage: "Usd.Stage", figure: Figure, cloud: Gaussians, picture: str) -> None:
    from pxr import Kind, Usd, UsdGeom

    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    person = UsdGeom.Xform.Define(stage, "/Person").GetPrim()
    Usd.ModelAPI(person).SetKind(Kind.Tokens.component)
    person.SetDisplayName(figure.name)
    stage.SetDefaultPrim(person)
    _material(stage, picture)
    _body(stage, figure)
    _gaussians(stage, cloud)
    looks = person.GetVariantSets().AddVariantSet("look")
    for name, asleep in (("gaussians", "/Person/Body"), ("mesh", "/Person/Gaussians")):
        looks.AddVariant(name)
        looks.SetVariantSelection(name)
        with looks.GetVariantEditContext():
            stage.GetPrimAtPath(asleep).SetActive(False)


def _material(stage: "Usd.Stage", picture: str) -> None:
    from pxr import Sdf, UsdShade

    kinds = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, "/Person/Looks/skin")
    surface, reader, image = (
        UsdShade.Shader.Define(stage, f"/Person/Looks/skin/{name}")
        for name in ("surface", "reader", "image")
    )
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", kinds.String).Set("st")
    image.CreateIdAttr("UsdUVTexture")
    image.CreateInput("file", kinds.Asset).Set(picture)
    image.CreateInput("sourceColorSpace", kinds.Token).Set("sRGB")
    for way in ("wrapS", "wrapT"):
        image.CreateInput(way, kinds.Token).Set("clamp")
    st = reader.CreateOutput("result", kinds.Float2)
    image.CreateInput("st", kinds.Float2).ConnectToSource(st)
    surface.CreateIdAttr("UsdPreviewSurface")
    color = image.CreateOutput("rgb", kinds.Float3)
    surface.CreateInput("diffuseColor", kinds.Color3f).ConnectToSource(color)
    surface.CreateInput("roughness", kinds.Float).Set(1.0)
    surface.CreateInput("metallic", kinds.Float).Set(0.0)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", kinds.Token))


def _body(stage: "Usd.Stage", figure: Figure) -> None:
    from pxr import Gf, Sdf, UsdGeom, UsdShade, UsdSkel, Vt

    UsdSkel.Root.Define(stage, "/Person/Body")
    skeleton = UsdSkel.Skeleton.Define(stage, "/Person/Body/Skeleton")
    skeleton.CreateJointsAttr(_paths(figure))
    skeleton.CreateJointNamesAttr(list(figure.joint_names))
    above = figure.joints[[max(p, 0) for p in figure.parents]].clone()
    above[0] = 0
    for attribute, places in (
        (skeleton.CreateBindTransformsAttr(), figure.joints),
        (skeleton.CreateRestTransformsAttr(), figure.joints - above),
    ):
        attribute.Set([Gf.Matrix4d(1).SetTranslate(Gf.Vec3d(*row)) for row in places.tolist()])
    mesh = UsdGeom.Mesh.Define(stage, "/Person/Body/Skin")
    mesh.CreatePointsAttr(_vectors(figure.vertices))
    mesh.CreateExtentAttr(_extent(figure.vertices))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(figure.faces), 3))
    mesh.CreateFaceVertexIndicesAttr(_integers(figure.faces))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreateNormalsAttr(_vectors(vertex_normals(figure.vertices, figure.faces)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    primvars = UsdGeom.PrimvarsAPI(mesh)
    kind = Sdf.ValueTypeNames.TexCoord2fArray
    st = primvars.CreatePrimvar("st", kind, UsdGeom.Tokens.faceVarying)
    st.Set(Vt.Vec2fArray.FromNumpy(_floats(figure.uvs)))
    st.SetIndices(_integers(figure.face_uvs))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    weights, joints = held(figure.weights)
    binding.CreateJointIndicesPrimvar(False, 4).Set(_integers(joints))
    binding.CreateJointWeightsPrimvar(False, 4).Set(
        Vt.FloatArray.FromNumpy(_floats(weights.flatten()))
    )
    binding.CreateBlendShapesAttr(list(figure.morph_names))
    binding.CreateBlendShapeTargetsRel().SetTargets(_shapes(stage, figure))
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(
        UsdShade.Material.Get(stage, "/Person/Looks/skin")
    )
    if figure.clips:
        made = [_animation(stage, figure, clip, k) for k, clip in enumerate(figure.clips)]
        own = UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
        own.CreateAnimationSourceRel().SetTargets([made[0]])


def _shapes(stage: "Usd.Stage", figure: Figure) -> list[Any]:
    """Paths of the expressions, each with what moves."""
    from pxr import UsdSkel

    out = []
    for name, moved in zip(figure.morph_names, figure.morphs, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, f"/Person/Body/Skin/{_word(name)}")
        rows = (moved.abs() > MOVED).any(1).nonzero()[:, 0]
        shape.CreateOffsetsAttr(_vectors(moved[rows]))
        shape.CreateNormalOffsetsAttr(_vectors(torch.zeros(len(rows), 3)))
        shape.CreatePointIndicesAttr(_integers(rows))
        out.append(shape.GetPath())
    return out


def _animation(stage: "Usd.Stage", figure: Figure, clip: Clip, number: int) -> Any:
    from pxr import Sdf, Usd, UsdSkel, Vt

    stage.SetTimeCodesPerSecond(clip.fps)
    stage.SetFramesPerSecond(clip.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(max(stage.GetEndTimeCode(), len(clip.pose) - 1))
    made = UsdSkel.Animation.Define(stage, f"/Person/Body/{_word(f'clip{number}_{clip.name}')}")
    made.GetPrim().SetDisplayName(clip.name)
    made.CreateJointsAttr(_paths(figure))
    made.CreateBlendShapesAttr(list(figure.morph_names))
    rest = figure.joints - figure.joints[[max(p, 0) for p in figure.parents]]
    rest[0] = figure.joints[0]
    made.CreateScalesAttr(Vt.Vec3hArray(len(rest), (1.0, 1.0, 1.0)))
    turns, moves = made.CreateRotationsAttr(), made.CreateTranslationsAttr()
    faces = made.CreateBlendShapeWeightsAttr()
    quats = _floats(roma.rotmat_to_unitquat(clip.pose))  # xyzw, as USD's own memory has them.
    with Sdf.ChangeBlock():
        for k in range(len(clip.pose)):
            time = Usd.TimeCode(k)
            place = rest.clone()
            place[0] += clip.transl[k]
            turns.Set(Vt.QuatfArray.FromNumpy(quats[k]), time)
            moves.Set(_vectors(place), time)
            faces.Set(Vt.FloatArray.FromNumpy(_floats(clip.expression[k])), time)
    return made.GetPath()


def _gaussians(stage: "Usd.Stage", cloud: Gaussians) -> None:
    from pxr import UsdVol, Vt

    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/Person/Gaussians")
    scales = cloud.log_scales.exp()
    field.CreatePositionsAttr(_vectors(cloud.means))
    field.CreateScalesAttr(_vectors(scales))
    quats = torch.nn.functional.normalize(cloud.quats, dim=1).roll(-1, 1)
    field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(_floats(quats)))
    opacities = torch.sigmoid(cloud.logit_opacities)
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(_floats(opacities)))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(0)
    colors = (cloud.colors - 0.5) / C0
    field.CreateRadianceSphericalHarmonicsCoefficientsAttr(_vectors(colors))
    far = 3 * scales.amax(1, keepdim=True)
    field.CreateExtentAttr(_extent(torch.cat([cloud.means - far, cloud.means + far])))


def _paths(figure: Figure) -> list[str]:
    """Joints by their ways from the root."""
    out: list[str] = []
    for name, parent in zip(figure.joint_names, figure.parents, strict=True):
        out.append(_word(name) if parent < 0 else f"{out[parent]}/{_word(name)}")
    return out


def _word(name: str) -> str:
    """What USD takes for a name."""
    word = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return word if word[:1].isalpha() else f"_{word}"


def _floats(table: Tensor) -> np.ndarray:
    return np.ascontiguousarray(table.detach().numpy(), np.float32)


def _vectors(table: Tensor) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(_floats(table))


def _integers(table: Tensor) -> Any:
    from pxr import Vt

    return Vt.IntArray.FromNumpy(np.ascontiguousarray(table.flatten().numpy(), np.int32))


def _extent(points: Tensor) -> Any:
    return _vectors(torch.stack([points.amin(0), points.amax(0)]))
