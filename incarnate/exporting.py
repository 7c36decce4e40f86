"""An avatar as other programs take it: its Gaussians, or a skinned mesh with a baked texture."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incarnate.avatar import Avatar
from incarnate.avatars.bake import baked
from incarnate.avatars.playback import Player
from incarnate.avatars.washed import washed
from incarnate.figures import (
    RANDOM,
    clip,
    figure,
    floor,
    laid,
    light,
    loss,
    pictures,
    raised,
    resting,
)
from incarnate.io.gltf import write_glb
from incarnate.io.obj import write_obj
from incarnate.io.page import check_template, write_page
from incarnate.io.runs import check_output
from incarnate.io.splats import FORMATS, splat_format, write_splats
from incarnate.io.usd import USD, check_usd, write_usd
from incarnate.io.vrm import Terms, write_vrm
from incarnate.io.written_motions import ENDINGS, write_motion
from incarnate.progress import Report
from incarnate.sharing import shared
from incarnate.sources import Source, joined, recording, sentence, source, unlike
from incarnate.speech import Speaking

if TYPE_CHECKING:
    from incarnate.verbs import Export

BYTES_A_GAUSSIAN = 248
MESHES = (".glb", ".vrm", ".obj", *USD)
PAGE = ".html"
CLIPS = (".glb", PAGE, *USD)
"""What holds motions."""
KINDS = (
    (".ply", "all Gaussians, exact (3DGS, y down)", "motion; a sequence keeps it as frames"),
    (".compressed.ply", "Gaussians, positions to 0.1 % of their block", "motion"),
    (".splat", "Gaussians, colours and turns in 8 bits", "motion"),
    (".ksplat", "Gaussians, colours in 8 bits", "motion"),
    (".spz", "Gaussians, positions to 0.12 mm (y up)", "motion"),
    (".sog", "Gaussians, the smallest file", "motion, the order of the Gaussians"),
    (
        ".glb",
        "skinned mesh, texture, 52 ARKit expressions, motions as clips",
        "Gaussians: fringes of hair and cloth; all but 4 bones a vertex; how joints keep volume; "
        "eyes turn as expressions do, in straight lines",
    ),
    (
        ".vrm",
        "the same mesh in T-pose as VRM 1.0: humanoid bones, expressions, visemes, gaze",
        "as .glb; motion; toes",
    ),
    (
        PAGE,
        "a page of one file for any browser, offline: the Gaussians on their rig, 52 expressions, "
        "motions with their sound, poses; any sound drives the face",
        "nothing that shows; positions to thousandths of a millimetre",
    ),
    (
        ".usdz",
        "the same mesh for USD (or .usdc, .usda), clips, and in its variant `look` the Gaussians",
        "as .glb; Gaussians keep to the rest pose",
    ),
    (".bvh", "a motion of body and hands, on an idealised adult", "face; how the person looks"),
    (".npz", "a motion of body, hands, jaw and gaze (SMPL-X)", "other expressions; the looks"),
    (".csv", "a motion of face, gaze and head (ARKit, Live Link Face)", "body, hands; the looks"),
    (".obj", "mesh in one pose, texture (.mtl, .png beside it)", "Gaussians, motion, expressions"),
)
"""Ending, what it keeps, what it loses."""


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be written, checked."""

    avatar: Path
    output: Path
    asked: "Export"


def listed() -> str:
    """What each kind of file keeps and loses."""
    lines = [f"{ending:16}keeps {keeps}\n{'':16}loses {loses}\n" for ending, keeps, loses in KINDS]
    return "".join(lines)


def checked(asked: "Export") -> Order:
    """ValueError or OSError for what cannot be done; quick, before anything is loaded."""
    if asked.avatar is None or asked.output is None:
        raise ValueError("name the avatar and what to write, such as me.avatar me.glb; or --list")
    ending = asked.output.suffix.lower()
    if ending in ENDINGS:
        return _checked_motion(asked.avatar, asked.output, asked)
    if ending not in (*MESHES, PAGE) and not asked.output.name.lower().endswith(tuple(FORMATS)):
        kinds = ", ".join(ending for ending, _, _ in KINDS)
        raise ValueError(f"{asked.output}: avatars are exported to {kinds}; --list says more")
    _check_kind(asked, asked.output)
    _check_numbers(asked)
    _check_there(asked.avatar, *_motions(asked))
    check_output(asked.output, 50_000_000)
    return Order(asked.avatar, asked.output, asked)


def _check_kind(asked: "Export", output: Path) -> None:
    """Whether such a file holds what is to be in it, and can be written here."""
    ending, several = output.suffix.lower(), _several(output)
    if several and _count(asked) != 1:
        raise ValueError(f"{output}: a sequence of Gaussians wants exactly one --motion")
    if _count(asked) and not several and ending not in CLIPS:
        raise ValueError(f"{output} holds no motion; write a .glb, .html or frames/%04d.ply")
    moves = several or ending in (*CLIPS, ".vrm")
    if moves and (asked.pose, asked.expression) != ("stand", "neutral"):
        raise ValueError(
            f"{output} is to be posed by others: --pose and --expression are for .obj and for "
            "Gaussians that stand still"
        )
    if ending == PAGE:
        check_template()
    if ending in USD:
        check_usd()


def _several(output: Path) -> bool:
    """Whether the name stands for a file a frame."""
    return output.suffix.lower() not in (*MESHES, PAGE) and bool(
        re.search("%0?[0-9]*d", output.name)
    )


def _motions(asked: "Export") -> tuple[Path, ...]:
    return asked.motion if asked.speech is None else (*asked.motion, asked.speech)


def _count(asked: "Export") -> int:
    return len(_motions(asked)) + (asked.say is not None)


def _check_numbers(asked: "Export") -> None:
    for name, value, low, high in (
        ("texture", asked.texture, 64, 8192),
        ("fps", asked.fps, 1, 240),
        ("seed", asked.seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise ValueError(f"--{name} is {value:g}; give {low} to {high}")


def _check_there(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")


def _checked_motion(source: Path, output: Path, asked: "Export") -> Order:
    if _count(asked) or source.suffix.lower() == ".avatar":
        raise ValueError(
            f"{output} holds a motion and nobody's looks: give the motion itself instead of an "
            f"avatar, as in export {(*_motions(asked), 'walk.bvh')[0]} {output}"
        )
    _check_numbers(asked)
    _check_there(source)
    check_output(output, 10_000_000)
    return Order(source, output, asked)


def exported(order: Order, report: Report) -> list[Path]:
    """Writes it; the files made. What is lost on the way is said, in millimetres."""
    asked, output = order.asked, order.output
    if output.suffix.lower() in ENDINGS:
        moving = source(order.avatar, Speaking(fps=asked.fps), asked.seed, report)
        write_motion(output, joined(moving.parts()))
        return [output]
    avatar = Avatar.load(order.avatar)
    if output.suffix.lower() in MESHES:
        return _mesh(avatar, order, report)
    if output.suffix.lower() == PAGE:
        return _page(avatar, order, report)
    if not _count(asked):
        drive = avatar.posed(asked.pose, asked.expression)
        write_splats(output, raised(avatar.gaussians(drive), floor(avatar)))
        return [output]
    [(_, moving)] = _sources(asked, report)
    motion, speaks = joined(moving.parts()), moving.speaks
    avatar = avatar.speaking() if speaks else avatar
    first = output.with_name(_numbered(output, 0))
    check_output(first, len(motion) * BYTES_A_GAUSSIAN * len(avatar.surface.discs.faces))
    report.stage("writing")
    up = floor(avatar)
    for k, drive in enumerate(avatar.drives(motion)):
        cloud = raised(avatar.gaussians(drive), up)
        write_splats(output.with_name(_numbered(output, k)), cloud)
        report.step(k + 1, len(motion))
    return list(dict.fromkeys([first, output.with_name(_numbered(output, len(motion) - 1))]))


def _numbered(path: Path, number: int) -> str:
    """The name of a frame. ValueError for a pattern without a place for its number."""
    try:
        name = path.name % number
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no pattern for numbers; write one like %04d.ply") from error
    splat_format(Path(name))
    return name


def _mesh(avatar: Avatar, order: Order, report: Report) -> list[Path]:
    asked, output = order.asked, order.output
    sources = _sources(asked, report)
    if any(one.speaks for _, one in sources):
        avatar = avatar.speaking()
    report.stage("taking the texture")
    player = Player(washed(avatar.surface, avatar.photo, avatar.camera))
    texture = baked(player, pictures(avatar), asked.texture, report.step)
    made = replace(figure(avatar, output.stem, texture), weights=light(avatar))
    report.stage("writing")
    if output.suffix.lower() == ".obj":
        drive = avatar.posed(asked.pose, asked.expression)
        return write_obj(
            output, replace(made, vertices=avatar.player.vertices(drive) + floor(avatar))
        )
    if output.suffix.lower() == ".vrm":
        body = avatar.surface.body
        made = laid(
            made, avatar, replace(avatar.posed("t-pose"), expression=avatar.photo.expression)
        )
        write_vrm(output, made, body.smplx_joints, Terms(output.stem))
        return [output]
    clips = [clip(avatar, name, joined(one.parts())) for name, one in sources]
    made = replace(made, clips=clips)
    if output.suffix.lower() in USD:
        cloud = raised(avatar.gaussians(resting(avatar)), floor(avatar))
        written = write_usd(output, made, cloud)
    else:
        write_glb(output, made)
        written = [output]
    most, usual = loss(avatar, made.weights)
    report.say(
        f"on four bones a vertex, skin is off by at most {1000 * most:.0f} mm, and for all but one "
        f"in a thousand of its points by {1000 * usual:.0f} mm, in {RANDOM} random poses"
    )
    return written


def _page(avatar: Avatar, order: Order, report: Report) -> list[Path]:
    sources = _sources(order.asked, report)
    report.stage("writing")
    page, lost = shared(avatar, order.output.stem, sources, floor(avatar))
    write_page(order.output, page)
    report.say(
        f"in the page Gaussians stand within {1000 * lost.position:.3f} mm of the avatar's, "
        f"expressions move them within {1000 * lost.expression:.4f} mm, and they are "
        f"{100 * lost.scale:.1f} % off in size at most"
    )
    return [order.output]


def _sources(asked: "Export", report: Report) -> list[tuple[str, Source]]:
    """All that moves the avatar, each under a name of its own."""
    config, found = Speaking(fps=asked.fps), {}
    for path in asked.motion:
        found[unlike(path.stem, found)] = source(path, config, asked.seed, report)
    if asked.speech is not None:
        spoken = recording(asked.speech, None, config, asked.seed, False, report)
        found[unlike(asked.speech.stem, found)] = spoken
    if asked.say is not None:
        found[unlike("say", found)] = sentence(asked.say, config, asked.seed)
    return [*found.items()]
