"""NWB files that others wrote: what of them is a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pynwb.behavior import EyeTracking, SpatialSeries
from pynwb.image import ImageSeries, IndexSeries

from visioncore.data.errors import DataError
from visioncore.data.formats.content import restored
from visioncore.data.formats.spikes import Times, bin_ends, counts_of, unsorted
from visioncore.data.recording import Recording

BLOCK_S = 10.0  # a trial's length where a file has none
LONGEST_PAUSE = 5.0  # between samples of the gaze, in usual steps


def foreign(nwb: Any, stem: str) -> Recording:
    """Frames of the presented image series, spikes of all units in the time of each frame, and, where there are any, gaze and trials.

    Of several image series the one called `stem` is taken. Frames outside all trials are trial −1; without trials, blocks of 10 s
    are. Gaze is interpolated at the frames; dpi_valid is 0 where it is not finite. Raises DataError.
    """
    series = _presented(nwb, stem)
    times = _times(series)
    spikes = spike_times(nwb)
    if not spikes:
        raise DataError("there is no unit with spike times")
    covariates = {
        "stim": restored(_frames(series)),
        "t_bins": torch.from_numpy(times),
        "robs": torch.from_numpy(counts_of(spikes, times).astype(np.float32)),
        "trial_inds": torch.from_numpy(_trials(nwb, times)),
    }
    metadata: dict[str, Any] = {
        "name": stem,
        "sess": str(nwb.session_id or nwb.identifier),
        "rate_hz": float(1 / np.median(bin_ends(times) - times)),
        "unit_ids": [str(each) for each in nwb.units.id[:]],
    }
    gaze = _gaze(nwb)
    if gaze is not None:
        eye, valid = _at(gaze, times)
        covariates |= {"eyepos": torch.from_numpy(eye), "dpi_valid": torch.from_numpy(valid)}
        metadata["eyepos_unit"] = str(gaze.unit)
    return Recording(covariates, metadata)


def spike_times(nwb: Any) -> list[Times]:
    """Seconds, of each unit; none where there is no units table. Raises DataError: it has no spike times."""
    if nwb.units is None or not len(nwb.units):
        return []
    if "spike_times" not in nwb.units.colnames:
        raise DataError("the units have no spike times")
    ends = np.asarray(nwb.units.spike_times_index.data[:]).astype(np.int64)
    spikes = np.asarray(nwb.units.spike_times_index.target.data[:], dtype=np.float64)
    return np.split(spikes, ends[:-1])


def _presented(nwb: Any, stem: str) -> Any:
    images = {name: each for name, each in nwb.stimulus.items() if isinstance(each, ImageSeries | IndexSeries)}
    if not images:
        raise DataError("there is no image series among the stimuli that were presented")
    if len(images) > 1 and stem not in images:
        raise DataError(
            f"several image series were presented, {', '.join(images)}; name the file after the one to read"
        )
    return images[stem] if stem in images else next(iter(images.values()))


def _frames(series: Any) -> NDArray[Any]:
    """(T, H, W)."""
    if isinstance(series, IndexSeries):
        shown = series.data[:].astype(np.int64)
        pictures = _template(series)
        if len(shown) and not 0 <= shown.min() <= shown.max() < len(pictures):
            raise DataError(f"the index series {series.name!r} points outside of its {len(pictures)} images")
        frames: NDArray[Any] = pictures[shown]
    else:
        frames = _pixels(series)
    if frames.ndim != 3:
        raise DataError(f"the images of {series.name!r} are grey, (T, H, W); {frames.shape} found")
    # torch computes little with uint16
    return frames.astype(np.int32) if frames.dtype == np.uint16 else frames


def _template(series: Any) -> NDArray[Any]:
    if series.indexed_timeseries is not None:
        return _pixels(series.indexed_timeseries)
    ordered = series.indexed_images.order_of_images
    pictures = [each.data[:] for each in (series.indexed_images.images.values() if ordered is None else ordered[:])]
    if len({picture.shape for picture in pictures}) != 1:
        raise DataError(f"the images that {series.name!r} indexes are not all of one size")
    return np.stack(pictures)


def _pixels(series: Any) -> NDArray[Any]:
    if series.external_file is not None:
        told = ", ".join(str(each) for each in series.external_file[:3])
        raise DataError(f"the frames of {series.name!r} are in other files ({told}); copy them into this one as data")
    return np.asarray(series.data[()])


def _times(series: Any) -> Times:
    times = _clock(series)
    if not len(times) or unsorted(times):
        raise DataError(f"the timestamps of {series.name!r} are finite and increase from frame to frame; these do not")
    return times


def _clock(series: Any) -> Times:
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], dtype=np.float64)
    if not series.rate:
        raise DataError(f"{series.name!r} has neither timestamps nor a rate")
    times: Times = (series.starting_time or 0.0) + np.arange(len(series.data)) / float(series.rate)
    return times


def _trials(nwb: Any, times: Times) -> NDArray[np.int64]:
    if nwb.trials is None or not len(nwb.trials):
        blocks: NDArray[np.int64] = ((times - times[0]) // BLOCK_S).astype(np.int64)
        return blocks
    starts, stops = (np.asarray(nwb.trials[name].data[:], dtype=np.float64) for name in ("start_time", "stop_time"))
    order = np.argsort(starts, kind="stable")
    latest = np.searchsorted(starts[order], times, side="right") - 1
    trials = order[np.maximum(latest, 0)]
    # a trial's last frame may start when the trial stops
    inside = (latest >= 0) & (times <= stops[trials])
    return np.where(inside, trials, -1)


def _gaze(nwb: Any) -> Any:
    """The gaze: a spatial series of two columns in EyeTracking, or one whose name tells; of several, gaze before eye before others."""
    found = []
    for each in nwb.objects.values():
        if isinstance(each, SpatialSeries) and np.ndim(each.data) == 2 and each.data.shape[1] == 2:
            name = each.name.lower()
            tells = "gaze" in name or "eye" in name
            if tells or isinstance(each.parent, EyeTracking):
                found.append(("gaze" not in name, "eye" not in name, name, each))
    return min(found, key=lambda row: row[:3])[3] if found else None


def _at(gaze: Any, times: Times) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(T, 2) gaze and (T,) 1 where it is known, at `times`: the samples on both sides are finite, and no pause lies between them."""
    sampled = _clock(gaze)
    position = np.asarray(gaze.data[:], dtype=np.float64) * gaze.conversion + gaze.offset
    if len(sampled) != len(position):
        raise DataError(f"{gaze.name!r} has {len(position)} positions and {len(sampled)} timestamps")
    sampled, order = np.unique(sampled, return_index=True)
    order, sampled = order[np.isfinite(sampled)], sampled[np.isfinite(sampled)]
    position, seen = position[order], np.isfinite(position[order]).all(1)
    if seen.sum() < 2:
        return np.zeros((len(times), 2), np.float32), np.zeros(len(times), np.float32)
    eye = np.stack([np.interp(times, sampled[seen], axis[seen]) for axis in position.T], 1)
    known = np.interp(times, sampled, seen.astype(np.float64), left=0, right=0) == 1
    steps = np.diff(sampled)
    after = np.clip(np.searchsorted(sampled, times, side="right") - 1, 0, len(steps) - 1)
    known &= steps[after] <= LONGEST_PAUSE * np.median(steps)
    return eye.astype(np.float32), known.astype(np.float32)
