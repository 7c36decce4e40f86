"""Meshes as graphs."""

import numpy as np
import torch

from incarnate.scene.mesh import averaging

FACES = torch.tensor(
    [[0, 1, 2], [0, 2, 3]]
)  # A square of two triangles, and a lonely fifth vertex.


def test_a_vertex_takes_the_mean_of_its_neighbours():
    expected = np.zeros((5, 5))
    for vertex, neighbours in enumerate([(1, 2, 3), (0, 2), (0, 1, 3), (0, 2), (4,)]):
        expected[vertex, list(neighbours)] = 1 / len(neighbours)
    np.testing.assert_allclose(averaging(FACES, 5).toarray(), expected, rtol=1e-6)
