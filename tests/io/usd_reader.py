"""What Pixar's own library makes of a USD stage."""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no types that pyright finds.)

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdSkel


def bent(path: Path, frame: int) -> NDArray:
    """Where UsdSkel takes the vertices of the skin in a frame."""
    stage = Usd.Stage.Open(str(path))
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Person/Body")))
    return np.asarray(
        UsdGeom.Mesh(stage.GetPrimAtPath("/Person/Body/Skin")).GetPointsAttr().Get(frame)
    )


def gaussians(path: Path) -> NDArray:
    """Where the Gaussians stand."""
    stage = Usd.Stage.Open(str(path))
    stage.GetPrimAtPath("/Person").GetVariantSet("look").SetVariantSelection("gaussians")
    return np.asarray(stage.GetPrimAtPath("/Person/Gaussians").GetAttribute("positions").Get())
