"""A recording session with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from visioncore.data.recording import Recording
from visioncore.data.synthetic.cells import Array, Cells, draw_cells
from visioncore.data.synthetic.stimuli import backimage, eye_movements, gaborium

RATE_HZ = 120.0
MEAN_SPIKES = 0.4  # a bin
TRIAL = 100  # frames
TYPES = ("backimage", "gaborium", "fixrsvp")


@dataclass(frozen=True)
class SyntheticSession:
    """recordings and rates (T, N) by stimulus type; `dead` (N,): cells that were lost before the first frame."""

    name: str
    cells: Cells
    recordings: dict[str, Recording]
    rates: dict[str, Array]
    dead: NDArray[np.bool_]


def make_session(
    seed: int,
    name: str = "Allen_2022-02-16",
    *,
    size: int = 15,
    lags: int = 8,
    frames: int = 3000,
    n_units: int = 10,
    n_dead: int = 1,
    types: tuple[str, ...] = TYPES,
) -> SyntheticSession:
    """One session, the same for the same arguments.

    backimage: natural images, another for each trial; gaborium: clouds of Gabors; fixrsvp: trials that all show the same
    sequence, numbered in `psth_inds`. Counts are Poisson; the eye tracker loses the eye now and then.

    Raises ValueError: an unknown type, or fewer `frames` of each than a trial has; whole trials are made.
    """
    if frames < TRIAL:
        raise ValueError(f"{frames} frames of a stimulus type: at least {TRIAL}, one trial, are expected")
    rng = np.random.default_rng(seed)
    cells = draw_cells(n_units, size, lags, rng)
    stimuli: dict[str, tuple[NDArray[np.uint8], Array]] = {}
    for kind in types:
        stimuli[kind] = _stimulus(kind, frames // TRIAL, size, rng)
    cells = _scaled(cells, [stimulus for stimulus, _ in stimuli.values()])
    dead = np.zeros(n_units, dtype=bool)
    dead[n_units - n_dead :] = True
    rates = {kind: cells.rates(stimulus) for kind, (stimulus, _) in stimuli.items()}
    recordings = {kind: _recording(kind, name, *stimuli[kind], rates[kind], rng) for kind in types}
    return SyntheticSession(name, cells, recordings, rates, dead)


def _stimulus(kind: str, trials: int, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Array]:
    gaze = [eye_movements(TRIAL, 2.0 * size, rng) for _ in range(trials)]
    if kind == "backimage":
        return np.concatenate([backimage(path, size, rng) for path in gaze]), np.concatenate(gaze)
    if kind == "gaborium":
        return gaborium(trials * TRIAL, size, rng), np.concatenate(gaze)
    if kind == "fixrsvp":
        # the animal fixates: one sequence on the retina, over and over
        return np.tile(gaborium(TRIAL, size, rng), (trials, 1, 1)), np.concatenate([0.02 * path for path in gaze])
    raise ValueError(f"stimulus type {kind!r} is not one of {', '.join(TYPES)}")


def _scaled(cells: Cells, stimuli: list[NDArray[np.uint8]]) -> Cells:
    """The same cells with gains at which each has `MEAN_SPIKES` a bin on average."""
    driven = np.concatenate([cells.rates(stimulus) for stimulus in stimuli]).mean(0) - cells.baseline
    gain = (MEAN_SPIKES - cells.baseline) / driven
    return Cells(cells.centres, cells.filters, cells.kernels, cells.complex, cells.baseline, gain)


def _recording(
    kind: str, name: str, stimulus: NDArray[np.uint8], gaze: Array, rates: Array, rng: np.random.Generator
) -> Recording:
    t = len(stimulus)
    tracked = np.ones(t, dtype=bool)
    for start in rng.integers(0, t, t // 1000):
        tracked[start : start + int(rng.integers(10, 30))] = False  # blinks
    covariates = {
        "stim": torch.from_numpy(stimulus),
        "robs": torch.from_numpy(rng.poisson(rates).astype(np.float32)),
        "eyepos": torch.from_numpy((gaze / 37.5).astype(np.float32)),  # 37.5 pixels a degree, as in the lab's set-up
        "dpi_valid": torch.from_numpy(tracked.astype(np.float32)),
        "trial_inds": torch.arange(t) // TRIAL,
        "t_bins": torch.from_numpy(TYPES.index(kind) * 10_000 + np.arange(t) / RATE_HZ),
    }
    if kind == "fixrsvp":
        covariates["psth_inds"] = torch.arange(t) % TRIAL
    return Recording(covariates, {"name": kind, "sess": name, "rate_hz": RATE_HZ})
