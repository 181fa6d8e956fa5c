"""Neurodata Without Borders, the field's exchange format (https://nwb-schema.readthedocs.io).

Spikes are times in the units table; the stimulus is an image series, whose timestamps are `t_bins`; gaze is a spatial series in
EyeTracking; trials are a table. The other covariates are time series. The scratch text `visioncore` has what NWB has no place for:
`format_version`, `dtypes`, `metadata`. A file without it, which another lab wrote, is read as `foreign` says.
"""

from __future__ import annotations

import json
import re
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visioncore.data.errors import DataError
from visioncore.data.formats.content import (
    FORMAT_VERSION,
    UNITS,
    check_version,
    chunks,
    described,
    dtype_name,
    missing,
    parsed,
    reading,
    restored,
    stored,
)
from visioncore.data.formats.seal import check_seal, sealed_file
from visioncore.data.formats.spikes import counts_of, times_of, unsorted
from visioncore.data.recording import Recording

try:
    from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
    from pynwb.behavior import EyeTracking, SpatialSeries
    from pynwb.core import VectorData, VectorIndex
    from pynwb.epoch import TimeIntervals
    from pynwb.image import ImageSeries
    from pynwb.misc import Units

    from visioncore.data.formats.foreign_nwb import foreign, spike_times
except ImportError as error:
    raise missing("pynwb") from error

OWN = "visioncore"
MOST_SPIKES = 10**9  # 8 GB of times


def read(path: Path) -> Recording:
    """Raises DataError."""
    with reading(path, "NWB file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_seal(path)
        with NWBHDF5IO(path, "r") as io:
            nwb = io.read()
            if OWN in nwb.scratch:
                return _own(nwb)
            return foreign(nwb, path.stem)


def write(recording: Recording, path: Path) -> None:
    """Raises DataError: what the format does not hold; OSError as the disk has it."""
    described(recording)
    times, counts = _times(recording), _counts(recording)
    own = {
        "format_version": FORMAT_VERSION,
        "dtypes": {name: dtype_name(value) for name, value in recording.covariates.items()},
        "metadata": recording.metadata,
    }
    nwb = NWBFile(
        session_description=_text(f"stimulus {recording.metadata.get('name')}, frame by frame, and spikes to it"),
        identifier=uuid4().hex,
        session_id=_text(recording.metadata.get("sess", "unknown")),
        session_start_time=_start(recording.metadata),
    )
    frames = ImageSeries(
        name="stim",
        data=_data(recording, "stim"),
        unit=UNITS["stim"],
        timestamps=times,
        description="frames as they lay on the retina: frame, row, column",
    )
    nwb.add_stimulus(frames)
    nwb.units = _units(list(times_of(counts, times)))
    if "trial_inds" in recording and recording["trial_inds"].ndim == 1 and len(times):
        nwb.trials = _trials(_numbers(recording["trial_inds"]), times)
    behavior = nwb.create_processing_module("behavior", "the gaze, and where the eye tracker had the eye")
    others = nwb.create_processing_module("covariates", "other covariates of the frames")
    for name in recording.covariates:
        if name in ("stim", "robs", "t_bins"):
            continue
        told = {"name": name, "data": _data(recording, name), "unit": UNITS.get(name, "n.a."), "timestamps": frames}
        if name == "eyepos" and recording[name].ndim == 2 and recording[name].shape[1] in (1, 2, 3):
            gaze = SpatialSeries(**told, reference_frame="straight ahead is (0, 0)")
            behavior.add(EyeTracking(name="EyeTracking", spatial_series=gaze))
        else:
            (behavior if name in ("dpi_valid", "eyepos") else others).add(TimeSeries(**told))
    nwb.add_scratch(json.dumps(own), name=OWN, description="JSON: what else is needed to read the recording back")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with sealed_file(path) as file, NWBHDF5IO(file=file, mode="w") as io:
            io.write(nwb)


def _own(nwb: Any) -> Recording:
    own = parsed(str(nwb.scratch[OWN].data))
    check_version(own.get("format_version"))
    series = {each.name: each for each in nwb.objects.values() if isinstance(each, TimeSeries)}
    times = series["stim"].timestamps[:]
    covariates = {}
    for name, dtype in own["dtypes"].items():
        if name == "robs":
            array = counts_of(spike_times(nwb), times)
        else:
            array = times if name == "t_bins" else series[name].data[()]
        covariates[name] = restored(array, dtype)
    return Recording(covariates, parsed(json.dumps(own["metadata"])))


def _times(recording: Recording) -> NDArray[np.float64]:
    absent = [name for name in ("stim", "robs", "t_bins") if name not in recording]
    if absent:
        raise DataError(
            f"NWB needs stim, robs and t_bins, {', '.join(absent)} is missing; .h5, .zarr and .dset do without"
        )
    exact = recording["t_bins"]
    times = _numbers(exact).astype(np.float64)
    if times.ndim != 1 or unsorted(times) or not torch.equal(restored(times, dtype_name(exact)), exact.cpu()):
        raise DataError(
            "NWB has spikes as times, and needs t_bins (T,) that are finite and increase from bin to bin; "
            ".h5, .zarr and .dset hold others"
        )
    return times


def _counts(recording: Recording) -> NDArray[np.int64]:
    robs = _numbers(recording["robs"])
    if robs.ndim != 2 or robs.dtype.kind == "c" or not ((robs >= 0) & (robs < np.inf) & (np.floor(robs) == robs)).all():
        raise DataError(
            "NWB has spikes as times, and robs (T, units) are not all whole numbers from 0 on; .h5, .zarr and .dset hold them"
        )
    if (total := robs.sum(dtype=np.float64)) > MOST_SPIKES:
        raise DataError(
            f"NWB has spikes as times; {total:.2g} spikes are too many for that, and .h5, .zarr and .dset hold them"
        )
    return robs.astype(np.int64)


def _numbers(value: Tensor) -> NDArray[Any]:
    """As other programs are to read them: bfloat16 as float32."""
    return stored(value.float() if value.dtype == torch.bfloat16 else value)


def _units(spikes: list[NDArray[np.float64]]) -> Any:
    """The table as a whole; a unit at a time it is built spike by spike."""
    flat = VectorData(name="spike_times", description="seconds", data=np.concatenate([np.empty(0), *spikes]))
    ends = np.cumsum([len(unit) for unit in spikes], dtype=np.uint64)
    return Units(
        name="units",
        description="one for each column of robs",
        id=np.arange(len(spikes)),
        columns=[flat, VectorIndex(name="spike_times_index", data=ends, target=flat)],
        colnames=["spike_times"],
    )


def _data(recording: Recording, name: str) -> Any:
    array = _numbers(recording[name])
    if array.ndim > 4 or array.dtype.kind == "c" or (name == "stim" and array.ndim < 3):
        raise DataError(
            f"NWB holds no {name} of shape {array.shape} and type {array.dtype}; .h5, .zarr and .dset hold it"
        )
    if not array.size:
        return array
    return H5DataIO(array, chunks=chunks(array), compression="gzip", compression_opts=1, shuffle=array.itemsize > 1)


def _trials(trials: NDArray[Any], times: NDArray[np.float64]) -> Any:
    """The table: from the first frame of each run of equal numbers to its last."""
    first = np.flatnonzero(np.append(True, trials[1:] != trials[:-1]))
    last = np.append(first[1:], len(trials)) - 1
    columns = {
        "start_time": ("seconds", times[first]),
        "stop_time": ("seconds", times[last]),
        "trial": ("its number in `trial_inds`", trials[first]),
    }
    return TimeIntervals(
        name="trials",
        description="trials",
        id=np.arange(len(first)),
        columns=[VectorData(name=name, description=told, data=data) for name, (told, data) in columns.items()],
        colnames=list(columns),
    )


def _text(value: Any) -> str:
    """HDF5 ends a text at a zero byte."""
    return str(value).encode(errors="replace").decode().replace("\0", " ")


def _start(metadata: dict[str, Any]) -> datetime:
    """The day in the session's name; the first of all days where there is none, since NWB must have one."""
    day = re.search(r"\d{4}-\d\d-\d\d", str(metadata.get("sess", "")))
    try:
        return datetime.fromisoformat(day[0] if day else "1970-01-01").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
