import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from incarnate.metrics import ciede2000, color_gap

SHARMA = np.array([  # Sharma, Wu, Dalal 2005, Table 1: L a b, L a b, difference.
    [50.0, 2.6772, -79.7751, 50.0, 0.0, -82.7485, 2.0425],
    [50.0, 3.1571, -77.2803, 50.0, 0.0, -82.7485, 2.8615],
    [50.0, 2.8361, -74.0200, 50.0, 0.0, -82.7485, 3.4412],
    [50.0, -1.3802, -84.2814, 50.0, 0.0, -82.7485, 1.0000],
    [50.0, 0.0, 0.0, 50.0, -1.0, 2.0, 2.3669],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0009, 7.1792],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0010, 7.1792],
    [50.0, 2.49, -0.001, 50.0, -2.49, 0.0011, 7.2195],
    [50.0, -0.001, 2.49, 50.0, 0.0009, -2.49, 4.8045],
    [50.0, -0.001, 2.49, 50.0, 0.0011, -2.49, 4.7461],
    [50.0, 2.5, 0.0, 50.0, 0.0, -2.5, 4.3065],
    [50.0, 2.5, 0.0, 73.0, 25.0, -18.0, 27.1492],
    [50.0, 2.5, 0.0, 61.0, -5.0, 29.0, 22.8977],
    [50.0, 2.5, 0.0, 56.0, -27.0, -3.0, 31.9030],
    [50.0, 2.5, 0.0, 58.0, 24.0, 15.0, 19.4535],
    [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
    [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
    [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
    [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
    [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
    [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
])  # fmt: skip


def test_the_published_pairs():
    np.testing.assert_allclose(ciede2000(SHARMA[:, :3], SHARMA[:, 3:6]), SHARMA[:, 6], atol=6e-5)
    np.testing.assert_allclose(ciede2000(SHARMA[:, 3:6], SHARMA[:, :3]), SHARMA[:, 6], atol=6e-5)


def test_it_agrees_with_scikit_image():
    rng = np.random.default_rng(0)
    a, b = (rng.uniform([0, -90, -90], [100, 90, 90], (5000, 3)) for _ in range(2))
    np.testing.assert_allclose(ciede2000(a, b), deltaE_ciede2000(a, b), atol=1e-6)


def test_the_gap_of_pictures_is_the_median_over_pixels():
    a = torch.rand(101, 3, generator=torch.Generator().manual_seed(0))
    b = (a + torch.tensor([0.1, 0.0, -0.1])).clamp(0, 1)
    theirs = np.median(deltaE_ciede2000(rgb2lab(a.numpy()), rgb2lab(b.numpy())))
    assert color_gap(a, b) == pytest.approx(theirs, rel=1e-3)  # The white points differ.
    b[:50] = 0  # Less than half: the median stands.
    assert color_gap(a, a) == 0 < color_gap(a, b)
    with pytest.raises(ValueError, match="no colours"):
        color_gap(a[:0], a[:0])
