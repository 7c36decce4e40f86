"""What `incarnate sample` shows: pictures of a sentence by the embedded priors.

The sentence is mapped to their grammar (`priors.wording`). Poses are drawn as skeletons of the
embedded body, through a camera that frames it as the studio does.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from incarnate.guidance import Stressed
from incarnate.priors import Condition, Denoiser, Images, Pose, Reference, Text, View, sample
from incarnate.priors.embedded import Priors
from incarnate.priors.vocabulary import ATTITUDES, VOCABULARY
from incarnate.priors.wording import Reading, understood, undyed
from incarnate.progress import Report
from incarnate.recipe import Shows

if TYPE_CHECKING:
    from incarnate.body.anny import Anny
    from incarnate.motion import Motion
    from incarnate.verbs import Sample

FRAMES, FPS = 8, 10.0
"""Of a clip, as the embedded motion modules know them."""
MOTIONS = (".bvh", ".glb", ".npz")
GREY = 0.5  # What people stood before in training.
ELEVATION, FOV = 0.05, 0.45
DANCE = 11  # The seed of its steps.
GAP = 2  # Pixels between pictures.
_BUILDS = {"tall": ("height", 0.65), "short": ("height", 0.2), "heavy": ("weight", 0.8),
           "slim": ("weight", 0.22), "muscular": ("muscle", 0.8), "old": ("age", 0.95),
           "young": ("age", 0.64), "woman": ("gender", 0.95), "man": ("gender", 0.05)}  # fmt: skip
"""The shape that a word gives the body whose skeleton is drawn."""
UNLED_BELOW = 0.3
"""The noise level, as a share of all, below which nothing leads photos any more."""
LOUDER = 1 / 6
"""How much louder than the rest the colours of clothes are said."""


@final
@dataclass(frozen=True, eq=False)
class Sampled:
    """Pictures with what they were asked for."""

    reading: Reading
    shows: Shows
    view: View
    pictures: Float[Tensor, "n *f h w 3"]
    first: float
    """Seconds until the first was there, by `clock`."""
    drawn: str = ""
    """The action whose skeleton was followed, if words named it."""

    def text(self) -> str:
        """What was understood, what was replaced and what was not."""
        read = self.reading
        said = f"{read.caption}, {self.view.words()[0]}, {self.shows}"
        lines = [f"understood  {said}"]
        if self.drawn:
            lines.append(f"skeleton    {self.drawn}, {self.view.words()[0]}, as the text says")
        if read.replaced:
            pairs = (f"{typed} -> {taken}" for typed, taken in read.replaced)
            lines.append(f"replaced    {', '.join(pairs)}")
        if read.ignored:
            lines.append(f"ignored     {', '.join(read.ignored)}")
        return "\n".join(lines) + "\n"

    def sheet(self) -> UInt8[np.ndarray, "h w 3"]:
        """All pictures in one; of clips a row each."""
        clips = self.pictures.ndim == 5
        cells = self.pictures.flatten(0, 1) if clips else self.pictures
        columns = self.pictures.shape[1] if clips else math.ceil(math.sqrt(len(cells)))
        rows = -(-len(cells) // columns)
        side = cells.shape[1] + GAP
        out = np.full((rows * side + GAP, columns * side + GAP, 3), 255, np.uint8)
        for k, cell in enumerate(_bytes(cells)):
            top, left = GAP + k // columns * side, GAP + k % columns * side
            out[top : top + side - GAP, left : left + side - GAP] = cell
        return out

    def frames(self) -> list[UInt8[np.ndarray, "h w 3"]]:
        """All clips beside one another, frame by frame."""
        return [np.concatenate(list(_bytes(frame)), 1) for frame in self.pictures.unbind(1)]


def _bytes(pictures: Float[Tensor, "n h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    return (pictures * 255).round().to(torch.uint8).numpy()


def checked(asked: "Sample") -> None:
    """ValueError for what cannot be made; quick, before anything is loaded."""
    for name, value, most in (("count", asked.count, 64), ("steps", asked.steps, 1000)):
        if not 1 <= value <= most:
            raise ValueError(f"--{name} is {value}; give 1 to {most}")
    if not math.isfinite(asked.guidance_scale) or asked.guidance_scale < 0:
        raise ValueError(f"--guidance-scale is {asked.guidance_scale}; give 0 or more, such as 3")
    for name in asked.pose:
        if _is_file(name) and not Path(name).is_file():
            raise ValueError(
                f"there is no motion {name}; give a preset, or a .bvh, .glb or .npz file"
            )


def _is_file(name: str) -> bool:
    return bool(Path(name).suffix) or "/" in name


def sampled(
    asked: "Sample", report: Report, quick: bool = False, clock: Callable[[], float] = time.time
) -> Sampled:
    """The pictures; number k is the same however many there are. ValueError for bad input."""
    checked(asked)
    read = understood(asked.text)
    shows = asked.domain or read.domain or "rgb"
    view = read.view or View((0.0,))
    reference = None if asked.reference is None else _reference(asked.reference, asked.size)
    report.stage("loading")
    with ThreadPoolExecutor(1) as aside:  # The body loads while the priors do.
        drawn = aside.submit(_poses, asked, view, read)
        ours = Priors.embedded(folder=asked.priors, quick=quick)
        poses = drawn.result()
    prior = by_words(ours, shows)
    size = (1, *([FRAMES] if asked.clip else []), asked.size, asked.size, 3)
    with torch.no_grad():
        shape = prior.encode(torch.zeros(size)).shape
    said = Condition(text=Text((read.caption,)), view=view, reference=reference)
    rng = torch.Generator().manual_seed(asked.seed)
    made: list[Images] = []
    first = 0.0
    report.stage("sampling")
    for k in range(asked.count):
        condition = replace(said, pose=Pose(poses[k : k + 1])) if poses is not None else said
        noise = torch.randn(shape, generator=rng)

        def told(step: int, steps: int, done: int = k) -> None:
            report.step(done * steps + step, asked.count * steps)

        made.append(sample(prior, noise, condition, asked.steps, asked.guidance_scale, told))
        first = first or clock()
    worded = poses is not None and not (asked.pose or asked.clip)
    action = action_of(read.caption) if worded else ""
    return Sampled(read, shows, view, torch.cat(made), first, action)


def by_words(priors: Priors, shows: Shows) -> Denoiser:
    """What follows words in a domain.

    In photos the colours of clothes are stressed.
    """
    match shows:
        case "normal":
            return priors.text_to_normal
        case "depth":
            return priors.text_to_depth
        case "rgb":
            return Stressed(priors.text_to_rgb, _uncolored, LOUDER, UNLED_BELOW)


def _uncolored(condition: Condition) -> Condition:
    text = condition.text
    if text is None:
        return condition
    prompts = tuple(map(undyed, text.prompts))
    return condition if prompts == text.prompts else replace(condition, text=Text(prompts))


def _reference(path: Path, size: int) -> Reference:
    """The photo's middle square, before grey where it is transparent."""
    from PIL import Image, ImageOps

    from incarnate.io.images import read_photo

    photo = read_photo(path)
    rgb = photo.rgb.astype(np.float32) / 255
    if photo.alpha is not None:
        rgb = GREY + photo.alpha[..., None] * (rgb - GREY)
    whole = Image.fromarray(np.round(rgb * 255).astype(np.uint8))
    square = ImageOps.fit(whole, (size, size), Image.Resampling.BOX)
    return Reference(torch.from_numpy(np.asarray(square, np.float32) / 255)[None])


def _poses(asked: "Sample", view: View, read: Reading) -> Float[Tensor, "n *f h w 3"] | None:
    """A drawn skeleton for each picture, or FRAMES for each clip; None if none are asked for."""
    if asked.clip:
        motion = _way(_motions(asked.pose, read.caption))
        drawn = skeletons(*_body(read.caption), motion, view, asked.size, together=True)
        return drawn.expand(asked.count, *drawn.shape)
    if asked.pose:
        motion = _stills(asked.pose, asked.count)
        return skeletons(*_body(read.caption), motion, view, asked.size)
    if asked.skeleton:
        return worded_skeletons(read.caption, range(asked.count), view, asked.size)
    return None


def _motions(names: Sequence[str], caption: str) -> "list[Motion]":
    """What a clip goes through: what is named, or else what the caption says of it."""
    if names:
        return [_moving(name) for name in names]
    action = caption.rpartition(", ")[2]
    if action == "dancing":
        return [_danced(0), _danced(1)]
    return [_moving(ATTITUDES[action])] if action in ATTITUDES else []


def action_of(caption: str) -> str:
    """What the person of a caption in the grammar is doing; standing if it does not say."""
    last = caption.rpartition(", ")[2]
    return last if last in VOCABULARY["action"] else "standing"


def worded_skeletons(
    caption: str, numbers: Sequence[int], view: View, size: int
) -> Float[Tensor, "n h w 3"]:
    """What the caption's action looks like, one for each number.

    Who walks is at another point of the walk in each, and who dances at another step.
    """
    from incarnate.motion import pose_preset, walk_cycle

    match action_of(caption):
        case "walking":
            cycle = walk_cycle(fps=30.0)
            at = [7 * k % len(cycle) for k in numbers]
            motion = _joined([replace(cycle.frames(i, i + 1), fps=1.0) for i in at])
        case "dancing":
            motion = _joined([replace(_danced(k), fps=1.0) for k in numbers])
        case action:
            motion = pose_preset(ATTITUDES[action])
    drawn = skeletons(*_body(caption), motion, view, size)
    return drawn.expand(len(numbers), *drawn.shape[1:])


def _danced(number: int) -> "Motion":
    from incarnate.studio.poses import danced

    return danced(np.random.default_rng([DANCE, number]))


def _body(caption: str) -> "tuple[Anny, Float[Tensor, ' s']]":
    """The embedded body in the shape that the caption tells."""
    body = _embedded()
    betas = body.default_betas()
    for word in caption.split(" with ")[0].split(",")[0].split():
        if word in _BUILDS:
            name, value = _BUILDS[word]
            betas[body.betas_names.index(name)] = value
    return body, betas


@cache
def _embedded() -> "Anny":
    from incarnate.body.anny import Anny

    return Anny.load()


def _moving(name: str) -> "Motion":
    """The motion of a file, or a preset."""
    from incarnate.io.motions import read_motion
    from incarnate.motion import grounded, pose_preset

    if not _is_file(name):
        return pose_preset(name)
    if Path(name).suffix.lower() not in MOTIONS:
        raise ValueError(f"--pose takes presets, .bvh, .glb and .npz files; {name} is none of them")
    return grounded(read_motion(Path(name)))


def _stills(names: Sequence[str], count: int) -> "Motion":
    """One frame for each picture: presets in turn, files spread over their length."""
    motions = [_moving(name) for name in names]
    turns = max(1, -(-count // len(motions)) - 1)
    frames = []
    for k in range(count):
        motion = motions[k % len(motions)]
        at = round(k // len(motions) / turns * (len(motion) - 1))
        frames.append(replace(motion.frames(at, at + 1), fps=1.0))
    return _joined(frames)


def _way(motions: "list[Motion]") -> "Motion":
    """FRAMES frames: some of the only one, the way from one to the next, or a walk."""
    from incarnate.motion import grounded, resampled, walk_cycle

    if not motions:
        return resampled(walk_cycle(fps=30.0), FPS).frames(0, FRAMES)
    if len(motions) == 1 and len(motions[0]) > 1:
        (moving,) = motions
        seconds = (len(moving) - 1) / moving.fps
        fps = FPS if seconds >= (FRAMES - 1) / FPS else (FRAMES - 1) / seconds
        return resampled(moving, fps).frames(0, FRAMES)
    stops = [
        m.frames(0, 1) for m in (motions if len(motions) > 1 else [_moving("stand"), *motions])
    ]
    way = _joined([replace(stop, fps=1.0) for stop in stops])
    return grounded(resampled(way, (FRAMES - 1) / (len(stops) - 1)))


def _joined(frames: "list[Motion]") -> "Motion":
    from incarnate.motion import concatenated

    return reduce(concatenated, frames)


@torch.no_grad()
def skeletons(
    body: "Anny",
    betas: Float[Tensor, " s"],
    motion: "Motion",
    view: View,
    size: int,
    together: bool = False,
) -> Float[Tensor, "f h w 3"]:
    """The skeleton of a person in each frame; `together`: all through one camera."""
    from incarnate.body import retarget
    from incarnate.body.skinning import skin
    from incarnate.cameras import Stance
    from incarnate.motion import SMPLX_JOINTS
    from incarnate.priors.skeleton import drawn

    count = len(motion)
    rest = body.shaped(betas)
    joints = body.joints(rest)
    own = retarget.pose_for(body, motion, joints)
    bones = body.bones(joints.expand(count, -1, -1), own.pose, own.transl)
    skinned = skin(rest.expand(count, -1, -1), body.skin_weights, body.skin_joints, bones)
    places = retarget.smplx_places(body, joints, bones)
    trunk = float(joints[body.smplx_joints["neck"], 1] - joints[body.smplx_joints["pelvis"], 1])
    widest = int((skinned.amax(1) - skinned.amin(1)).amax(-1).argmax())
    pictures = []
    for k in range(count):
        at = widest if together else k
        stance = Stance.of(skinned[at], places[at], trunk)
        camera = stance.camera(view.framings[0], view.azimuths[0], ELEVATION, size, FOV)
        pictures.append(drawn(camera.project(places[k]).numpy(), SMPLX_JOINTS, size, size))
    return torch.from_numpy(np.stack(pictures))
