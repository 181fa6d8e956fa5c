"""Eye movements and images."""

from __future__ import annotations

import numpy as np
import pytest

from visioncore.data.synthetic.stimuli import Array, backimage, eye_movements, gaborium, natural_image


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(5)


def test_gaze_drifts_and_jumps(draw: np.random.Generator) -> None:
    gaze = eye_movements(5000, 10.0, draw)
    assert gaze.shape == (5000, 2) and abs(gaze).max() <= 10
    steps = np.hypot(*np.diff(gaze, axis=0).T)
    saccades = np.flatnonzero(steps > 1.0) + 1  # drift is of 0.1 a frame and axis
    between = np.diff(saccades)
    assert between.min() >= 20
    assert np.median(between) < 50  # one in some hundred is too small to tell from drift
    drift = np.delete(np.diff(gaze, axis=0), saccades - 1, axis=0)
    assert drift.std() == pytest.approx(0.1, rel=0.2)


def test_gaze_comes_everywhere(draw: np.random.Generator) -> None:
    gaze = eye_movements(20_000, 1.0, draw)
    counts, _, _ = np.histogram2d(*gaze.T, bins=3, range=[[-1, 1], [-1, 1]])
    assert counts.min() > 0.4 * counts.mean()


def test_natural_images_have_a_spectrum_of_one_over_f(draw: np.random.Generator) -> None:
    size = 128
    spectrum = np.mean([abs(np.fft.fft2(natural_image(size, draw))) for _ in range(10)], 0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    band = (frequency > 0.02) & (frequency < 0.5)
    slope, _ = np.polyfit(np.log(frequency[band]), np.log(spectrum[band]), 1)
    assert slope == pytest.approx(-1, abs=0.05)


def test_natural_images_have_zero_mean_and_unit_variance(draw: np.random.Generator) -> None:
    image = natural_image(64, draw)
    assert image.mean() == pytest.approx(0, abs=1e-12) and image.std() == pytest.approx(1)


def test_the_image_moves_against_the_gaze() -> None:
    """One pixel to the right brings the image's next column in from the right."""
    path: Array = np.array([[0, 0], [1, 0], [0, 1], [0.4, -0.4]])
    frames = backimage(path, 8, np.random.default_rng(0))
    assert frames.shape == (4, 8, 8) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[1][:, :-1], frames[0][:, 1:])
    np.testing.assert_array_equal(frames[2][:-1], frames[0][1:])
    np.testing.assert_array_equal(frames[3], frames[0])  # to a whole pixel
    assert not np.array_equal(frames[1], frames[0])


@pytest.mark.parametrize("size", [7, 8, 15])
def test_the_image_is_large_enough_for_the_gaze(size: int, draw: np.random.Generator) -> None:
    reach = 2.0 * size
    corners = np.array([[x, y] for x in (-reach, reach) for y in (-reach, reach)])
    assert backimage(corners, size, draw).shape == (4, size, size)


@pytest.mark.parametrize("size", [7, 15, 16])
def test_clouds_of_gabors(size: int, draw: np.random.Generator) -> None:
    frames = gaborium(300, size, draw)
    assert frames.shape == (300, size, size) and frames.dtype == np.uint8
    assert frames.mean() == pytest.approx(127, abs=5)
    assert frames.std() > 20
    # each frame is new
    flat = frames.reshape(300, -1) - frames.mean()
    assert abs(np.mean([np.corrcoef(flat[t], flat[t + 1])[0, 1] for t in range(299)])) < 0.1
    assert len(np.unique(frames, axis=0)) == 300


def test_the_same_seed_shows_the_same() -> None:
    for make in (lambda d: gaborium(5, 9, d), lambda d: backimage(eye_movements(5, 9.0, d), 9, d)):
        one, again, other = (make(np.random.default_rng(seed)) for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, again)
        assert not np.array_equal(one, other)
