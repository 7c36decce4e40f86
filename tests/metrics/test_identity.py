import importlib.util

import numpy as np
import pytest
from skimage.data import astronaut

from incarnate.metrics import identity


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not identity.available()
    with pytest.raises(OSError, match="face-recognition-models"):
        identity.Identity()


@pytest.mark.skipif(not identity.available(), reason="the extra is not installed")
def test_a_face_is_itself_and_damage_takes_it_away():
    face = astronaut()[:256, 96:352]
    who = identity.Identity()
    darker = (face * 0.8).astype(np.uint8)
    narrow = np.ascontiguousarray(face[:, ::-1] * [1.0, 0.6, 0.6]).astype(np.uint8)
    same, other = who.distance(face, darker), who.distance(face, narrow)
    assert who.distance(face, face) == 0
    assert same is not None and other is not None and 0 < same < other < 0.6
    assert who.distance(face, np.zeros_like(face)) is None
