import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from incarnate.priors.conditions import FRAMINGS, View, side
from incarnate.priors.vocabulary import AZIMUTHS, VOCABULARY
from incarnate.priors.wording import understood, undyed, varied
from incarnate.studio import wardrobe
from incarnate.studio.lessons import POSES
from incarnate.studio.styles import SHADES, Style

CUTS = "bald buzz short slick curly afro bob long ponytail bun".split()
ACTIONS = (*POSES.values(), "walking", "sitting", "dancing")
COLORED = {"a", "an", "and", *" ".join(VOCABULARY["color"]).split()}
MEASURES = ["height", "weight", "muscle", "age"]


def studio_caption(seed):
    """What the studio says of a person and an action, without making the person."""
    rng = np.random.default_rng(seed)
    woman = bool(rng.random() < 0.5)
    outfit = wardrobe.outfit(rng, woman)
    figure = SimpleNamespace(body=SimpleNamespace(betas_names=MEASURES), betas=rng.random(4))
    style = Style(rng.choice(CUTS), str(rng.choice(list(SHADES))))
    worn = [SimpleNamespace(garment=garment) for garment in outfit.garments]
    person: Any = SimpleNamespace(
        figure=figure, woman=woman, worn=worn, hat=outfit.hat, hair_words=style.words
    )
    return f"{wardrobe.description(person)}, {rng.choice(ACTIONS)}"


def shown(seed):
    """A caption of the studio with its view and its domain, and these three apart."""
    rng = np.random.default_rng(seed + 10_000)
    caption, framing = studio_caption(seed), list(FRAMINGS)[rng.integers(4)]
    azimuth = float(rng.choice(list(AZIMUTHS.values())))
    view = View((azimuth,), (framing,)).words()[0]
    domain, words = [
        ("normal", "black background, normal map"),
        ("depth", "black background, depth map"),
        ("rgb", "grey background, photo"),
    ][rng.integers(3)]
    return f"{caption}, {view}, {words}", caption, framing, side(azimuth), domain


@pytest.mark.parametrize("seed", range(200))
def test_captions_of_the_studio_are_understood_as_they_stand(seed):
    text, caption, framing, seen, domain = shown(seed)
    read = understood(text)
    assert (read.caption, read.framing, read.domain) == (caption, framing, domain)
    assert read.azimuth is not None and side(read.azimuth) == seen
    assert read.ignored == () and read.replaced == ()


def test_synonyms_are_understood_as_what_they_replace():
    rng, changed = np.random.default_rng(0), 0
    for seed in range(200):
        text, caption, framing, seen, domain = shown(seed)
        other = varied(text, rng, 0.5)
        read = understood(other)
        assert read.ignored == () and (read.framing, read.domain) == (framing, domain), other
        assert read.azimuth is not None and side(read.azimuth) == seen
        if " person " not in other:
            assert read.caption == caption, other
        changed += other != text
        assert "normal map" in other or domain != "normal"
    assert changed > 190


def test_as_many_phrases_are_replaced_as_was_asked():
    text = shown(3)[0]
    rng = np.random.default_rng(0)
    assert varied(text, rng, 0.0) == text
    often = [len(understood(varied(text, rng, rate)).replaced) for rate in (0.2, 1.0) for _ in "ab"]
    assert max(often[:2]) < min(often[2:])


def test_every_synonym_has_its_own_meaning_and_no_other():
    for attribute in ("action", "framing", "side", "domain"):
        for canonical, told in VOCABULARY[attribute].items():
            for phrase in (canonical, *told.replace("|", ",").split(",")):
                if not phrase.strip():
                    continue
                read = understood(f"a woman in a red dress, {phrase.strip()}")
                assert read.ignored == (), phrase
                said = (read.caption, read.framing, read.azimuth, read.domain)
                assert said == heard(f"a woman in a red dress, {canonical}"), phrase


def heard(text):
    read = understood(text)
    return (read.caption, read.framing, read.azimuth, read.domain)


@pytest.mark.parametrize(
    "text, caption",
    [
        ("red shirt and blue jeans", "a person, in a red shirt and blue denim jeans"),
        ("a man in a white and red tee", "a man, in a white and red t-shirt"),
        ("a lady, her hair is blonde, jeans blue", "a woman with blond hair, in blue denim jeans"),
        ("a long-haired guy", "a man with long hair"),
        ("a redhead in a greeen dres", "a person with red hair, in a green dress"),
        ("baggy black pants, short grey skirt", "a person, in black wide trousers and a grey short "
         "skirt"),
        ("old boy with a brown jacket over a crimson jumper, strolling",
         "an old man, in a red sweater and a brown jacket, walking"),
        ("golden short hair and golden short skirt",
         "a person with short blond hair, in a yellow short skirt"),
        ("a tall and slim woman", "a tall slim woman"),
        ("a red cotton shirt", "a person, in a red shirt"),
    ],
)  # fmt: skip
def test_free_wording_becomes_the_nearest_caption(text, caption):
    assert understood(text).caption == caption


@pytest.mark.parametrize(
    "text, azimuth, framing",
    [
        ("a tall woman in a red shirt, back view", math.pi, None),
        ("a man, left side view", math.pi / 2, None),
        ("a man seen from the right", -math.pi / 2, None),
        ("portrait of a girl", None, "head"),
        ("a girl from behind, waist up", math.pi, "upper"),
        ("a girl, rear view, head to toe", math.pi, "full"),
        ("a girl", None, None),
    ],
)
def test_where_it_is_seen_from_is_understood(text, azimuth, framing):
    read = understood(text)
    assert (read.azimuth, read.framing, read.ignored) == (azimuth, framing, ())
    assert (read.view is None) == (azimuth is None and framing is None)


@pytest.mark.parametrize(
    "text, ignored",
    [
        ("a redhead in a green dress riding a unicorn", ("riding", "unicorn")),
        ("a woman with blue eyes in jeans", ("blue eyes",)),
        ("a woman without a hat", ("without hat",)),
        ("a man on a beach, white background", ("beach", "white background")),
        ("a tall short man", ("short",)),
        ("sport glasses", ("sport", "glasses")),
        ("", ()),
    ],
)
def test_what_was_not_understood_is_said(text, ignored):
    assert understood(text).ignored == ignored


def test_what_was_replaced_is_said():
    read = understood("a lady in a turqoise pullover, from behind")
    assert read.replaced == (
        ("lady", "woman"),
        ("pullover", "sweater"),
        ("turqoise", "teal"),
        ("from behind", "back view"),
    )


def test_articles_go_with_the_word_behind_them():
    rng = np.random.default_rng(1)
    for _ in range(50):
        words = varied("a young woman, in a cream shirt and an orange cap", rng, 0.8).split()
        for article, word in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou"), words


def test_clothes_without_their_colours_are_the_same_clothes():
    for seed in range(200):
        caption = studio_caption(seed)
        who, _, clothes = caption.partition(", in ")
        bare = undyed(caption)
        assert bare.startswith(f"{who}, in ") and undyed(bare) == bare
        left = bare.partition(", in ")[2].replace(",", "").split()
        assert not set(left) & (COLORED - {"a", "an", "and"})
        said = [word for word in clothes.replace(",", "").split() if word not in COLORED]
        assert [word for word in left if word not in COLORED] == said


def test_undyed_minds_articles_and_pairs_and_leaves_hair_alone():
    assert (
        undyed("a man with red hair, in an orange and dark grey t-shirt, blue denim jeans, waving")
        == "a man with red hair, in a t-shirt, denim jeans, waving"
    )
    assert undyed("a woman, in a red afghan coat") == "a woman, in an afghan coat"
    assert undyed("a red-haired woman, walking") == "a red-haired woman, walking"
