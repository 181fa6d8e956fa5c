from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore.evaluation.measures import bits_per_spike, correlation_to_mean, explainable_variance_explained


def test_bits_per_spike_of_one_cell_by_hand() -> None:
    counts, rates = np.array([[0.0], [2.0], [1.0]]), np.array([[0.5], [1.5], [1.0]])
    log_likelihood = sum(r * math.log(p) - p for r, p in zip(counts[:, 0], rates[:, 0], strict=True))
    null = sum(r * math.log(1.0) - 1.0 for r in counts[:, 0])
    expected = (log_likelihood - null) / 3 / math.log(2)
    assert bits_per_spike(counts, rates, np.ones((3, 1), bool)) == pytest.approx([expected], abs=1e-6)


def test_the_mean_rate_is_worth_nothing_and_no_model_beats_the_truth() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 0.3, (20_000, 3))
    counts = rng.poisson(rates).astype(float)
    valid = np.ones(counts.shape, bool)
    mean = np.broadcast_to(counts.mean(0), counts.shape)
    assert bits_per_spike(counts, mean, valid) == pytest.approx([0, 0, 0], abs=1e-6)
    best = bits_per_spike(counts, rates, valid)
    for worse in (rates * 1.2, rates + 0.1, rates**0.8):
        assert (bits_per_spike(counts, worse, valid) < best).all()


def test_only_valid_bins_count() -> None:
    counts, rates = np.array([[1.0, np.nan], [3.0, 1.0], [0.0, 2.0]]), np.full((3, 2), 0.7)
    valid = np.array([[True, False], [True, True], [True, True]])
    alone = bits_per_spike(counts[1:, 1:], rates[1:, 1:], valid[1:, 1:])
    assert bits_per_spike(counts, rates, valid)[1] == pytest.approx(alone[0])


def test_a_silent_cell_and_one_without_a_sample_have_none() -> None:
    counts = np.array([[0.0, 1.0], [0.0, 1.0]])
    bits = bits_per_spike(counts, np.full((2, 2), 0.5), np.array([[True, False], [True, False]]))
    assert np.isnan(bits).all()


def test_correlation_is_numpys() -> None:
    rng = np.random.default_rng(1)
    repeats, prediction = rng.random((5, 40, 2)), rng.random((40, 2))
    expected = [np.corrcoef(repeats.mean(0)[:, n], prediction[:, n])[0, 1] for n in range(2)]
    assert correlation_to_mean(repeats, prediction) == pytest.approx(expected)


def test_correlation_leaves_out_what_was_not_recorded() -> None:
    rng = np.random.default_rng(2)
    repeats, prediction = rng.random((4, 30, 1)), rng.random((30, 1))
    repeats[:, 20:] = np.nan
    repeats[0, 3] = np.nan
    expected = np.corrcoef(np.nanmean(repeats[:, :20, 0], 0), prediction[:20, 0])[0, 1]
    assert correlation_to_mean(repeats, prediction) == pytest.approx([expected])


@given(st.floats(0.1, 10), st.floats(-5, 5))
def test_correlation_does_not_mind_scale_and_offset(scale: float, offset: float) -> None:
    rng = np.random.default_rng(3)
    repeats, prediction = rng.random((3, 20, 1)), rng.random((20, 1))
    moved = correlation_to_mean(repeats, scale * prediction + offset)
    assert moved == pytest.approx(correlation_to_mean(repeats, prediction), abs=1e-8)


def test_a_constant_prediction_has_no_correlation() -> None:
    assert np.isnan(correlation_to_mean(np.random.default_rng(0).random((3, 9, 1)), np.ones((9, 1)))).all()


def test_feve_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    rng = np.random.default_rng(4)
    signal = rng.normal(3, 1, (500, 2))
    repeats = signal + rng.normal(0, 2, (60, 500, 2))
    assert explainable_variance_explained(repeats, signal) == pytest.approx([1, 1], abs=0.03)
    flat = np.broadcast_to(repeats.mean((0, 1)), signal.shape)
    assert explainable_variance_explained(repeats, flat) == pytest.approx([0, 0], abs=0.03)


def test_feve_by_hand() -> None:
    repeats = np.array([[1.0, 4.0, 2.0], [3.0, 4.0, 0.0]])[..., None]
    prediction = np.array([2.0, 3.0, 2.0])[:, None]
    noise = np.mean([np.var([1, 3], ddof=1), np.var([4, 4], ddof=1), np.var([2, 0], ddof=1)])
    error = np.mean([1, 1, 1, 1, 0, 4])
    total = np.var([1, 3, 4, 4, 2, 0], ddof=1)
    assert explainable_variance_explained(repeats, prediction) == pytest.approx([1 - (error - noise) / (total - noise)])


def test_a_prediction_that_is_nan_explains_nothing() -> None:
    rng = np.random.default_rng(5)
    prediction = rng.random((30, 2))
    repeats = prediction + 0.1 * rng.random((4, 30, 2))
    prediction[7, 1] = np.nan
    for measure in (explainable_variance_explained, correlation_to_mean):
        assert np.isnan(measure(repeats, prediction)).tolist() == [False, True]


def test_nothing_to_explain() -> None:
    repeats = np.stack([np.tile([1.0, -1.0], 10), np.tile([-1.0, 1.0], 10)])[..., None]
    assert np.isnan(explainable_variance_explained(repeats, np.zeros((20, 1)))).all()
