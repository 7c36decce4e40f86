"""Talking avatars: whose face it is, hands, and an aligner that is foreign to the lips."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from incarnate.evaluate import aligner, driven, reenact, talk
from incarnate.metrics import identity
from incarnate.motion import pose_preset
from incarnate.perception.landmarkers import Perception
from incarnate.speech import say
from incarnate.speech.phonemes import CONSONANTS, VOWELS
from incarnate.studio.scenes import framed
from incarnate.studio.shots import Posed, posed, shot

TEXT = "Bob and Pam moved the purple map."


@pytest.fixture(scope="module")
def view() -> Posed:
    return next(posed(reenact._person("inside-000"), pose_preset("stand")))


@pytest.fixture(scope="module")
def perception():
    with Perception() as networks:
        yield networks


@pytest.mark.skipif(not identity.available(), reason="the extra is not installed")
def test_another_face_is_further_away_and_a_changing_one_varies(
    view: Posed, perception: Perception, tmp_path: Path
):
    lit = talk.reenact.light(np.random.default_rng(0), "studio")
    own = shot(view, framed(view, "head", 0.0, 0.0, 384), lit, reenact._white()).rgb
    Image.fromarray(own).save(tmp_path / "own.png")
    other = np.asarray(Image.fromarray(astronaut()[:256, 96:352]).resize((384, 384)))

    def found(frames: list[np.ndarray]) -> list[float]:
        row = talk._identity(frames, tmp_path / "own.png", perception, [])
        return [figure.value for figure in row]

    same, swapped, mixed = (found(f) for f in ([own] * 2, [other] * 2, [own, other]))
    assert same[0] < 0.3 and swapped[0] > same[0] + 0.3
    assert same[1] == swapped[1] == 0 and mixed[1] > 10


def test_a_hand_is_found_where_it_is_and_a_smeared_one_is_not(view: Posed, perception: Perception):
    camera = reenact._camera(view, 0.0).resized(640, 640)
    lit = talk.reenact.light(np.random.default_rng(0), "studio")
    picture = shot(view, camera, lit, reenact._white()).rgb
    places = torch.from_numpy(view.joints).float()
    boxes = [driven.hand_box(places, side, camera, talk.HAND_ROOM) for side in driven.SIDES]
    seen = [talk.hand_in(picture, box, perception) for box in boxes if box is not None]
    assert len(seen) == 2 and all(one is not None and one[0] > 0.5 for one in seen)
    for one, box in zip(seen, boxes, strict=True):
        assert one is not None and box is not None
        middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
        assert np.abs(one[1].mean(0) - middle).max() < 0.25 * (box[2] - box[0])
    smeared = cv2.GaussianBlur(picture, (0, 0), 12)
    assert all(talk.hand_in(smeared, box, perception) is None for box in boxes if box is not None)


@pytest.mark.skipif(not aligner.available(), reason="pocketsphinx is not installed")
def test_the_other_aligner_hears_lips_where_the_voice_puts_them():
    speech = say(TEXT, seed=1)
    found = aligner.phones(speech.waveform, TEXT)
    theirs = [(start + end) / 2 for symbol, start, end in found if symbol in "MBP"]
    ours = [(p.start + p.end) / 2 for p in speech.phonemes if p.symbol in "mbp"]
    assert len(theirs) == len(ours) == 9
    assert np.median(np.abs(np.subtract(theirs, ours))) < 0.04
    symbols = {p.symbol for p in aligner.phonemes(found)}
    assert {"b", "æ", "m", "p", "ɝ"} <= symbols <= VOWELS | CONSONANTS
    with pytest.raises(ValueError, match="dictionary lacks xyzzyx"):
        aligner.phones(speech.waveform, "xyzzyx")


def test_without_the_other_aligner_its_figures_are_left_out(monkeypatch: pytest.MonkeyPatch):
    speech = say("Bob.", seed=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    notes: list[str] = []
    assert talk._phones(speech, "Bob.", notes) == []
    assert len(notes) == 1 and "pip install pocketsphinx" in notes[0]
