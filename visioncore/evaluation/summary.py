"""A run's sessions in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from visioncore.data.config import DatasetConfig, parse_dataset_config, session_folder
from visioncore.data.errors import DataError
from visioncore.data.synthetic.truth import load_truth
from visioncore.evaluation.measures import bits_per_spike, correlation_to_mean, explainable_variance_explained
from visioncore.evaluation.predictions import Predictions
from visioncore.evaluation.receptive_fields import correlations, true_maps

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SessionSummary:
    """Measures of each cell (N,), NaN for a cell that has none; `best`, `correlation`, `feve` None where there is nothing to go by.

    bits, best: bits per spike of the model, and of the true rates; correlation: to the mean over repeats; feve: fraction of the
    explainable variance that is explained; fields: correlation of the learnt receptive field and the true one; unscored: how many
    cells have spikes and rates that are none, NaN or the like
    """

    name: str
    samples: int
    bits: Array
    best: Array | None
    correlation: Array | None
    feve: Array | None
    fields: Array | None = None
    unscored: int = 0


def summarise(
    predictions: Predictions, config: Mapping[str, Any], maps: Callable[[], Array] | None = None
) -> SessionSummary:
    """config: the session's dataset YAML; maps: gives the learnt receptive fields (N, H, W), of a model that has any."""
    p = predictions
    bits = bits_per_spike(p.counts, p.rates, p.valid)
    truth = _truth(p, parse_dataset_config(config), config)
    repeats = _repeats(p)
    spikes = np.where(p.valid, p.counts, 0.0).sum(0)
    return SessionSummary(
        p.session.name,
        len(p.counts),
        bits,
        None if truth is None else bits_per_spike(p.counts, truth[0], p.valid),
        None if repeats is None else correlation_to_mean(*repeats),
        None if repeats is None else explainable_variance_explained(*repeats),
        None if truth is None or maps is None else _fields(maps(), truth[1], bits),
        int((np.isnan(bits) & (spikes > 0)).sum()),
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


def _truth(p: Predictions, parsed: DatasetConfig, config: Mapping[str, Any]) -> tuple[Array, Array] | None:
    """Rates (S, N) and receptive fields (N, H, W) of a synthetic session at its own rate; None of any other.

    A run is not lost to a `truth.npz` of other recordings: of that there is a warning.
    """
    path = session_folder(parsed, config) / "truth.npz"
    if not path.is_file() or (parsed.sampling is not None and parsed.sampling.factor != 1):
        return None
    cids = list(parsed.cids)
    try:
        truth = load_truth(path)
        rates = np.concatenate([truth.rates[kind] for kind in parsed.types])
        if len(rates) != len(p.session.stimulus):
            raise ValueError(f"{len(rates)} frames, and they have {len(p.session.stimulus)}")
        return rates[p.counted][:, cids], true_maps(truth.filters[cids])
    except (LookupError, TypeError, ValueError) as error:
        told = f"there is no {error}" if isinstance(error, KeyError) else error
        known = f"{error}" if isinstance(error, DataError) else f"{path} is of other recordings: {told}"
        rank_zero_warn(f"{known}; what the session's cells could reach is not told")
        return None


def _fields(learnt: Array, true: Array, bits: Array) -> Array | None:
    """(N,), NaN for a cell of which nothing could be learnt; None where the stimulus was given another size on the way."""
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
    repeated = inds.numpy().reshape(-1)[p.counted]
    shown = np.flatnonzero(repeated >= 0)
    bins, of_sample, repeats = np.unique(repeated[shown], return_inverse=True, return_counts=True)
    if repeats.max(initial=0) < 2:
        return None
    responses = np.full((repeats.max(), len(bins), p.counts.shape[1]), np.nan)
    total, seen = np.zeros(responses.shape[1:]), np.zeros(len(bins), dtype=int)
    for sample, at in zip(shown, of_sample, strict=True):
        responses[seen[at], at] = np.where(p.valid[sample], p.counts[sample], np.nan)
        total[at] += p.rates[sample]
        seen[at] += 1
    return responses, total / seen[:, None]
