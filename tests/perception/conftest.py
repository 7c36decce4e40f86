"""One photo and what is seen in it, looked at once for all tests here."""

from collections.abc import Iterator

import numpy as np
import pytest
from skimage.data import astronaut

from incarnate.perception.keypoints import Keypoints, keypoints
from incarnate.perception.landmarkers import Perception


@pytest.fixture(scope="session")
def perception() -> Iterator[Perception]:
    with Perception() as opened:
        yield opened


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """NASA's portrait of Eileen Collins, 512 x 512, hands outside the frame, as uint8 rgb."""
    return astronaut()


@pytest.fixture(scope="session")
def person(photo: np.ndarray, perception: Perception) -> Keypoints:
    (only,) = keypoints(photo, perception)
    return only
