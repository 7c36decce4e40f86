"""The verbs that make an avatar and use it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from incarnate.verbs.terms import PORT, Output, Port, Provenance, Quiet, Switch


@dataclass(frozen=True)
class Create:
    """Make an avatar from a photo of a person."""

    photo: Positional[Path]
    """The photo: JPEG, PNG, WebP or any other format Pillow reads."""
    output: Output
    """The avatar to write, such as me.avatar."""
    method: Literal["one-shot"] = "one-shot"
    """How it is made: one-shot learns from this one photo alone."""
    person: int | None = None
    """Which person, counted from 1 by size; the largest if not given."""
    quality: Literal["draft", "normal", "high"] = "normal"
    """Draft answers in seconds; high takes minutes."""
    seed: int = 0
    """Same photo, settings and seed: same avatar, byte for byte on one machine."""
    resume: Switch = False
    """Continue where a stopped run left off, if there was one."""
    matting_model: Path | None = None
    """An ONNX matting model to cut the person out with, instead of the built-in way."""
    without: tuple[str, ...] = ()
    """Parts of the method to leave out, to see what they do. A wrong name lists them all."""
    consent: str | None = None
    """How who is shown agreed, in words. Content credentials of all made of the avatar say them."""
    review: Switch = True
    """Write a page beside the avatar: how alike, what was guessed, what would help."""
    viewer: Switch = False
    """Show it in the browser while it is made, and go on showing it until Ctrl-C."""
    port: Port = PORT
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Shot:
    """How the picture is taken."""

    azimuth: float = 0.0
    """Degrees: 0 looks at the face, 90 at the person's left side, 180 at the back."""
    elevation: float = 0.0
    """Degrees above eye level, -89 to 89."""
    framing: Literal["full", "upper", "head"] = "full"
    """What fills the picture."""
    size: str = "768x1024"
    """Pixels: width x height, or one number for a square."""
    background: str = "#e8e8e8"
    """A colour, a picture file, photo (where the person stood), or none (.png and .webm)."""
    fps: float = 30.0
    """Frames per second of a film."""


@dataclass(frozen=True)
class Render:
    """Take a picture (.png, .jpg) or a film (.mp4, .webm) of an avatar."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    output: Output
    """The picture or film to write."""
    shot: OmitArgPrefixes[Shot]
    pose: str = "stand"
    """A preset: stand, arms-up, crossed, sitting, ... or photo. A wrong name lists them all."""
    expression: str = "neutral"
    """A preset (smile, mouth-open, ...), ARKit weights (jawOpen=0.5,eyeBlinkLeft=1), or both."""
    turntable: bool = True
    """In a film, walk the camera once round the person."""
    seconds: float = 4.0
    """How long a film is."""
    frames: int | None = None
    """How many frames a film has, instead of --seconds."""
    provenance: Provenance = True
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Mix:
    """Other sources for regions of the body: FILE, or FILE@WEIGHT with a weight from 0 to 1."""

    face: str | None = None
    """A motion, film or recording for the face."""
    head: str | None = None
    """For neck and head."""
    hands: str | None = None
    """For the fingers."""
    body: str | None = None
    """For all other joints, and for where the person is."""


@dataclass(frozen=True)
class Animate:
    """Film an avatar that moves as a motion file says, or as somebody in a film does."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    motion: Positional[Path]
    """The motion: .bvh, .glb or .vrm with an animation, .vrma, SMPL-X/AMASS .npz, ARKit .csv, or a
    film of a person."""
    output: Output
    """The film to write: .mp4 or .webm."""
    shot: OmitArgPrefixes[Shot]
    mix: OmitArgPrefixes[Mix]
    seed: int = 0
    """Of what speech leaves open, if a recording drives a region."""
    provenance: Provenance = True
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Talk:
    """Film an avatar that says what a recording, or a sentence, says."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    speech: Positional[Path | None] = None
    """The recording: any sound file, or a film with sound."""
    output: Output = Path("talk.mp4")
    """The film to write: .mp4 or .webm."""
    say: str | None = None
    """A sentence (English) to be spoken, instead of a recording."""
    text: str | None = None
    """What the recording says, word for word: lips then close where they should."""
    shot: OmitArgPrefixes[Shot] = Shot(framing="head", size="512")
    mix: OmitArgPrefixes[Mix] = Mix()
    style: Literal["calm", "lively"] = "calm"
    """How much head and hands join in."""
    seed: int = 0
    """Same sound and seed: same motion."""
    allow_silence: Switch = False
    """Film even where no speech is found: the person breathes and blinks."""
    provenance: Provenance = True
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class Export:
    """Take an avatar elsewhere: a page (.html), Gaussians, a mesh (.glb, .usdz); or a motion."""

    avatar: Positional[Path | None] = None
    """The avatar, as `create` made it; for .bvh, .npz and .csv what moves: see --motion."""
    output: Positional[Path | None] = None
    """What to write; its ending says which kind. frames/%04d.ply, with a motion: a sequence."""
    pose: str = "stand"
    """A preset, or photo, for what does not move."""
    expression: str = "neutral"
    """A preset (smile, ...), ARKit weights (jawOpen=0.5), or both, for what does not move."""
    motion: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="FILE")] = ()
    """A .bvh, .glb, SMPL-X .npz or ARKit .csv, a film of a person, or a recording of speech; a
    .glb, .html or .usdz takes several."""
    speech: Path | None = None
    """A recording that the avatar says; the same as to give it as one more --motion."""
    say: str | None = None
    """A sentence (English) that the avatar says, as one more motion."""
    fps: float = 30.0
    """Frames per second of motions."""
    texture: int = 2048
    """Texels a side of a mesh's texture."""
    seed: int = 0
    """Of what speech leaves open, if a recording moves the avatar."""
    list: Switch = False
    """Only say what each kind keeps and loses."""
    provenance: Provenance = True
    quiet: Quiet = False
    """Say nothing but errors."""


@dataclass(frozen=True)
class View:
    """Show an avatar in the browser: pose it, play motions, look into it, take pictures."""

    avatar: Positional[Path]
    """The avatar, as `create` made it."""
    motion: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="FILE")] = ()
    """A .bvh, .glb, SMPL-X .npz or ARKit .csv, a film of a person, or a recording of speech; may
    be given again."""
    photo: Path | None = None
    """The photo that it was made from, to lay over it."""
    fps: float = 30.0
    """Frames per second of motions."""
    seed: int = 0
    """Of what speech leaves open, if a recording moves the avatar."""
    provenance: Provenance = True
    port: Port = PORT
    quiet: Quiet = False
    """Say nothing but errors, and the address."""
