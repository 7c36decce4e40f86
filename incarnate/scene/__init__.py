"""What a renderer draws: frozen data, no learning."""

from incarnate.scene.gaussians import Gaussians as Gaussians
from incarnate.scene.mesh import Mesh as Mesh

Scene = Gaussians | Mesh
