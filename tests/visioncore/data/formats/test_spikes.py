"""Counts become spike times, and spike times the same counts again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from visioncore.data.formats.spikes import Times, bin_ends, counts_of, times_of, unsorted


def test_spikes_lie_evenly_in_their_bins() -> None:
    times = np.array([10.0, 10.5, 11.0])
    (unit,) = times_of(np.array([[2], [0], [1]]), times)
    np.testing.assert_allclose(unit, [10.125, 10.375, 11.25])


def test_a_bin_ends_where_the_next_starts_or_after_the_usual_width() -> None:
    times = np.array([0.0, 1.0, 2.1, 3.0, 50.0, 51.0])
    np.testing.assert_allclose(bin_ends(times), [1, 2.1, 3, 4, 51, 52])


def test_counts_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    times = np.cumsum(draw.choice([0.01, 0.011, 2.0], 200))
    spikes = [draw.uniform(-1, times[-1] + 1, n) for n in (0, 1, 500)]
    ends = bin_ends(times)
    looped = [[((times[t] <= unit) & (unit < ends[t])).sum() for unit in spikes] for t in range(200)]
    np.testing.assert_array_equal(counts_of(spikes, times), looped)


def test_a_spike_on_an_edge_is_of_the_bin_that_starts() -> None:
    counts = counts_of([np.array([0.0, 1.0, 1.0, 3.0])], np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(counts[:, 0], [1, 2, 0])


def test_spikes_that_are_no_numbers_are_not_counted() -> None:
    assert counts_of([np.array([np.nan, np.inf, -np.inf])], np.array([0.0, 1.0])).sum() == 0


def test_nothing_at_all() -> None:
    assert counts_of([np.array([1.0])], np.empty(0)).shape == (0, 1)
    assert [len(unit) for unit in times_of(np.zeros((0, 2), np.int64), np.empty(0))] == [0, 0]


@pytest.mark.parametrize(
    ("times", "told"), [([0, 1, 2], False), ([0, 0, 1], True), ([0, 2, 1], True), ([0, np.nan], True), ([], False)]
)
def test_unsorted(times: list[float], told: bool) -> None:
    assert unsorted(np.array(times, dtype=float)) is told


@given(
    times=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30, unique=True).map(lambda t: np.array(sorted(t))),
    data=st.data(),
)
def test_any_counts_in_any_bins_come_back(times: Times, data: st.DataObject) -> None:
    """However narrow a bin is beside its time."""
    counts = data.draw(arrays.arrays(np.int64, (len(times), 2), elements=st.integers(0, 40)))
    spikes = list(times_of(counts, times))
    np.testing.assert_array_equal(counts_of(spikes, times), counts)
    assert all((np.diff(unit) >= 0).all() for unit in spikes)
