"""Facts of a performance, most of them on a minute of made-up speech whose sounds are known."""

from functools import cache

import numpy as np
import pytest
import roma
import torch

from incarnate.audio import SPEECH_RATE, Waveform
from incarnate.body.anny import Anny
from incarnate.body.retarget import pose_for
from incarnate.motion.arkit import ARKIT_NAMES
from incarnate.motion.motion import Motion
from incarnate.motion.skeleton import INDEX, positions
from incarnate.speech import LOOK_AHEAD, Heard, Phoneme, Speaking, Style, heard, performed, spoken
from incarnate.speech.phonemes import VOWELS

BLINK = ARKIT_NAMES.index("eyeBlinkLeft")


@cache
def talk(seconds: float = 60.0) -> tuple[Waveform, tuple[Phoneme, ...]]:
    """Phrases of syllables with pauses between: buzzing vowels at 120 Hz, quiet consonants."""
    rng = np.random.default_rng(7)
    samples = 1e-4 * rng.standard_normal(round(seconds * SPEECH_RATE)).astype(np.float32)
    phonemes: list[Phoneme] = []
    now = 0.3
    while now < seconds - 4:
        for _ in range(rng.integers(6, 14)):
            consonant, vowel = rng.choice(list("mbpfvtdnlskwɹ")), rng.choice(list("ɑiuoɛæəʌ"))
            long = 0.10 + 0.12 * rng.random()
            stress = float(rng.random() < 0.4)
            phonemes.append(Phoneme(consonant, now, now + 0.07))
            phonemes.append(Phoneme(vowel, now + 0.07, now + 0.07 + long, stress))
            at = np.arange(round(long * SPEECH_RATE)) / SPEECH_RATE
            buzz = (np.sin(2 * np.pi * (120 + 30 * stress) * at) * (0.1 + 0.1 * stress)).astype(
                np.float32
            )
            start = round((now + 0.07) * SPEECH_RATE)
            samples[start : start + len(buzz)] += buzz * np.hanning(len(buzz)).astype(np.float32)
            now += 0.07 + long
        now += 0.3 + 0.9 * rng.random()
    return Waveform(samples, SPEECH_RATE), tuple(phonemes)


@cache
def motion(style: Style = "calm", seed: int = 0, fps: float = 30.0) -> Motion:
    return spoken(*talk(), Speaking(style, fps), seed)


def test_a_performance_lasts_as_long_as_the_sound():
    sound = Waveform(talk()[0].samples[:24010], SPEECH_RATE)
    assert len(motion()) == 1800
    for fps in (25.0, 30.0):  # A frame for every beginning of 1 / fps.
        assert len(spoken(sound, talk()[1], Speaking(fps=fps))) == np.ceil(sound.seconds * fps)


def same(one: Motion, other: Motion) -> bool:
    return all(
        torch.equal(getattr(one, part), getattr(other, part))
        for part in ("pose", "transl", "expression")
    )


def test_a_seed_decides_everything():
    sound, phonemes = talk()
    part = Waveform(sound.samples[: 5 * SPEECH_RATE], SPEECH_RATE)
    first, again, other = (spoken(part, phonemes, Speaking(), seed) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("size", [160, 7001, 200_000])
def test_frames_do_not_depend_on_how_the_sound_is_cut(size):
    sound, phonemes = talk()
    samples = sound.samples[: 4 * SPEECH_RATE]
    blocks = (Waveform(samples[k : k + size], SPEECH_RATE) for k in range(0, len(samples), size))
    parts = list(performed(heard(blocks, phonemes)))
    whole = spoken(Waveform(samples, SPEECH_RATE), phonemes)
    assert same(
        whole,
        Motion(
            30.0,
            torch.cat([p.pose for p in parts]),
            torch.cat([p.transl for p in parts]),
            torch.cat([p.expression for p in parts]),
        ),
    )


def test_a_frame_comes_as_soon_as_the_look_ahead_is_heard():
    sound, phonemes = talk()
    given = 0

    def stream():
        nonlocal given
        for one in heard(
            (Waveform(sound.samples[k : k + 160], SPEECH_RATE) for k in range(0, 48000, 160)),
            phonemes,
        ):
            given += len(one.sound.samples)
            yield one

    late = [
        given / SPEECH_RATE - k / 30
        for k, _ in enumerate(performed(stream(), Speaking(), 0, at_once=1))
        if given < 48000
    ]
    # Plus half an analysis window, a batch of four hops and the block itself: 0.12 + 0.07.
    assert LOOK_AHEAD <= max(late) < LOOK_AHEAD + 0.08
    assert max(late) <= 0.2


@pytest.mark.parametrize("style", ["calm", "lively"])
def test_eyes_blink_ten_to_twenty_five_times_a_minute(style):
    lids = motion(style).expression[:, BLINK].numpy()
    shut = lids > 0.6
    blinks = int((shut[1:] & ~shut[:-1]).sum())
    assert 10 <= blinks <= 25
    assert lids.max() > 0.9


@pytest.mark.parametrize("style", ["calm", "lively"])
def test_no_second_is_frozen(style):
    """In any second the head turns by a fifth of a degree and the trunk moves the hands."""
    one = motion(style)
    joints = positions(one.pose, one.transl)[:, [INDEX["head"], INDEX["left_wrist"]]]
    nose = joints[:, 0] + one.pose.new_tensor([0.0, 0.05, 0.1])
    for path in (nose, joints[:, 1]):
        spans = path.unfold(0, 30, 10)
        travel = (spans.amax(-1) - spans.amin(-1)).norm(dim=-1)
        assert travel.min() > 5e-4  # Half a millimetre.


@pytest.mark.parametrize("style", ["calm", "lively"])
def test_head_and_hands_do_not_jitter(style):
    """Less than a twentieth of their movement's energy is above 8 Hz."""
    one = motion(style)
    joints = positions(one.pose, one.transl)
    turns = roma.rotmat_to_rotvec(one.pose[:, INDEX["head"]])
    for path in (
        joints[:, INDEX["head"]],
        joints[:, INDEX["left_middle1"]],
        joints[:, INDEX["right_middle1"]],
        turns,
    ):
        speed = torch.diff(path.double(), dim=0)
        power = torch.fft.rfft(speed - speed.mean(0), dim=0).abs() ** 2
        hertz = torch.fft.rfftfreq(len(speed), 1 / 30)
        assert power[hertz > 8].sum() < 0.05 * power.sum()


def test_feet_stay_while_the_weight_shifts():
    one = motion("lively")
    joints = positions(one.pose, one.transl)
    assert one.transl[:, 0].max() - one.transl[:, 0].min() > 0.02
    for side in ("left", "right"):
        foot = joints[:, [INDEX[f"{side}_ankle"], INDEX[f"{side}_foot"]]]
        # Legs stand a little apart: as they lean, one foot rises and the other sinks by 1.1 mm.
        assert (foot - foot[0]).norm(dim=-1).max() < 1.5e-3


def test_hands_lift_and_rest():
    one = motion("lively")
    joints = positions(one.pose, one.transl)
    for side in ("left", "right"):  # Of a minute's talk, some gestures on either side.
        height = joints[:, INDEX[f"{side}_wrist"], 1]
        raised = height > height.min() + 0.12
        assert 0.1 < raised.float().mean() < 0.9


@pytest.mark.parametrize("style", ["calm", "lively"])
def test_hands_beat_while_they_are_up(style):
    """Where a hand stays up for a second and a half, it moves by 3 cm after it has come up."""
    one = motion(style)
    joints = positions(one.pose, one.transl)
    travels = []
    for side in ("left", "right"):
        path = joints[:, INDEX[f"{side}_middle1"]]
        raised = (path[:, 1] > path[:, 1].min() + 0.15).tolist()
        edges = [k for k in range(1, len(raised)) if raised[k] != raised[k - 1]]
        for start, stop in zip(edges, edges[1:], strict=False):
            if raised[start] and stop - start >= 45:
                held = path[start + 21 : stop - 9]
                travels.append(float((held.amax(0) - held.amin(0)).norm()))
    assert len(travels) >= 5
    assert np.mean(np.array(travels) > 0.03) > 0.8


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])  # Slim, average and heavy.
def test_hands_go_through_neither_body_nor_each_other(share):
    body = Anny.load()
    betas = body.default_betas()
    betas[body.betas_names.index("weight")] = share
    rest = body.shaped(betas)
    posed = pose_for(body, motion("lively").frames(0, 1800), body.joints(rest))
    hands = [body.region(f"hand_{side}") > 0.5 for side in ("left", "right")]
    vertices = posed_vertices(body, rest, posed)
    trunk = trunk_ids(body)
    for frame in vertices:
        left, right = (frame[hand] for hand in hands)
        assert left[:, 0].min() > right[:, 0].max() + 0.01
        assert depth_in_trunk(frame[trunk], torch.cat([left, right])) < 0.01


def test_closed_lips_on_every_closure_frame():
    sound, phonemes = talk()
    face = motion().expression.numpy()
    jaw, close = (face[:, ARKIT_NAMES.index(n)] for n in ("jawOpen", "mouthClose"))
    shut = 0
    closures = [p for p in phonemes if p.symbol in "mbp"]
    for phoneme in closures:
        frames = np.arange(len(face))[
            (np.arange(len(face)) / 30 >= phoneme.start)
            & (np.arange(len(face)) / 30 <= phoneme.end)
        ]
        shut += bool((close[frames] >= jaw[frames]).any())
    assert shut == len(closures)


def test_louder_speech_opens_the_mouth_further():
    sound, phonemes = talk()
    jaw = motion().expression[:, ARKIT_NAMES.index("jawOpen")].numpy()

    def opened(stress: float) -> float:
        peaks = [
            jaw[round(p.start * 30) : round(p.end * 30) + 1].max()
            for p in phonemes
            if p.symbol in VOWELS and p.symbol == "ɑ" and p.stress == stress
        ]
        return float(np.mean(peaks))

    assert opened(1.0) > 1.05 * opened(0.0)


def test_silence_breathes_and_blinks_but_does_not_talk():
    quiet = Waveform(np.zeros(20 * SPEECH_RATE, np.float32), SPEECH_RATE)
    one = spoken(quiet, ())
    assert len(one) == 600
    assert one.expression[:, ARKIT_NAMES.index("jawOpen")].max() == 0
    assert one.expression[:, BLINK].max() > 0.9
    assert positions(one.pose, one.transl)[:, INDEX["head"]].std(0).sum() > 1e-4


def test_what_cannot_be_performed_is_refused():
    with pytest.raises(ValueError, match="no samples"):
        spoken(Waveform(np.zeros(0, np.float32), SPEECH_RATE), ())
    with pytest.raises(ValueError, match="fps is 5"):
        list(performed([Heard(talk()[0], ())], Speaking(fps=5.0)))


def posed_vertices(body, rest, posed):
    """Vertices of every 29th frame, in turn."""
    from incarnate.body.skinning import skin

    joints = body.joints(rest)
    for pose, transl in zip(posed.pose[::29], posed.transl[::29], strict=True):
        bones = body.bones(joints, pose, transl)
        yield skin(rest, body.skin_weights, body.skin_joints, bones)


def trunk_ids(body) -> torch.Tensor:
    """Skin that belongs to the trunk, hips and thighs."""
    names = body.joint_names
    held = torch.zeros(body.num_vertices)
    for k, name in enumerate(names):
        if name.startswith(("spine", "pelvis", "root", "breast", "upperleg")):
            held += (body.skin_weights * (body.skin_joints == k)).sum(1)
    return (held > 0.9).nonzero()[:, 0]


def depth_in_trunk(trunk: torch.Tensor, points: torch.Tensor) -> float:
    """How far points lie inside the trunk, seen in slices of 2 cm as hulls in x and z, metres."""
    deepest = 0.0
    for low in np.arange(float(points[:, 1].min()), float(points[:, 1].max()), 0.02):
        inside = points[(points[:, 1] >= low) & (points[:, 1] < low + 0.02)][:, [0, 2]]
        ring = trunk[(trunk[:, 1] >= low - 0.005) & (trunk[:, 1] < low + 0.025)][:, [0, 2]]
        if len(ring) < 8 or not len(inside):
            continue
        angles = torch.arange(0, 2 * np.pi, np.pi / 12)
        normals = torch.stack([angles.cos(), angles.sin()], 1)
        walls = (ring @ normals.T).amax(0)
        deepest = max(deepest, float((walls - inside @ normals.T).amin(1).max()))
    return deepest
