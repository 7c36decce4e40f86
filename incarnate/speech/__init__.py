"""Speech becomes motion.

    speech = say("Hello there.")
    motion = spoken(speech.waveform, speech.phonemes, Speaking("lively"), seed=0)

    phonemes = transcribed(sound_blocks(path))      # Or, from a recording,
    phonemes = aligned(read_sound(path), text)      # or with its transcript.

A long recording goes through `performed` block by block, in constant memory; live sound through
`performed(listened(blocks), at_once=1)`, whose frames wait for LIVE_LOOK_AHEAD seconds of sound.
"""

from incarnate.speech.alignment import aligned
from incarnate.speech.cues import LIVE_LOOK_AHEAD, LOOK_AHEAD, Heard, heard
from incarnate.speech.live import listened
from incarnate.speech.manner import MANNERS, Manner, Style
from incarnate.speech.performance import Speaking, performed, spoken
from incarnate.speech.phonemes import Phoneme
from incarnate.speech.recognition import Listener, hama_loads, recognized, transcribed
from incarnate.speech.synthesis import Speech, say
from incarnate.speech.visemes import MOUTH

__all__ = [
    "LIVE_LOOK_AHEAD",
    "LOOK_AHEAD",
    "MANNERS",
    "MOUTH",
    "Heard",
    "Listener",
    "Manner",
    "Phoneme",
    "Speaking",
    "Speech",
    "Style",
    "aligned",
    "hama_loads",
    "heard",
    "listened",
    "performed",
    "recognized",
    "say",
    "spoken",
    "transcribed",
]
