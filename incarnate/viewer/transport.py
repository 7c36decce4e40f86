"""The tab in which motions are played, time-locked to their sound.

viser has no sound of its own, but shows HTML: a player without controls that starts by itself.
Browsers allow that once somebody has clicked on the page, which pressing Play is. What it plays
begins where the clip does, so nothing has to be sought.
"""

import base64
import io
import time
import wave
from threading import Lock
from typing import final

import numpy as np
import viser

from incarnate.audio import Waveform, resampled
from incarnate.viewer.clips import Clip, Clock

HELD = "(none: the pose)"
SOUND_RATE = 24_000  # Hertz: half the bytes of a film's.
TOLD_EVERY = 0.2  # Seconds between moves of the timeline's slider while it plays.


@final
class Transport:
    """Play, pause, seek, speed and loop."""

    def __init__(self, gui: viser.GuiApi, clips: tuple[Clip, ...]) -> None:
        self._clips = {clip.name: clip for clip in clips}
        self._sounds = {
            clip.name: resampled(clip.sound, SOUND_RATE) for clip in clips if clip.sound is not None
        }
        self._lock = Lock()
        self._clock = Clock(1.0)
        self._told = self._last = 0.0
        self._choice = gui.add_dropdown("motion", (HELD, *self._clips), initial_value=HELD)
        self._button = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        self._slider = gui.add_slider("second", 0.0, 1.0, 0.01, 0.0)
        self._speed = gui.add_slider("speed", 0.1, 2.0, 0.05, 1.0)
        self._loop = gui.add_checkbox("loop", True)
        self._sound = gui.add_html("")
        self._choice.on_update(lambda _: self._chosen())
        self._button.on_click(lambda _: self._pressed())
        self._slider.on_update(self._sought)
        self._speed.on_update(lambda _: self._paced())
        self._loop.on_update(lambda _: self._paced())

    def playing(self) -> tuple[str, float] | None:
        """The clip chosen and the seconds into it; None for none."""
        now = time.monotonic()
        with self._lock:
            clip = self._clips.get(self._choice.value)
            if clip is None:
                return None
            if self._clock.ended(now):
                self._set(self._clock.pause(now), now)
            here = self._clock.at(now)
            if self._clock.playing and now - self._told > TOLD_EVERY:
                self._told = now
                self._slider.value = round(here, 2)
                if here < self._last:  # Round again, and so must the sound.
                    self._heard(here)
                self._last = here
            return clip.name, here

    def _chosen(self) -> None:
        now = time.monotonic()
        with self._lock:
            clip = self._clips.get(self._choice.value)
            seconds = 1.0 if clip is None else clip.seconds
            self._slider.max = max(round(seconds, 2), 0.02)
            clock = Clock(seconds, speed=self._speed.value, loop=self._loop.value)
            self._set(clock if clip is None else clock.play(now), now)

    def _pressed(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._choice.value not in self._clips:
                return
            playing = self._clock.playing
            self._set(self._clock.pause(now) if playing else self._clock.play(now), now)

    def _sought(self, event: viser.GuiEvent[viser.GuiSliderHandle[float]]) -> None:
        if event.client is None:  # The clock's own doing.
            return
        now = time.monotonic()
        with self._lock:
            self._set(self._clock.seek(event.target.value, now), now)

    def _paced(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._set(self._clock.paced(self._speed.value, self._loop.value, now), now)

    def _set(self, clock: Clock, now: float) -> None:
        self._clock, self._told = clock, now
        self._last = clock.at(now)
        self._button.label = "Pause" if clock.playing else "Play"
        self._button.icon = viser.Icon.PLAYER_PAUSE if clock.playing else viser.Icon.PLAYER_PLAY
        self._slider.value = round(self._last, 2)
        self._heard(self._last)

    def _heard(self, start: float) -> None:
        sound = self._sounds.get(self._choice.value)
        if sound is not None and self._clock.playing and self._clock.speed == 1:
            self._sound.content = player(sound, start)
        else:
            self._sound.content = ""


def player(sound: Waveform, start: float) -> str:
    """HTML that plays a sound from `start` seconds on as soon as it is there."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sound.sample_rate)
        rest = sound.samples[round(start * sound.sample_rate) :]
        out.writeframes((rest.clip(-1, 1) * 32767).astype(np.int16).tobytes())
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio autoplay src="data:audio/wav;base64,{data}"></audio>'
