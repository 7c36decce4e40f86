"""What is said is found again: in the voice's own speech, whose sounds and times are known."""

from difflib import SequenceMatcher
from functools import cache

import numpy as np
import pytest

from incarnate.audio import SPEECH_RATE, Waveform, resampled
from incarnate.evaluate import aligner
from incarnate.speech import (
    Phoneme,
    Speech,
    aligned,
    recognition,
    recognized,
    say,
    transcribed,
)
from incarnate.speech.alignment import ctc_path
from incarnate.speech.phonemes import VOWELS

TEXT = "My mother bought five big puppies before Bob moved."


@cache
def speech() -> Speech:
    spoken = say(TEXT)
    return Speech(resampled(spoken.waveform, SPEECH_RATE), spoken.phonemes)


def blocks(sound: Waveform, size: int = 4000):
    for k in range(0, len(sound.samples), size):
        yield Waveform(sound.samples[k : k + size], SPEECH_RATE)


def errors(found: tuple[Phoneme, ...], wanted: tuple[Phoneme, ...]) -> np.ndarray:
    """Seconds by which sounds that both have in common begin later in `found`."""
    pair = [p.symbol for p in found], [p.symbol for p in wanted]
    return np.array(
        [
            found[m.a + k].start - wanted[m.b + k].start
            for m in SequenceMatcher(None, *pair, autojunk=False).get_matching_blocks()
            for k in range(m.size)
        ]
    )


@cache
def oracle() -> tuple[Phoneme, ...]:
    """pocketsphinx' times of the sounds of the sentence."""
    return tuple(aligner.phonemes(aligner.phones(speech().waveform, TEXT)))


def test_the_voice_knows_when_it_says_what():
    late = errors(speech().phonemes, oracle())
    # The network counts in steps of 25 ms.
    assert len(late) >= 20
    assert abs(np.median(late)) < 0.02
    assert np.percentile(np.abs(late), 90) < 0.05


def test_the_same_words_and_seed_are_the_same_samples():
    one, other = say("Good morning."), say("Good morning.", seed=1)
    assert np.array_equal(one.waveform.samples, say("Good morning.").waveform.samples)
    assert not np.array_equal(one.waveform.samples, other.waveform.samples)
    assert one.phonemes == other.phonemes


def test_sentences_follow_one_another():
    both = say("Hello there. Hello there.")
    half = say("Hello there.")
    count = len(half.phonemes)
    assert [p.symbol for p in both.phonemes] == 2 * [p.symbol for p in half.phonemes]
    shift = half.waveform.seconds
    assert both.phonemes[count].start == pytest.approx(half.phonemes[0].start + shift)


@pytest.mark.parametrize("text", ["", "  \n", "?!...", "你好", "hello мир", "a\x07b"])
def test_what_cannot_be_read_out_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="nothing to say|cannot read") as caught:
        say(text)
    assert "\n" not in str(caught.value)


def test_a_pace_out_of_range_is_refused():
    with pytest.raises(ValueError, match="0.5 to 2"):
        say("Hello.", speed=3.0)


def test_a_transcript_is_laid_onto_its_sound():
    found = aligned(speech().waveform, TEXT)
    assert [p.symbol for p in found] == [p.symbol for p in speech().phonemes]
    late = errors(found, oracle())
    assert abs(np.median(late)) < 0.02
    assert np.percentile(np.abs(late), 90) < 0.07


def test_sounds_are_recognised_in_time():
    found = transcribed(blocks(speech().waveform))
    late = errors(found, speech().phonemes)
    assert len(late) > 0.75 * len(speech().phonemes)
    assert abs(np.median(late)) < 0.03
    assert np.percentile(np.abs(late), 80) < 0.06


@pytest.mark.parametrize("size", [1000, 100_000])
def test_recognition_does_not_depend_on_how_the_sound_is_cut(size):
    whole = transcribed(blocks(speech().waveform))
    assert transcribed(blocks(speech().waveform, size)) == whole


def test_loudness_alone_finds_the_syllables():
    found = transcribed(blocks(speech().waveform), "loudness")
    vowels = [p for p in found if p.symbol in VOWELS]
    real = [p for p in speech().phonemes if p.symbol in VOWELS and p.stress is not None]
    hit = [any(v.start - 0.05 < (p.start + p.end) / 2 < v.end + 0.05 for v in vowels) for p in real]
    assert np.mean(hit) > 0.7


def test_hama_without_a_library_is_refused_aloud(monkeypatch):
    monkeypatch.setattr(recognition, "hama_loads", lambda: False)
    with pytest.raises(ValueError, match="no library for this machine.*loudness"):
        list(recognized(blocks(speech().waveform)))


@pytest.mark.parametrize("listener", ["hama", "loudness"])
def test_no_speech_is_refused_unless_allowed(listener):
    quiet = Waveform(np.zeros(3 * SPEECH_RATE, np.float32), SPEECH_RATE)
    with pytest.raises(ValueError, match="no speech was found"):
        transcribed([quiet], listener)
    assert transcribed([quiet], listener, allow_silence=True) == ()


def test_a_text_too_long_for_its_sound_is_refused():
    with pytest.raises(ValueError, match="too many for"):
        aligned(Waveform(speech().waveform.samples[:8000], SPEECH_RATE), TEXT)


def test_the_best_path_is_the_best_of_all_paths():
    """Against every way of placing two units on six frames, with or without silence between."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        lattice = np.log(rng.dirichlet(np.ones(3), 6)).astype(np.float32)
        best, first = -np.inf, None
        for a, b, c, d in np.ndindex(6, 6, 6, 6):
            if a <= b < c <= d:
                named = np.zeros(6, int)
                named[a : b + 1], named[c : d + 1] = 1, 2
                score = lattice[np.arange(6), named].sum()
                if score > best:
                    best, first = score, (a, c)
        assert tuple(ctc_path(lattice)) == first
