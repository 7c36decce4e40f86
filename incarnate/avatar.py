"""The avatar that users hold: made from a photo, posed, rendered, animated, saved."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from incarnate.audio import Waveform
from incarnate.avatars.garments import LABELS
from incarnate.avatars.mouth import closing
from incarnate.avatars.playback import Player
from incarnate.avatars.surface import Discs, Drive, SurfaceAvatar, dense_weights
from incarnate.body.anny import Anny
from incarnate.body.retarget import pose_for
from incarnate.cameras import Camera, orbit
from incarnate.io.container import Meta, pack, unpack
from incarnate.motion import Motion, parse_expression, pose_preset
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.progress import Report, Silent
from incarnate.render.view import View
from incarnate.scene import Gaussians
from incarnate.speech import MOUTH, Phoneme, Speaking, spoken

Framing = Literal["full", "upper", "head"]
FRAMES_AT_ONCE = 64  # Retargeted together: enough to be quick, few enough to keep memory flat.


@final
@dataclass(frozen=True, eq=False)
class Avatar:
    """A person as Gaussians on a body that moves."""

    surface: SurfaceAvatar
    photo: Drive
    """The pose and expression of the photo it was made from."""
    camera: Camera
    """The photo's camera, at the size the avatar was fitted at."""
    meta: Meta
    """How it was made: method, settings, warnings, figures."""
    surroundings: UInt8[Tensor, " bytes"] | None = None
    """The photo without its person, as `incarnate.perception.surroundings` keeps it."""

    @classmethod
    def from_photo(
        cls,
        photo: Path,
        quality: Literal["tiny", "draft", "normal", "high"] = "normal",
        person: int | None = None,
        seed: int = 0,
        matting_model: Path | None = None,
        report: Report | None = None,
    ) -> "Avatar":
        """The avatar of the person in a photo; of the largest one, unless `person` is given.

        Raises ValueError if the photo cannot be read or shows nobody who can be made into one.
        """
        from incarnate.create import with_photo

        return with_photo(photo, quality, person, seed, matting_model, report or Silent())[0]

    @cached_property
    def player(self) -> Player:
        """What draws it: the surface must not change once this has been asked for."""
        return Player(self.surface)

    def drives(self, motion: Motion) -> Iterator[Drive]:
        """A motion as drives of this avatar, frame by frame.

        Expressions come on top of the photo's own: a smile in the photo is this face's rest.
        """
        body = self.surface.body
        for start in range(0, len(motion), FRAMES_AT_ONCE):
            part = motion.frames(start, min(start + FRAMES_AT_ONCE, len(motion)))
            posed = pose_for(body, part, self.surface.joints)
            expressions = (posed.expression + self.photo.expression).clamp(0, 1)
            for frame in zip(expressions, posed.pose, posed.transl, strict=True):
                yield Drive(*frame)

    def posed(self, pose: str = "stand", expression: str = "neutral") -> Drive:
        """A preset pose and expression; `photo` as pose is the pose of the photo.

        Raises ValueError, naming what there is, if there is no such preset.
        """
        face = parse_expression(expression)
        if pose == "photo":
            own = self.surface.body.arkit(face) + self.photo.expression
            return replace(self.photo, expression=own.clamp(0, 1))
        return next(self.drives(pose_preset(pose).with_expression(face[None])))

    def speaking(self) -> "Avatar":
        """The same person without what their mouth does in the photo: a held smile would keep the
        lips apart where speech closes them. What it opened, though it passes for the mouth's shape,
        is closed."""
        expression = self.photo.expression.clone()
        expression[list(MOUTH)] = 0
        rest = self.surface.rest + self.surface.vertex_offsets
        weights = torch.zeros(len(ARKIT_NAMES))
        weights[ARKIT_NAMES.index("mouthClose")] = closing(self.surface.body, rest)
        expression = expression + self.surface.body.arkit(weights)
        return replace(self, photo=replace(self.photo, expression=expression))

    def talk(
        self,
        waveform: Waveform,
        phonemes: Sequence[Phoneme],
        config: Speaking | None = None,
        seed: int = 0,
        camera: Camera | None = None,
        background: Float[Tensor, "3"] | None = None,
    ) -> Iterator[View]:
        """Pictures of the person saying this, frame by frame; see `incarnate.speech`."""
        motion = spoken(waveform, phonemes, config or Speaking(), seed)
        return self.speaking().animate(motion, camera, background)

    def gaussians(self, drive: Drive) -> Gaussians:
        """The avatar in the world."""
        return self.player.gaussians(drive)

    def subject(
        self, drive: Drive, framing: Framing = "full"
    ) -> tuple[Float[Tensor, "3"], Float[Tensor, "2"]]:
        """What a framing shows of the person as `drive` puts them: its middle, metres across and
        up."""
        vertices = self.player.vertices(drive)
        low, high = vertices.amin(0), vertices.amax(0)
        if framing == "full":
            size = high - low
            return (low + high) / 2, torch.stack([size[0].maximum(size[2]), size[1]])
        head = vertices[self.surface.body.region("head") > 0.5]
        center, size = (head.amin(0) + head.amax(0)) / 2, head.amax(0) - head.amin(0)
        tall = size[1]
        if framing == "upper":
            down = torch.stack([tall * 0, tall * 0.9, tall * 0])
            return center - down, torch.stack([tall * 2.6, tall * 3.2])
        return center, torch.stack([tall * 1.1, tall * 1.25])

    def framed(
        self,
        drive: Drive,
        framing: Framing = "full",
        azimuth: float = 0.0,
        elevation: float = 0.0,
        width: int = 768,
        height: int = 1024,
    ) -> Camera:
        """A camera on the person as `drive` puts them; angles in radians, 0 looks at the face."""
        center, span = self.subject(drive, framing)
        extent = max(
            span[1].item() * min(1, width / height), span[0].item() * min(1, height / width)
        )
        return orbit(center, 1.12 * extent, azimuth, elevation, width, height)

    def render(
        self,
        drive: Drive | None = None,
        camera: Camera | None = None,
        background: Float[Tensor, "3"] | None = None,
    ) -> View:
        """One picture: standing, seen from the front, over black, unless told otherwise."""
        drive = self.posed() if drive is None else drive
        camera = self.framed(drive) if camera is None else camera
        return self.player.view(drive, camera, background)

    def animate(
        self,
        motion: Motion,
        camera: Camera | None = None,
        background: Float[Tensor, "3"] | None = None,
    ) -> Iterator[View]:
        """Pictures of a motion, frame by frame, in constant memory."""
        for drive in self.drives(motion):
            camera = self.framed(drive) if camera is None else camera
            yield self.render(drive, camera, background)

    def save(self, path: Path) -> None:
        """Writes the avatar file, whole or not at all."""
        surface, discs = self.surface, self.surface.discs
        extra = surface.weights - dense_weights(surface.body)
        index = extra.abs().amax(1).nonzero()[:, 0]
        tensors = {
            "betas": surface.betas,
            "vertex_offsets": surface.vertex_offsets,
            "hung_vertices": index.int(),
            "hung_weights": surface.weights[index],
            "faces": discs.faces.int(),
            "barycentrics": discs.barycentrics,
            "offsets": discs.offsets,
            "spins": discs.spins,
            "log_scales": discs.log_scales,
            "logit_opacities": discs.logit_opacities,
            "colors": discs.colors,
            "labels": discs.labels.to(torch.uint8),
            "photo_expression": self.photo.expression,
            "photo_pose": self.photo.pose,
            "photo_transl": self.photo.transl,
            "photo_world_to_camera": self.camera.world_to_camera,
            "photo_intrinsics": self.camera.intrinsics,
        }
        if self.surroundings is not None:
            tensors["surroundings"] = self.surroundings
        meta = self.meta | {
            "body": surface.body.name,
            "licenses": {"body": surface.body.license},
            "labels": list(LABELS),
            "arkit": list(ARKIT_NAMES),
            "photo_size": [self.camera.width, self.camera.height],
            "incarnate": version("incarnate"),
        }
        pack(path, meta, {name: t.contiguous() for name, t in tensors.items()}, self._preview())

    @classmethod
    def load(cls, path: Path) -> "Avatar":
        """Reads an avatar file.

        Raises OSError if there is none, ValueError if it is foreign, damaged or newer than this.
        """
        meta, tensors = unpack(path)
        try:
            return _unpacked(meta, tensors)
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is damaged ({error}); make the avatar again") from error

    def _preview(self) -> bytes:
        drive = self.posed()
        camera = self.framed(drive, width=384, height=512)
        rgb = self.render(drive, camera, torch.full((3,), 0.91)).rgb
        file = io.BytesIO()
        pixels = (rgb.clamp(0, 1).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def _unpacked(meta: Meta, tensors: dict[str, Tensor]) -> Avatar:
    body = Anny.load()
    if meta.get("body") != body.name:
        raise ValueError(f"the avatar's body is {meta.get('body')!r}, this version has {body.name}")
    weights = dense_weights(body)
    weights[tensors["hung_vertices"].long()] = tensors["hung_weights"].float()
    discs = Discs(
        tensors["faces"].long(),
        tensors["barycentrics"].float(),
        tensors["offsets"].float(),
        tensors["spins"].float(),
        tensors["log_scales"].float(),
        tensors["logit_opacities"].float(),
        tensors["colors"].float(),
        tensors["labels"].long(),
    )
    if len(discs.faces) and int(discs.faces.max()) >= len(body.faces):
        raise KeyError("a Gaussian sits on a triangle that the body does not have")
    surface = SurfaceAvatar(body, tensors["betas"], tensors["vertex_offsets"], weights, discs)
    width, height = meta["photo_size"]
    camera = Camera(tensors["photo_world_to_camera"], tensors["photo_intrinsics"], width, height)
    photo = Drive(tensors["photo_expression"], tensors["photo_pose"], tensors["photo_transl"])
    return Avatar(surface, photo, camera, meta, tensors.get("surroundings"))
