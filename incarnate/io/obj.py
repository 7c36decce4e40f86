"""Wavefront OBJ: a textured mesh as it stands, with its material (.mtl) and picture (.png).

No picture of the same name, such as the photo, is replaced by it."""

from pathlib import Path

import numpy as np
import torch

from incarnate.io.gltf import Figure
from incarnate.io.pictures import write_picture
from incarnate.io.runs import replacing
from incarnate.scene.mesh import vertex_normals


def write_obj(path: Path, figure: Figure) -> list[Path]:
    """Writes `path`, and beside it NAME.mtl and NAME.texture.png; the .obj comes last.

    ValueError for another ending.
    """
    if path.suffix.lower() != ".obj":
        raise ValueError(f"{path}: a plain mesh is written to .obj")
    picture, material = path.with_suffix(".texture.png"), path.with_suffix(".mtl")
    write_picture(picture, figure.texture.numpy())
    words = f"newmtl skin\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n"
    _written(material, words)
    normals = vertex_normals(figure.vertices, figure.faces)
    lines = [f"mtllib {material.name}", f"o {figure.name.replace(' ', '_')}"]
    for letter, table in (("v", figure.vertices), ("vt", figure.uvs), ("vn", normals)):
        lines += [f"{letter} " + " ".join(f"{x:.6f}" for x in row) for row in table.tolist()]
    lines.append("usemtl skin")
    corners = torch.stack([figure.faces, figure.face_uvs, figure.faces], 2) + 1
    lines += [
        "f " + " ".join("/".join(map(str, corner)) for corner in face)
        for face in np.asarray(corners).tolist()
    ]
    _written(path, "\n".join(lines) + "\n")
    return [path, material, picture]


def _written(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
