"""The matting algorithms against closed forms and naive loops."""

import numpy as np

from incarnate.perception.matting import EPSILON, _laplacian, closed_form, foreground

ORANGE, BLUE = np.asarray([0.9, 0.5, 0.1]), np.asarray([0.1, 0.2, 0.7])


def ramp(height: int, width: int) -> np.ndarray:
    """Alpha falling from 1 to 0 over the middle half."""
    steps = np.clip((0.75 - (np.arange(width) + 0.5) / width) * 2, 0, 1)
    return np.broadcast_to(steps, (height, width)).astype(np.float32)


def composite(alpha: np.ndarray) -> np.ndarray:
    return (alpha[..., None] * ORANGE + (1 - alpha[..., None]) * BLUE).astype(np.float32)


def naive_laplacian(rgb: np.ndarray) -> np.ndarray:
    """Levin et al., eq. 12, window by window and pixel by pixel."""
    height, width = rgb.shape[:2]
    matrix = np.zeros((height * width, height * width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            inside = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            colors = np.asarray([rgb[place] for place in inside], np.float64)
            mean = colors.mean(axis=0)
            spread = (colors - mean).T @ (colors - mean) / 9 + EPSILON / 9 * np.eye(3)
            for a, first in zip(colors, inside, strict=True):
                for b, second in zip(colors, inside, strict=True):
                    affinity = (1 + (a - mean) @ np.linalg.inv(spread) @ (b - mean)) / 9
                    row, column = first[0] * width + first[1], second[0] * width + second[1]
                    matrix[row, column] += float(first == second) - affinity
    return matrix


def test_laplacian_is_its_definition():
    rgb = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    number = np.arange(30).reshape(5, 6)
    ours = _laplacian(rgb, np.ones((5, 6), bool), number).toarray()
    np.testing.assert_allclose(ours, naive_laplacian(rgb), atol=1e-8)


def test_alpha_on_a_colour_line_is_recovered():
    alpha = ramp(24, 40)
    trimap = np.where((alpha > 0) & (alpha < 1), 0.5, alpha).astype(np.float32)
    blind, none = np.full_like(alpha, 0.5), np.zeros_like(alpha)
    found = closed_form(composite(alpha), trimap, blind, none)
    # Exact up to the regularisation and the solver's 1e-3.
    np.testing.assert_allclose(found, alpha, atol=0.01)


def test_a_trusted_guess_decides_where_colours_do_not():
    grey = np.full((20, 20, 3), 0.5, np.float32)
    trimap = np.full((20, 20), 0.5, np.float32)
    trimap[:, 0], trimap[:, -1] = 1, 0
    guess = np.full((20, 20), 0.25, np.float32)
    found = closed_form(grey, trimap, guess, np.full((20, 20), 10.0, np.float32))
    assert abs(float(found[10, 10]) - 0.25) < 0.02


def test_foreground_is_freed_of_the_background():
    alpha = ramp(64, 64)
    front, back = foreground(composite(alpha), alpha)
    half = (alpha > 0.2) & (alpha < 0.8)
    # Blurs of 91, 25 and 7 pixels on a ramp of 32 leave a trace; the composite is off by up to 0.6.
    np.testing.assert_allclose(front[half], np.broadcast_to(ORANGE, front[half].shape), atol=0.1)
    again = alpha[..., None] * front + (1 - alpha[..., None]) * back
    np.testing.assert_allclose(again[alpha > 0.9], composite(alpha)[alpha > 0.9], atol=0.02)
