"""The tabs in which the avatar is held and looked at. What controls say is read when asked."""

import math
from typing import cast, final, get_args

import viser

from incarnate.avatar import Framing
from incarnate.motion import EXPRESSIONS, parse_expression
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.viewer.looks import ALL_JOINTS, Look, Mode, legend
from incarnate.viewer.puppet import POSE_NAMES, Bearing
from incarnate.viewer.sliders import FACE, POSE
from incarnate.viewer.views import FRAMINGS, SIDES, Side

MOST_YAW, MOST_PITCH = 30.0, 25.0  # Degrees: the eyes' ends.


@final
class PosePanel:
    """A preset, and sliders on top of it."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._preset = gui.add_dropdown("pose", POSE_NAMES, initial_value="stand")
        clear = gui.add_button("All sliders to 0")
        self._sliders: dict[tuple[str, str], viser.GuiInputHandle[float]] = {}
        for group, sliders in POSE.items():
            with gui.add_folder(group, expand_by_default=group == "head"):
                for one in sliders:
                    self._sliders[group, one.name] = gui.add_slider(
                        one.name, float(one.low), float(one.high), 1.0, 0.0
                    )

        clear.on_click(lambda _: self._clear())

    @property
    def preset(self) -> str:
        """The pose's name."""
        return self._preset.value

    def set(self, name: str) -> None:
        """Takes a pose by name, and nothing on top."""
        self._preset.value = name
        self._clear()

    def _clear(self) -> None:
        for slider in self._sliders.values():
            slider.value = 0.0

    def degrees(self) -> dict[tuple[str, str], float]:
        """The sliders that are not at 0."""
        return {key: slider.value for key, slider in self._sliders.items() if slider.value}


@final
class FacePanel:
    """ARKit's weights, presets that set them, and the gaze."""

    def __init__(self, gui: viser.GuiApi) -> None:
        preset = gui.add_dropdown("expression", tuple(EXPRESSIONS), initial_value="neutral")
        self._yaw = gui.add_slider("gaze to their left", -MOST_YAW, MOST_YAW, 1.0, 0.0)
        self._pitch = gui.add_slider("gaze up", -MOST_PITCH, MOST_PITCH, 1.0, 0.0)
        self._sliders: dict[str, viser.GuiInputHandle[float]] = {}
        for group, names in FACE.items():
            with gui.add_folder(group, expand_by_default=False):
                for name in names:
                    self._sliders[name] = gui.add_slider(name, 0.0, 1.0, 0.01, 0.0)

        @preset.on_update
        def _(_: object) -> None:
            weights = parse_expression(preset.value).tolist()
            for name, weight in zip(ARKIT_NAMES, weights, strict=True):
                self._sliders[name].value = round(weight, 4)
            self._yaw.value = self._pitch.value = 0.0

    def weights(self) -> dict[str, float]:
        """The sliders that are not at 0."""
        return {name: slider.value for name, slider in self._sliders.items() if slider.value}

    def gaze(self) -> tuple[float, float]:
        """Degrees to the person's left, and up."""
        return self._yaw.value, self._pitch.value


@final
class LookPanel:
    """What is shown, before which colour, under how much of the photo."""

    def __init__(self, gui: viser.GuiApi, joints: tuple[str, ...], photo: bool) -> None:
        self._mode = gui.add_dropdown("show", get_args(Mode), initial_value="rgb")
        self._joint = gui.add_dropdown("joint", (ALL_JOINTS, *joints), initial_value=ALL_JOINTS)
        self._joint.visible = False
        self._legend = gui.add_markdown("")
        self._ours = gui.add_checkbox(
            "drawn by incarnate", False, hint="The picture that `incarnate render` makes"
        )
        self._background = gui.add_rgb("background", (232, 232, 232))
        hint = None if photo else "Start the viewer with --photo FILE"
        with gui.add_folder("photo overlay", expand_by_default=photo):
            self._overlay = gui.add_checkbox("photo", False, disabled=not photo, hint=hint)
            self._wipe = gui.add_slider("wipe", 0.0, 1.0, 0.01, 0.5, disabled=not photo)
            self._opacity = gui.add_slider("opacity", 0.0, 1.0, 0.01, 1.0, disabled=not photo)
            self.back = gui.add_button("Into the photo: its pose and camera")

        @self._mode.on_update
        @self._joint.on_update
        def _(_: object) -> None:
            self._joint.visible = self._mode.value == "weights"
            self._legend.content = legend(self.look())

    def look(self) -> Look:
        """What is shown."""
        mode, (red, green, blue) = self._mode.value, self._background.value
        return Look(cast(Mode, mode), self._joint.value, (red, green, blue), self._ours.value)

    def wipe(self) -> tuple[float, float] | None:
        """How far the photo reaches, and how opaque it is; None if it is not laid over."""
        return (self._wipe.value, self._opacity.value) if self._overlay.value else None


@final
class CameraPanel:
    """Places to look from."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self.sides = gui.add_button_group("from", tuple(SIDES))
        self.framings = gui.add_button_group("framing", FRAMINGS)
        self._turning = gui.add_checkbox("turntable", False)
        self._seconds = gui.add_slider("seconds a turn", 2.0, 30.0, 0.5, 8.0)

    def chosen(self) -> tuple[Framing, Side]:
        """The framing and side that were pressed last."""
        return cast(Framing, self.framings.value), cast(Side, self.sides.value)

    def pace(self) -> float:
        """Radians a second of the turntable; 0 while it stands."""
        return 2 * math.pi / self._seconds.value if self._turning.value else 0.0


def bearing(pose: PosePanel, face: FacePanel, playing: tuple[str, float] | None) -> Bearing:
    """How the panels want the avatar held; `playing` is a clip and the seconds into it."""
    yaw, pitch = face.gaze()
    clip, seconds = playing or (None, 0.0)
    return Bearing(pose.preset, pose.degrees(), face.weights(), yaw, pitch, clip, seconds)
