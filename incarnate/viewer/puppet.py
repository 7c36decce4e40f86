"""An avatar held by sliders and clips: what they say becomes a drive, and that Gaussians."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from typing import final

from incarnate.avatar import FRAMES_AT_ONCE, Avatar
from incarnate.avatars.surface import Drive
from incarnate.body.retarget import Posed, motion_from
from incarnate.motion import POSES, Motion, grounded, pose_preset
from incarnate.scene import Gaussians
from incarnate.viewer.clips import Clip
from incarnate.viewer.sliders import faced, turned

OWN_POSE = "photo"
POSE_NAMES = (OWN_POSE, *POSES)
BLOCKS = 64  # Kept, of FRAMES_AT_ONCE drives each: two minutes, 20 MB.


@dataclass(frozen=True)
class Bearing:
    """How the avatar is to be held."""

    pose: str = "stand"
    """One of POSE_NAMES, while no clip plays."""
    degrees: dict[tuple[str, str], float] = field(default_factory=dict)
    """Pose sliders by group and name, on top of pose or clip."""
    weights: dict[str, float] = field(default_factory=dict)
    """ARKit weights, on top of the clip's."""
    yaw: float = 0.0
    pitch: float = 0.0
    """Degrees of gaze: to the person's left, and up."""
    clip: str | None = None
    seconds: float = 0.0
    """Into the clip."""


@final
@dataclass(frozen=True, eq=False)
class Puppet:
    """An avatar and the clips it can play."""

    avatar: Avatar
    clips: tuple[Clip, ...] = ()

    @cached_property
    def _speaking(self) -> Avatar:
        return self.avatar.speaking()

    @cached_property
    def _own(self) -> tuple[Motion, Drive]:
        """The photo's pose as a motion, for sliders to turn, and what is left of it as a drive.

        What only this body has, such as a twist of one half of a limb, is lost between the two.
        """
        surface, photo = self.avatar.surface, self.avatar.photo
        posed = Posed(photo.pose[None], photo.expression[None], photo.transl[None])
        motion = motion_from(surface.body, posed, joints=surface.joints)
        return motion, next(self.avatar.drives(motion))

    def clip(self, name: str) -> Clip:
        """The clip of that name. ValueError for another."""
        for clip in self.clips:
            if clip.name == name:
                return clip
        raise ValueError(f"no clip is called {name!r}; there are {[c.name for c in self.clips]}")

    def motion(self, bearing: Bearing) -> Motion:
        """The one frame that a bearing asks for. ValueError for a pose or clip that is not."""
        face = faced(bearing.weights, bearing.yaw, bearing.pitch)
        moved = any(bearing.degrees.values())
        if bearing.clip is not None:
            frame = self.clip(bearing.clip).frame(bearing.seconds)
            face = (frame.expression[0] + face).clamp(0, 1)
        else:
            frame = self._own[0] if bearing.pose == OWN_POSE else _preset(bearing.pose)
        frame = turned(frame, bearing.degrees) if moved else frame
        if moved and bearing.clip is None and bearing.pose != OWN_POSE:
            frame = grounded(frame)
        return frame.with_expression(face[None])

    def drive(self, bearing: Bearing) -> Drive:
        """What moves the avatar so."""
        plain = not (any(bearing.degrees.values()) or any(bearing.weights.values()))
        if bearing.clip is not None and plain and not (bearing.yaw or bearing.pitch):
            index = self.clip(bearing.clip).index(bearing.seconds)
            return self._block(bearing.clip, index // FRAMES_AT_ONCE)[index % FRAMES_AT_ONCE]
        motion = self.motion(bearing)
        if bearing.clip is None and bearing.pose == OWN_POSE:
            return self._turned_photo(motion, any(bearing.degrees.values()))
        speaks = bearing.clip is not None and self.clip(bearing.clip).speaks
        return next(self._player(speaks).drives(motion))

    @cached_property
    def _block(self) -> Callable[[str, int], list[Drive]]:
        """Drives of a clip, so many frames at once: one alone costs nearly as much."""

        @lru_cache(BLOCKS)
        def block(name: str, number: int) -> list[Drive]:
            clip = self.clip(name)
            start = number * FRAMES_AT_ONCE
            motion = clip.motion.frames(start, min(start + FRAMES_AT_ONCE, len(clip.motion)))
            return list(self._player(clip.speaks).drives(motion))

        return block

    def _player(self, speaks: bool) -> Avatar:
        return self._speaking if speaks else self.avatar

    def _turned_photo(self, motion: Motion, moved: bool) -> Drive:
        """The photo's own pose, to the last bit unless sliders turned `motion` from it."""
        photo, face = self.avatar.photo, self.avatar.surface.body.arkit(motion.expression[0])
        held = replace(photo, expression=(photo.expression + face).clamp(0, 1))
        if not moved:
            return held
        before, after = self._own[1], next(self.avatar.drives(motion))
        pose = photo.pose @ before.pose.mT @ after.pose
        return replace(held, pose=pose, transl=photo.transl + after.transl - before.transl)

    def gaussians(self, drive: Drive) -> Gaussians:
        """The avatar in the world."""
        return self.avatar.player.gaussians(drive)


@cache
def _preset(name: str) -> Motion:
    return pose_preset(name)
