"""The compiled core (native/bind.cpp): float32 tensors on the CPU, row-major.

Only a camera's gradient is float64.
"""

from typing import final

from numpy.typing import NDArray
from torch import Tensor

def threads() -> int: ...
def set_threads(count: int) -> None: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def set_instruction_set(name: str) -> None: ...

@final
class Frame: ...

@final
class Gaussians:
    def __init__(
        self, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor
    ) -> None: ...

@final
class Images:
    def __init__(self, color: Tensor, alpha: Tensor, depth: Tensor) -> None: ...

@final
class Gradients:
    def __init__(
        self, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor
    ) -> None: ...

def splat(
    gaussians: Gaussians,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    orthographic: bool,
    background: Tensor | None,
    color: Tensor,
    alpha: Tensor,
    depth: Tensor,
    median: Tensor | None = None,
) -> Frame: ...
def splat_backward(
    frame: Frame,
    gaussians: Gaussians,
    background: Tensor | None,
    out: Images,
    gradient: Images,
    gradients: Gradients,
    camera: Tensor | None,
) -> None: ...
def ssim(a: Tensor, b: Tensor, window: Tensor, slopes: Tensor | None) -> float: ...
def ssim_backward(
    a: Tensor, b: Tensor, window: Tensor, slopes: Tensor, scale: float, out: Tensor, /
) -> None: ...
def rasterize(
    vertices: Tensor,
    faces: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    orthographic: bool,
    face_ids: Tensor,
    barycentrics: Tensor,
    depth: Tensor,
    /,
) -> None: ...

class Skin:
    def __init__(
        self,
        rest: Tensor,
        offsets: Tensor,
        shape_starts: Tensor,
        shapes: Tensor,
        moves: Tensor,
        bone_starts: Tensor,
        bones: Tensor,
        weights: Tensor,
        centers: Tensor,
        parents: Tensor,
        joints: Tensor,
        num_shapes: int,
        first_eye: int,
        eye_size: int,
        /,
    ) -> None: ...

class Blending:
    def __init__(self, points: Tensor, weights: Tensor, ids: Tensor, bones: Tensor, /) -> None: ...

def blended(blending: Blending, out: Tensor, /) -> None: ...
def blended_backward(
    blending: Blending,
    gradient: Tensor,
    d_points: Tensor,
    d_weights: Tensor,
    d_bones: Tensor,
    /,
) -> None: ...

class Shaping:
    def __init__(self, starts: Tensor, ids: Tensor, moves: Tensor, weights: Tensor, /) -> None: ...

def shaped(shaping: Shaping, out: Tensor, /) -> None: ...
def shaped_backward(
    shaping: Shaping, gradient: Tensor, d_moves: Tensor, d_weights: Tensor, /
) -> None: ...

class Discs:
    def __init__(
        self, corners: Tensor, triangles: Tensor, values: Tensor, count: int, num_vertices: int, /
    ) -> None: ...

def skinned(
    skin: Skin,
    expression: Tensor,
    eyes: Tensor,
    pose: Tensor,
    transl: Tensor,
    bones: Tensor,
    vertices: Tensor,
    /,
) -> None: ...
def placed(
    discs: Discs,
    vertices: Tensor,
    frames: Tensor,
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    /,
) -> None: ...
def finished(rgb: Tensor, alpha: Tensor, behind: Tensor | None, out: NDArray) -> None: ...

class Dressed:
    def __init__(
        self,
        bone_starts: NDArray,
        bones: NDArray,
        weights: NDArray,
        own_normals: NDArray,
        brings_normals: NDArray,
        faces: NDArray,
        uvs: NDArray,
        texels: NDArray,
        texture: NDArray,
        labels: NDArray,
        gloss: NDArray,
        num_joints: int,
        /,
    ) -> None: ...

@final
class Lighting:
    def __init__(self, lamp: NDArray, project: NDArray, shadow: NDArray, /) -> None: ...

@final
class Samples:
    def __init__(self, ids: Tensor, barycentrics: Tensor, depth: Tensor, /) -> None: ...

@final
class Film:
    def __init__(
        self, rgb: NDArray, alpha: NDArray, normal: NDArray, depth: NDArray, parts: NDArray, /
    ) -> None: ...

def posed(
    dressed: Dressed, rest: NDArray, bones: NDArray, vertices: NDArray, normals: NDArray, /
) -> None: ...
def exposed(
    dressed: Dressed,
    vertices: NDArray,
    normals: NDArray,
    light: Lighting,
    world_to_camera: NDArray,
    intrinsics: NDArray,
    samples: Samples,
    behind: NDArray,
    linear: NDArray,
    encoded: NDArray,
    film: Film,
    /,
) -> None: ...
