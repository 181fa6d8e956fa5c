"""The field's measures of a model of spike counts. Arrays are (T, N): time bins and cells, or (repeats, T, N)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EPS = 1e-9


def bits_per_spike(counts: Array, rates: Array, valid: NDArray[np.bool_]) -> Array:
    """(T, N) three times → (N,): the gain in log-likelihood over the cell's mean rate; NaN for a cell without a valid spike.

    Pillow et al. 2008; means over a cell's valid bins, as in training.
    """
    n = valid.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(valid, counts, 0.0).sum(0) / n
        model = np.where(valid, counts * np.log(rates + EPS) - rates, 0.0).sum(0) / n
        null = mean * np.log(mean + EPS) - mean
        bits: Array = (model - null) / (mean + EPS) / np.log(2)
    return np.where(mean > 0, bits, np.nan)


def correlation_to_mean(repeats: Array, prediction: Array) -> Array:
    """(repeats, T, N), (T, N) → (N,): Pearson's correlation of the prediction and the mean response; NaN for a constant one.

    NaN among the repeats is a bin that was not recorded.
    """
    n = np.isfinite(repeats).sum(0)
    known = n > 0
    mean = np.nansum(repeats, 0) / np.maximum(n, 1)
    count = np.maximum(known.sum(0), 1)

    def centred(values: Array) -> Array:
        values = np.where(known, values, 0.0)
        centre: Array = np.where(known, values - values.sum(0) / count, 0.0)
        return centre

    a, b = centred(mean), centred(prediction)
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (a * b).sum(0) / scale, np.nan)


def explainable_variance_explained(repeats: Array, prediction: Array) -> Array:
    """(repeats, T, N), (T, N) → (N,): fraction of the explainable variance that is explained; at most 1 on average.

    FEVE = 1 − (mean squared error − noise variance) / (total variance − noise variance), where the noise variance is that over
    repeats of a bin, averaged over bins (Cadena et al. 2019). NaN where nothing can be explained, or the prediction is NaN.
    """
    n = np.isfinite(repeats).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        several = n > 1
        mean = np.where(n > 0, np.nansum(repeats, 0) / n, 0.0)
        spread = np.nansum((repeats - mean) ** 2, 0) / np.where(several, n - 1, 1)
        noise = np.where(several, spread, 0.0).sum(0) / several.sum(0)
        squares = np.where(several, np.where(np.isfinite(repeats), (repeats - prediction) ** 2, 0.0).sum(0), 0.0)
        count = np.where(several, n, 0).sum(0)
        error = squares.sum(0) / count
        used = np.where(several & np.isfinite(repeats), repeats, 0.0)
        centre = used.sum((0, 1)) / count
        total = np.where(several & np.isfinite(repeats), (used - centre) ** 2, 0.0).sum((0, 1)) / (count - 1)
        explainable = total - noise
        explained: Array = 1 - (error - noise) / explainable
    return np.where(explainable > 0, explained, np.nan)
