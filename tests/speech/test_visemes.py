from functools import cache
from importlib.resources import files

import numpy as np
import pytest
import torch

from incarnate.body.anny import Anny
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.speech.phonemes import CONSONANTS, VOWELS, Phoneme, sounds, split
from incarnate.speech.visemes import (
    ARTICULATORS,
    REACH,
    TARGETS,
    articulation,
    dominances,
    face_weights,
)

JAW, SEAL = ARTICULATORS.index("jaw"), ARTICULATORS.index("seal")


@cache
def _body():
    body = Anny.load()
    with (files("incarnate") / "assets/body/landmarks.npz").open("rb") as stream:
        table = np.load(stream)
        corners = body.faces[torch.from_numpy(table["faces"]).long()]
        shares = torch.from_numpy(table["barycentrics"])
    return body, body.shaped(body.default_betas()), corners, shares


def landmarks(weights) -> np.ndarray:
    """MediaPipe's 478 points on the average body, metres."""
    body, rest, corners, shares = _body()
    posed = body.express(rest, torch.as_tensor(weights, dtype=torch.float32))
    return (posed[corners] * shares[..., None]).sum(1).numpy()


def gap(weights) -> float:
    """Between the inner lips' middles, in distances of the eyes' outer corners."""
    points = landmarks(weights)
    return float((points[13] - points[14])[1] / np.linalg.norm(points[33] - points[263]))


def width(weights) -> float:
    points = landmarks(weights)
    return float(np.linalg.norm(points[61] - points[291]))


CLOSED = gap(np.zeros(52))
"""Closed lips' own gap: landmarks 13 and 14 lie a little above and below the line they meet in."""


def said(*symbols: str, each: float = 0.09) -> list[Phoneme]:
    return [Phoneme(s, k * each, (k + 1) * each) for k, s in enumerate(symbols)]


def middle(phonemes: list[Phoneme], place: int, opening: float = 1.0) -> np.ndarray:
    one = phonemes[place]
    return face_weights(articulation(phonemes, (one.start + one.end) / 2), opening)


def test_every_sound_has_a_mouth():
    assert set(TARGETS) == VOWELS | CONSONANTS


def test_two_sounds_share_an_articulator_by_their_dominances():
    first, second = Phoneme("ɑ", 0.0, 0.1), Phoneme("i", 0.1, 0.2)
    # By hand: a jaw's width is 0.05 + 0.035 s, each sound's middle 0.05 s from 0.1, the window 1.
    fall = np.exp(-((0.05 / 0.085) ** 2))
    a, b = TARGETS["ɑ"], TARGETS["i"]
    share = fall * (a.strength * a.jaw + b.strength * b.jaw)
    wanted = share / (0.12 + fall * (a.strength + b.strength))
    assert articulation([first, second], 0.1)[JAW] == pytest.approx(wanted)


def test_a_sound_reaches_no_further_than_it_may():
    one = Phoneme("m", 1.0, 1.1)
    assert not dominances([one], 1.0 - REACH - 1e-9).any()
    assert not dominances([one], 1.1 + REACH + 1e-9).any()
    assert dominances([one], 1.0 - REACH + 1e-3).any()


def test_dominance_has_no_step():
    one = Phoneme("p", 1.0, 1.06)
    at = np.arange(0.8, 1.3, 0.001)
    curve = np.stack([dominances([one], t) for t in at])
    assert np.abs(np.diff(curve, axis=0)).max() < 0.03 * curve.max()


@pytest.mark.parametrize("closure", list("mbp"))
@pytest.mark.parametrize("vowel", list("ɑæouiə"))
@pytest.mark.parametrize("loud", [0.7, 1.4])
def test_lips_close_between_any_vowels(closure, vowel, loud):
    phonemes = said(vowel, closure, vowel, each=0.07)
    assert gap(middle(phonemes, 1, loud)) < CLOSED + 0.005


@pytest.mark.parametrize("vowel", list("ɑæaɔɛ"))
def test_lips_part_on_open_vowels_between_closures(vowel):
    phonemes = said("b", vowel, "b", each=0.1)
    assert gap(middle(phonemes, 1)) > CLOSED + 0.04


def test_o_u_w_narrow_the_mouth_and_i_widens_it():
    rest = width(np.zeros(52))
    for symbol in "ouw":
        assert width(middle(said("t", symbol, "t"), 1)) < 0.95 * rest
    assert width(middle(said("t", "i", "t"), 1)) > 1.03 * rest


def test_rounding_begins_before_the_vowel():
    pucker = ARKIT_NAMES.index("mouthPucker")
    assert middle(said("t", "u"), 0)[pucker] > 2 * middle(said("t", "i"), 0)[pucker] + 0.1


@pytest.mark.parametrize("symbol", list("fv"))
def test_the_lower_lip_goes_under_the_upper_teeth(symbol):
    body, rest, *_ = _body()
    weights = torch.from_numpy(middle(said("ɑ", symbol, "ɑ"), 1)).float()
    lips = landmarks(weights)
    still = landmarks(np.zeros(52))
    # Points of the lower lip's inner edge draw back against those of the upper one.
    assert lips[14, 2] - still[14, 2] < lips[13, 2] - still[13, 2] + 1e-4
    assert gap(weights) < CLOSED + 0.05


def test_silence_rests():
    assert not articulation([], 0.0).any()
    assert not face_weights(np.zeros(len(ARTICULATORS))).any()


def test_letters_of_others_become_our_sounds():
    assert sounds("A") == ("e", "ɪ")
    assert sounds("d͡ʒ") == ("d", "ʒ")
    assert sounds("kʰ") == ("k",)
    assert sounds("ˈ") == ()


def test_a_diphthong_is_two_sounds_that_fill_its_time():
    first, second = split(("a", "ɪ"), 1.0, 1.2, 1.0)
    assert (first.symbol, second.symbol) == ("a", "ɪ")
    assert (first.start, first.end, second.end) == (1.0, second.start, 1.2)
    assert (first.stress, second.stress) == (1.0, 0.0)
