"""What the viewer writes: pictures, films and exports, in a folder, under names not yet taken."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.exporting import KINDS, MESHES, checked, exported, floor, raised
from incarnate.io.pictures import write_picture
from incarnate.io.soundtrack import add_sound
from incarnate.io.splats import write_splats
from incarnate.io.video import write_video
from incarnate.io.written_motions import ENDINGS
from incarnate.progress import Report
from incarnate.verbs import Export
from incarnate.viewer.looks import Look, drawn
from incarnate.viewer.puppet import Bearing, Puppet
from incarnate.viewer.views import around

EXPORTS = tuple(ending for ending, _, _ in KINDS if ending not in ENDINGS)
TURN_SECONDS, TURN_FPS = 4.0, 30.0


@dataclass(frozen=True, eq=False)
class Studio:
    """Where pictures are taken: of whom, and into which folder."""

    puppet: Puppet
    avatar: Path
    """The avatar's file."""
    folder: Path

    def fresh(self, ending: str) -> Path:
        """A name in the folder that no file has yet."""
        number = 1
        while (path := self.folder / f"{self.avatar.stem}-{number}{ending}").exists():
            number += 1
        return path

    def picture(self, drive: Drive, camera: Camera, look: Look) -> Path:
        """Takes a .png."""
        path = self.fresh(".png")
        write_picture(path, self._drawn(drive, camera, look))
        return path

    def turn(self, drive: Drive, camera: Camera, look: Look, report: Report) -> Path:
        """Films a walk once round the person, from where the camera is."""
        vertices = self.puppet.avatar.player.vertices(drive)
        center = (vertices.amin(0) + vertices.amax(0)) / 2
        count = round(TURN_SECONDS * TURN_FPS)
        path = self.fresh(".mp4")
        angles = torch.linspace(0, 2 * torch.pi, count + 1)[:-1].tolist()
        shots = ((drive, around(camera, center, angle)) for angle in angles)
        write_video(path, self._frames(shots, look, count, report), TURN_FPS)
        return path

    def clip(self, bearing: Bearing, camera: Camera, look: Look, report: Report) -> Path:
        """Films the whole clip of a bearing, with its sound. ValueError if it has none."""
        if bearing.clip is None:
            raise ValueError("choose a motion first")
        clip = self.puppet.clip(bearing.clip)
        count, fps = len(clip.motion), clip.motion.fps
        shots = (
            (self.puppet.drive(replace(bearing, seconds=k / fps)), camera) for k in range(count)
        )
        path = self.fresh(".mp4")
        silent = path if clip.sound is None else path.with_name(f".{path.stem}.{os.getpid()}.mp4")
        try:
            write_video(silent, self._frames(shots, look, count, report), fps)
            if clip.sound is not None:
                add_sound(silent, [clip.sound], path)
        finally:
            if silent != path:
                silent.unlink(missing_ok=True)
        return path

    def export(self, drive: Drive, ending: str, report: Report) -> list[Path]:
        """Writes Gaussians as they stand; or the mesh, a .glb with the clips that came in files."""
        path = self.fresh(ending)
        if ending not in MESHES:
            report.stage("writing")
            avatar = self.puppet.avatar
            write_splats(path, raised(avatar.gaussians(drive), floor(avatar)))
            return [path]
        files = tuple(clip.path for clip in self.puppet.clips if clip.path is not None)
        motions = files if ending == ".glb" else ()
        return exported(checked(Export(self.avatar, path, motion=motions)), report)

    def _frames(
        self, shots: Iterator[tuple[Drive, Camera]], look: Look, count: int, report: Report
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        report.stage("filming")
        for k, (drive, camera) in enumerate(shots):
            yield self._drawn(drive, camera, look)
            report.step(k + 1, count)

    def _drawn(self, drive: Drive, camera: Camera, look: Look) -> UInt8[np.ndarray, "h w 3"]:
        return drawn(self.puppet.avatar.surface, self.puppet.gaussians(drive), camera, look)
