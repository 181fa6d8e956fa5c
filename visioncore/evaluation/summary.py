"""A run's sessions in numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visioncore.data.config import DatasetConfig, parse_dataset_config, session_folder
from visioncore.data.synthetic.truth import Truth, load_truth
from visioncore.evaluation.measures import bits_per_spike, correlation_to_mean, explainable_variance_explained
from visioncore.evaluation.predictions import Predictions
from visioncore.evaluation.receptive_fields import correlations, true_maps

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SessionSummary:
    """Measures of each cell (N,), NaN for a cell that has none; `best`, `correlation`, `feve` None where there is nothing to go by.

    bits, best: bits per spike of the model, and of the true rates; correlation: to the mean over repeats; feve: fraction of the
    explainable variance that is explained; fields: correlation of the learnt receptive field and the true one
    """

    name: str
    samples: int
    bits: Array
    best: Array | None
    correlation: Array | None
    feve: Array | None
    fields: Array | None = None


def summarise(
    predictions: Predictions, config: Mapping[str, Any], maps: Callable[[], Array] | None = None
) -> SessionSummary:
    """config: the session's dataset YAML; maps: gives the learnt receptive fields (N, H, W), of a model that has any."""
    p = predictions
    bits = bits_per_spike(p.counts, p.rates, p.valid)
    parsed = parse_dataset_config(config)
    truth = _truth(parsed, config)
    true = None if truth is None else _true_rates(p, parsed, truth)
    repeats = _repeats(p)
    return SessionSummary(
        p.session.name,
        len(p.counts),
        bits,
        None if true is None else bits_per_spike(p.counts, true, p.valid),
        None if repeats is None else correlation_to_mean(*repeats),
        None if repeats is None else explainable_variance_explained(*repeats),
        None if truth is None or maps is None else _fields(maps(), parsed, truth, bits),
    )


def mean(values: Array | None) -> float | None:
    """Over the cells that have a value."""
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmean(values))


def overall(summaries: Sequence[SessionSummary], measure: str) -> float | None:
    """Mean over the sessions of the mean over their cells, as `val_bps_overall` is."""
    means = [value for summary in summaries if (value := mean(getattr(summary, measure))) is not None]
    return float(np.mean(means)) if means else None


def _truth(parsed: DatasetConfig, config: Mapping[str, Any]) -> Truth | None:
    """Of a synthetic session at its own rate; None of any other."""
    path = session_folder(parsed, config) / "truth.npz"
    if not path.is_file() or (parsed.sampling is not None and parsed.sampling.factor != 1):
        return None
    return load_truth(path)


def _true_rates(p: Predictions, parsed: DatasetConfig, truth: Truth) -> Array:
    """(S, N)"""
    rates: Array = np.concatenate([truth.rates[kind] for kind in parsed.types])[p.frames]
    return rates[:, list(parsed.cids)]


def _fields(learnt: Array, parsed: DatasetConfig, truth: Truth, bits: Array) -> Array | None:
    """(N,), NaN for a cell of which nothing could be learnt; None where the stimulus was given another size on the way."""
    true = true_maps(truth.filters[list(parsed.cids)])
    if learnt.shape != true.shape:
        return None
    return np.where(np.isfinite(bits), correlations(learnt, true), np.nan)


def _repeats(p: Predictions) -> tuple[Array, Array] | None:
    """Responses (repeats, bins, N) and the mean prediction (bins, N), by `psth_inds`; None where nothing was shown twice.

    The prediction is averaged over the repeats: eye movements make each of them a little different.
    """
    inds = p.session.session.covariates.get("psth_inds")
    if inds is None:
        return None
    repeated = inds.numpy().reshape(-1)[p.frames]
    shown = repeated >= 0
    if not shown.any() or np.bincount(repeated[shown]).max() < 2:
        return None
    bins, n = int(repeated[shown].max()) + 1, int(np.bincount(repeated[shown]).max())
    responses, rates = (np.full((n, bins, p.counts.shape[1]), np.nan) for _ in range(2))
    seen = np.zeros(bins, dtype=int)
    for sample in np.flatnonzero(shown):
        at = repeated[sample]
        responses[seen[at], at] = np.where(p.valid[sample], p.counts[sample], np.nan)
        rates[seen[at], at] = p.rates[sample]
        seen[at] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bins that nobody saw stay NaN
        return responses, np.nan_to_num(np.nanmean(rates, axis=0))
