"""The interval against simulated pairs whose true ratio is known, and its laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regression.throughput.interval import Interval, interval, more_pairs, verdict
from regression.throughput.pairs import Pair, Throughput

RATIOS = st.lists(st.floats(0.25, 4.0), min_size=1, max_size=25)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 12, 20])
def test_the_true_ratio_is_within_nineteen_times_of_twenty(n: int) -> None:
    generator = np.random.default_rng(n)
    simulated = (interval(np.exp(generator.normal(math.log(0.97), 0.05, n))) for _ in range(300))
    assert sum(found.low <= 0.97 <= found.high for found in simulated) >= 0.92 * 300


@pytest.mark.parametrize("n", [2, 3, 5, 7, 11])
def test_runs_that_stall_do_not_narrow_it(n: int) -> None:
    """One run in five takes up to twice as long: then the logarithms are far from normal."""
    generator = np.random.default_rng(n)

    def ratios(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
        stalls = (generator.random(shape) < 0.2) * generator.exponential(0.3, shape)
        return np.exp(generator.normal(0, 0.02, shape) + stalls)

    true = float(np.median(ratios((1000, 1000))))
    simulated = [interval(row) for row in ratios((300, n))]
    assert sum(found.low <= true <= found.high for found in simulated) >= 0.92 * 300


def test_equal_trainers_are_not_called_slower() -> None:
    generator = np.random.default_rng(7)
    said = [verdict(interval(np.exp(generator.normal(0, 0.05, 7))), 0.98) for _ in range(300)]
    assert said.count("slower") <= 0.025 * 300


@given(RATIOS)
def test_the_median_is_numpys_and_within(ratios: list[float]) -> None:
    found = interval(ratios)
    median = np.median(ratios) if len(ratios) >= 6 else np.exp(np.median(np.log(ratios)))
    assert found.median == pytest.approx(median) and found.low <= found.median <= found.high


@given(RATIOS, st.floats(0.5, 2.0))
def test_scaling_all_scales_the_interval(ratios: list[float], factor: float) -> None:
    found, scaled = interval(ratios), interval([factor * ratio for ratio in ratios])
    assert scaled.low == pytest.approx(factor * found.low) and scaled.median == pytest.approx(factor * found.median)


def test_order_statistics_of_the_sign_test() -> None:
    """Of 1 … 9 the second and the eighth: 1 - 2 · 10 / 512 (Conover 1999, table A5)."""
    found = interval([float(i) for i in range(1, 10)])
    assert (found.low, found.high) == (2.0, 8.0) and found.level == pytest.approx(1 - 20 / 512)


def test_students_interval_of_few() -> None:
    found = interval([1.0, 1.0, 1.0])
    assert found == Interval(1.0, 1.0, 1.0, 0.95)
    logs = np.log([0.9, 1.0, 1.1])
    half = 4.303 * logs.std(ddof=1) / math.sqrt(3)
    assert interval([0.9, 1.0, 1.1]).low == pytest.approx(math.exp(logs.mean() - half))


@pytest.mark.parametrize(
    "low, high, said",
    [(0.99, 1.2, "not slower"), (0.98, 1.0, "not slower"), (0.9, 0.97, "slower"), (0.97, 0.99, "undecided")],
)
def test_verdicts(low: float, high: float, said: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 0.95), 0.98) == said


def test_one_pair_decides_nothing() -> None:
    assert verdict(interval([5.0]), 0.98) == "undecided"


def test_more_pairs_for_what_is_undecided_only() -> None:
    wide = Interval(1.0, 0.9, 1.1, 0.95)
    assert more_pairs(wide, 10, 0.98) == 240, "the interval has to become five times as narrow: 25 times as many"
    assert more_pairs(Interval(1.0, 0.99, 1.1, 0.95), 10, 0.98) == 0


def test_more_pairs_of_so_few_that_their_number_widens_the_interval() -> None:
    assert more_pairs(interval([5.0]), 1, 0.98) == 5, "with six, order statistics say something"
    assert more_pairs(interval([1.0, 1.1]), 2, 0.98) < 30, "Student's quantile of two is 12.7, of many 1.96"


@pytest.mark.parametrize("median", [0.98, 0.981, 0.979])
def test_too_close_to_be_decided(median: float) -> None:
    found = Interval(median, median - 0.1, median + 0.1, 0.95)
    assert verdict(found, 0.98) == "undecided" and more_pairs(found, 7, 0.98) == 0
    ratios = [median - 0.1, median, median, median, median, median, median + 0.1]
    said = Throughput([Pair("old then new", ratio, 1.0, 1, 1) for ratio in ratios], 0.98, "step", 3)
    assert str(said).endswith("too close to what is asked for to be decided by more pairs")
