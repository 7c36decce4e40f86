"""Which noise a view keeps."""

import pytest
import torch

from incarnate.guidance import Anchor, agreement, retained


def anchor(*gradient):
    return Anchor(torch.zeros(1, 1), torch.zeros(1, 1, 1, 3), torch.tensor(gradient))


YARDSTICK = torch.tensor([1.0, 0.0])


def test_agreement_is_the_cosine():
    assert float(agreement(torch.tensor([3.0, 3.0]), YARDSTICK)) == pytest.approx(0.5**0.5)
    assert float(agreement(torch.tensor([-2.0, 0.0]), YARDSTICK)) == pytest.approx(-1)
    assert float(agreement(torch.zeros(2), YARDSTICK)) == 0


def test_the_candidate_stays_only_if_it_agrees_more_however_large_it_is():
    good, better, opposed = anchor(1.0, 1.0), anchor(0.2, 0.1), anchor(-9.0, 0.0)
    assert retained(better, good, YARDSTICK) is better
    assert retained(good, better, YARDSTICK) is better
    assert retained(opposed, good, YARDSTICK) is good
    assert retained(opposed, good, -YARDSTICK) is opposed


def test_of_equals_the_previous_one_stays():
    one, other = anchor(1.0, 0.0), anchor(2.0, 0.0)
    assert retained(one, other, YARDSTICK) is other
