"""A run's sessions in numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visioncore.data.config import parse_dataset_config, session_folder
from visioncore.data.synthetic.truth import load_truth
from visioncore.evaluation.measures import bits_per_spike, correlation_to_mean, explainable_variance_explained
from visioncore.evaluation.predictions import Predictions

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SessionSummary:
    """Measures of each cell (N,), NaN for a cell that has none; `best`, `correlation`, `feve` None where there is nothing to go by.

    bits, best: bits per spike of the model, and of the true rates; correlation: to the mean over repeats; feve: fraction of the
    explainable variance that is explained
    """

    name: str
    samples: int
    bits: Array
    best: Array | None
    correlation: Array | None
    feve: Array | None


def summarise(predictions: Predictions, config: Mapping[str, Any]) -> SessionSummary:
    """`config`: the session's dataset YAML."""
    p = predictions
    bits = bits_per_spike(p.counts, p.rates, p.valid)
    true = _true_rates(p, config)
    repeats = _repeats(p)
    return SessionSummary(
        p.session.name,
        len(p.counts),
        bits,
        None if true is None else bits_per_spike(p.counts, true, p.valid),
        None if repeats is None else correlation_to_mean(*repeats),
        None if repeats is None else explainable_variance_explained(*repeats),
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


def _true_rates(p: Predictions, config: Mapping[str, Any]) -> Array | None:
    """(S, N) of a synthetic session at its own rate; None of any other."""
    parsed = parse_dataset_config(config)
    path = session_folder(parsed, config) / "truth.npz"
    if not path.is_file() or (parsed.sampling is not None and parsed.sampling.factor != 1):
        return None
    truth = load_truth(Path(path))
    rates = np.concatenate([truth.rates[kind] for kind in parsed.types])
    chosen: Array = rates[p.frames][:, list(parsed.cids)]
    return chosen


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
