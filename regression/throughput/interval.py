"""The interval of the pairs' median ratio, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
# with as many, order statistics reach the level
FEWEST = 6
# more pairs than these nobody waits for
MOST = 300
# half the interval of the median of many, in standard deviations over the square root of their number: 1.96 · √(π / 2)
WIDTH = 2.456
# 97.5 % quantiles of Student's t with n - 1 degrees of freedom
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


@dataclass(frozen=True)
class Interval:
    """Median of the pairs' ratios with its bounds; `level` is how often such an interval holds the true median."""

    median: float
    low: float
    high: float
    level: float


def interval(ratios: Sequence[float]) -> Interval:
    """
    Percentile bootstrap of the median over pairs (Efron & Tibshirani 1993, chapter 13), never within the narrowest interval
    between order statistics that holds the median in 95 % of cases (Conover 1999, section 3.2).

    The pair is the unit: steps of one process share its memory layout and its neighbours on the machine, so that more steps do not make
    up for fewer processes. A bootstrap of few pairs is too narrow; the order statistics are right for any number from six on. Below
    six they cannot reach 95 %: there it is Student's interval of the logarithms' mean, and of one pair there is none.
    """
    values = np.sort(np.asarray(ratios, dtype=float))
    n = len(values)
    if n < FEWEST:
        return _student(np.log(values))
    resampled = np.random.default_rng(0).choice(values, (RESAMPLES, n))
    low, high = np.quantile(np.median(resampled, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    k = _rank(n)
    level = 1 - 2 * _below(n, k)
    return Interval(float(np.median(values)), float(min(low, values[k - 1])), float(max(high, values[n - k])), level)


def _student(logarithms: np.ndarray[Any, Any]) -> Interval:
    n = len(logarithms)
    median = float(np.exp(np.median(logarithms)))
    if n == 1:
        return Interval(median, 0.0, math.inf, 1.0)
    half = STUDENT[n] * float(np.std(logarithms, ddof=1)) / math.sqrt(n)
    centre = float(np.mean(logarithms))
    return Interval(median, min(math.exp(centre - half), median), max(math.exp(centre + half), median), LEVEL)


def _rank(n: int) -> int:
    """The largest k for which the k-th smallest and the k-th largest hold the median in 95 % of cases; 0 if none does, as below six."""
    k = 0
    while k + 1 <= n // 2 and 1 - 2 * _below(n, k + 1) >= LEVEL:
        k += 1
    return k


def _below(n: int, k: int) -> float:
    """P(fewer than k of n coins show heads)."""
    return float(sum(math.comb(n, i) for i in range(k)) / 2**n)


def verdict(found: Interval, threshold: float) -> str:
    """`not slower` where all of the interval is at least the threshold, `slower` where all of it is below, else `undecided`."""
    if found.low >= threshold:
        return "not slower"
    return "slower" if found.high < threshold else "undecided"


def more_pairs(found: Interval, n: int, threshold: float) -> int:
    """
    How many more would decide, if the median stays where it is and the interval narrows with the square root of the number.

    0 where nothing needs to be decided, and where the median is so near to the threshold that more than `MOST` would be needed.
    """
    if verdict(found, threshold) != "undecided":
        return 0
    if n == 1:
        return FEWEST - n
    distance = abs(found.median - threshold)
    reach = found.median - found.low if found.median >= threshold else found.high - found.median
    if n in STUDENT:
        reach *= WIDTH / STUDENT[n]  # the quantile shrinks as well
    if distance == 0 or n * (reach / distance) ** 2 > n + MOST:
        return 0
    return max(math.ceil(n * (reach / distance) ** 2), FEWEST, n + 1) - n
