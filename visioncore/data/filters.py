"""Which frames, and which cells in them, count: masks that are ANDed into `dfs`, (T, 1) or (T, units).

To add one: a function `(recording, session folder, **arguments) -> bool mask`, decorated.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import torch
from torch import Tensor

from visioncore.data.config import DataFilter
from visioncore.data.errors import DataError
from visioncore.data.recording import Recording
from visioncore.errors import ConfigError, nearest, one_of

FILTERS: dict[str, Callable[..., Tensor]] = {}
QC = Path("qc") / "amp_truncation" / "truncation.npz"


def datafilter(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    FILTERS[function.__name__] = function
    return function


def check_filters(filters: Mapping[str, DataFilter], source: str) -> None:
    """Before anything is read from disk. Raises ConfigError: a filter or an argument that there is not, with the nearest."""
    for label, block in filters.items():
        for step in block.ops:
            _parse(step, f"{source}: datafilters.{label}")


def filtered(recording: Recording, filters: Mapping[str, DataFilter], session: Path) -> Recording:
    """The recording with a float mask for each entry, 1 where all its filters pass. Raises DataError."""
    masks: dict[str, Tensor] = {}
    for label, block in filters.items():
        mask = torch.ones(recording.frames, 1, dtype=torch.bool)
        for step in block.ops:
            name, arguments = _parse(step, f"datafilters.{label}")
            mask = mask & FILTERS[name](recording, session, **arguments)
        masks[block.expose_as] = mask.float()
    return Recording({**recording.covariates, **masks}, recording.metadata)


def _parse(step: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(step, str):
        step = {step: None}
    if not isinstance(step, Mapping) or len(step) != 1:
        raise ConfigError(f"{where}: a filter is a mapping of its name to its arguments, {step!r} found")
    ((name, given),) = step.items()
    if name not in FILTERS:
        raise ConfigError(
            f"{where}: unknown filter {name!r}{nearest(str(name), FILTERS) or f'; {one_of(FILTERS)} is expected'}"
        )
    known = list(inspect.signature(FILTERS[name]).parameters)[2:]
    arguments = {} if given is None else given if isinstance(given, Mapping) else {known[0]: given}
    for key, value in arguments.items():
        if key not in known:
            raise ConfigError(
                f"{where}: filter {name} has no argument {key!r}{nearest(str(key), known) or f'; known are {known}'}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"{where}: {name}.{key} is a number, {value!r} found")
    return str(name), dict(arguments)


@datafilter
def valid_nlags(recording: Recording, session: Path, n_lags: int = 1) -> Tensor:
    """(T, 1): this frame and the `n_lags` − 1 before it are of one trial, none its first, and the eye tracker had the eye in all."""
    for name in ("trial_inds", "dpi_valid"):
        if name not in recording:
            raise DataError(
                f"the filter valid_nlags needs the covariate {name!r}; found {sorted(recording.covariates)}"
            )
    trials = recording["trial_inds"].flatten()
    good = recording["dpi_valid"].flatten() > 0
    good[1:] &= trials[1:] == trials[:-1]
    good[0] = False
    # how many good frames in a row end here
    streak = torch.cumsum(good, 0)
    before = torch.where(good, 0, streak).cummax(0).values
    return ((streak - before) >= max(int(n_lags), 1))[:, None]


@datafilter
def missing_pct(recording: Recording, session: Path, threshold: float = 45.0) -> Tensor:
    """(T, units): the cell's spikes are not lost below the detection threshold.

    From the session's amplitude-truncation QC: for each window of time the percentage of a cell's spikes that are estimated to be
    missing. A cell's windows under `threshold` count; all of them where its median is not under it. Raises DataError.
    """
    blocks, cids, percent = _truncation(session / QC)
    if "t_bins" not in recording:
        raise DataError(f"the filter missing_pct needs the covariate 't_bins'; found {sorted(recording.covariates)}")
    times = recording["t_bins"].flatten().double().numpy()
    mask = np.zeros((len(times), recording["robs"].shape[1]), dtype=bool)
    for cid in range(mask.shape[1]):
        of_cell = cids == cid
        windows, missing = blocks[of_cell], percent[of_cell]
        if not len(windows):
            mask[:, cid] = True  # nothing speaks against it
        elif np.median(missing) < threshold:
            windows = windows[missing < threshold]
        for start, end in windows:
            mask[np.searchsorted(times, start) : np.searchsorted(times, end), cid] = True
    return torch.from_numpy(mask)


def _truncation(path: Path) -> tuple[Any, Any, Any]:
    """window_blocks (W, 2) in seconds of `t_bins`, cid (W,), mpcts (W,)."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is no file")  # one would wait for ever for what a pipe gives
    try:
        with np.load(path) as file:
            blocks, cids, percent = (file[name] for name in ("window_blocks", "cid", "mpcts"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file, and the filter missing_pct needs it; make it, or leave the filter out"
        ) from None
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, ZlibError) as error:
        raise DataError(f"{path} is damaged or no .npz file: {error}") from error
    except KeyError as error:
        raise DataError(f"{path}: arrays window_blocks, cid and mpcts are expected; {error}") from error
    if not (blocks.ndim == 2 and blocks.shape[1] == 2 and len(blocks) == len(cids) == len(percent)):
        raise DataError(
            f"{path}: window_blocks (W, 2), cid (W,) and mpcts (W,) are expected; "
            f"{blocks.shape}, {cids.shape} and {percent.shape} found"
        )
    for name, values in {"window_blocks": blocks, "cid": cids, "mpcts": percent}.items():
        if values.dtype.kind not in "biuf":
            raise DataError(f"{path}: {name} are numbers, an array of {values.dtype} found")
    return blocks, cids, percent
