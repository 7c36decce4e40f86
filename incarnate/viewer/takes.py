"""What the viewer writes: pictures, films and exports, in a folder, under names not yet taken."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count as upwards
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from incarnate.avatars.surface import Drive
from incarnate.cameras import Camera
from incarnate.exporting import CLIPS, KINDS, MESHES, PAGE, checked, exported
from incarnate.figures import floor, raised
from incarnate.io.pictures import write_picture
from incarnate.io.provenance import Origin, credited
from incarnate.io.soundtrack import sounding
from incarnate.io.splats import write_splats
from incarnate.io.video import write_video
from incarnate.io.written_motions import ENDINGS
from incarnate.origins import marker, of_avatar
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
    provenance: bool = True
    """Whether files say where they come from: content credentials and a watermark."""
    fps: float = 30.0
    seed: int = 0
    """With which files of motion were read, and are read again for exports."""

    def fresh(self, ending: str) -> Path:
        """A name in the folder that no file has yet, whatever its ending."""
        taken = {path.name.split(".")[0] for path in self.folder.iterdir()}
        name = self.avatar.stem.split(".")[0]
        number = next(k for k in upwards(1) if f"{name}-{k}" not in taken)
        return self.folder / f"{name}-{number}{ending}"

    def picture(self, drive: Drive, camera: Camera, look: Look, report: Report) -> Path:
        """Takes a .png."""
        path, origin = self.fresh(".png"), self._origin()
        with credited(path, origin, report) as output:
            write_picture(output, marker(origin)(self._drawn(drive, camera, look)))
        return path

    def turn(self, drive: Drive, camera: Camera, look: Look, report: Report) -> Path:
        """Films a walk once round the person, from where the camera is."""
        vertices = self.puppet.avatar.player.vertices(drive)
        center = (vertices.amin(0) + vertices.amax(0)) / 2
        count = round(TURN_SECONDS * TURN_FPS)
        path = self.fresh(".mp4")
        angles = torch.linspace(0, 2 * torch.pi, count + 1)[:-1].tolist()
        shots = ((drive, around(camera, center, angle)) for angle in angles)
        origin = self._origin()
        with credited(path, origin, report) as output:
            frames = map(marker(origin), self._frames(shots, look, count, report))
            write_video(output, frames, TURN_FPS)
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
        path, origin = self.fresh(".mp4"), self._origin()
        with credited(path, origin, report) as output:
            frames = map(marker(origin), self._frames(shots, look, count, report))
            with sounding(output, clip.sound and [clip.sound]) as film:
                write_video(film, frames, fps)
        return path

    def export(self, drive: Drive, ending: str, report: Report) -> list[Path]:
        """Writes Gaussians as they stand; or mesh or page, with the clips that came in files."""
        path = self.fresh(ending)
        with credited(path, self._origin(), report) as output:
            written = self._exported(drive, output, report)
        return [path.with_name(one.name) for one in written]

    def _exported(self, drive: Drive, path: Path, report: Report) -> list[Path]:
        ending = path.suffix
        if ending not in (*MESHES, PAGE):
            report.stage("writing")
            avatar = self.puppet.avatar
            write_splats(path, raised(avatar.gaussians(drive), floor(avatar)))
            return [path]
        files = tuple(clip.path for clip in self.puppet.clips if clip.path is not None)
        motions = files if ending in CLIPS else ()
        wanted = Export(self.avatar, path, motion=motions, fps=self.fps, seed=self.seed)
        return exported(checked(wanted), report)

    def _origin(self) -> Origin | None:
        return of_avatar(self.avatar, "view", None) if self.provenance else None

    def _frames(
        self, shots: Iterator[tuple[Drive, Camera]], look: Look, count: int, report: Report
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        report.stage("filming")
        for k, (drive, camera) in enumerate(shots):
            yield self._drawn(drive, camera, look)
            report.step(k + 1, count)

    def _drawn(self, drive: Drive, camera: Camera, look: Look) -> UInt8[np.ndarray, "h w 3"]:
        return drawn(self.puppet.avatar.surface, self.puppet.gaussians(drive), camera, look)
