"""Sentences at random, rich in sounds that shut or round the lips: m b p f v o u w."""

import numpy as np

_WHO = (
    "my brother", "Bob", "a famous woman", "the whole family", "our old friend Paul",
    "my mother", "the new boss", "a brave boy", "everybody from Bombay", "the fat baker",
    "her grandfather", "the movie crowd", "a polite farmer", "both of my pupils", "nobody",
)  # fmt: skip
_DID = (
    "found", "moved", "bought", "phoned about", "brought home", "forgot", "painted", "put away",
    "loved", "borrowed", "will move", "could never find", "wrapped up", "spoke about", "showed me",
)  # fmt: skip
_WHAT = (
    "a purple umbrella", "the blue sofa", "five big boxes", "a map of Peru", "the open window",
    "some very good soup", "a wooden boat", "two pairs of boots", "the proof of a broken pump",
    "a bag full of apples", "the moon above the roof", "my favourite book", "a room with a view",
    "the most awful movie", "a bowl of fresh plums", "her mobile phone",
)  # fmt: skip
_WHERE = (
    "by the river", "before the end of May", "in the middle of a storm", "above the old shop",
    "for fifty pounds", "on the way to the museum", "with both hands", "from the back of the room",
    "over the weekend", "without a map", "in front of the opera", "of all places, in Oporto",
)  # fmt: skip
_OPENING = (
    "Well,", "Oh wow,", "Believe me,", "You know,", "Maybe", "Of course", "By the way,", "Look,",
    "This morning,", "Before we move on,",
)  # fmt: skip
_QUESTION = (
    "How about", "Would you prefer", "Who wouldn't want", "Have you ever moved",
    "Could you buy me", "Do you remember",
)  # fmt: skip


def sentence(rng: np.random.Generator) -> str:
    """One sentence of English, eight to twenty words."""

    def one(words: tuple[str, ...]) -> str:
        return words[rng.integers(len(words))]

    match int(rng.integers(5)):
        case 0:
            return f"{one(_QUESTION)} {one(_WHAT)}, or {one(_WHAT)} {one(_WHERE)}?"
        case 1:
            return f"{one(_OPENING)} {one(_WHO)} {one(_DID)} {one(_WHAT)} {one(_WHERE)}."
        case 2:
            told = f"{one(_WHO)} {one(_DID)} {one(_WHAT)}"
            return f"{told[0].upper()}{told[1:]}, but {one(_WHO)} {one(_DID)} {one(_WHAT)}."
        case 3:
            return f"Please move {one(_WHAT)} and {one(_WHAT)} {one(_WHERE)}."
        case _:
            told = f"{one(_WHO)} {one(_DID)} {one(_WHAT)} {one(_WHERE)}."
            return told[0].upper() + told[1:]
