"""An avatar as other programs take it: its Gaussians, or a skinned mesh with a baked texture."""

from dataclasses import dataclass, replace
from functools import reduce
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
from incarnate.io.runs import check_output
from incarnate.io.splats import FORMATS, splat_format, write_splats
from incarnate.io.usd import USD, check_usd, write_usd
from incarnate.io.vrm import Terms, write_vrm
from incarnate.io.written_motions import ENDINGS, write_motion
from incarnate.motion import Motion, concatenated
from incarnate.progress import Report

if TYPE_CHECKING:
    from incarnate.verbs import Export

BYTES_A_GAUSSIAN = 248
MESHES = (".glb", ".vrm", ".obj", *USD)
CLIPS = (".glb", *USD)
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
    if ending not in MESHES and not asked.output.name.lower().endswith(tuple(FORMATS)):
        kinds = ", ".join(ending for ending, _, _ in KINDS)
        raise ValueError(f"{asked.output}: avatars are exported to {kinds}; --list says more")
    if "%" in asked.output.name:
        if ending in MESHES or len(asked.motion) != 1:
            raise ValueError(f"{asked.output}: a sequence of Gaussians wants exactly one --motion")
        _numbered(asked.output, 0)
    elif asked.motion and ending not in CLIPS:
        raise ValueError(f"{asked.output} holds no motion; write a .glb, or frames/%04d.ply")
    if ending in USD:
        check_usd()
    _check_numbers(asked)
    _check_there(asked.avatar, *asked.motion)
    check_output(asked.output, 50_000_000)
    return Order(asked.avatar, asked.output, asked)


def _check_numbers(asked: "Export") -> None:
    for name, value, low, high in (
        ("texture", asked.texture, 64, 8192),
        ("fps", asked.fps, 1, 240),
    ):
        if not low <= value <= high:
            raise ValueError(f"--{name} is {value:g}; give {low} to {high}")


def _check_there(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")


def _checked_motion(source: Path, output: Path, asked: "Export") -> Order:
    if asked.motion or source.suffix.lower() == ".avatar":
        raise ValueError(
            f"{output} holds a motion and nobody's looks: give the motion itself instead of an "
            f"avatar, as in export {asked.motion[0] if asked.motion else 'walk.bvh'} {output}"
        )
    _check_numbers(asked)
    _check_there(source)
    check_output(output, 10_000_000)
    return Order(source, output, asked)


def exported(order: Order, report: Report) -> list[Path]:
    """Writes it; the files made. What is lost on the way is said, in millimetres."""
    asked, output = order.asked, order.output
    if output.suffix.lower() in ENDINGS:
        write_motion(output, _moving(order.avatar, asked, report)[0])
        return [output]
    avatar = Avatar.load(order.avatar)
    if output.suffix.lower() in MESHES:
        return _mesh(avatar, order, report)
    if not asked.motion:
        drive = avatar.posed(asked.pose, asked.expression)
        write_splats(output, raised(avatar.gaussians(drive), floor(avatar)))
        return [output]
    motion, speaks = _moving(asked.motion[0], asked, report)
    avatar = avatar.speaking() if speaks else avatar
    first = output.with_name(_numbered(output, 0))
    check_output(first, len(motion) * BYTES_A_GAUSSIAN * len(avatar.surface.discs.faces))
    report.stage("writing")
    up = floor(avatar)
    for k, drive in enumerate(avatar.drives(motion)):
        cloud = raised(avatar.gaussians(drive), up)
        write_splats(output.with_name(_numbered(output, k)), cloud)
        report.step(k + 1, len(motion))
    return [first, output.with_name(_numbered(output, len(motion) - 1))]


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
    motions = [(path.stem, *_moving(path, asked, report)) for path in asked.motion]
    if any(speaks for _, _, speaks in motions):
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
    made = replace(made, clips=[clip(avatar, name, motion) for name, motion, _ in motions])
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


def _moving(path: Path, asked: "Export", report: Report) -> tuple[Motion, bool]:
    """The whole of a motion, and whether its mouth says something."""
    from incarnate.sources import source
    from incarnate.speech import Speaking

    found = source(path, Speaking(fps=asked.fps), asked.seed, report)
    return reduce(concatenated, found.parts()), found.speaks
