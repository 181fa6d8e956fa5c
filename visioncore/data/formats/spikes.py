"""Spike counts in bins ↔ spike times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


def unsorted(times: Times) -> bool:
    """Not finite, or not increasing."""
    return not bool(np.isfinite(times).all() and (np.diff(times) > 0).all())


def bin_ends(times: Times) -> Times:
    """Where the bins that start at `times` (T,) seconds end: where the next starts, or after the usual width at a gap."""
    if len(times) < 2:
        return times + 1.0
    widths = np.diff(times)
    usual = float(np.median(widths))
    ends = np.append(np.where(widths <= 1.5 * usual, times[1:], times[:-1] + usual), times[-1] + usual)
    wide: Times = np.maximum(ends, np.nextafter(times, np.inf))
    return wide


def counts_of(spikes: Sequence[Times], times: Times) -> NDArray[np.int64]:
    """Spike times of each unit → (T, units) spikes a bin; those outside all bins are not counted."""
    counts = np.zeros((len(times), len(spikes)), dtype=np.int64)
    ends = bin_ends(times)
    for unit, of_unit in enumerate(spikes):
        bins = np.searchsorted(times, of_unit, side="right") - 1
        inside = (bins >= 0) & (of_unit < ends[bins]) if len(times) else np.zeros(len(of_unit), dtype=bool)
        counts[:, unit] = np.bincount(bins[inside], minlength=len(times))
    return counts


def times_of(counts: NDArray[np.int64], times: Times) -> Iterator[Times]:
    """(T, units) spikes a bin → for each unit, times that `counts_of` counts the same: evenly over their bin."""
    ends = bin_ends(times)
    for of_unit in counts.T:
        bins = np.repeat(np.arange(len(times)), of_unit)
        before = np.repeat(np.cumsum(of_unit) - of_unit, of_unit)
        place = (np.arange(len(bins)) - before + 0.5) / of_unit[bins]
        spread = times[bins] + place * (ends - times)[bins]
        # never on the next bin's start, however narrow the bin is beside the time
        yield np.clip(spread, times[bins], np.nextafter(ends, -np.inf)[bins])
