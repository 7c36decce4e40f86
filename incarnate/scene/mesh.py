"""A triangle mesh in the world: y up, metres, counter-clockwise seen from outside."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array, diags_array
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with one colour (or any feature) per vertex."""

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    colors: Float[Tensor, "v c"]


def averaging(faces: Int[Tensor, "f 3"], num_vertices: int) -> csr_array:
    """Sparse (v v) that gives each vertex the mean of its neighbours, itself if it has none."""
    a, b, c = faces.cpu().numpy().T
    ends = np.concatenate([a, b, c, b, c, a]), np.concatenate([b, c, a, a, b, c])
    shape = (num_vertices, num_vertices)
    links = csr_array((np.ones(len(ends[0]), np.float32), ends), shape=shape)  # Sums doubles up.
    links.data[:] = 1
    degree = links.sum(1)
    lonely = (degree == 0).astype(np.float32)
    return (diags_array(1 / np.maximum(degree, 1)) @ links + diags_array(lonely)).tocsr()


def vertex_normals(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "v 3"]:
    """Unit normals, weighted by area."""
    a, b, c = vertices[faces].unbind(1)
    weighted = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(0, faces[:, corner], weighted)
    return torch.nn.functional.normalize(total, dim=1)
