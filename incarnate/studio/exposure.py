"""`shading` in the compiled core (native/studio.inl)."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from incarnate import _native
from incarnate.studio.shading import ENCODED, LINEAR, Exposed, Setting
from incarnate.studio.whole import Whole


def carried(
    whole: Whole, rest: Float[NDArray, "v 3"], bones: Float[NDArray, "j 3 4"]
) -> tuple[Float[NDArray, "v 3"], Float[NDArray, "v 3"]]:
    """Vertices and unit normals of the person posed by bones."""
    vertices, normals = np.empty_like(rest), np.empty_like(rest)
    _native.posed(whole.native, rest, np.ascontiguousarray(bones), vertices, normals)
    return vertices, normals


def exposed(setting: Setting) -> Exposed:
    """The picture and its truth."""
    light, samples = setting.light, setting.samples
    height, width = setting.behind.shape[:2]
    out = Exposed(
        np.empty((height, width, 3), np.uint8),
        np.empty((height, width), np.float32),
        np.empty((height, width, 3), np.float32),
        np.empty((height, width), np.float32),
        np.empty((height, width), np.uint8),
    )
    lamp = [setting.camera.center.numpy(), light.toward, light.key, [light.soft]]
    lamp = np.concatenate([*lamp, light.irradiance.ravel()]).astype(np.float32)
    _native.exposed(
        setting.whole.native,
        setting.vertices,
        setting.normals,
        _native.Lighting(lamp, setting.shadow.project, setting.shadow.depth),
        setting.camera.world_to_camera.numpy(),
        setting.camera.intrinsics.numpy(),
        _native.Samples(samples.face_ids, samples.barycentrics, samples.depth),
        np.ascontiguousarray(setting.behind),
        LINEAR,
        ENCODED,
        _native.Film(out.rgb, out.alpha, out.normal, out.depth, out.parts),
    )
    return out
