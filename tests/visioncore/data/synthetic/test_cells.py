"""Model cells: what they are drawn as, and their rates against loops."""

from __future__ import annotations

import numpy as np
import pytest

from visioncore.data.synthetic.cells import Cells, draw_cells

SIZE, LAGS = 15, 8


@pytest.fixture
def cells() -> Cells:
    return draw_cells(40, SIZE, LAGS, np.random.default_rng(1))


def test_shapes(cells: Cells) -> None:
    assert len(cells) == 40
    assert cells.centres.shape == (40, 2)
    assert cells.filters.shape == (40, 2, SIZE, SIZE)
    assert cells.kernels.shape == (40, LAGS)
    assert 0 < cells.complex.sum() < 40


def test_the_same_seed_draws_the_same_cells(cells: Cells) -> None:
    again, other = (draw_cells(40, SIZE, LAGS, np.random.default_rng(seed)) for seed in (1, 2))
    for name in ("centres", "filters", "kernels", "complex", "baseline", "gain"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cells, name))
    assert not np.array_equal(other.filters, cells.filters)


def test_filters_and_kernels_have_unit_norm(cells: Cells) -> None:
    np.testing.assert_allclose((cells.filters**2).sum((2, 3)), 1)
    np.testing.assert_allclose((cells.kernels**2).sum(1), 1)


def test_grey_drives_no_filter(cells: Cells) -> None:
    np.testing.assert_allclose(cells.filters.sum((2, 3)), 0, atol=1e-12)


def test_a_quadrature_pair_is_nearly_orthogonal(cells: Cells) -> None:
    even, odd = cells.filters[:, 0], cells.filters[:, 1]
    assert np.median(abs((even * odd).sum((1, 2)))) < 0.2


def test_receptive_fields_lie_at_their_centres() -> None:
    """The centre of mass of a pair's energy, on an image large enough to hold all of the field."""
    cells = draw_cells(20, 51, LAGS, np.random.default_rng(0))
    energy = (cells.filters**2).sum(1)
    y, x = np.mgrid[:51, :51] - 25
    mass = energy.sum((1, 2))
    found = np.stack([(energy * x).sum((1, 2)) / mass, (energy * y).sum((1, 2)) / mass], 1)
    np.testing.assert_allclose(found, cells.centres, atol=2)
    assert (abs(cells.centres) <= 0.25 * 51).all()


def test_kernels_rise_to_a_peak_and_turn(cells: Cells) -> None:
    peak = cells.kernels.argmax(1)
    assert ((peak >= 0.25 * LAGS - 1) & (peak <= 0.4 * LAGS + 1)).all()
    assert all(kernel[at:].min() < 0 for kernel, at in zip(cells.kernels, peak, strict=True))
    assert (abs(cells.kernels.min(1)) < cells.kernels.max(1)).all()


def test_rates_against_loops() -> None:
    draw = np.random.default_rng(3)
    cells = draw_cells(4, 7, 5, draw)
    cells = Cells(cells.centres, cells.filters, cells.kernels, np.arange(4) % 2 == 0, cells.baseline, np.arange(1.0, 5))
    stimulus = draw.integers(0, 256, (12, 7, 7)).astype(np.uint8)
    rates = cells.rates(stimulus)
    for t in range(12):
        for n in range(4):
            response = [0.0, 0.0]
            for q in range(2):
                for lag in range(min(5, t + 1)):
                    frame = (stimulus[t - lag].astype(float) - 127) / 255
                    response[q] += cells.kernels[n, lag] * float((cells.filters[n, q] * frame).sum())
            driven = response[0] ** 2 + response[1] ** 2 if n % 2 == 0 else max(response[0], 0) ** 2
            assert rates[t, n] == pytest.approx(cells.baseline[n] + cells.gain[n] * driven)


def test_to_a_grey_screen_cells_fire_at_their_baseline(cells: Cells) -> None:
    np.testing.assert_array_equal(cells.rates(np.full((9, SIZE, SIZE), 127, np.uint8)), np.tile(cells.baseline, (9, 1)))


def test_fewer_frames_than_lags(cells: Cells) -> None:
    stimulus = np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE)).astype(np.uint8)
    np.testing.assert_allclose(cells.rates(stimulus[:3]), cells.rates(stimulus)[:3])


def test_an_energy_cell_does_not_see_contrast_reversal(cells: Cells) -> None:
    contrast = np.random.default_rng(0).integers(-100, 101, (20, SIZE, SIZE))
    light, dark = ((127 + sign * contrast).astype(np.uint8) for sign in (1, -1))
    same = np.isclose(cells.rates(light), cells.rates(dark)).all(0)
    np.testing.assert_array_equal(same, cells.complex)
