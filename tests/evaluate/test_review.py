"""What `create` says at its end of an avatar of the astronaut."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from incarnate.avatar import Avatar
from incarnate.create import with_photo
from incarnate.evaluate.review import Review, review, seen_discs, summary
from incarnate.evaluate.review_page import write_review
from incarnate.fit import Target
from incarnate.progress import Silent
from incarnate.scene.mesh import vertex_normals


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Avatar, Target]:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return with_photo(path, "tiny", None, 0, None, Silent())


@pytest.fixture(scope="module")
def own(made: tuple[Avatar, Target]) -> Target:
    """A photo that the avatar explains to the last bit."""
    avatar = made[0]
    view = avatar.render(avatar.photo, avatar.camera)
    return Target(avatar.camera, view.rgb, view.alpha)


def psnrs(found: Review) -> dict[str, float]:
    return {part.name: part.psnr for part in found.parts if part.psnr is not None}


def test_a_photo_of_the_avatar_itself_is_explained_wholly(made: tuple[Avatar, Target], own: Target):
    found = review(made[0], own)
    assert found.psnr > 60 and found.iou == 1
    assert min(psnrs(found).values()) > 60


def test_a_part_is_scored_by_its_own_pixels(made: tuple[Avatar, Target], own: Target):
    avatar = made[0]
    head = avatar.surface.vertices(avatar.photo)[avatar.surface.body.region("head") > 0.5]
    middle = int(avatar.camera.project(head)[:, 1].mean())
    rgb = own.rgb.clone()
    rgb[:middle] = (rgb[:middle] * 0.5).clamp(0, 1)
    found = psnrs(review(avatar, Target(own.camera, rgb, own.alpha)))
    assert found["face"] < 20 and found["top"] > 50


def test_the_photo_shows_what_faces_it_and_not_what_turns_away(made: tuple[Avatar, Target]):
    avatar, _ = made
    surface = avatar.surface
    vertices = surface.vertices(avatar.photo)
    away = avatar.camera.center - vertices
    facing = (vertex_normals(vertices, surface.body.faces) * away / away.norm(dim=1)[:, None]).sum(
        1
    )
    at = facing[surface.body.faces[surface.discs.faces]].mean(1).numpy()
    seen = seen_discs(avatar)
    face = (
        (surface.body.region("head") > 0.5)[surface.body.faces[surface.discs.faces]].all(1).numpy()
    )
    assert not seen[at < -0.3].any()
    assert np.mean(seen[face & (at > 0.8)]) > 0.8  # Teeth and tongue are behind lips.


def test_advice_follows_from_the_photo(made: tuple[Avatar, Target]):
    avatar, photo = made
    found = review(avatar, photo)
    assert any("head to toe" in line for line in found.advice)
    assert any("relaxed mouth" in line for line in found.advice)  # She smiles.
    assert not any("brush it aside" in line for line in found.advice)
    far = replace(avatar, meta=avatar.meta | {"window": [0, 0, 60, 80]})
    assert any("pixels tall" in line for line in review(far, photo).advice)
    assert f"{len(found.advice)} things would help" in summary(found)


def test_the_page_holds_its_pictures_and_every_part(made: tuple[Avatar, Target], tmp_path: Path):
    avatar, photo = made
    found = review(avatar, photo)
    write_review(found, avatar, photo, tmp_path / "me.review.html")
    page = (tmp_path / "me.review.html").read_text()
    assert page.count("data:image/jpeg;base64,") == page.count("<img") == 3
    assert all(f"<td>{part.name}</td>" in page for part in found.parts)
    text = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", page)  # Of which any word may be part.
    assert "http" not in text and "<script" not in text
